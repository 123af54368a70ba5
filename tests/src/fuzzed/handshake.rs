use dfaas_agent::peer_tls::PeerTls;
use dfaas_protocol::membership::Certificate;
use rustls::pki_types::CertificateDer;

/// What a node shows in a handshake, read before anything is known of it: whatever the certificate's bytes, it names one node or
/// none, and at most one membership.
///
/// # Panics
/// If reading the same twice gives two things, or one of the readers panics.
pub fn handshake(input: &[u8]) {
    let shown = [CertificateDer::from(input)];
    let node = PeerTls::node_of(Some(&shown)).ok();
    assert_eq!(PeerTls::node_of(Some(&shown)).ok(), node);
    if let Some(membership) = PeerTls::membership_of(Some(&shown)) {
        assert!(membership.len() < input.len());
        if let Ok(read) = Certificate::from_bytes(&membership) {
            assert_eq!(read.to_bytes(), membership);
        }
    }
}
