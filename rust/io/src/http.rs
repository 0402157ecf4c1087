//! One HTTP exchange as a stream of inputs for the rules. The only file that names the HTTP client.
//!
//! The rules decide about redirects, retries and timeouts, so the client does none of them. Answers
//! are not asked for in compressed form: an event must not wait in a decompressor for the block
//! around it to fill, and what cannot be unpacked cannot blow up.

mod connect;
mod line;
mod parcel;
mod pool;
mod proxy;
mod target;

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use ferry_proto::{ExchangeId, Head, Input, Request};
use futures_util::Stream;
use futures_util::future::BoxFuture;
use http::header::PROXY_AUTHORIZATION;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::client::legacy::connect::Connection;
use hyper_util::rt::TokioExecutor;
use tower_service::Service;
use url::Url;

use self::connect::{BoxError, Connector};
use self::line::{Answer, Line};
use self::parcel::{Parcel, Taken};
use self::pool::{Kept, Pool};
use self::proxy::Proxies;
use self::target::Target;
use crate::config::Config;
use crate::error::RunError;
use crate::fault::{self, Moment};

/// The longest head of an HTTP/2 answer, unpacked, in bytes.
const LONGEST_HEAD: u32 = 64 * 1024;

/// How much an HTTP/2 stream may send before it is read, in bytes.
const STREAM_WINDOW: u32 = 256 * 1024;

/// Streams beside the configured number of requests: the server's own, and notifications.
const EXTRA_STREAMS: usize = 16;

/// The HTTP client; its clones share their connections. Cheap to build: nothing is resolved,
/// connected or loaded before a request.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    pool: Arc<Pool>,
    connector: Connector,
    proxies: Arc<Proxies>,
    concurrency: usize,
    /// What the last request was sent to: the next one goes there, too.
    target: Mutex<Option<Arc<Target>>>,
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
        Ok(Self(Arc::new(Shared {
            pool: Arc::default(),
            connector: Connector::new(config, Arc::clone(&proxies)),
            proxies,
            concurrency: config.rules().concurrency,
            target: Mutex::default(),
        })))
    }

    /// Begins an exchange. Nothing happens before its stream is polled; dropping it closes it.
    #[must_use]
    pub fn open(&self, id: ExchangeId, request: Request) -> Exchange {
        let taken = Arc::new(Taken::default());
        let mut outgoing = http::Request::new(Parcel::new(request.body, &taken));
        *outgoing.method_mut() = request.method;
        *outgoing.headers_mut() = request.headers;
        let target = self.0.target(&request.url);
        let stage = Stage::Beginning(target.map(|target| {
            if let Some(value) = &target.authorization {
                outgoing.headers_mut().entry(PROXY_AUTHORIZATION).or_insert_with(|| value.clone());
            }
            Ticket { request: outgoing, target }
        }));
        Exchange { id, client: Arc::clone(&self.0), taken, told: false, stage: Box::new(stage) }
    }
}

impl Shared {
    fn target(&self, url: &Url) -> Result<Arc<Target>, BoxError> {
        let mut last = self.target.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(target) = last.as_ref().filter(|target| target.is_of(url)) {
            return Ok(Arc::clone(target));
        }
        let target = Arc::new(Target::new(url, &self.proxies)?);
        Ok(Arc::clone(last.insert(target)))
    }

    /// Opens a connection, of the kind that the server chooses.
    async fn connect(self: Arc<Self>, target: Arc<Target>) -> Result<Kept, BoxError> {
        let mut connector = self.connector.clone();
        std::future::poll_fn(|cx| connector.poll_ready(cx)).await?;
        let io = connector.call(target.server.clone()).await?;
        let connected = io.connected();
        if !connected.is_negotiated_h2() {
            let line = Line::over(io, connected.is_proxied(), &target).await?;
            return Ok(Kept::Line(Box::new(line)));
        }
        // Another exchange may have been faster: one such connection is enough.
        if let Some(sender) = self.pool.shared(&target) {
            return Ok(Kept::Shared(sender));
        }
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(connection_window(self.concurrency))
            .max_header_list_size(LONGEST_HEAD)
            .handshake(io)
            .await?;
        // Why it ends, each of its streams hears for itself.
        tokio::spawn(async { drop(connection.await) });
        self.pool.share(sender.clone(), &target);
        Ok(Kept::Shared(sender))
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

/// A request under way: yields [`Input::Sent`], [`Input::Head`], chunks and one
/// [`Input::Finished`], in this order, and ends. A failure may cut the order short.
pub struct Exchange {
    id: ExchangeId,
    client: Arc<Shared>,
    taken: Arc<Taken>,
    /// Whether [`Input::Sent`] was yielded.
    told: bool,
    /// Apart, because an exchange is moved for each of its inputs.
    stage: Box<Stage>,
}

/// A request that was not handed to any connection yet, and where it goes.
struct Ticket {
    request: http::Request<Parcel>,
    target: Arc<Target>,
}

enum Stage {
    /// The error is that of an address which no request can be sent to.
    Beginning(Result<Ticket, BoxError>),
    Connecting(BoxFuture<'static, Result<Kept, BoxError>>, Ticket),
    Waiting {
        answer: Answer,
        road: Road,
        /// Whether another exchange used the connection before: then the server may close it at
        /// any time, and a request that it gives back goes by another one.
        reused: bool,
        target: Arc<Target>,
    },
    Streaming {
        /// Present until it was yielded.
        head: Option<Head>,
        body: Incoming,
        road: Road,
    },
    Done,
}

/// What carries an exchange.
enum Road {
    /// An HTTP/1 connection, which the exchange has for itself.
    Line(Box<Line>),
    /// A stream of an HTTP/2 connection, which has a task of its own.
    Stream,
}

impl Road {
    /// Asks for what comes by it.
    fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut ask: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        match self {
            Self::Line(line) => line.poll(cx, ask),
            Self::Stream => ask(cx),
        }
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A request or an answer may hold secrets: neither is shown.
        let stage = match *self.stage {
            Stage::Beginning(_) => "beginning",
            Stage::Connecting(..) => "connecting",
            Stage::Waiting { .. } => "waiting",
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
    /// Leaves a stage for the next one.
    fn take_stage(&mut self) -> Stage {
        std::mem::replace(&mut *self.stage, Stage::Done)
    }

    /// Finds a connection for a request, or begins to open one.
    fn begin(&mut self, ticket: Ticket) {
        if let Some(kept) = self.client.pool.take(&ticket.target) {
            return self.send(kept, ticket, true);
        }
        let connecting = Arc::clone(&self.client).connect(Arc::clone(&ticket.target));
        *self.stage = Stage::Connecting(Box::pin(connecting), ticket);
    }

    fn begun(&mut self) -> Option<Input> {
        let Stage::Beginning(ticket) = self.take_stage() else { return None };
        match ticket {
            Ok(ticket) => {
                self.begin(ticket);
                None
            }
            Err(error) => Some(self.fail(&*error, Moment::BeforeRequest)),
        }
    }

    fn connected(&mut self, outcome: Result<Kept, BoxError>) -> Option<Input> {
        let Stage::Connecting(_, ticket) = self.take_stage() else { return None };
        match outcome {
            Ok(kept) => {
                self.send(kept, ticket, false);
                None
            }
            Err(error) => Some(self.fail(&*error, Moment::Connecting)),
        }
    }

    fn send(&mut self, kept: Kept, ticket: Ticket, reused: bool) {
        let Ticket { mut request, target } = ticket;
        let (answer, road): (Answer, _) = match kept {
            Kept::Line(mut line) => (line.send(request, &target), Road::Line(line)),
            Kept::Shared(mut sender) => {
                *request.uri_mut() = target.whole.clone();
                (Box::pin(sender.try_send_request(request)), Road::Stream)
            }
        };
        *self.stage = Stage::Waiting { answer, road, reused, target };
    }

    /// Takes what the wait for the answer has led to: its head, or the request once more.
    fn answered(&mut self, outcome: line::Outcome) -> Option<Input> {
        let Stage::Waiting { road, reused, target, .. } = self.take_stage() else { return None };
        match outcome {
            Ok(response) => {
                let (head, body) = response.into_parts();
                let head = Some(Head { status: head.status, headers: head.headers });
                *self.stage = Stage::Streaming { head, body, road };
                None
            }
            Err(mut error) => match error.take_message() {
                Some(request) if reused => {
                    self.begin(Ticket { request, target });
                    None
                }
                _ => Some(self.fail(&error.into_error(), self.moment())),
            },
        }
    }

    /// Ends, and leaves the connection to the next exchange.
    fn finish(&mut self) -> Input {
        if let Stage::Streaming { road: Road::Line(line), .. } = self.take_stage() {
            self.client.pool.keep(line);
        }
        Input::Finished(self.id, Ok(()))
    }

    fn fail(&mut self, error: &(dyn Error + 'static), moment: Moment) -> Input {
        *self.stage = Stage::Done;
        Input::Finished(self.id, Err(fault::judge(error, moment)))
    }

    /// What a failure says of the request as long as there is no answer.
    fn moment(&self) -> Moment {
        if self.taken.is_set() { Moment::AfterRequest } else { Moment::BeforeRequest }
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Option<Input>> {
        let Stage::Waiting { answer, road, .. } = &mut *self.stage else {
            return Poll::Ready(None);
        };
        if matches!(road, Road::Stream) {
            self.taken.watch(cx);
        }
        match road.poll(cx, |cx| answer.as_mut().poll(cx)) {
            Poll::Ready(outcome) => {
                let failure = self.answered(outcome);
                // An answer proves that the request went out, even where nobody saw its body go.
                let answered = matches!(*self.stage, Stage::Streaming { .. });
                Poll::Ready(failure.or_else(|| self.tell_if(answered)))
            }
            Poll::Pending => match self.tell_if(self.taken.is_set()) {
                None => Poll::Pending,
                sent => Poll::Ready(sent),
            },
        }
    }

    /// Says that the request was sent, if so and if that was not said before.
    fn tell_if(&mut self, sent: bool) -> Option<Input> {
        let news = sent && !self.told;
        self.told |= sent;
        news.then_some(Input::Sent(self.id))
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Input>> {
        let Stage::Streaming { head, body, road } = &mut *self.stage else {
            return Poll::Ready(None);
        };
        if let Some(head) = head.take() {
            return Poll::Ready(Some(Input::Head(self.id, head)));
        }
        loop {
            let frame = ready!(road.poll(cx, |cx| Pin::new(&mut *body).poll_frame(cx)));
            return Poll::Ready(Some(match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(bytes))) => Input::Chunk(self.id, bytes),
                // Trailers tell nothing that anyone asks for.
                Some(Ok(Err(_))) => continue,
                Some(Err(error)) => self.fail(&error, Moment::AfterRequest),
                None => self.finish(),
            }));
        }
    }
}

impl Drop for Exchange {
    /// Closes the connection or stream, unless all of the answer has come already, wanted or not:
    /// servers that redirect every request must not cost a connection each.
    fn drop(&mut self) {
        if let Stage::Streaming { road: Road::Line(line), .. } = self.take_stage()
            && line.is_idle()
        {
            self.client.pool.keep(line);
        }
    }
}

impl Stream for Exchange {
    type Item = Input;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Input>> {
        let this = &mut *self;
        loop {
            let input = match &mut *this.stage {
                Stage::Beginning(_) => this.begun(),
                Stage::Connecting(connecting, _) => {
                    let outcome = ready!(connecting.as_mut().poll(cx));
                    this.connected(outcome)
                }
                Stage::Waiting { .. } => ready!(this.poll_answer(cx)),
                Stage::Streaming { .. } => ready!(this.poll_body(cx)),
                Stage::Done => return Poll::Ready(None),
            };
            // Without an input it is in another stage now.
            if input.is_some() {
                return Poll::Ready(input);
            }
        }
    }
}
