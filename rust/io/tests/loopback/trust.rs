//! Certificates: whom the ferry believes, and as whom it appears.

use std::path::PathBuf;
use std::sync::Arc;

use crate::support::{once, post, read_request, reply, story};
use ferry_io::Settings;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

/// An authority, with a server and a client that it vouches for.
pub(crate) struct World {
    pub(crate) authority: CertifiedIssuer<'static, KeyPair>,
}

impl World {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self { authority: CertifiedIssuer::self_signed(params, key).unwrap() }
    }

    fn issue(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.authority).unwrap(), key)
    }

    /// A server that answers one request, of known clients only if `strict`.
    pub(crate) fn server(&self, strict: bool) -> String {
        let (certificate, key) = self.issue("127.0.0.1");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if strict {
            let mut known = RootCertStore::empty();
            known.add(self.authority.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(known.into(), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        let url = once(move |stream| {
            let connection = ServerConnection::new(Arc::new(config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream);
            // A client that does not believe hangs up.
            if stream.conn.complete_io(&mut stream.sock).is_ok() {
                read_request(&mut stream);
                reply(&mut stream, "{}");
                stream.conn.send_close_notify();
                let _ = stream.conn.complete_io(&mut stream.sock);
            }
        });
        url.replace("http:", "https:")
    }
}

/// Writes a file that lives as long as the test process.
pub(crate) fn file(name: &str, text: &str) -> PathBuf {
    let path =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path
}

fn settings(url: String) -> Settings {
    Settings { url, ..Settings::default() }
}

#[tokio::test]
async fn a_stranger_is_not_believed() {
    let config = settings(World::new().server(false)).check().unwrap();
    assert_eq!(story(post(&config, "ping")).await, ["tls"]);
}

#[tokio::test]
async fn an_authority_of_ones_own_is_believed() {
    let world = World::new();
    let ca_cert = Some(file("ca.pem", &world.authority.pem()));
    let config = Settings { ca_cert, ..settings(world.server(false)) }.check().unwrap();
    assert_eq!(story(post(&config, "ping")).await, ["sent", "200", "{}", "end"]);
}

#[tokio::test]
async fn anyone_is_believed_when_told_so() {
    let config = Settings { insecure: Some(true), ..settings(World::new().server(false)) };
    assert_eq!(story(post(&config.check().unwrap(), "ping")).await, ["sent", "200", "{}", "end"]);
}

#[tokio::test]
async fn a_client_certificate_is_shown() {
    let world = World::new();
    let (certificate, key) = world.issue("client");
    let config = Settings {
        ca_cert: Some(file("strict-ca.pem", &world.authority.pem())),
        client_cert: Some(file("client.pem", &certificate.pem())),
        client_key: Some(file("client.key", &key.serialize_pem())),
        ..settings(world.server(true))
    };
    assert_eq!(story(post(&config.check().unwrap(), "ping")).await, ["sent", "200", "{}", "end"]);
}

#[test]
fn certificate_and_key_may_share_a_file() {
    let (certificate, key) = World::new().issue("client");
    let both = certificate.pem() + &key.serialize_pem();
    let asked =
        Settings { client_cert: Some(file("both.pem", &both)), ..settings("https://h".into()) };
    assert!(asked.check().is_ok());
}

#[test]
fn files_that_do_not_fit_are_named() {
    let world = World::new();
    let (certificate, key) = world.issue("client");
    let (_, other) = world.issue("other");
    let cert = Some(file("fit.pem", &certificate.pem()));
    let cases = [
        (Settings { client_cert: cert.clone(), ..Settings::default() }, "client_cert", "fit.pem"),
        (
            Settings {
                client_cert: cert.clone(),
                client_key: Some(file("other.key", &other.serialize_pem())),
                ..Settings::default()
            },
            "client_cert",
            "belong together",
        ),
        (
            Settings {
                client_cert: cert,
                client_key: Some(file("empty", "")),
                ..Settings::default()
            },
            "client_key",
            "no private key",
        ),
        (
            Settings {
                ca_cert: Some(file("key.pem", &key.serialize_pem())),
                ..Settings::default()
            },
            "ca_cert",
            "no certificate",
        ),
    ];
    for (asked, name, words) in cases {
        let error = Settings { url: "https://h".into(), ..asked }.check().unwrap_err();
        assert_eq!(error.name, name);
        assert!(error.message.contains(words), "{error}");
    }
}
