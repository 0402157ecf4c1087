//! A strict MCP server over Streamable HTTP.
//!
//! It holds a client to every transport rule of the revisions 2024-11-05 to 2025-11-25: sessions are
//! demanded, the version header is checked, media types and origins are checked, and what breaks a
//! rule is refused with the status that the specification names. Behind the transport stand four
//! tools that exercise a bridge: `echo` (bytes come back untouched), `add`, `slow` (progress) and `ask`
//! (a request back to the client).
//!
//! A request goes through the rooms in this order: [`serve`] accepts, `http` checks headers and finds
//! the session, `post` takes messages in, `message` reads their envelopes, `methods` and `tools` answer,
//! `stream` carries the answer.

mod headers;
mod http;
mod message;
mod methods;
mod observe;
mod post;
mod refusal;
mod session;
mod stream;
mod tools;

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

pub use observe::{BODY_PREFIX, Observed, Observer};

use session::Sessions;

/// The path of the one MCP endpoint.
pub const ENDPOINT: &str = "/mcp";

/// How long accepting rests after it failed, so that a process out of file descriptors does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// In which form requests are answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answers {
    /// One `application/json` body. What a call says before its answer goes to the session's listener.
    #[default]
    Json,
    /// A `text/event-stream`. What a call says before its answer goes there too.
    Events,
}

/// How the server behaves where the specification leaves a choice, and its limits.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The form of answers.
    pub answers: Answers,
    /// Whether requests other than `ping` are refused (400) until `notifications/initialized` came.
    pub demand_initialized: bool,
    /// The longest request body, in bytes; a longer one is refused with 413.
    pub max_body: usize,
    /// The most sessions alive at once; `initialize` is refused with 503 beyond it.
    pub max_sessions: usize,
    /// The most messages that wait for one stream's reader; a call that has more to say waits.
    /// At least 1 is used.
    pub pending_events: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            answers: Answers::default(),
            demand_initialized: false,
            max_body: 64 * 1024 * 1024,
            max_sessions: 16_384,
            pending_events: 256,
        }
    }
}

/// What all connections share.
pub(crate) struct Server {
    pub(crate) settings: Settings,
    pub(crate) sessions: Sessions,
    pub(crate) observer: Option<Observer>,
}

/// Serves MCP on `listener` until `shutdown` resolves; then the listener and all connections are
/// closed at once, and running calls end with them.
///
/// Each finished HTTP exchange is told to the `observer`, if there is one, as soon as the head of its
/// response is known. Works on either flavour of the tokio runtime.
///
/// # Errors
/// None at present: a connection that fails ends alone, and a failed `accept` is tried again.
pub async fn serve(
    listener: TcpListener,
    settings: Settings,
    observer: Option<Observer>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let sessions = Sessions::new(settings.max_sessions);
    let server = Arc::new(Server { settings, sessions, observer });
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(Arc::clone(&server), stream));
                }
                Err(fault) => {
                    log::warn!("could not accept a connection, will go on: {fault}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    connections.shutdown().await;
    Ok(())
}

/// Answers what comes over one connection until either side closes it.
async fn connection(server: Arc<Server>, stream: TcpStream) {
    if let Err(fault) = stream.set_nodelay(true) {
        log::debug!("a connection was gone before its first request: {fault}");
        return;
    }
    let service = service_fn(move |request| http::exchange(Arc::clone(&server), request));
    let end = http1::Builder::new()
        .pipeline_flush(true)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(fault) = end {
        log::debug!("a connection ended early: {fault}");
    }
}
