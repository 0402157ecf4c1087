//! One HTTP exchange as a stream of inputs for the rules. The only file that names the HTTP client.
//!
//! The rules decide about redirects, retries and timeouts, so the client does none of them. Answers
//! are not asked for in compressed form: an event must not wait in a decompressor for the block
//! around it to fill, and what cannot be unpacked cannot blow up.

mod connect;
mod proxy;

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use ferry_proto::{ExchangeId, Head, Input, Request};
use futures_util::future::BoxFuture;
use futures_util::task::AtomicWaker;
use futures_util::{Stream, TryFutureExt};
use http::header::PROXY_AUTHORIZATION;
use http::{Response, Uri};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use self::connect::{BoxError, Connector};
use self::proxy::Proxies;
use crate::config::Config;
use crate::error::RunError;
use crate::fault::{self, Moment};

/// Common servers close an idle connection after five seconds, and a POST that crosses with that
/// is lost: the ferry closes first.
const IDLE: Duration = Duration::from_secs(4);

/// How much of an answer an HTTP/1 connection reads at once, and the longest head of one, in bytes.
/// Each of many connections may hold this much.
const READ_BUFFER: usize = 64 * 1024;

/// The most header fields that an HTTP/1 answer may have.
const MAX_HEADERS: usize = 256;

/// The longest head of an HTTP/2 answer, unpacked, in bytes.
const LONGEST_HEAD: u32 = 64 * 1024;

/// How much an HTTP/2 stream may send before it is read, in bytes.
const STREAM_WINDOW: u32 = 256 * 1024;

/// Streams beside the configured number of requests: the server's own, and notifications.
const EXTRA_STREAMS: usize = 16;

/// The connection pool. Cheap to build: nothing is resolved, connected or loaded before a request.
#[derive(Clone)]
pub struct Client {
    pool: legacy::Client<Connector, Parcel>,
    proxies: Arc<Proxies>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A proxy's address may hold a password.
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// A client with the configured trust, proxy and connect timeout.
    ///
    /// # Errors
    /// [`RunError::Http`] if the endpoint's proxy is of a kind that cannot be used.
    pub fn new(config: &Config) -> Result<Self, RunError> {
        let proxies = Arc::new(Proxies::new(config)?);
        let connector = Connector::new(config, Arc::clone(&proxies));
        let pool = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .http1_max_buf_size(READ_BUFFER)
            .http1_max_headers(MAX_HEADERS)
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(connection_window(config.rules().concurrency))
            .http2_max_header_list_size(LONGEST_HEAD)
            .build(connector);
        Ok(Self { pool, proxies })
    }

    /// Begins an exchange. Nothing happens before its stream is polled; dropping it closes it.
    #[must_use]
    pub fn open(&self, id: ExchangeId, request: Request) -> Exchange {
        let taken = Arc::new(Taken::default());
        let parcel = Parcel {
            bytes: Some(request.body).filter(|body| !body.is_empty()),
            taken: Arc::clone(&taken),
        };
        let mut outgoing = http::Request::new(parcel);
        *outgoing.method_mut() = request.method;
        *outgoing.headers_mut() = request.headers;
        let answer: Answer = match request.url.as_str().parse::<Uri>() {
            Ok(uri) => {
                if let Some(value) = self.proxies.authorization(&uri) {
                    outgoing.headers_mut().entry(PROXY_AUTHORIZATION).or_insert(value);
                }
                *outgoing.uri_mut() = uri;
                Box::pin(self.pool.request(outgoing).err_into())
            }
            Err(error) => Box::pin(std::future::ready(Err(error.into()))),
        };
        Exchange { id, taken, told: false, stage: Stage::Waiting(answer) }
    }
}

/// Room for a full window of every stream. All streams of a connection share it, and those that
/// are not read for now must not keep a single byte from the one that is.
fn connection_window(concurrency: usize) -> u32 {
    /// The protocol's limit.
    const MOST: u32 = (1 << 31) - 1;
    u32::try_from(concurrency.saturating_add(EXTRA_STREAMS))
        .map_or(MOST, |streams| streams.saturating_mul(STREAM_WINDOW).min(MOST))
}

/// An answer's head, once it is there.
type Answer = BoxFuture<'static, Result<Response<Incoming>, BoxError>>;

/// A request under way: yields [`Input::Sent`], [`Input::Head`], chunks and one
/// [`Input::Finished`], in this order, and ends. A failure may cut the order short.
pub struct Exchange {
    id: ExchangeId,
    taken: Arc<Taken>,
    /// Whether [`Input::Sent`] was yielded.
    told: bool,
    stage: Stage,
}

enum Stage {
    Waiting(Answer),
    Streaming {
        /// Present until it was yielded.
        head: Option<Head>,
        body: Incoming,
    },
    Done,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A request or an answer may hold secrets: neither is shown.
        let stage = match self.stage {
            Stage::Waiting(_) => "waiting",
            Stage::Streaming { .. } => "streaming",
            Stage::Done => "done",
        };
        f.debug_struct("Exchange")
            .field("id", &self.id)
            .field("stage", &stage)
            .finish_non_exhaustive()
    }
}

impl Exchange {
    fn fail(&mut self, error: &(dyn Error + 'static), sent: bool) -> Input {
        self.stage = Stage::Done;
        let unconnected =
            error.downcast_ref::<legacy::Error>().is_some_and(legacy::Error::is_connect);
        let moment = match sent {
            _ if unconnected => Moment::Connecting,
            true => Moment::AfterRequest,
            false => Moment::BeforeRequest,
        };
        Input::Finished(self.id, Err(fault::judge(error, moment)))
    }
}

impl Stream for Exchange {
    type Item = Input;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Input>> {
        let this = &mut *self;
        if let Stage::Waiting(answer) = &mut this.stage {
            let outcome = answer.as_mut().poll(cx);
            this.taken.waker.register(cx.waker());
            let taken = this.taken.flag.load(Ordering::Acquire);
            match outcome {
                Poll::Ready(Ok(response)) => {
                    let (head, body) = response.into_parts();
                    let head = Some(Head { status: head.status, headers: head.headers });
                    this.stage = Stage::Streaming { head, body };
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Some(this.fail(&*error, taken))),
                Poll::Pending if taken && !this.told => {}
                Poll::Pending => return Poll::Pending,
            }
            // An answer proves that the request went out, even where nobody saw its body go.
            if !this.told {
                this.told = true;
                return Poll::Ready(Some(Input::Sent(this.id)));
            }
        }
        let Stage::Streaming { head, body } = &mut this.stage else {
            return Poll::Ready(None);
        };
        if let Some(head) = head.take() {
            return Poll::Ready(Some(Input::Head(this.id, head)));
        }
        loop {
            return Poll::Ready(Some(match ready!(Pin::new(&mut *body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => Input::Chunk(this.id, bytes),
                    // Trailers tell nothing that anyone asks for.
                    Err(_) => continue,
                },
                None => {
                    this.stage = Stage::Done;
                    Input::Finished(this.id, Ok(()))
                }
                Some(Err(error)) => this.fail(&error, true),
            }));
        }
    }
}

/// Where a request's body leaves word that a connection has taken it.
#[derive(Debug, Default)]
struct Taken {
    flag: AtomicBool,
    waker: AtomicWaker,
}

/// A body of known length in one piece, handed over without a copy.
struct Parcel {
    bytes: Option<Bytes>,
    taken: Arc<Taken>,
}

impl Body for Parcel {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(bytes) = self.bytes.take() else { return Poll::Ready(None) };
        self.taken.flag.store(true, Ordering::Release);
        self.taken.waker.wake();
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
