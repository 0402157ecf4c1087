//! An HTTP/1 connection, which lives in the exchange that uses it and has no task of its own.
//!
//! A task of its own would have to be woken, and would have to wake the exchange, for each message.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::task::AtomicWaker;
use http::header::HOST;
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use hyper_rustls::MaybeHttpsStream;

use super::parcel::Parcel;
use super::proxy::Wire;
use super::target::Target;

/// How much of an answer a connection reads at once, and the longest head of one, in bytes.
/// Each of many connections may hold this much.
const READ_BUFFER: usize = 64 * 1024;

/// The most header fields that an answer may have.
const MAX_HEADERS: usize = 256;

/// An answer's head with its body to come. The error holds the request if certainly nothing of it
/// was written.
pub(super) type Outcome = Result<Response<Incoming>, TrySendError<Request<Parcel>>>;

/// An answer that is awaited.
pub(super) type Answer = BoxFuture<'static, Outcome>;

/// One connection, for one exchange at a time.
pub(super) struct Line {
    /// `None` once it has ended.
    connection: Option<http1::Connection<MaybeHttpsStream<Wire>, Parcel>>,
    sender: http1::SendRequest<Parcel>,
    bell: Arc<Bell>,
    waker: Waker,
    /// The server at its other end.
    server: Uri,
    /// Whether a proxy reads the requests.
    proxied: bool,
}

impl Line {
    /// A line to a server over an open connection.
    ///
    /// # Errors
    /// None in fact: the first bytes of HTTP/1 are those of a request.
    pub(super) async fn over(
        io: MaybeHttpsStream<Wire>,
        proxied: bool,
        target: &Target,
    ) -> hyper::Result<Self> {
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(READ_BUFFER)
            .max_headers(MAX_HEADERS)
            .handshake(io)
            .await?;
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(Arc::clone(&bell));
        let server = target.server.clone();
        Ok(Self { connection: Some(connection), sender, bell, waker, server, proxied })
    }

    pub(super) fn leads_to(&self, target: &Target) -> bool {
        self.server == target.server
    }

    /// Hands a request over; [`Line::poll`] writes it.
    pub(super) fn send(&mut self, mut request: Request<Parcel>, target: &Target) -> Answer {
        *request.uri_mut() = if self.proxied { &target.whole } else { &target.path }.clone();
        request.headers_mut().entry(HOST).or_insert_with(|| target.host.clone());
        self.bell.rung.store(true, Ordering::Release);
        Box::pin(self.sender.try_send_request(request))
    }

    /// Asks for what comes of the connection, and sees to the connection if it is not there yet.
    pub(super) fn poll<T>(
        &mut self,
        cx: &Context<'_>,
        mut ask: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        // Whatever is asked for can only come while the connection is polled, right here: nobody
        // has to be woken for it.
        let mut here = Context::from_waker(Waker::noop());
        let there = ask(&mut here);
        if there.is_ready() || !self.bell.has_rung(cx) {
            return there;
        }
        self.run();
        ask(&mut here)
    }

    /// Ready once it can take another request, or has ended.
    pub(super) fn poll_settled(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.bell.has_rung(cx) {
            self.run();
        }
        if self.is_idle() || self.has_ended() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn run(&mut self) {
        let mut cx = Context::from_waker(&self.waker);
        if let Some(connection) = &mut self.connection
            && connection.poll_unpin(&mut cx).is_ready()
        {
            // Why it ended, the exchange hears by its answer.
            self.connection = None;
        }
    }

    /// Whether it is done with the exchange before, and can take another request.
    pub(super) fn is_idle(&self) -> bool {
        self.connection.is_some() && self.sender.is_ready()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.connection.is_none()
    }

    /// Takes leave, as far as that is possible without waiting: TLS has a word for it.
    pub(super) fn hang_up(self) {
        let Self { connection, sender, .. } = self;
        // Without its sender the connection shuts down as soon as it is polled.
        drop(sender);
        if let Some(mut connection) = connection {
            let _ = connection.poll_unpin(&mut Context::from_waker(Waker::noop()));
        }
    }
}

/// Rings when a connection can go on. The connection keeps it, whatever task the exchange is in,
/// and it remembers that it rang, so that a connection is not polled in vain.
#[derive(Default)]
struct Bell {
    rung: AtomicBool,
    listener: AtomicWaker,
}

impl Bell {
    /// Whether it rang since it was last asked. If not, it wakes the task of `cx` when it does.
    fn has_rung(&self, cx: &Context<'_>) -> bool {
        self.listener.register(cx.waker());
        self.rung.swap(false, Ordering::AcqRel)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.listener.wake();
    }
}
