//! One who tries to get in, by whatever certificate.

use std::sync::Arc;
use std::time::Duration;

use dfaas_agent::identity::{Identity, node_id_of};
use dfaas_protocol::NodeId;
use libp2p::PeerId;
use libp2p::identity::Keypair;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::crypto::aws_lc_rs::sign::any_ecdsa_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const NODE_KEY: [u64; 9] = [1, 3, 6, 1, 4, 1, 53594, 1, 1];
const MEMBERSHIP: [u64; 9] = [1, 3, 6, 1, 4, 1, 32473, 31600, 1];
const LONG: Duration = Duration::from_secs(20);

/// A call to the function `work`.
pub const CALL: &str = "GET /function/work HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// One who tries to get in.
#[derive(Clone, Debug)]
pub struct Intruder {
    keypair: Keypair,
    /// The bytes that it shows as its membership certificate.
    pub shows: Option<Vec<u8>>,
}

impl Intruder {
    /// With a key that nobody knows, and no certificate.
    pub fn stranger() -> Intruder {
        Intruder {
            keypair: Keypair::generate_ed25519(),
            shows: None,
        }
    }

    /// With the key of a node that stands in a state directory.
    pub fn with_key_in(state: &std::path::Path) -> Intruder {
        let identity = Identity::load_or_create(state).expect("what a test makes is right");
        Intruder {
            keypair: identity.keypair().clone(),
            shows: None,
        }
    }

    /// With these bytes for a membership certificate.
    pub fn showing(mut self, bytes: impl Into<Vec<u8>>) -> Intruder {
        self.shows = Some(bytes.into());
        self
    }

    /// Who it is.
    pub fn node(&self) -> NodeId {
        node_id_of(&self.keypair.public().to_peer_id()).expect("what a test makes is right")
    }

    /// Its libp2p name.
    pub fn peer_id(&self) -> PeerId {
        self.keypair.public().to_peer_id()
    }

    /// What it shows in a handshake: right in all but the membership.
    pub fn certified(&self) -> CertifiedKey {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)
            .expect("what a test makes is right");
        let mut says = CertificateParams::default();
        says.distinguished_name = DistinguishedName::new();
        let signed = [&b"libp2p-tls-handshake:"[..], &key.public_key_der()].concat();
        let public = octets(&self.keypair.public().encode_protobuf());
        let signature = octets(
            &self
                .keypair
                .sign(&signed)
                .expect("what a test makes is right"),
        );
        let mut both = [public, signature].concat();
        both.splice(0..0, [0x30, both.len() as u8]);
        let extension = CustomExtension::from_oid_content(&NODE_KEY, both);
        says.custom_extensions.push(extension);
        if let Some(shows) = &self.shows {
            let extension = CustomExtension::from_oid_content(&MEMBERSHIP, octets(shows));
            says.custom_extensions.push(extension);
        }
        let certificate = says
            .self_signed(&key)
            .expect("what a test makes is right")
            .der()
            .clone();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        CertifiedKey::new(
            vec![certificate],
            any_ecdsa_type(&key).expect("what a test makes is right"),
        )
    }

    /// What it begins a handshake with: it takes everybody for the right one.
    pub fn client(&self, speaks: &[u8]) -> ClientConfig {
        let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3 is there")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Credulous))
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(self.certified())));
        config.alpn_protocols = vec![speaks.to_vec()];
        config
    }

    async fn shake(
        &self,
        stream: TcpStream,
        speaks: &[u8],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from("127.0.0.1").expect("an address is a name");
        TlsConnector::from(Arc::new(self.client(speaks)))
            .connect(name, stream)
            .await
    }

    /// A connection to a peer port, as far as it gets.
    pub async fn connect(&self, peer: &str, speaks: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(peer).await?;
        self.shake(stream, speaks.as_bytes()).await
    }

    /// Brings a call to a peer port. What comes back, decrypted: nothing, if it is not let in.
    pub async fn calls(&self, peer: &str) -> Vec<u8> {
        match self.connect(peer, "dfaas-peer/1").await {
            Ok(stream) => said_after(stream, CALL.as_bytes()).await,
            Err(_) => Vec::new(),
        }
    }

    /// Opens a trunk to a peer port and tells of nonsense. What comes back, decrypted.
    pub async fn opens_a_trunk(&self, peer: &str) -> Vec<u8> {
        match self.connect(peer, "dfaas-trunk/1").await {
            Ok(stream) => said_after(stream, &[0; 64]).await,
            Err(_) => Vec::new(),
        }
    }

    /// Greets an overlay, first without and then, if that is agreed on, within TLS. What comes back within, decrypted.
    pub async fn greets(&self, overlay: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(overlay)
            .await
            .expect("what a test makes is right");
        stream
            .write_all(&line("/multistream/1.0.0\n"))
            .await
            .expect("the overlay listens");
        stream
            .write_all(&line("/dfaas/tls/1\n"))
            .await
            .expect("what a test makes is right");
        let expected = [line("/multistream/1.0.0\n"), line("/dfaas/tls/1\n")].concat();
        let mut agreed = vec![0; expected.len()];
        stream
            .read_exact(&mut agreed)
            .await
            .expect("what a test makes is right");
        assert_eq!(agreed, expected, "the overlay speaks TLS");
        match self.shake(stream, b"dfaas-overlay/1").await {
            Ok(stream) => said_after(stream, &line("/multistream/1.0.0\n")).await,
            Err(_) => Vec::new(),
        }
    }
}

/// A line of multistream-select.
pub fn line(text: &str) -> Vec<u8> {
    let mut bytes = vec![text.len() as u8];
    bytes.extend(text.as_bytes());
    bytes
}

/// What an end says after it was told that, until it ends or has said enough.
async fn said_after(mut stream: TlsStream<TcpStream>, told: &[u8]) -> Vec<u8> {
    let said = async {
        let mut said = vec![0; 1024];
        let _ = stream.write_all(told).await;
        let _ = stream.flush().await;
        let length = stream.read(&mut said).await.unwrap_or(0);
        said.truncate(length);
        said
    };
    let said = tokio::time::timeout(LONG, said).await;
    said.expect("the other end answers or ends the connection")
}

/// A string of bytes in DER.
fn octets(bytes: &[u8]) -> Vec<u8> {
    let head = match bytes.len() {
        n @ 0..0x80 => vec![4, n as u8],
        n @ 0x80..0x100 => vec![4, 0x81, n as u8],
        n => vec![4, 0x82, (n >> 8) as u8, n as u8],
    };
    [head, bytes.to_vec()].concat()
}

/// Takes everybody for the right one.
#[derive(Debug)]
struct Credulous;

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}
