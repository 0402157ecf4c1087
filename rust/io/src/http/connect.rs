//! From a URL to an open connection: names, sockets, proxies and TLS, all within one time limit.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::TryFutureExt;
use futures_util::future::{BoxFuture, MapErr};
use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiAddrs, GaiFuture, GaiResolver, Name};
use tower_service::Service;

use super::proxy::{Proxies, Road, Wire};
use crate::config::Config;
use crate::fault::Unresolved;

/// Long streams are silent for hours, and something on the way forgets connections that are.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Whatever kept a connection from coming about; [`crate::fault`] looks into it.
pub(super) type BoxError = Box<dyn Error + Send + Sync>;

/// Opens TCP connections, to every address of a name if need be: the next one is tried while the
/// first still thinks.
pub(super) type Tcp = HttpConnector<Names>;

/// Opens a connection to a server, ready for its first request.
#[derive(Clone)]
pub(super) struct Connector {
    tls: HttpsConnector<Road>,
    limit: Duration,
}

impl Connector {
    pub(super) fn new(config: &Config, proxies: Arc<Proxies>) -> Self {
        let limit = config.connect_timeout();
        let mut tcp = HttpConnector::new_with_resolver(Names(GaiResolver::new()));
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEPALIVE));
        // Shared between a name's addresses, so that a dead first one leaves time for the others.
        tcp.set_connect_timeout(Some(limit));
        // Proxies are spoken to in HTTP/1, whatever the server behind them can do.
        let mut to_proxy = config.tls().clone();
        to_proxy.alpn_protocols.clear();
        let road = Road::new(tcp, to_proxy, proxies);
        Self { tls: HttpsConnector::from((road, config.tls().clone())), limit }
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<Wire>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tls.poll_ready(cx)
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        let opening = self.tls.call(server);
        let limit = self.limit;
        Box::pin(async move {
            tokio::time::timeout(limit, opening)
                .await
                .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
        })
    }
}

/// The system's name lookup, whose failures can be told from all others.
#[derive(Clone)]
pub(super) struct Names(GaiResolver);

impl Service<Name> for Names {
    type Response = GaiAddrs;
    type Error = Unresolved;
    type Future = MapErr<GaiFuture, fn(io::Error) -> Unresolved>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Unresolved>> {
        self.0.poll_ready(cx).map_err(Unresolved)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        self.0.call(name).map_err(Unresolved)
    }
}
