//! The one loop: it holds the bridge, tells it what happened and does what it says.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ferry_proto::{Action, Bridge, ExchangeId, ExitReason, Input};
use futures_util::future::{AbortHandle, Abortable};
use futures_util::stream::{FuturesUnordered, StreamExt, StreamFuture};
use futures_util::{FutureExt, Stream};
use tokio::time::{Sleep, sleep, timeout};

use crate::client::{ClientInput, ClientOutput};
use crate::config::Config;
use crate::http::{Client, Exchange};
use crate::tokens::Tokens;

/// From a signal to the end of the loop, whatever else happens; with what the process needs to
/// leave, it is gone within two seconds.
const PATIENCE_AFTER_SIGNAL: Duration = Duration::from_millis(1500);
/// How long the last messages may take to leave after a signal.
const FLUSH_AFTER_SIGNAL: Duration = Duration::from_millis(250);
/// How long a client that has closed its end may read nothing before it counts as gone.
const FLUSH_STALL: Duration = Duration::from_secs(5);

/// Runs a bridge between the client's two ends and the configured endpoint, until it exits.
///
/// `http` has the connections, `notices` brings what comes from neither shore: signals, and word of
/// the client's end.
pub async fn drive<I, O, N>(
    config: &Config,
    http: Client,
    input: I,
    output: O,
    notices: N,
) -> ExitReason
where
    I: ClientInput,
    O: ClientOutput,
    N: Stream<Item = Input> + Unpin,
{
    let driver = Driver {
        http,
        input: Some(input),
        output,
        notices,
        tokens: Tokens::new(config.token_source().cloned(), config.till().clone()),
        // Keys of the standard hash maps come from the system's randomness.
        bridge: Bridge::new(
            config.rules().clone(),
            RandomState::new().build_hasher().finish(),
            Instant::now(),
        ),
        running: FuturesUnordered::new(),
        parked: BTreeMap::new(),
        handles: BTreeMap::new(),
        alarm: Alarm::default(),
        server_first: false,
        gone: false,
        deadline: None,
        exit: None,
    };
    driver.run().await
}

/// An exchange that can be closed from outside.
type Live = Abortable<Exchange>;

struct Driver<I, O, N> {
    bridge: Bridge,
    http: Client,
    /// `None` once the client's input has ended.
    input: Option<I>,
    output: O,
    notices: N,
    tokens: Tokens,
    /// Exchanges whose next input is awaited.
    running: FuturesUnordered<StreamFuture<Live>>,
    /// Exchanges that are not read, because too much waits for the client.
    parked: BTreeMap<ExchangeId, Live>,
    handles: BTreeMap<ExchangeId, AbortHandle>,
    alarm: Alarm,
    /// Which shore is asked first; alternates, so that neither can starve the other.
    server_first: bool,
    /// Nothing can be delivered any more.
    gone: bool,
    /// When to end without the bridge's consent.
    deadline: Option<Instant>,
    exit: Option<ExitReason>,
}

impl<I, O, N> Driver<I, O, N>
where
    I: ClientInput,
    O: ClientOutput,
    N: Stream<Item = Input> + Unpin,
{
    async fn run(mut self) -> ExitReason {
        loop {
            self.carry_out();
            if let Some(reason) = self.exit {
                self.flush(reason).await;
                return reason;
            }
            self.alarm.set(earlier(self.bridge.poll_timeout(), self.deadline));
            let input = std::future::poll_fn(|cx| self.poll_input(cx)).await;
            let now = Instant::now();
            match input {
                Input::Shutdown => self.deadline = Some(now + PATIENCE_AFTER_SIGNAL),
                Input::ClientClosed => self.input = None,
                Input::ClientGone => {
                    self.gone = true;
                    self.output.clear();
                }
                Input::Tick if self.deadline.is_some_and(|deadline| now >= deadline) => {
                    self.exit = Some(ExitReason::Shutdown);
                    continue;
                }
                Input::ClientFrame(_) | Input::ClientMessage(..) => {
                    if let Some(token) = self.tokens.changed(now) {
                        self.bridge.handle(now, Input::Token(Ok(token)));
                        self.carry_out();
                    }
                }
                _ => {}
            }
            self.bridge.handle(now, input);
        }
    }

    fn carry_out(&mut self) {
        while let Some(action) = self.bridge.poll_action() {
            match action {
                Action::Write(_) if self.gone => {}
                Action::Write(message) => self.output.push(message),
                Action::Open(id, request) => {
                    let (exchange, handle) =
                        futures_util::stream::abortable(self.http.open(id, request));
                    self.handles.insert(id, handle);
                    self.running.push(exchange.into_future());
                }
                Action::Abort(id) => {
                    self.parked.remove(&id);
                    if let Some(handle) = self.handles.remove(&id) {
                        handle.abort();
                    }
                }
                Action::FetchToken => self.tokens.fetch(),
                Action::Exit(reason) => self.exit = Some(reason),
            }
        }
        let may_be_read = |id: &&ExchangeId| self.bridge.reads_server(**id);
        let awake: Vec<ExchangeId> = self.parked.keys().filter(may_be_read).copied().collect();
        let awake = awake.iter().filter_map(|id| self.parked.remove(id));
        self.running.extend(awake.map(StreamExt::into_future));
    }

    /// What happens next. Messages for the client are written when nothing else is ready, so that
    /// those that arrive together leave together, and none waits for a clock.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<Input> {
        if let Poll::Ready(Some(notice)) = self.notices.poll_next_unpin(cx) {
            let known = matches!(notice, Input::ClientClosed) && self.input.is_none()
                || matches!(notice, Input::ClientGone) && self.gone;
            if !known {
                return Poll::Ready(notice);
            }
        }
        if let Poll::Ready(token) = self.tokens.poll(cx) {
            return Poll::Ready(Input::Token(token));
        }
        if self.alarm.poll(cx).is_ready() {
            return Poll::Ready(Input::Tick);
        }
        if self.output.is_worth_a_call()
            && let Poll::Ready(input) = self.poll_output(cx)
        {
            return Poll::Ready(input);
        }
        self.server_first = !self.server_first;
        let shores = if self.server_first {
            [Self::poll_server, Self::poll_client]
        } else {
            [Self::poll_client, Self::poll_server]
        };
        for poll_shore in shores {
            if let Poll::Ready(input) = poll_shore(self, cx) {
                return Poll::Ready(input);
            }
        }
        self.poll_output(cx)
    }

    fn poll_client(&mut self, cx: &mut Context<'_>) -> Poll<Input> {
        match &mut self.input {
            Some(input) if self.bridge.reads_client() => input.poll_input(cx),
            _ => Poll::Pending,
        }
    }

    fn poll_server(&mut self, cx: &mut Context<'_>) -> Poll<Input> {
        while let Poll::Ready(Some((input, exchange))) = self.running.poll_next_unpin(cx) {
            // An exchange that yields nothing was aborted: dropping it closes its stream.
            let Some(input) = input else { continue };
            match &input {
                Input::Finished(id, _) => drop(self.handles.remove(id)),
                Input::Sent(_) => self.running.push(exchange.into_future()),
                Input::Head(id, _) | Input::Chunk(id, _) => drop(self.parked.insert(*id, exchange)),
                _ => {}
            }
            return Poll::Ready(input);
        }
        Poll::Pending
    }

    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<Input> {
        self.output.poll_progress(cx).map(|progress| match progress {
            Ok(bytes) => Input::Written(bytes),
            Err(error) => {
                log::debug!(target: "mcp_ferry.wires", "the client no longer reads: {}", error.kind());
                Input::ClientGone
            }
        })
    }

    /// Lets the last messages leave, as long as there is reason to hope for it.
    async fn flush(&mut self, reason: ExitReason) {
        let patience = match reason {
            ExitReason::ClientClosed => FLUSH_STALL,
            ExitReason::Shutdown => FLUSH_AFTER_SIGNAL,
            ExitReason::ClientGone => return,
        };
        let began = Instant::now();
        while !self.output.is_empty() {
            let left = match reason {
                ExitReason::Shutdown => patience.saturating_sub(began.elapsed()),
                _ => patience,
            };
            let progress = std::future::poll_fn(|cx| self.output.poll_progress(cx));
            if !matches!(timeout(left, progress).await, Ok(Ok(_))) {
                log::warn!(target: "mcp_ferry.wires", "the client did not read all that it was owed");
                return;
            }
        }
    }
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// A timer that is touched only when its time changes.
#[derive(Default)]
struct Alarm {
    at: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    fn set(&mut self, at: Option<Instant>) {
        if self.at == at {
            return;
        }
        self.at = at;
        if let Some(at) = at {
            let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep(Duration::ZERO)));
            sleep.as_mut().reset(at.into());
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let (Some(_), Some(sleep)) = (&self.at, &mut self.sleep)
            && sleep.poll_unpin(cx).is_ready()
        {
            // If the same time is set again, it is due again.
            self.at = None;
            return Poll::Ready(());
        }
        Poll::Pending
    }
}
