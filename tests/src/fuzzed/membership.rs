use dfaas_protocol::membership::{
    Authority, Certificate, FederationId, JoinAnswer, JoinRequest, MAX_FRAME, Revocation, Rights,
    Token, UnixTime,
};

/// Certificates, revocations, tokens and what is said to join: one value has one form and no other, and none is the authority's
/// that the authority did not sign. The first byte says which is read.
///
/// # Panics
/// If not.
pub fn membership(input: &[u8]) {
    let Some((kind, bytes)) = input.split_first() else {
        return;
    };
    match kind % 7 {
        0 => {
            if let Ok(read) = Certificate::from_bytes(bytes) {
                assert_eq!(read.to_bytes(), bytes);
                assert_eq!(read.to_string().parse().as_ref(), Ok(&read));
                let federation = Authority::from_secret(&NOBODYS).federation();
                assert!(read.verify(federation, read.issued()).is_err());
            }
        }
        1 => {
            if let Ok(read) = JoinRequest::from_bytes(bytes) {
                assert_eq!(read.to_bytes(), bytes);
                assert!(bytes.len() <= MAX_FRAME);
            }
        }
        2 => {
            if let Ok(read) = JoinAnswer::from_bytes(bytes) {
                assert_eq!(read.to_bytes(), bytes);
                assert!(bytes.len() <= MAX_FRAME);
            }
        }
        _ => {
            if let Ok(text) = std::str::from_utf8(bytes) {
                texts(*kind, text);
            }
        }
    }
}

/// The secret of an authority that signs nothing.
const NOBODYS: [u8; 32] = [9; 32];

fn texts(kind: u8, text: &str) {
    let shown = text.trim();
    match kind % 7 {
        3 => {
            if let Ok(read) = text.parse::<Certificate>() {
                assert_eq!(read.to_string(), shown);
            }
        }
        4 => {
            if let Ok(read) = text.parse::<Token>() {
                assert_eq!(*read.to_text(), shown);
                assert!(read.address.is_ascii());
            }
        }
        5 => {
            if let Ok(read) = text.parse::<Revocation>() {
                assert_eq!(read.to_string(), shown);
                let federation = Authority::from_secret(&NOBODYS).federation();
                assert!(read.verify(federation).is_err());
                let _ = read.is_past(UnixTime::from_secs(u64::MAX));
            }
        }
        _ => {
            if let Ok(read) = text.parse::<FederationId>() {
                assert_eq!(read.to_string().parse(), Ok(read));
            }
            if let Ok(read) = text.parse::<Rights>() {
                assert_eq!(read.to_string().parse(), Ok(read));
            }
        }
    }
}
