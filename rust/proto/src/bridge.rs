//! The bridge: everything the ferry knows, and the one way in and out of it.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;
use url::Url;

use crate::annotations::Annotations;
use crate::credentials::{Cookie, Token};
use crate::ending::Ending;
use crate::exchange::{Exchange, Role, Stage};
use crate::http_sse::HttpSse;
use crate::load::Load;
use crate::message::one_line;
use crate::outgoing::Outgoing;
use crate::retry::Backoff;
use crate::seam::{Action, ExchangeId, Input};
use crate::sending::Lane;
use crate::session::Session;

/// How many frames of the client's, and how many bytes of them, may be in the bridge before it
/// stops reading. A single frame may be larger. Honest clients have some tens in flight; the frames
/// are many enough that the answers which calls wait for are read behind the calls.
const MOST_FRAMES: usize = 4096;
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// How many bytes may wait for a client that does not read before the servers are not read either.
const MOST_UNWRITTEN: usize = 8 * 1024 * 1024;

/// How many bytes of unfinished messages all exchanges may hold together. Beyond it only the oldest
/// of those that hold some are read on, so that some always end; what holds nothing is still read,
/// so that a large answer on its way delays no small one. It is not more because each connection
/// has a read buffer of its own besides.
const MOST_HELD: usize = 4 * 1024 * 1024;
const READ_ON: usize = 2;

/// What a bridge is told once, at its start. Defaults live with the wires.
#[derive(Clone, Debug)]
pub struct Config {
    /// The endpoint, used exactly as given.
    pub url: Url,
    /// The user's own headers, Authorization among them; secrets marked sensitive.
    pub headers: HeaderMap,
    /// Whether a credential has to be fetched before the first request, and can be again.
    pub renewable: bool,
    /// Which transport the server speaks.
    pub transport: Transport,
    /// Whether what a server says unasked is wanted from the start: a session then has a GET stream as
    /// soon as it is open. If not, [`Input::Listen`] asks for it later.
    pub listens: bool,
    /// How long an exchange may be silent before its request gets an error.
    pub response_timeout: Duration,
    /// How long a server that cannot be reached is tried again.
    pub connect_patience: Duration,
    /// How many requests may be in flight at once.
    pub concurrency: usize,
    /// The largest message in either direction, in bytes.
    pub max_message: usize,
}

/// Which transport the server speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// Streamable HTTP; if `initialize` fails as the specification says, HTTP+SSE.
    #[default]
    Auto,
    /// Streamable HTTP (2025-03-26 and later).
    Http,
    /// HTTP+SSE (2024-11-05).
    Sse,
}

/// Carries the messages of one client to one endpoint and back, and owns the transport in between.
///
/// The contract, in the order of use:
/// 1. [`Self::handle`] takes in one event. It is the only way to change anything.
/// 2. [`Self::poll_action`] gives what to do now; drain it to `None` after every `handle`.
/// 3. [`Self::poll_timeout`] says when to come back with [`Input::Tick`] if nothing happens first.
/// 4. [`Self::reads_client`] and [`Self::reads_server`] say which shore may be read. Whoever reads
///    all the same breaks the bounds on memory, and nothing else.
///
/// Time is an argument and never runs backwards. Two bridges given the same inputs do the same.
#[derive(Debug)]
pub struct Bridge {
    pub(crate) config: Config,
    /// The headers of every request: the user's own, the token, the cookies.
    pub(crate) own_headers: HeaderMap,
    pub(crate) token: Token,
    pub(crate) cookies: Vec<Cookie>,
    pub(crate) http_sse: HttpSse,
    pub(crate) annotations: Annotations,
    /// A fresh list of the tools was asked for.
    pub(crate) refreshing: bool,
    /// The instant of the input being handled.
    pub(crate) now: Instant,
    pub(crate) session: Session,
    /// Every exchange that has not ended, by its number. Boxed, since each input takes one out and
    /// brings it back: that was a sixth of all instructions.
    pub(crate) exchanges: BTreeMap<u64, Box<Exchange>>,
    pub(crate) last_number: u64,
    /// Legacy frames that wait for the session, in the order written.
    pub(crate) gate: VecDeque<Outgoing>,
    /// Requests that wait for a slot.
    pub(crate) waiting: VecDeque<Outgoing>,
    /// How many requests have a slot.
    pub(crate) slots: usize,
    pub(crate) lane: Lane,
    /// The exchange of the GET stream.
    pub(crate) listener: Option<u64>,
    /// The server has no GET stream.
    pub(crate) listener_absent: bool,
    /// A new session is wanted though no request waits for one: the old one's listener is gone.
    pub(crate) wants_session: bool,
    /// The version of the last modern frame.
    pub(crate) modern_version: Option<String>,
    /// The server's requests that the client has yet to answer, and the exchange each came by.
    pub(crate) asked: Vec<(Bytes, u64)>,
    pub(crate) load: Load,
    /// How many bytes of unfinished messages all exchanges hold.
    pub(crate) held: usize,
    /// How many bytes of `Write` have not left yet.
    pub(crate) unwritten: usize,
    pub(crate) ending: Ending,
    /// The server asked for silence until then.
    pub(crate) quiet_until: Option<Instant>,
    pub(crate) backoff: Backoff,
    /// When the last new session began that the ferry asked for itself, and how many in a row did
    /// not last: a server that forgets each at once is not asked without a pause.
    pub(crate) reopened_at: Option<Instant>,
    pub(crate) quick_losses: u32,
    /// Requests that give the new session what the old one had, still to be sent.
    pub(crate) restoring: VecDeque<Bytes>,
    /// What servers asked in sessions that are gone: an answer would reach another question.
    pub(crate) stale_asks: Vec<Bytes>,
    /// No deadline is before this; it may be that none is at it either.
    wake: Option<Instant>,
    actions: VecDeque<Action>,
}

impl Bridge {
    /// A bridge that has heard nothing yet. `seed` feeds the jitter of its backoff.
    #[must_use]
    pub fn new(config: Config, seed: u64, now: Instant) -> Self {
        let http_sse = match config.transport {
            Transport::Sse => HttpSse::Wanted,
            Transport::Auto | Transport::Http => HttpSse::Off,
        };
        Self {
            own_headers: config.headers.clone(),
            token: Token::default(),
            cookies: Vec::new(),
            http_sse,
            annotations: Annotations::default(),
            refreshing: false,
            config,
            now,
            session: Session::default(),
            exchanges: BTreeMap::new(),
            last_number: 0,
            gate: VecDeque::new(),
            waiting: VecDeque::new(),
            slots: 0,
            lane: Lane::default(),
            listener: None,
            listener_absent: false,
            wants_session: false,
            modern_version: None,
            asked: Vec::new(),
            load: Load::default(),
            held: 0,
            unwritten: 0,
            ending: Ending::Open,
            quiet_until: None,
            backoff: Backoff::new(seed),
            reopened_at: None,
            quick_losses: 0,
            restoring: VecDeque::new(),
            stale_asks: Vec::new(),
            wake: None,
            actions: VecDeque::new(),
        }
    }

    /// Takes in one event. Drain [`Self::poll_action`] afterwards.
    pub fn handle(&mut self, now: Instant, input: Input) {
        if matches!(self.ending, Ending::Over) {
            return;
        }
        self.now = now.max(self.now);
        match input {
            Input::ClientFrame(frame) => self.on_frame(frame),
            Input::ClientMessage(message, terms) => {
                self.on_client_message(&message, terms.as_ref());
            }
            Input::Listen => self.on_listen(),
            Input::ClientClosed => self.on_client_closed(),
            Input::Sent(id) => self.on_sent(id),
            Input::Head(id, head) => self.on_head(id, head),
            Input::Chunk(id, piece) => self.on_chunk(id, piece),
            Input::Finished(id, outcome) => self.on_finished(id, outcome),
            Input::Token(token) => self.on_token(token),
            Input::Written(bytes) => self.unwritten = self.unwritten.saturating_sub(bytes),
            Input::ClientGone => self.on_client_gone(),
            Input::Shutdown => self.on_shutdown(),
            Input::Tick => {}
        }
        if self.wake.is_some_and(|wake| wake <= self.now) {
            self.on_time();
        }
        self.advance();
    }

    /// The next thing to do, until there is none.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to come back with [`Input::Tick`] if nothing else happens first.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.wake
    }

    /// Whether the client's next bytes may be read; false while too much is in flight.
    #[must_use]
    pub fn reads_client(&self) -> bool {
        // While the server waits for an answer, that answer may lie behind what fills the bridge.
        let more = if self.asked.is_empty() { 0 } else { self.config.max_message };
        self.load.frames() < MOST_FRAMES
            && self.load.bytes() < MOST_BYTES.saturating_add(more)
            && self.unwritten < MOST_UNWRITTEN
    }

    /// Whether this exchange's next chunk may be read; false while too much waits for the client.
    #[must_use]
    pub fn reads_server(&self, id: ExchangeId) -> bool {
        self.reads(id.number)
    }

    pub(crate) fn reads(&self, number: u64) -> bool {
        if self.unwritten >= MOST_UNWRITTEN {
            return false;
        }
        if self.held < MOST_HELD {
            return true;
        }
        // A stream without a deadline may rest in the middle of an event: it must not keep the rest.
        let holds = |exchange: &Exchange| exchange.held() > 0 && exchange.deadline.is_some();
        let is_holder = self.exchanges.get(&number).is_some_and(|exchange| holds(exchange));
        let mut oldest =
            self.exchanges.iter().filter(|(_, exchange)| holds(exchange)).take(READ_ON);
        !is_holder || oldest.any(|(holder, _)| *holder == number)
    }

    /// Everything that may have become possible: waiting frames go, a lost session is asked for, the
    /// bridge ends.
    fn advance(&mut self) {
        self.open_gate();
        self.restore_on();
        self.run_lane();
        self.fill_slots();
        self.reopen_if_wanted();
        self.end_if_done();
    }

    /// Acts on every deadline that has come, and finds the next.
    fn on_time(&mut self) {
        self.wake = None;
        let due: Vec<u64> = self.exchanges.keys().copied().collect();
        for number in due {
            self.check_time(number);
        }
        self.lane_on_time();
    }

    fn check_time(&mut self, number: u64) {
        let Some(exchange) = self.exchanges.get(&number) else { return };
        match (&exchange.stage, exchange.deadline) {
            (Stage::Waiting(_), Some(deadline)) if deadline <= self.now => self.on_deadline(number),
            (Stage::Waiting(until), _) if *until <= self.now => self.start(number),
            (Stage::Waiting(until), deadline) => {
                self.arm(deadline.map_or(*until, |it| it.min(*until)));
            }
            (_, Some(deadline)) if deadline > self.now => self.arm(deadline),
            (_, Some(_)) if self.is_paused(number, exchange) => self.restart_clock(number),
            (_, Some(_)) => self.on_deadline(number),
            (_, None) => {}
        }
    }

    /// Whether the silence of an exchange is not the server's: somebody has yet to answer what it
    /// asked, or what it says is not being read.
    fn is_paused(&self, number: u64, exchange: &Exchange) -> bool {
        let by_listener = self.listener.and_then(|listener| self.exchanges.get(&listener));
        let asked = self.ending == Ending::Open
            && (exchange.asked > 0
                || !exchange.is_modern() && by_listener.is_some_and(|listener| listener.asked > 0));
        let timed = !matches!(exchange.stage, Stage::Linger(_));
        timed && (asked || !self.reads(number))
    }

    /// Sees to it that [`Self::poll_timeout`] is not after `at`.
    pub(crate) fn arm(&mut self, at: Instant) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    /// Gives an exchange the whole response timeout again, if its silence counts at all.
    pub(crate) fn restart_clock(&mut self, number: u64) {
        let Some(exchange) = self.exchanges.get_mut(&number) else { return };
        let deadline = self.now + exchange.patience(&self.config);
        if exchange.deadline.is_some() {
            exchange.deadline = Some(deadline);
            self.arm(deadline);
        }
    }

    pub(crate) fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    /// Writes one message to the client.
    pub(crate) fn write(&mut self, message: &Bytes) {
        if self.ending.is_deaf() {
            return;
        }
        let line = one_line(message);
        self.unwritten += line.len();
        self.act(Action::Write(line));
    }

    /// The exchange of this attempt, taken out to be worked on; [`Self::put`] brings it back.
    pub(crate) fn take(&mut self, id: ExchangeId) -> Option<Box<Exchange>> {
        let known = self.exchanges.get(&id.number)?;
        if known.attempt == id.attempt && known.on_wire { self.remove(id.number) } else { None }
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<Box<Exchange>> {
        let exchange = self.exchanges.remove(&number)?;
        self.held -= exchange.held();
        Some(exchange)
    }

    pub(crate) fn put(&mut self, number: u64, exchange: Box<Exchange>) {
        self.held += exchange.held();
        if let Some(deadline) = exchange.deadline {
            self.arm(deadline);
        }
        if let Stage::Waiting(until) = exchange.stage {
            self.arm(until);
        }
        self.exchanges.insert(number, exchange);
    }

    /// Lets go of what an exchange had besides its place in the map, once it is out of there.
    pub(crate) fn release(&mut self, number: u64, exchange: &mut Exchange) {
        if std::mem::take(&mut exchange.slot) {
            self.slots -= 1;
        }
        if exchange.asked > 0 {
            self.asked.retain(|(_, asker)| *asker != number);
        }
        self.lane.let_go(number);
        if matches!(exchange.role, Role::Listener) && self.listener == Some(number) {
            self.listener = None;
        }
    }

    /// The numbers of the exchanges that are like this.
    pub(crate) fn numbers(&self, wanted: impl Fn(&Exchange) -> bool) -> Vec<u64> {
        let like_this = self.exchanges.iter().filter(|(_, exchange)| wanted(exchange));
        like_this.map(|(number, _)| *number).collect()
    }

    /// Ends the exchanges that are like this, and tells nobody.
    pub(crate) fn drop_exchanges(&mut self, wanted: impl Fn(&Exchange) -> bool) {
        for number in self.numbers(wanted) {
            if let Some(mut exchange) = self.remove(number) {
                self.abort(number, &mut exchange);
                self.release(number, &mut exchange);
            }
        }
    }

    /// Closes the connection or stream of an exchange, if it has one.
    pub(crate) fn abort(&mut self, number: u64, exchange: &mut Exchange) {
        if std::mem::take(&mut exchange.on_wire) {
            self.act(Action::Abort(ExchangeId { number, attempt: exchange.attempt }));
        }
    }
}
