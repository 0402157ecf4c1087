//! What an address means on the wire, worked out once and not for every request.

use http::uri::{PathAndQuery, Scheme};
use http::{HeaderValue, Uri};
use url::Url;

use super::connect::BoxError;
use super::proxy::Proxies;

/// An address as the HTTP client needs it, in all the forms in which it is written.
pub(super) struct Target {
    url: Url,
    /// The server alone: equal for all addresses that one connection can serve.
    pub(super) server: Uri,
    /// All of it, as proxies and HTTP/2 want it.
    pub(super) whole: Uri,
    /// Path and query, as servers want it.
    pub(super) path: Uri,
    /// What the `Host` header says.
    pub(super) host: HeaderValue,
    /// What a proxy on the way wants to see in each request.
    pub(super) authorization: Option<HeaderValue>,
}

impl Target {
    pub(super) fn new(url: &Url, proxies: &Proxies) -> Result<Self, BoxError> {
        let whole: Uri = url.as_str().parse()?;
        let mut parts = whole.clone().into_parts();
        let path = parts.path_and_query.replace(PathAndQuery::from_static("/"));
        let server = Uri::from_parts(parts)?;
        let host = whole.host().unwrap_or_default();
        let host = match whole.port_u16() {
            Some(port) if port != usual_port(&whole) => format!("{host}:{port}").try_into()?,
            _ => HeaderValue::from_str(host)?,
        };
        let authorization = proxies.authorization(&whole);
        let path = path.unwrap_or_else(|| PathAndQuery::from_static("/")).into();
        Ok(Self { url: url.clone(), server, whole, path, host, authorization })
    }

    pub(super) fn is_of(&self, url: &Url) -> bool {
        self.url == *url
    }
}

fn usual_port(server: &Uri) -> u16 {
    if server.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    #[test]
    fn an_address_is_written_in_every_form() {
        for (address, server, path, host) in [
            ("http://h/mcp?a=b", "http://h/", "/mcp?a=b", "h"),
            ("http://h:80", "http://h/", "/", "h"),
            ("https://h:8443/", "https://h:8443/", "/", "h:8443"),
            ("http://[::1]:443/x", "http://[::1]:443/", "/x", "[::1]:443"),
        ] {
            let settings = Settings { url: address.into(), ..Settings::default() };
            let Ok(config) = settings.check() else { panic!("{address}") };
            let url = &config.rules().url;
            let proxies = Proxies::new(&config);
            let Ok(target) = proxies.map_err(BoxError::from).and_then(|p| Target::new(url, &p))
            else {
                panic!("{address}")
            };
            assert_eq!(target.server, server);
            assert_eq!(target.path, path);
            assert_eq!(target.host, host);
            assert!(target.is_of(url));
        }
    }
}
