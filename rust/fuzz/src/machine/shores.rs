//! A bridge, what is under way around it, and a notebook of what each shore has seen. Whatever the
//! bridge does is held against the rules as it does it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferry_proto::seam::{Action, ExchangeId, ExitReason, Input, Request};
use ferry_proto::{Bridge, Config, Transport};
use http::{HeaderMap, HeaderValue, Method};
use serde_json::Value;

/// Messages above this size are refused.
pub(crate) const MOST_MESSAGE: usize = 2048;

/// What a script chooses of the bridge's configuration.
pub(crate) struct Settings {
    pub(crate) transport: Transport,
    pub(crate) renewable: bool,
    pub(crate) concurrency: usize,
}

/// What became of a request of the client's.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "a notebook has many boxes to tick")]
pub(crate) struct Fate {
    /// It may be done twice.
    pub(crate) harmless: bool,
    /// Its answer may never come: a subscription.
    pub(crate) endless: bool,
    /// An `initialize`, which cannot be cancelled.
    pub(crate) settles_session: bool,
    pub(crate) cancelled: bool,
    pub(crate) replies: u32,
    pub(crate) posts: u32,
    pub(crate) may_have_run: bool,
}

impl Fate {
    fn is_owed(&self) -> bool {
        self.replies == 0 && !self.cancelled
    }
}

/// An HTTP request that is under way.
pub(crate) struct Call {
    pub(crate) method: Method,
    /// The message; null where there is none.
    pub(crate) message: Value,
    /// The client's requests in it.
    pub(crate) ids: Vec<u64>,
    pub(crate) session: Option<String>,
    /// The last byte of it has left.
    pub(crate) sent: bool,
    /// The status of its answer, once there is one.
    pub(crate) status: Option<u16>,
    pub(crate) media: &'static str,
    /// The session that its answer opens.
    pub(crate) given: Option<String>,
    /// A good answer to it is in its body.
    pub(crate) answered: bool,
}

impl Call {
    pub(crate) fn is_initialize(&self) -> bool {
        self.message["method"] == "initialize"
    }
}

pub(crate) struct Shores {
    pub(crate) bridge: Bridge,
    pub(crate) now: Instant,
    pub(crate) settings: Settings,
    pub(crate) open: BTreeMap<ExchangeId, Call>,
    pub(crate) fates: BTreeMap<u64, Fate>,
    pub(crate) exit: Option<ExitReason>,
    pub(crate) sessions: u64,
    /// Sessions of which the bridge was told that they are no more.
    dead: BTreeSet<String>,
    /// The session that the bridge was given, as far as that is certain.
    pub(crate) current: Option<String>,
    /// The sessions that came with answers to the client's `initialize`s, by the ids of these.
    pub(crate) offered: BTreeMap<u64, String>,
    /// What was answered by "no such session" before: once more is final.
    lost_before: BTreeSet<String>,
    attempts: BTreeMap<u64, u32>,
    ids: u64,
    token_wanted: bool,
    unwritten: usize,
}

impl Shores {
    pub(crate) fn new(settings: Settings) -> Self {
        let config = Config {
            url: "http://server.test/mcp".parse().expect("a URL"),
            headers: HeaderMap::new(),
            renewable: settings.renewable,
            transport: settings.transport,
            listens: true,
            response_timeout: Duration::from_secs(60),
            connect_patience: Duration::from_secs(10),
            concurrency: settings.concurrency,
            max_message: MOST_MESSAGE,
        };
        let now = Instant::now();
        Self {
            bridge: Bridge::new(config, 1, now),
            now,
            settings,
            open: BTreeMap::new(),
            fates: BTreeMap::new(),
            exit: None,
            sessions: 0,
            dead: BTreeSet::new(),
            current: None,
            offered: BTreeMap::new(),
            lost_before: BTreeSet::new(),
            attempts: BTreeMap::new(),
            ids: 0,
            token_wanted: false,
            unwritten: 0,
        }
    }

    pub(crate) fn next_id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    /// Lets time pass, and wakes the bridge whenever it wants.
    pub(crate) fn pass(&mut self, span: Duration) {
        let until = self.now + span;
        let mut idle = 0;
        while let Some(wake) = self.bridge.poll_timeout().filter(|wake| *wake <= until) {
            idle = if wake > self.now { 0 } else { idle + 1 };
            assert!(idle < 100, "the bridge spins");
            self.now = wake.max(self.now);
            self.input(Input::Tick);
        }
        self.now = until;
    }

    pub(crate) fn give_token(&mut self, good: bool) {
        if std::mem::take(&mut self.token_wanted) {
            let token = HeaderValue::from_static("Bearer secret");
            self.input(Input::Token(if good { Ok(token) } else { Err("no token".to_owned()) }));
        }
    }

    pub(crate) fn input(&mut self, input: Input) {
        if self.exit.is_some() {
            return;
        }
        // What the client no longer wants is not its answer's business from here on.
        let cancelled = cancelled_by(&input);
        if let Some(fate) = cancelled.and_then(|id| self.fates.get_mut(&id)) {
            fate.cancelled |= !fate.settles_session;
        }
        self.bridge.handle(self.now, input);
        self.drain();
        if self.unwritten > 0 {
            let written = std::mem::take(&mut self.unwritten);
            self.bridge.handle(self.now, Input::Written(written));
            self.drain();
        }
        self.check_slots();
    }

    fn drain(&mut self) {
        while let Some(action) = self.bridge.poll_action() {
            assert!(self.exit.is_none(), "{action:?} after the exit");
            match action {
                Action::Write(line) => self.on_write(&line),
                Action::Open(id, request) => self.on_open(id, &request),
                Action::Abort(id) => self.on_abort(id),
                Action::FetchToken => {
                    assert!(self.settings.renewable, "a token that nobody has");
                    assert!(!self.token_wanted, "a token asked for twice");
                    self.token_wanted = true;
                }
                Action::Exit(reason) => self.exit = Some(reason),
            }
        }
    }

    fn on_write(&mut self, line: &Bytes) {
        self.unwritten += line.len();
        assert!(!line.contains(&b'\n') && !line.contains(&b'\r'), "two lines: {line:?}");
        let message: Value = serde_json::from_slice(line).expect("JSON on stdout");
        for message in message.as_array().map_or(std::slice::from_ref(&message), Vec::as_slice) {
            let is_reply = message.get("method").is_none();
            let Some(id) = message["id"].as_u64().filter(|_| is_reply) else { continue };
            let fate = self.fates.get_mut(&id).expect("a reply to a request of the client's");
            assert!(!fate.cancelled, "{id} was cancelled, yet: {message}");
            fate.replies += 1;
            assert_eq!(fate.replies, 1, "answered twice: {message}");
            if fate.settles_session {
                // One that fails ends the session before it too, even if it never left.
                self.current = self.offered.remove(&id).filter(|_| message.get("result").is_some());
            }
            // An error of the ferry's own, which has to be honest where it matters.
            if message["error"]["data"]["maybeProcessed"] == false && !fate.harmless {
                assert!(!fate.may_have_run, "it may have run, yet: {message}");
            }
        }
    }

    fn on_open(&mut self, id: ExchangeId, request: &Request) {
        let last = self.attempts.insert(id.number, id.attempt).unwrap_or(0);
        assert_eq!(id.attempt, last + 1, "attempts of {} are not in order", id.number);
        let others = self.open.keys().filter(|open| open.number == id.number);
        assert_eq!(others.count(), 0, "two attempts of {} at once", id.number);
        assert_eq!(request.url.origin().ascii_serialization(), "http://server.test");
        let message: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let header = |name| {
            request
                .headers
                .get(name)
                .map(|value: &HeaderValue| value.to_str().expect("text").to_owned())
        };
        let call = Call {
            method: request.method.clone(),
            ids: requests_in(&message),
            session: header("mcp-session-id"),
            sent: false,
            status: None,
            media: "",
            given: None,
            answered: false,
            message,
        };
        if self.settings.renewable {
            assert!(header("authorization").is_some(), "a request without its token");
        }
        self.check_session(&call, header("mcp-method").is_some());
        if call.method == Method::POST {
            self.check_posts(&call);
        }
        self.open.insert(id, call);
    }

    fn check_session(&mut self, call: &Call, is_modern: bool) {
        if let Some(session) = &call.session {
            assert!(!is_modern && !call.is_initialize(), "a session where none belongs");
            assert!(!self.dead.contains(session), "{session} is no more, yet: {}", call.message);
        }
        if call.is_initialize() && !is_modern {
            self.current = None;
            self.offered.retain(|id, _| !call.ids.contains(id));
        } else if call.method == Method::POST && !is_modern {
            let opening = self.open.values().any(|call| self.is_opening(call));
            assert!(!opening, "beside an initialize: {}", call.message);
        }
        let in_session = !is_modern && !call.is_initialize() && call.method == Method::POST;
        if in_session && self.current.is_some() {
            assert_eq!(call.session, self.current, "outside its session: {}", call.message);
        }
    }

    /// Whether this opens a session and has not been answered, as far as is certain.
    fn is_opening(&self, call: &Call) -> bool {
        let owed = call.ids.iter().all(|id| self.fates.get(id).is_some_and(Fate::is_owed));
        call.is_initialize() && owed && !call.answered
    }

    fn check_posts(&mut self, call: &Call) {
        for id in &call.ids {
            // The server's own ids of hidden requests are no numbers, so this is one of the client's.
            let fate = self.fates.get_mut(id).expect("a request of the client's");
            assert!(!fate.cancelled, "nobody wants {id} any more: {}", call.message);
            assert_eq!(fate.replies, 0, "{id} was answered, and is sent again: {}", call.message);
            assert!(fate.harmless || !fate.may_have_run, "request {id} may run twice: {fate:?}");
            fate.posts += 1;
            // Connects are tried more often than anything else: some 10 s from 0.1 s on.
            assert!(fate.posts < 40, "request {id} is sent for ever");
        }
    }

    fn check_slots(&self) {
        let takes_slot = |call: &&Call| {
            let owed =
                |id: &u64| self.fates.get(id).is_some_and(|fate| fate.is_owed() && !fate.endless);
            !call.is_initialize() && call.ids.iter().any(owed)
        };
        let taken = self.open.values().filter(takes_slot).count();
        assert!(taken <= self.settings.concurrency, "{taken} requests at once");
    }

    fn on_abort(&mut self, id: ExchangeId) {
        let Some(call) = self.open.remove(&id) else { return };
        if call.sent && call.status.is_none() {
            self.may_have_run(&call.ids);
        }
    }

    pub(crate) fn may_have_run(&mut self, ids: &[u64]) {
        for id in ids {
            if let Some(fate) = self.fates.get_mut(id) {
                fate.may_have_run = true;
            }
        }
    }

    /// The bridge is about to be told that the session of this call is no more.
    pub(crate) fn on_session_lost(&mut self, call: &Call) {
        let Some(session) = &call.session else { return };
        let text = call.message.to_string();
        if call.method == Method::POST && self.lost_before.insert(text) {
            self.dead.insert(session.clone());
            self.current = self.current.take().filter(|current| current != session);
        }
    }
}

fn requests_in(message: &Value) -> Vec<u64> {
    let members = message.as_array().map_or(std::slice::from_ref(message), Vec::as_slice);
    let is_request = |member: &&Value| member.get("method").is_some();
    members.iter().filter(is_request).filter_map(|member| member["id"].as_u64()).collect()
}

fn cancelled_by(input: &Input) -> Option<u64> {
    let Input::ClientFrame(ferry_proto::Frame::Line(line)) = input else { return None };
    let message: Value = serde_json::from_slice(line).ok()?;
    let is_cancel = message["method"] == "notifications/cancelled";
    message["params"]["requestId"].as_u64().filter(|_| is_cancel)
}
