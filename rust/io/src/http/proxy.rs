//! The proxy between the ferry and a server, if there is one, and the way through it.

use std::future::{Ready, ready};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Uri};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tower_service::Service;

use super::connect::{BoxError, Tcp};
use crate::config::Config;
use crate::error::RunError;
use crate::fault::Unresolved;

/// Where a SOCKS proxy listens if its address does not say.
const SOCKS_PORT: u16 = 1080;

/// Tells which servers are reached through which proxy.
#[derive(Debug)]
pub(super) struct Proxies(Option<Matcher>);

impl Proxies {
    /// The configured proxy, or those that the environment or the system names. `NO_PROXY` counts
    /// for all of them.
    ///
    /// # Errors
    /// [`RunError::Http`] if the endpoint's proxy is of a kind that cannot be used.
    pub(super) fn new(config: &Config) -> Result<Self, RunError> {
        let spared = spared();
        let matcher = if spared.split(',').any(|host| host.trim() == "*") {
            // The matcher takes the star for names alone, not for addresses.
            None
        } else if let Some(proxy) = config.proxy() {
            Some(Matcher::builder().all(proxy.as_str()).no(spared).build())
        } else {
            Some(Matcher::from_system())
        };
        let proxies = Self(matcher);
        if let Ok(endpoint) = config.rules().url.as_str().parse()
            && let Some(proxy) = proxies.before(&endpoint)
        {
            Kind::of(&proxy).map_err(RunError::Http)?;
        }
        Ok(proxies)
    }

    /// The proxy that stands before a server.
    fn before(&self, server: &Uri) -> Option<Intercept> {
        self.0.as_ref()?.intercept(server)
    }

    /// What a proxy wants to see in each request that it passes on in plain sight.
    pub(super) fn authorization(&self, server: &Uri) -> Option<HeaderValue> {
        if server.scheme() == Some(&Scheme::HTTPS) {
            return None;
        }
        self.before(server)?.basic_auth().cloned()
    }
}

/// The hosts that are reached without a proxy, by the first variable that says something.
fn spared() -> String {
    ["NO_PROXY", "no_proxy"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .unwrap_or_default()
}

/// How a proxy wants to be spoken to.
#[derive(Clone, Copy)]
enum Kind {
    /// In HTTP: requests as they are, or a tunnel for TLS.
    Http,
    /// In SOCKS 5, and whether names are looked up here.
    Socks { names_here: bool },
}

impl Kind {
    fn of(proxy: &Intercept) -> Result<Self, String> {
        match proxy.uri().scheme_str() {
            Some("http" | "https") => Ok(Self::Http),
            Some("socks5") => Ok(Self::Socks { names_here: true }),
            Some("socks5h") => Ok(Self::Socks { names_here: false }),
            other => {
                let scheme = other.unwrap_or("nameless");
                Err(format!("a {scheme} proxy cannot be used, but http, https, socks5 and socks5h"))
            }
        }
    }
}

/// Opens the way to a server up to where its own TLS begins.
#[derive(Clone)]
pub(super) struct Road {
    tcp: Tcp,
    http_proxy: HttpsConnector<Tcp>,
    proxies: Arc<Proxies>,
}

impl Road {
    pub(super) fn new(tcp: Tcp, to_proxy: ClientConfig, proxies: Arc<Proxies>) -> Self {
        Self { http_proxy: HttpsConnector::from((tcp.clone(), to_proxy)), tcp, proxies }
    }

    async fn open(mut self, server: Uri) -> Result<Wire, BoxError> {
        let Some(proxy) = self.proxies.before(&server) else {
            let io = MaybeHttpsStream::Http(self.tcp.call(server).await?);
            return Ok(Wire { io, proxied: false });
        };
        match Kind::of(&proxy)? {
            Kind::Socks { names_here } => {
                let target = socks_target(&server, names_here).await?;
                let io = MaybeHttpsStream::Http(self.open_socks(&proxy, target).await?);
                Ok(Wire { io, proxied: false })
            }
            Kind::Http if server.scheme() == Some(&Scheme::HTTPS) => {
                let mut tunnel = Tunnel::new(proxy.uri().clone(), self.http_proxy);
                if let Some(authorization) = proxy.basic_auth() {
                    tunnel = tunnel.with_auth(authorization.clone());
                }
                Ok(Wire { io: tunnel.call(server).await?, proxied: false })
            }
            Kind::Http => {
                Ok(Wire { io: self.http_proxy.call(proxy.uri().clone()).await?, proxied: true })
            }
        }
    }

    async fn open_socks(
        mut self,
        proxy: &Intercept,
        target: Uri,
    ) -> Result<TokioIo<TcpStream>, BoxError> {
        let address = with_port(proxy.uri(), SOCKS_PORT)?;
        // Opened here and not by the handshake, which would swallow the reason of a failure.
        let opened = Opened(Some(self.tcp.call(address.clone()).await?));
        let mut socks = SocksV5::new(address, opened);
        if let Some((user, password)) = proxy.raw_auth() {
            socks = socks.with_auth(user.to_owned(), password.to_owned());
        }
        Ok(socks.call(target).await?)
    }
}

/// The server's address as a SOCKS proxy is told it: always with a port, by number if `names_here`.
async fn socks_target(server: &Uri, names_here: bool) -> Result<Uri, BoxError> {
    let port = if server.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
    let target = with_port(server, port)?;
    if !names_here {
        return Ok(target);
    }
    let named = target.authority().map(Authority::as_str).unwrap_or_default();
    let mut found = tokio::net::lookup_host(named).await.map_err(Unresolved)?;
    let address = found.next().ok_or_else(|| Unresolved(io::ErrorKind::NotFound.into()))?;
    Ok(Uri::builder().scheme("http").authority(address.to_string()).path_and_query("/").build()?)
}

/// The host of an address with its port, or with `default` if it has none.
fn with_port(address: &Uri, default: u16) -> Result<Uri, http::Error> {
    let host = address.host().unwrap_or_default();
    let port = address.port_u16().unwrap_or(default);
    Uri::builder().scheme("http").authority(format!("{host}:{port}")).path_and_query("/").build()
}

impl Service<Uri> for Road {
    type Response = Wire;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Wire, BoxError>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        Box::pin(self.clone().open(server))
    }
}

/// A connection that is there already, in the guise of something that opens one.
struct Opened(Option<TokioIo<TcpStream>>);

impl Service<Uri> for Opened {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Ready<io::Result<Self::Response>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _proxy: Uri) -> Self::Future {
        ready(self.0.take().ok_or_else(|| io::ErrorKind::NotConnected.into()))
    }
}

/// Bytes to a server or its proxy. The HTTP client asks it whether requests must name the server.
pub(super) struct Wire {
    io: MaybeHttpsStream<TokioIo<TcpStream>>,
    /// Whether a proxy reads the requests.
    proxied: bool,
}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        self.io.connected().proxy(self.proxied)
    }
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl Write for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_of_another_kind_is_refused_with_the_kinds_there_are() {
        let server = Uri::from_static("http://h/");
        for (address, known) in
            [("proxy:3128", true), ("https://proxy", true), ("socks4://proxy", false)]
        {
            let proxy = Matcher::builder().all(address).build().intercept(&server);
            let refusal = proxy.map(|proxy| Kind::of(&proxy).map(drop));
            assert_eq!(refusal.as_ref().is_some_and(Result::is_ok), known, "{refusal:?}");
        }
    }

    #[test]
    fn an_address_keeps_its_port() {
        let port = |address: &'static str| {
            with_port(&Uri::from_static(address), SOCKS_PORT).unwrap_or_default().to_string()
        };
        assert_eq!(port("socks5://[::1]"), "http://[::1]:1080/");
        assert_eq!(port("socks5://proxy:9"), "http://proxy:9/");
    }
}
