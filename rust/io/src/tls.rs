//! Whom to trust, and as whom to appear.
//!
//! Loading the system's root certificates takes milliseconds, so nothing is loaded before the first
//! handshake asks: a start against an `http://` URL never pays for it.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;

use crate::config::{Config, ConfigError};

/// What a person can say about TLS; the default trusts what the system trusts.
#[derive(Clone, Debug, Default)]
pub struct Trust<'a> {
    /// A PEM file with authorities to trust in addition to the system's.
    pub ca_cert: Option<&'a Path>,
    /// A PEM file with the client's certificate chain, and perhaps its key.
    pub client_cert: Option<&'a Path>,
    /// A PEM file with the client's private key.
    pub client_key: Option<&'a Path>,
    /// Accept any certificate.
    pub insecure: bool,
}

/// Builds the TLS side of the HTTP client.
///
/// # Errors
/// A file that cannot be read or does not hold what it should, by the name of its setting.
pub fn client_config(trust: &Trust<'_>) -> Result<ClientConfig, ConfigError> {
    let provider = Arc::new(ring::default_provider());
    let extra_roots = trust.ca_cert.map(read_authorities).transpose()?.unwrap_or_default();
    let verifier: Arc<dyn ServerCertVerifier> = if trust.insecure {
        Arc::new(Gullible { provider: Arc::clone(&provider) })
    } else {
        Arc::new(OnFirstUse {
            provider: Arc::clone(&provider),
            extra_roots,
            system: OnceLock::new(),
        })
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ConfigError::new("url", format!("TLS cannot be set up: {error}")))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match (trust.client_cert, trust.client_key) {
        (None, None) => builder.with_no_client_auth(),
        (None, Some(_)) => {
            return Err(ConfigError::new(
                "client_key",
                "a client key needs its certificate: give the client certificate too",
            ));
        }
        (Some(cert), key) => {
            let chain = read_certificates("client_cert", cert)?;
            let key = read_key(cert, key)?;
            builder.with_client_auth_cert(chain, key).map_err(|error| {
                ConfigError::new(
                    "client_cert",
                    format!(
                        "{} cannot be used with its key: {error}; check that they belong together",
                        cert.display()
                    ),
                )
            })?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn read(name: &'static str, path: &Path) -> Result<Vec<u8>, ConfigError> {
    std::fs::read(path).map_err(|error| {
        ConfigError::new(
            name,
            format!(
                "cannot read {}: {}; check the path and its permissions",
                path.display(),
                error.kind()
            ),
        )
    })
}

fn read_certificates(
    name: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let found = CertificateDer::pem_slice_iter(&read(name, path)?)
        .collect::<Result<Vec<_>, _>>()
        .unwrap_or_default();
    if found.is_empty() {
        return Err(ConfigError::new(
            name,
            format!(
                "{} holds no certificate: it must be PEM, with a line that says BEGIN CERTIFICATE",
                path.display()
            ),
        ));
    }
    Ok(found)
}

/// Reads the extra authorities and makes sure now that each can be used, not at the first handshake.
fn read_authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let found = read_certificates("ca_cert", path)?;
    let mut trial = RootCertStore::empty();
    for certificate in &found {
        trial.add(certificate.clone()).map_err(|error| {
            ConfigError::new(
                "ca_cert",
                format!("{} holds a certificate that cannot be used: {error}", path.display()),
            )
        })?;
    }
    Ok(found)
}

/// The key from its own file, or from the certificate's, where many tools put both.
fn read_key(cert: &Path, key: Option<&Path>) -> Result<PrivateKeyDer<'static>, ConfigError> {
    let (name, path) = key.map_or(("client_cert", cert), |key| ("client_key", key));
    let text = read(name, path)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        let remedy = match (error, key) {
            (pem::Error::NoItemsFound, None) => "holds no private key: give the client key too",
            (pem::Error::NoItemsFound, Some(_)) => {
                "holds no private key: it must be PEM and not encrypted (openssl pkey decrypts it)"
            }
            _ => "is not valid PEM",
        };
        ConfigError::new(name, format!("{} {remedy}", path.display()))
    })
}

/// The platform's verifier, created by the first certificate that has to be judged.
#[derive(Debug)]
struct OnFirstUse {
    provider: Arc<CryptoProvider>,
    extra_roots: Vec<CertificateDer<'static>>,
    system: OnceLock<Result<Verifier, Error>>,
}

impl ServerCertVerifier for OnFirstUse {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.system
            .get_or_init(|| {
                let extra = self.extra_roots.iter().cloned();
                Verifier::new_with_extra_roots(extra, Arc::clone(&self.provider))
            })
            .as_ref()
            .map_err(Error::clone)?
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Believes any certificate, because a person asked for it.
#[derive(Debug)]
struct Gullible {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Gullible {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Says it loudly where certificates are not checked.
pub(crate) fn warn_if_unchecked(config: &Config) {
    if config.insecure() {
        log::warn!(
            target: "mcp_ferry.wires",
            "certificates are not checked: anyone on the way can read and change everything"
        );
    }
}
