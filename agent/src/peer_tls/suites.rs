//! The ciphers of the peer channel.

use rustls::SupportedCipherSuite;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::cipher_suite::{
    TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
};
use rustls::crypto::aws_lc_rs::default_provider;

/// What TLS is made of: the ciphers of TLS 1.3, AES first where the CPU has instructions for it. There it costs a fraction of
/// ChaCha20, and elsewhere a multiple.
pub(super) fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: suites(has_aes()).to_vec(),
        ..default_provider()
    }
}

fn suites(aes_first: bool) -> [SupportedCipherSuite; 3] {
    let mut suites = [
        TLS13_AES_128_GCM_SHA256,
        TLS13_AES_256_GCM_SHA384,
        TLS13_CHACHA20_POLY1305_SHA256,
    ];
    if !aes_first {
        suites.rotate_right(1);
    }
    suites
}

#[cfg(target_arch = "x86_64")]
fn has_aes() -> bool {
    std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq")
}

#[cfg(target_arch = "aarch64")]
fn has_aes() -> bool {
    std::arch::is_aarch64_feature_detected!("aes")
        && std::arch::is_aarch64_feature_detected!("pmull")
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn has_aes() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aes_comes_first_only_where_it_is_cheap() {
        assert_eq!(suites(true)[0], TLS13_AES_128_GCM_SHA256);
        assert_eq!(suites(false)[0], TLS13_CHACHA20_POLY1305_SHA256);
        let all = suites(false);
        assert!(suites(true).iter().all(|suite| all.contains(suite)));
    }
}
