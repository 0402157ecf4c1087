//! When something breaks: lost sessions, cut streams, servers that are away for a moment.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use serde_json::value::RawValue;

use crate::bridge::Bridge;
use crate::ending::Ending;
use crate::exchange::{Exchange, Resume, Role, Stage, Wait};
use crate::failing::is_session_loss;
use crate::headers::{self, SessionHeaders};
use crate::message::{self, Id};
use crate::outgoing::{Outgoing, What};
use crate::reply::{Failure, Kind};
use crate::retry::{HARMLESS_TRIES, Verdict, judge_fault};
use crate::seam::{Fault, FaultKind};
use crate::session::{Phase, Step};

/// How often in a row a stream is gone on with in vain. The official SDKs try twice; a restarting
/// server needs a few seconds, which five tries with backoff cover.
const MOST_RESUMES: u32 = 5;

/// A session that the ferry asked for and that is gone sooner than this did not last.
const SHORT_LIFE: Duration = Duration::from_secs(10);

/// How long to wait before a second GET where the server says that the first is not gone yet and
/// does not say for how long.
const CONFLICT_PAUSE: Duration = Duration::from_secs(1);

impl Bridge {
    /// The server does not know the session of this exchange. One new session is asked for, however
    /// many exchanges are told so; what the server refused is sent again in it, once.
    pub(crate) fn on_session_lost(&mut self, number: u64, mut exchange: Box<Exchange>) {
        if matches!(exchange.role, Role::Announce(_)) {
            // A server that forgets a session before it has begun is not asked again at once.
            let failure = Failure::new(Kind::Session, "the server forgot a new session at once");
            self.forget_session();
            self.session.step(Step::ReopenSent);
            self.on_reopen_failed(&failure);
            self.wants_session = false;
            return self.release(number, &mut exchange);
        }
        if exchange.session == Some(self.session.generation()) {
            self.forget_session();
        }
        self.release(number, &mut exchange);
        let Role::Client(mut outgoing) = exchange.role else { return };
        outgoing.reopened = true;
        match outgoing.what {
            // The ferry announces the new session itself.
            What::Initialized => {}
            // What it answers was asked in the session that is gone.
            _ if outgoing.is_response => {
                log::warn!(target: "mcp_ferry.session", "an answer came too late for its session");
            }
            _ if outgoing.is_note() => {
                let refused = self.lane.queue.iter().take_while(|it| it.reopened).count();
                self.lane.queue.insert(refused, outgoing);
            }
            _ if outgoing.owed.is_empty() => {}
            _ => {
                // Before those that were never sent, and in the order in which they were refused.
                let refused = self.waiting.iter().take_while(|waiting| waiting.reopened).count();
                self.waiting.insert(refused, outgoing);
            }
        }
    }

    /// When a new session may be asked for: at once, unless the last one did not last.
    pub(crate) fn again(&mut self) -> Instant {
        if self.reopened_at.is_some_and(|at| self.now < at + SHORT_LIFE) {
            self.quick_losses = self.quick_losses.saturating_add(1);
            self.now + self.backoff.pause(self.quick_losses)
        } else {
            self.quick_losses = 0;
            self.now
        }
    }

    fn forget_session(&mut self) {
        if !matches!(self.session.phase(), Phase::Live(_) | Phase::Announcing(_)) {
            return;
        }
        if self.is_http_sse() {
            return self.close_stream();
        }
        log::warn!(target: "mcp_ferry.session", "the server does not know the session any more; asking for a new one");
        let again = self.again();
        self.session.step(Step::Forgotten(again));
        // Without a DELETE: there is nothing to end. The specification wants a new session now, not
        // when the next request comes (2025-03-26 and later, "Session Management" 4).
        self.leave_session();
        self.drop_own();
        self.wants_session = self.ending == Ending::Open;
    }

    /// Forgets the session in which this was refused, if the refusal is that there is none.
    pub(crate) fn forget_session_of(&mut self, exchange: &Exchange, status: StatusCode) {
        if status == StatusCode::NOT_FOUND && exchange.session == Some(self.session.generation()) {
            self.forget_session();
        }
    }

    /// What was to open, announce or restore the session that is gone is told to the next one anew.
    pub(crate) fn drop_own(&mut self) {
        self.drop_exchanges(|exchange| match &exchange.role {
            Role::Own(_) | Role::Reopen(_) | Role::Announce(_) => true,
            Role::Client(outgoing) => outgoing.what == What::Initialized,
            _ => false,
        });
    }

    /// What the server asked in a session that is gone is not to be answered in another.
    pub(crate) fn forget_asked(&mut self) {
        self.stale_asks = self.asked.drain(..).map(|(id, _)| id).collect();
        for exchange in self.exchanges.values_mut() {
            exchange.asked = 0;
        }
        for queue in [&mut self.gate, &mut self.lane.queue] {
            queue.retain(|outgoing| !outgoing.is_response);
        }
    }

    /// Asks for a new session as soon as somebody waits for one and the backoff permits it.
    pub(crate) fn reopen_if_wanted(&mut self) {
        let Phase::Lost { again, .. } = *self.session.phase() else { return };
        let legacy = |outgoing: &Outgoing| outgoing.modern.is_none();
        let wanted = self.wants_session
            || !self.gate.is_empty()
            || self.waiting.iter().any(legacy)
            || self.exchanges.values().any(|it| matches!(it.stage, Stage::Parked(Wait::Session)))
            || self.lane.queue.iter().any(legacy);
        if !wanted {
            return;
        }
        if again > self.now {
            return self.arm(again);
        }
        self.wants_session = false;
        let own = self.own_id();
        let body = self.session.initialize.clone().unwrap_or_default();
        self.session.step(Step::ReopenSent);
        let body = with_id(&body, &own);
        self.send(Role::Reopen(body));
    }

    /// The server opened a new session.
    pub(crate) fn on_reopened(&mut self, headers: SessionHeaders, result: &RawValue) {
        let known = self.session.version.as_ref();
        if known.is_some() && known != headers.version.as_ref() {
            log::warn!(
                target: "mcp_ferry.session",
                "the new session has another protocol version than the client knows; \
                 restart the client if it does not get on with it",
            );
        }
        self.session.step(Step::Reopened(headers));
        self.reopened_at = Some(self.now);
        // The new server's lists may be others; it says itself which it would report.
        let [capabilities] = message::members(Some(result), ["capabilities"]);
        let names = ["tools", "prompts", "resources"];
        for (name, declared) in names.iter().zip(message::members(capabilities, names)) {
            let [changed] = message::members(declared, ["listChanged"]);
            if changed.is_some_and(|changed| changed.get() == "true") {
                let notice =
                    format!(r#"{{"jsonrpc":"2.0","method":"notifications/{name}/list_changed"}}"#);
                self.write(&Bytes::from(notice));
            }
        }
        if let Some(body) = self.session.initialized.clone() {
            self.session.step(Step::InitializedSent);
            self.send(Role::Announce(body));
        }
    }

    /// `notifications/initialized` is settled: the gate opens, and so does the listener.
    pub(crate) fn on_announced(&mut self) {
        self.session.step(Step::InitializedSettled);
        self.open_listener();
    }

    /// Gives a new session what the old one had.
    pub(crate) fn restore(&mut self) {
        let requests = self.session.restoring().enumerate().map(|(at, request)| {
            let own = format!("\"mcp-ferry:{}.{at}\"", self.last_number);
            with_id(request, &Id::new(Bytes::from(own)))
        });
        self.restoring = requests.collect();
    }

    /// No new session could be had: each request that waited for it gets its own error, and the
    /// next one asks again.
    pub(crate) fn on_reopen_failed(&mut self, failure: &Failure) {
        let Phase::Reopening { tries } = *self.session.phase() else { return };
        let again = self.now + self.backoff.pause(tries.saturating_add(1).max(self.quick_losses));
        self.session.step(Step::ReopenFailed(again));
        let failure = Failure {
            kind: Kind::Session,
            // What waited was refused, or never sent.
            maybe_processed: false,
            message: format!(
                "the server lost the session, and a new one could not be had: {}",
                failure.message
            ),
            ..failure.clone()
        };
        log::warn!(target: "mcp_ferry.session", "{}", failure.message);
        self.fail_parked(Wait::Session, &failure);
        let legacy = |outgoing: &Outgoing| outgoing.modern.is_none();
        let mut lost: Vec<Outgoing> = self.gate.drain(..).collect();
        for queue in [&mut self.waiting, &mut self.lane.queue] {
            let (gone, kept): (VecDeque<_>, _) = queue.drain(..).partition(legacy);
            *queue = kept;
            lost.extend(gone);
        }
        for outgoing in lost {
            let attempts = u32::from(outgoing.reopened);
            self.refuse_unsent(outgoing, &Failure { attempts, ..failure.clone() });
        }
    }

    /// An exchange failed below HTTP.
    pub(crate) fn on_fault(&mut self, number: u64, mut exchange: Box<Exchange>, fault: &Fault) {
        match exchange.role {
            Role::Listener => return self.on_listener_end(number, exchange),
            Role::Farewell(_) => return self.release(number, &mut exchange),
            _ if exchange.settled => return self.release(number, &mut exchange),
            _ => {}
        }
        if self.resume(number, &mut exchange) {
            return self.put(number, exchange);
        }
        let verdict = judge_fault(fault.kind);
        let failure = self.failure_of(fault, verdict);
        self.retry_or_fail(number, exchange, verdict, failure);
    }

    /// Sends an exchange again later if the verdict permits it, or ends it.
    pub(crate) fn retry_or_fail(
        &mut self,
        number: u64,
        mut exchange: Box<Exchange>,
        verdict: Verdict,
        failure: Failure,
    ) {
        match self.retry_later(&mut exchange, verdict, &HeaderMap::new()) {
            Some(at) => {
                exchange.stage = Stage::Waiting(at);
                self.put(number, exchange);
            }
            None => self.fail(number, exchange, failure),
        }
    }

    /// When the request is sent again, if it may be.
    pub(crate) fn retry_later(
        &mut self,
        exchange: &mut Exchange,
        verdict: Verdict,
        headers: &HeaderMap,
    ) -> Option<Instant> {
        let (timeout, patience) = (exchange.patience(&self.config), self.config.connect_patience);
        // What was waited for has come or failed; the next attempt has its own time.
        exchange.deadline = None;
        match verdict {
            Verdict::Final => None,
            Verdict::Unsent => {
                exchange.tries.unsent += 1;
                let away_since = *exchange.away_since.get_or_insert(self.now);
                let at = self.now + self.backoff.pause(exchange.tries.unsent);
                (at <= away_since + patience && at <= exchange.since + timeout).then_some(at)
            }
            Verdict::Refused => {
                let at = self.now + headers::retry_after(headers)?;
                exchange.tries.refused += 1;
                if exchange.tries.refused > 1 || at > exchange.since + timeout {
                    return None;
                }
                self.quiet_until = self.quiet_until.max(Some(at));
                Some(at)
            }
            Verdict::Unknown => {
                let harmless = match &exchange.role {
                    Role::Client(outgoing) => outgoing.harmless,
                    Role::Reopen(_) => true,
                    _ => false,
                };
                exchange.tries.harmless += 1;
                exchange.resume = Resume::default();
                let again = harmless && exchange.tries.harmless <= HARMLESS_TRIES;
                again.then(|| self.now + self.backoff.pause(exchange.tries.harmless))
            }
        }
    }

    /// Whether the stream of a legacy request goes on by a GET: it ended before the reply, after an
    /// event with an id (2025-11-25, basic/transports, "Resumability and Redelivery").
    pub(crate) fn resume(&mut self, number: u64, exchange: &mut Exchange) -> bool {
        let is_initialize =
            exchange.outgoing().is_some_and(|outgoing| outgoing.what == What::Initialize);
        let can = exchange.resume.last_id.is_some()
            && exchange.owes()
            && !exchange.is_modern()
            && !is_initialize;
        if !can || exchange.tries.unmet >= MOST_RESUMES {
            return false;
        }
        exchange.tries.unmet += 1;
        exchange.tries.resumes += 1;
        let pause = self.backoff.pause_as_asked(exchange.tries.resumes, exchange.resume.retry);
        log::debug!(target: "mcp_ferry.exchange", "stream {number} was cut; going on after its last event");
        exchange.stage = Stage::Waiting(self.now + pause);
        true
    }

    /// The server does not let a stream go on.
    pub(crate) fn on_resume_refused(
        &mut self,
        number: u64,
        mut exchange: Box<Exchange>,
        status: StatusCode,
    ) {
        let for_now = status == StatusCode::CONFLICT
            || status == StatusCode::TOO_MANY_REQUESTS
            || status.is_server_error();
        if for_now && self.resume(number, &mut exchange) {
            return self.put(number, exchange);
        }
        self.forget_session_of(&exchange, status);
        exchange.resume = Resume::default();
        let detail = format!("the stream was cut, and the server does not let it go on ({status})");
        self.on_fault(number, exchange, &Fault { kind: FaultKind::Cut, detail });
    }

    /// The listener ended: open it again, after the server's `retry` or with backoff.
    pub(crate) fn on_listener_end(&mut self, number: u64, mut exchange: Box<Exchange>) {
        exchange.tries.resumes = exchange.tries.resumes.saturating_add(1);
        let pause = self.backoff.pause_as_asked(exchange.tries.resumes, exchange.resume.retry);
        exchange.stage = Stage::Waiting(self.now + pause);
        self.put(number, exchange);
    }

    /// The listener was not opened.
    pub(crate) fn on_listener_refused(
        &mut self,
        number: u64,
        mut exchange: Box<Exchange>,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) {
        let is_lost = is_session_loss(&exchange, status, body)
            && exchange.session == Some(self.session.generation());
        let was_open = exchange.resume.last_id.is_some() || exchange.tries.resumes > 0;
        match status {
            StatusCode::CONFLICT => {
                let pause = headers::retry_after(headers).unwrap_or_default().max(CONFLICT_PAUSE);
                exchange.stage = Stage::Waiting(self.now + pause);
                self.put(number, exchange);
            }
            _ if was_open && is_lost => {
                self.release(number, &mut exchange);
                self.forget_session();
            }
            _ if status.is_server_error() || headers.contains_key(RETRY_AFTER) => {
                exchange.tries.resumes = exchange.tries.resumes.saturating_add(1);
                let pause = self.backoff.pause(exchange.tries.resumes);
                let pause = headers::retry_after(headers).unwrap_or_default().max(pause);
                exchange.stage = Stage::Waiting(self.now + pause);
                self.put(number, exchange);
            }
            _ => self.on_no_listener(number, exchange),
        }
    }

    /// The server has no listener: that is permitted, and the end of it.
    pub(crate) fn on_no_listener(&mut self, number: u64, mut exchange: Box<Exchange>) {
        log::debug!(target: "mcp_ferry.session", "the server has no GET stream");
        self.release(number, &mut exchange);
        self.listener_absent = true;
    }

    /// Tells the server that the ferry gave up on a request: by a notification in a legacy session;
    /// a modern one sees its stream closed.
    pub(crate) fn tell_cancelled(&mut self, exchange: &Exchange) {
        let Some(outgoing) = exchange.outgoing() else { return };
        if exchange.is_modern() || !exchange.sent || outgoing.what == What::Initialize {
            return;
        }
        // In a session that is gone there is nothing to cancel.
        let gone = exchange.session.is_some_and(|of| {
            let live = matches!(self.session.phase(), Phase::Live(_) | Phase::Announcing(_));
            of != self.session.generation() || !live
        });
        if gone {
            return;
        }
        for id in outgoing.owed.clone().take_all() {
            self.lane
                .queue
                .push_back(Outgoing::cancellation(&id, "the client's bridge gave up waiting"));
        }
    }

    pub(crate) fn failure_of(&self, fault: &Fault, verdict: Verdict) -> Failure {
        let origin = self.config.url.origin().ascii_serialization();
        let detail = &fault.detail;
        let (kind, message) = match fault.kind {
            FaultKind::Resolve => (
                Kind::Unreachable,
                format!("the name of {origin} does not resolve: {detail}; check the URL"),
            ),
            FaultKind::Connect | FaultKind::ConnectTimeout | FaultKind::Unsent => (
                Kind::Unreachable,
                format!("cannot reach {origin}: {detail}; is the server running?"),
            ),
            FaultKind::Tls => (
                Kind::Tls,
                format!("no trust in {origin}: {detail}; give its authority with --ca-cert"),
            ),
            FaultKind::Cut => (Kind::Cut, format!("{detail}; the request may have been processed")),
        };
        Failure { maybe_processed: verdict == Verdict::Unknown, ..Failure::new(kind, message) }
    }

    /// An id for a request of the ferry's own.
    pub(crate) fn own_id(&self) -> Id {
        Id::new(Bytes::from(format!("\"mcp-ferry:{}\"", self.last_number + 1)))
    }
}

/// A request of the client's under another id.
fn with_id(request: &Bytes, own: &Id) -> Bytes {
    let Ok(text) = std::str::from_utf8(request) else { return request.clone() };
    match message::peek(text) {
        Ok(message::Message { shape: message::Shape::Request(id), .. }) => {
            message::readdressed(text, Some(id), own)
        }
        _ => request.clone(),
    }
}
