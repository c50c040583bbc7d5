//! How TLS connections are made: which certificates are trusted, and which protocols are offered.

use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, Error, RootCertStore};
use rustls_platform_verifier::Verifier;

/// Which CA certificates are trusted.
#[derive(Debug, Clone)]
pub(crate) enum TrustedRoots {
    /// Only these.
    Only(Vec<CertificateDer<'static>>),
    /// Those of the system, and these.
    WithSystem(Vec<CertificateDer<'static>>),
}

/// The configuration of TLS with the first common protocol of these, as they are named in ALPN. Fails if a certificate
/// cannot be used, or if the system has none.
pub(crate) fn tls_config(roots: &TrustedRoots, protocols: &[&str]) -> Result<ClientConfig, Error> {
    let provider = Arc::new(default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let mut config = match roots {
        TrustedRoots::Only(certificates) => {
            let mut store = RootCertStore::empty();
            for certificate in certificates {
                store.add(certificate.clone())?;
            }
            builder.with_root_certificates(store).with_no_client_auth()
        }
        TrustedRoots::WithSystem(certificates) => {
            let verifier = Verifier::new_with_extra_roots(certificates.clone(), provider)?;
            let verifier: Arc<dyn ServerCertVerifier> = Arc::new(verifier);
            builder
                .dangerous()
                .with_custom_certificate_verifier(verifier)
                .with_no_client_auth()
        }
    };
    config.alpn_protocols = protocols
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_offered_in_their_order() {
        let config = tls_config(&TrustedRoots::Only(Vec::new()), &["h2", "http/1.1"]).unwrap();
        assert_eq!(config.alpn_protocols, [&b"h2"[..], b"http/1.1"]);
    }

    #[test]
    fn a_certificate_that_cannot_be_used_is_refused() {
        let bad = || vec![CertificateDer::from(b"not a certificate".to_vec())];
        for roots in [TrustedRoots::Only(bad()), TrustedRoots::WithSystem(bad())] {
            assert!(tls_config(&roots, &[]).is_err(), "{roots:?}");
        }
    }
}
