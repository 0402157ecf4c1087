//! One HTTP exchange as a stream of inputs for the rules. The only file that names the HTTP client.
//!
//! The rules decide about redirects, retries and timeouts, so the client does none of them. Answers
//! are not asked for in compressed form: an event must not wait in a decompressor for the block
//! around it to fill, and what cannot be unpacked cannot blow up.

use std::convert::Infallible;
use std::fmt;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use ferry_proto::{ExchangeId, Head, Input, Request};
use futures_util::Stream;
use futures_util::future::BoxFuture;
use futures_util::task::AtomicWaker;
use http_body::{Body, Frame, SizeHint};

use crate::config::Config;
use crate::error::RunError;
use crate::fault::{self, Moment};

/// Common servers close an idle connection after five seconds, and a POST that crosses with that
/// is lost: the ferry closes first.
const IDLE: Duration = Duration::from_secs(4);

/// Long streams are silent for hours, and something on the way forgets connections that are.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// The connection pool. Cheap to build: nothing is resolved, connected or loaded before a request.
#[derive(Clone, Debug)]
pub struct Client(reqwest::Client);

impl Client {
    /// A client with the configured trust, proxy and connect timeout.
    ///
    /// # Errors
    /// [`RunError::Http`] if the configuration cannot be turned into a client.
    pub fn new(config: &Config) -> Result<Self, RunError> {
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(config.connect_timeout())
            .pool_idle_timeout(IDLE)
            .tcp_nodelay(true)
            .tcp_keepalive(KEEPALIVE)
            .tls_backend_preconfigured(config.tls().clone());
        if no_proxy_at_all() {
            builder = builder.no_proxy();
        } else if let Some(proxy) = config.proxy() {
            let proxy = reqwest::Proxy::all(proxy.clone()).map_err(|error| unbuilt(&error))?;
            builder = builder.proxy(proxy.no_proxy(reqwest::NoProxy::from_env()));
        }
        builder.build().map(Self).map_err(|error| unbuilt(&error))
    }

    /// Begins an exchange. Nothing happens before its stream is polled; dropping it closes it.
    #[must_use]
    pub fn open(&self, id: ExchangeId, request: Request) -> Exchange {
        let taken = Arc::new(Taken::default());
        let mut outgoing = reqwest::Request::new(request.method, request.url);
        *outgoing.headers_mut() = request.headers;
        if !request.body.is_empty() {
            let parcel = Parcel { bytes: Some(request.body), taken: Arc::clone(&taken) };
            *outgoing.body_mut() = Some(reqwest::Body::wrap(parcel));
        }
        let answer = Box::pin(self.0.execute(outgoing));
        Exchange { id, taken, told: false, stage: Stage::Waiting(answer) }
    }
}

/// `NO_PROXY=*` means every host. reqwest takes the star for names alone, not for addresses.
fn no_proxy_at_all() -> bool {
    ["NO_PROXY", "no_proxy"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .is_some_and(|value| value.split(',').any(|host| host.trim() == "*"))
}

fn unbuilt(error: &reqwest::Error) -> RunError {
    RunError::Http(fault::judge(error, Moment::BeforeRequest).detail)
}

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
    Waiting(BoxFuture<'static, reqwest::Result<reqwest::Response>>),
    Streaming {
        /// Present until it was yielded.
        head: Option<Head>,
        response: Box<reqwest::Response>,
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
    fn fail(&mut self, error: &reqwest::Error, sent: bool) -> Input {
        self.stage = Stage::Done;
        let moment = match error {
            error if error.is_dns() => Moment::Resolving,
            error if error.is_connect() && error.is_timeout() => Moment::ConnectingTooLong,
            error if error.is_connect() => Moment::Connecting,
            _ if sent => Moment::AfterRequest,
            _ => Moment::BeforeRequest,
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
                Poll::Ready(Ok(mut response)) => {
                    let headers = std::mem::take(response.headers_mut());
                    let head = Some(Head { status: response.status(), headers });
                    this.stage = Stage::Streaming { head, response: Box::new(response) };
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Some(this.fail(&error, taken))),
                Poll::Pending if taken && !this.told => {}
                Poll::Pending => return Poll::Pending,
            }
            // An answer proves that the request went out, even where nobody saw its body go.
            if !this.told {
                this.told = true;
                return Poll::Ready(Some(Input::Sent(this.id)));
            }
        }
        let Stage::Streaming { head, response } = &mut this.stage else {
            return Poll::Ready(None);
        };
        if let Some(head) = head.take() {
            return Poll::Ready(Some(Input::Head(this.id, head)));
        }
        // The future keeps nothing between polls, so a new one may take its place.
        let chunk = ready!(pin!(response.chunk()).poll(cx));
        Poll::Ready(Some(match chunk {
            Ok(Some(bytes)) => Input::Chunk(this.id, bytes),
            Ok(None) => {
                this.stage = Stage::Done;
                Input::Finished(this.id, Ok(()))
            }
            Err(error) => this.fail(&error, true),
        }))
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
