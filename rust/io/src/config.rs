//! What a person can set: the only home of the defaults, and the checks with their remedies.
//!
//! [`Settings`] is what was asked for, [`Config`] is what was found good. There is no other way to
//! get a [`Config`], so whoever holds one need not check again.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ferry_proto::headers::is_reserved;
use ferry_proto::{Terms, Transport};
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::tls::{self, Trust};
use crate::tokens::{Till, TokenSource};

/// How long a server may say nothing about a request, in seconds.
pub const TIMEOUT: f64 = 60.0;
/// How long a connection may take to come about, in seconds.
pub const CONNECT_TIMEOUT: f64 = 15.0;
/// How many requests may be in flight at once.
pub const CONCURRENCY: i64 = 128;
/// The largest message in either direction, in bytes.
pub const MAX_MESSAGE_SIZE: i64 = 64 * 1024 * 1024;
/// Whether any certificate is accepted.
pub const INSECURE: bool = false;
/// Which transport the server speaks: "auto", "http" or "sse".
pub const TRANSPORT: &str = "auto";
/// How long a server that cannot be reached is tried again.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// No timeout is longer than this, so that no clock overflows.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A setting that cannot be used: which one, and what to do about it. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {message}")]
pub struct ConfigError {
    /// The setting, by its name in [`Settings`].
    pub name: &'static str,
    /// What is wrong, and the remedy, in one line.
    pub message: String,
}

impl ConfigError {
    pub(crate) fn new(name: &'static str, message: impl Into<String>) -> Self {
        Self { name, message: message.into() }
    }
}

/// What was asked for; `None` stands for the default.
#[derive(Clone, Default)]
pub struct Settings {
    /// The endpoint: http or https, used exactly as given.
    pub url: String,
    /// Headers for every request, as names and values.
    pub headers: Vec<(String, String)>,
    /// The value of `Authorization`, such as `Bearer TOKEN`; sent as it is.
    pub auth: Option<String>,
    /// A file that holds the token, read again when it changes or is refused.
    pub token_file: Option<PathBuf>,
    /// A command that prints the token, as one line that is split as a shell does; run again when the
    /// token is refused.
    pub token_command: Option<String>,
    /// Which transport the server speaks: `auto`, `http` or `sse`.
    pub transport: Option<String>,
    /// Seconds a server may be silent about a request.
    pub timeout: Option<f64>,
    /// Seconds a connection may take.
    pub connect_timeout: Option<f64>,
    /// Requests in flight at once.
    pub concurrency: Option<i64>,
    /// Bytes of the largest message.
    pub max_message_size: Option<i64>,
    /// A PEM file with authorities to trust beside the system's.
    pub ca_cert: Option<PathBuf>,
    /// A PEM file with the client's certificate.
    pub client_cert: Option<PathBuf>,
    /// A PEM file with the client's private key, unless the certificate's file has it.
    pub client_key: Option<PathBuf>,
    /// Accept any certificate.
    pub insecure: Option<bool>,
    /// The proxy to use in place of the one in the environment.
    pub proxy: Option<String>,
}

/// Settings that were found good.
#[derive(Clone)]
pub struct Config {
    rules: ferry_proto::Config,
    wires: Arc<Wires>,
}

/// The part that does not differ between the sessions of one endpoint.
struct Wires {
    token_source: Option<TokenSource>,
    till: Till,
    connect_timeout: Duration,
    tls: rustls::ClientConfig,
    proxy: Option<Url>,
    insecure: bool,
}

impl Settings {
    /// Checks everything, reads the certificate files and fills in the defaults.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn check(&self) -> Result<Config, ConfigError> {
        let url = endpoint(&self.url)?;
        let headers = headers(&self.headers, self.auth.as_deref())?;
        let token_source =
            TokenSource::of(self.token_file.as_deref(), self.token_command.as_deref())?;
        if let Some(source) = &token_source
            && headers.contains_key(AUTHORIZATION)
        {
            let message = "an Authorization value or header is given as well; keep one of the two";
            return Err(ConfigError::new(source.setting(), message));
        }
        let insecure = self.insecure.unwrap_or(INSECURE);
        let trust = Trust {
            ca_cert: self.ca_cert.as_deref(),
            client_cert: self.client_cert.as_deref(),
            client_key: self.client_key.as_deref(),
            insecure,
        };
        Ok(Config {
            rules: ferry_proto::Config {
                url,
                headers,
                renewable: token_source.is_some(),
                listens: true,
                transport: transport(self.transport.as_deref().unwrap_or(TRANSPORT))?,
                response_timeout: seconds("timeout", self.timeout.unwrap_or(TIMEOUT))?,
                connect_patience: CONNECT_PATIENCE,
                concurrency: count("concurrency", self.concurrency.unwrap_or(CONCURRENCY))?,
                max_message: count(
                    "max_message_size",
                    self.max_message_size.unwrap_or(MAX_MESSAGE_SIZE),
                )?,
            },
            wires: Arc::new(Wires {
                token_source,
                till: Till::default(),
                connect_timeout: seconds(
                    "connect_timeout",
                    self.connect_timeout.unwrap_or(CONNECT_TIMEOUT),
                )?,
                tls: tls::client_config(&trust)?,
                proxy: self.proxy.as_deref().map(proxy).transpose()?,
                insecure,
            }),
        })
    }
}

impl Config {
    /// The same for a session of somebody else: with these headers, and this value of
    /// `Authorization`, in place of its own of those names. Both share their connections.
    ///
    /// # Errors
    /// A header that cannot be used; an `Authorization` value beside a credential that is renewed.
    pub fn with_headers(
        &self,
        given: &[(String, String)],
        auth: Option<&str>,
    ) -> Result<Self, ConfigError> {
        let others = headers(given, auth)?;
        if let Some(source) = self.token_source()
            && others.contains_key(AUTHORIZATION)
        {
            let message = "an Authorization value or header is given as well; keep one of the two";
            return Err(ConfigError::new(source.setting(), message));
        }
        let mut config = self.clone();
        for name in others.keys() {
            config.rules.headers.remove(name);
        }
        config.rules.headers.extend(others);
        Ok(config)
    }

    /// The same, for a client that wants to hear what the server says unasked, or does not.
    #[must_use]
    pub fn listening(mut self, listens: bool) -> Self {
        self.rules.listens = listens;
        self
    }

    /// Whether the two differ in nothing but what a session may have of its own, so that they can
    /// share connections.
    #[must_use]
    pub fn shares_wires(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.wires, &other.wires)
    }

    /// Whether nobody else has wires like these.
    pub(crate) fn is_last_with_its_wires(&self) -> bool {
        Arc::strong_count(&self.wires) == 1
    }

    /// What the rules need to know.
    #[must_use]
    pub fn rules(&self) -> &ferry_proto::Config {
        &self.rules
    }

    /// Where the credential comes from, if it can be had again.
    #[must_use]
    pub fn token_source(&self) -> Option<&TokenSource> {
        self.wires.token_source.as_ref()
    }

    /// What is known of its tokens.
    pub(crate) fn till(&self) -> &Till {
        &self.wires.till
    }

    /// How long a connection may take, name lookup and TLS included.
    #[must_use]
    pub fn connect_timeout(&self) -> Duration {
        self.wires.connect_timeout
    }

    /// Whom to trust, and as whom to appear.
    #[must_use]
    pub fn tls(&self) -> &rustls::ClientConfig {
        &self.wires.tls
    }

    /// The proxy that was asked for by name; it may hold a password.
    #[must_use]
    pub fn proxy(&self) -> Option<&Url> {
        self.wires.proxy.as_ref()
    }

    /// Whether any certificate is accepted.
    #[must_use]
    pub fn insecure(&self) -> bool {
        self.wires.insecure
    }

    /// The endpoint as it may be shown: keys are sometimes put into the query, so it is left out.
    #[must_use]
    pub fn shown_url(&self) -> String {
        shown(&self.rules.url)
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("url", &self.shown_url())
            .field(
                "headers",
                &self.rules.headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(),
            )
            .field("token_source", &self.token_source())
            .field("transport", &self.rules.transport)
            .field("timeout", &self.rules.response_timeout)
            .field("connect_timeout", &self.connect_timeout())
            .field("concurrency", &self.rules.concurrency)
            .field("max_message_size", &self.rules.max_message)
            .field("insecure", &self.insecure())
            .field("proxy", &self.proxy().map(shown))
            .finish_non_exhaustive()
    }
}

/// What a client may ask for one message: headers, and seconds that the server may be silent.
///
/// # Errors
/// A header or a time that cannot be used.
pub fn terms(given: &[(String, String)], timeout: Option<f64>) -> Result<Terms, ConfigError> {
    Ok(Terms {
        headers: headers(given, None)?,
        response_timeout: timeout.map(|value| seconds("timeout", value)).transpose()?,
    })
}

/// An address without what may be secret in it.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Refused only for addresses that cannot have either; those have nothing to hide.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
    if url.query().is_some() {
        url.set_query(Some("..."));
    }
    url.into()
}

fn endpoint(text: &str) -> Result<Url, ConfigError> {
    let wrong = |message: &str| ConfigError::new("url", message);
    let url = Url::parse(text.trim()).map_err(|error| {
        wrong(&format!("not a URL ({error}); give the whole address, like https://example.com/mcp"))
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong(
            "only http:// and https:// can be reached; give the address of the MCP endpoint",
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(
            "a URL must not hold a name or password, it would end up in logs; use the auth setting or a header",
        ));
    }
    Ok(url)
}

fn proxy(text: &str) -> Result<Url, ConfigError> {
    let wrong = || {
        ConfigError::new(
            "proxy",
            "not a proxy address; give http://host:port, or the same with https, socks5 or socks5h, with user:password@ before the host if it asks for one",
        )
    };
    let url = Url::parse(text.trim()).map_err(|_| wrong())?;
    let known = matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h");
    if known && url.has_host() { Ok(url) } else { Err(wrong()) }
}

fn headers(given: &[(String, String)], auth: Option<&str>) -> Result<HeaderMap, ConfigError> {
    let mut headers = HeaderMap::with_capacity(given.len() + 1);
    for (name, value) in given {
        let name = name.trim();
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
            // A line given as the name may hold the secret too: only its first word is repeated.
            let word: String =
                name.chars().take_while(char::is_ascii_alphanumeric).take(40).collect();
            let message = format!(
                "{word:?} does not begin a header; write it as NAME:VALUE, like X-Team:blue"
            );
            ConfigError::new("headers", message)
        })?;
        if is_reserved(&parsed) {
            let message = format!("{parsed} is set by the transport itself; leave it out");
            return Err(ConfigError::new("headers", message));
        }
        let value = secret(value).ok_or_else(|| {
            let message = format!(
                "the value of {parsed} has a line break or another control character; remove it"
            );
            ConfigError::new("headers", message)
        })?;
        headers.append(parsed, value);
    }
    if let Some(auth) = auth.map(str::trim) {
        if headers.contains_key(AUTHORIZATION) {
            let message = "an Authorization header is given as well; keep one of the two";
            return Err(ConfigError::new("auth", message));
        }
        if auth.is_empty() {
            let message = "it is empty; give the whole Authorization value, like 'Bearer TOKEN', or leave it out";
            return Err(ConfigError::new("auth", message));
        }
        let value = secret(auth).ok_or_else(|| {
            ConfigError::new("auth", "it has a line break or another control character; remove it")
        })?;
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

/// A header value that knows not to show itself. Which of the user's headers are secret nobody can
/// tell, so all are.
fn secret(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_bytes(value.trim().as_bytes()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn transport(name: &str) -> Result<Transport, ConfigError> {
    match name {
        "auto" => Ok(Transport::Auto),
        "http" => Ok(Transport::Http),
        "sse" => Ok(Transport::Sse),
        _ => Err(ConfigError::new(
            "transport",
            "not a transport; give http (Streamable HTTP), sse (HTTP+SSE of 2024-11-05) or auto",
        )),
    }
}

fn seconds(name: &'static str, value: f64) -> Result<Duration, ConfigError> {
    Duration::try_from_secs_f64(value)
        .ok()
        .filter(|duration| !duration.is_zero() && *duration <= LONGEST)
        .ok_or_else(|| {
            let message = "give a number of seconds above 0 and not over 30 days, like 60 or 0.5";
            ConfigError::new(name, message)
        })
}

fn count(name: &'static str, value: i64) -> Result<usize, ConfigError> {
    usize::try_from(value)
        .ok()
        .filter(|count| *count > 0)
        .ok_or_else(|| ConfigError::new(name, "give a whole number above 0"))
}

#[cfg(test)]
mod tests;
