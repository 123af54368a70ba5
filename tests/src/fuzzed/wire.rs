use dfaas_protocol::wire;

/// A message between two control planes: what is read can be written, and is then read as the same.
///
/// # Panics
/// If not.
pub fn wire(input: &[u8]) {
    let Ok(message) = wire::decode(input) else {
        return;
    };
    let bytes = wire::encode(&message).expect("what may be read may be written");
    assert!(bytes.len() <= input.len(), "what is read is written longer");
    let again = wire::decode(&bytes).expect("what was written can be read");
    assert_eq!(again, message);
    // Nothing may be left over, and nothing may be missing.
    assert!(wire::decode(&[&bytes[..], &[0]].concat()).is_err());
    assert!(wire::decode(&bytes[..bytes.len() - 1]).is_err());
}
