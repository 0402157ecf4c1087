//! From the bridge to the server: what goes out, in which order, with which headers.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::bridge::Bridge;
use crate::ending::Ending;
use crate::exchange::{Exchange, Resume, Role, Stage, Tries, Wait};
use crate::outgoing::{Outgoing, What};
use crate::seam::{Action, ExchangeId, Fault, FaultKind};
use crate::session::{Phase, Step};

/// How long a notification or response may keep those behind it waiting for its acknowledgement.
/// Servers give it at once; one that does not must not hold up the answers that calls wait for.
const LANE_PATIENCE: Duration = Duration::from_secs(1);

/// How long the ferry waits for the answer to its DELETE: hosts lose patience after two seconds and
/// kill, and the rest of the way out needs its time too.
const FAREWELL_PATIENCE: Duration = Duration::from_secs(1);

/// How long the first event of an HTTP+SSE stream may take. Servers send it at once; one that does
/// not is probably none, and its refusal of `initialize` is what the client has to hear.
const ENDPOINT_PATIENCE: Duration = Duration::from_secs(10);

/// How many requests that restore a session are in flight at once.
const MOST_RESTORING: usize = 4;

/// Notifications and responses, which reach the server in the order written: the next goes when
/// the server has acknowledged the one before.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    pub(crate) queue: VecDeque<Outgoing>,
    /// The exchange that has yet to be acknowledged, and until when the others wait for it.
    busy: Option<(u64, Instant)>,
}

impl Lane {
    /// The next may go if it was this exchange that they waited for.
    pub(crate) fn let_go(&mut self, number: u64) {
        if self.busy.is_some_and(|(busy, _)| busy == number) {
            self.busy = None;
        }
    }

    /// Whether all of it is with the server.
    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.busy.is_none()
    }
}

impl Bridge {
    /// Sends what waited for the session, as far as the gate stays open.
    pub(crate) fn open_gate(&mut self) {
        if self.session.gate_is_open() {
            self.unpark(Wait::Session);
        }
        while self.session.gate_is_open()
            && let Some(outgoing) = self.gate.pop_front()
        {
            self.dispatch(outgoing);
        }
    }

    /// Sends a message, or puts it where it waits for its turn. Legacy ones come here by the gate.
    pub(crate) fn dispatch(&mut self, outgoing: Outgoing) {
        match outgoing.what {
            What::Initialize => self.send_initialize(outgoing),
            What::Initialized if outgoing.modern.is_none() => self.send_initialized(outgoing),
            What::Batch if outgoing.in_parts || !self.session.has_batches() => {
                self.dispatch_members(&outgoing);
            }
            // Its stream stays open for as long as the client wants: it takes nobody's place.
            What::Listen => {
                self.send(Role::Client(outgoing));
            }
            _ => {
                if outgoing.what == What::Batch {
                    self.note_members(&outgoing);
                }
                if outgoing.is_note() {
                    self.lane.queue.push_back(outgoing);
                } else if self.waiting.is_empty() && self.has_slot_for(&outgoing) {
                    self.send_in_slot(outgoing);
                } else {
                    self.waiting.push_back(outgoing);
                }
            }
        }
    }

    fn send_initialize(&mut self, outgoing: Outgoing) {
        self.leave_session();
        self.drop_own();
        self.session.begin(outgoing.body.clone());
        self.session.step(Step::InitializeSent);
        self.send(Role::Client(outgoing));
    }

    fn send_initialized(&mut self, outgoing: Outgoing) {
        if self.session.initialize.is_none() {
            self.lane.queue.push_back(outgoing);
            return;
        }
        self.session.initialized = Some(outgoing.body.clone());
        self.session.step(Step::InitializedSent);
        self.send(Role::Client(outgoing));
    }

    /// Sends the next notification or response, if its turn has come.
    pub(crate) fn run_lane(&mut self) {
        while self.lane.busy.is_none() {
            let Some(next) = self.lane.queue.front() else { return };
            let gated = next.modern.is_none() && !self.session.gate_is_open();
            if gated || self.must_follow(next) {
                return;
            }
            if let Some(outgoing) = self.lane.queue.pop_front() {
                let number = self.send(Role::Client(outgoing));
                let until = self.now + LANE_PATIENCE;
                self.lane.busy = Some((number, until));
                self.arm(until);
            }
        }
    }

    /// Whether a cancellation waits until its request has left: it must not arrive first.
    fn must_follow(&self, next: &Outgoing) -> bool {
        let What::Cancelled(id) = &next.what else { return false };
        self.exchanges.values().any(|exchange| {
            !exchange.left()
                && exchange
                    .outgoing()
                    .is_some_and(|outgoing| outgoing.cancelled.as_ref() == Some(id))
        })
    }

    pub(crate) fn lane_on_time(&mut self) {
        match self.lane.busy {
            Some((_, until)) if until <= self.now => self.lane.busy = None,
            Some((_, until)) => self.arm(until),
            None => {}
        }
    }

    /// Sends requests for which there is a slot.
    pub(crate) fn fill_slots(&mut self) {
        while let Some(at) = self.waiting.iter().position(|next| self.has_slot_for(next))
            && let Some(outgoing) = self.waiting.remove(at)
        {
            self.send_in_slot(outgoing);
        }
    }

    fn has_slot_for(&self, next: &Outgoing) -> bool {
        self.slots < self.config.concurrency
            && (next.modern.is_some() || self.session.gate_is_open())
    }

    fn send_in_slot(&mut self, outgoing: Outgoing) {
        let number = self.send(Role::Client(outgoing));
        if let Some(exchange) = self.exchanges.get_mut(&number) {
            exchange.slot = true;
            self.slots += 1;
        }
    }

    /// Begins an exchange, and tells its number.
    pub(crate) fn send(&mut self, role: Role) -> u64 {
        self.last_number += 1;
        let number = self.last_number;
        let reopened = matches!(&role, Role::Client(outgoing) if outgoing.reopened);
        let exchange = Exchange {
            role,
            stage: Stage::Waiting(self.now),
            attempt: 0,
            url: self.config.url.clone(),
            session: None,
            given: None,
            token: 0,
            refusal: None,
            on_wire: false,
            sent: false,
            settled: false,
            slot: false,
            tries: Tries { session: u32::from(reopened), ..Tries::default() },
            since: self.now,
            away_since: None,
            deadline: None,
            asked: 0,
            resume: Resume::default(),
        };
        self.exchanges.insert(number, Box::new(exchange));
        self.start(number);
        number
    }

    /// Sends the request of an exchange, for the first time or again.
    pub(crate) fn start(&mut self, number: u64) {
        if self.ends_with_its_session(number) {
            return;
        }
        let waits = self.waits_for(number);
        let session = self.session.headers();
        let token = self.token_generation();
        let farewell = self.now + FAREWELL_PATIENCE;
        let endpoint = self.now + ENDPOINT_PATIENCE.min(self.config.response_timeout);
        let (now, quiet_until) = (self.now, self.quiet_until);
        let generation = self.session.generation();
        let lives_in_stream = self.is_http_sse();
        let Some(exchange) = self.exchanges.get_mut(&number) else { return };
        let timeout = self.now + exchange.patience(&self.config);
        if let Some(wait) = waits {
            exchange.stage = Stage::Parked(wait);
            let deadline = *exchange.deadline.get_or_insert(timeout);
            return self.arm(deadline);
        }
        if let Some(until) = quiet_until.filter(|until| *until > now)
            && !matches!(exchange.role, Role::Farewell(_))
        {
            exchange.stage = Stage::Waiting(until);
            self.arm(until);
            return;
        }
        if let Some(outgoing) = exchange.outgoing_mut() {
            outgoing.drop_settled();
        }
        let request = exchange.request(&self.own_headers, &session, &self.annotations);
        let in_session = exchange.is_in_session();
        exchange.attempt = exchange.attempt.wrapping_add(1);
        exchange.stage = Stage::Asked;
        exchange.on_wire = true;
        // A GET that goes on with a stream: its POST has long left.
        exchange.sent = exchange.resume.last_id.is_some() && exchange.owes();
        exchange.token = token;
        exchange.session =
            (in_session && (session.id.is_some() || lives_in_stream)).then_some(generation);
        exchange.deadline = match &exchange.role {
            Role::Listener => None,
            Role::Farewell(_) => Some(farewell),
            Role::Stream => Some(endpoint),
            Role::Client(outgoing) if outgoing.what == What::Listen => None,
            // A stream that goes on is as silent as it was.
            Role::Client(_) if exchange.resume.last_id.is_some() => exchange.deadline,
            _ => Some(timeout),
        };
        let deadline = exchange.deadline;
        let id = ExchangeId { number, attempt: exchange.attempt };
        if let Some(deadline) = deadline {
            self.arm(deadline);
        }
        self.act(Action::Open(id, request));
    }

    /// A stream goes on in its own session or not at all. Whether the exchange ended because of that.
    fn ends_with_its_session(&mut self, number: u64) -> bool {
        let generation = self.session.generation();
        let is_gone = |exchange: &Exchange| {
            let resumes = exchange.resume.last_id.is_some() && exchange.owes();
            resumes && exchange.session.is_some_and(|of| of != generation)
        };
        if !self.exchanges.get(&number).is_some_and(|exchange| is_gone(exchange)) {
            return false;
        }
        if let Some(mut exchange) = self.remove(number) {
            exchange.resume = Resume::default();
            let detail = "the stream was cut, and its session is gone".to_owned();
            self.on_fault(number, exchange, &Fault { kind: FaultKind::Cut, detail });
        }
        true
    }

    /// What an exchange has to wait for before it can be sent; and where it goes, if nothing.
    fn waits_for(&mut self, number: u64) -> Option<Wait> {
        let exchange = self.exchanges.get(&number)?;
        let is_farewell = matches!(exchange.role, Role::Farewell(_));
        let announces = matches!(self.session.phase(), Phase::Announcing(_));
        let gated = exchange.outgoing().is_some_and(|outgoing| match outgoing.what {
            What::Initialize => false,
            What::Initialized => !announces,
            _ => outgoing.modern.is_none(),
        });
        let by_endpoint = self.is_http_sse()
            && !exchange.is_modern()
            && !matches!(exchange.role, Role::Stream | Role::Farewell(_));
        if !is_farewell && self.must_wait_for_token() {
            return Some(Wait::Token);
        }
        if gated && !self.session.gate_is_open() {
            return Some(Wait::Session);
        }
        if by_endpoint {
            let Some(url) = self.message_url() else { return Some(Wait::Endpoint) };
            if let Some(exchange) = self.exchanges.get_mut(&number)
                && exchange.tries.redirects == 0
            {
                exchange.url = url;
            }
        }
        None
    }

    /// Sends what restores a session, a few requests at a time.
    pub(crate) fn restore_on(&mut self) {
        while !self.restoring.is_empty() && self.session.gate_is_open() {
            let is_own = |exchange: &Exchange| matches!(exchange.role, Role::Own(_));
            let own = self.exchanges.values().filter(|exchange| is_own(exchange)).count();
            if own >= MOST_RESTORING {
                return;
            }
            let Some(request) = self.restoring.pop_front() else { return };
            self.send(Role::Own(request));
        }
    }

    /// The client wants to hear what the server says unasked.
    pub(crate) fn on_listen(&mut self) {
        self.config.listens = true;
        let is_live = matches!(self.session.phase(), Phase::Live(_));
        if is_live && self.session.initialized.is_some() && self.ending == Ending::Open {
            self.open_listener();
        }
    }

    /// Opens the session's listener, unless there is one, nobody wants it, or the server is known to
    /// have none.
    pub(crate) fn open_listener(&mut self) {
        if self.config.listens
            && self.listener.is_none()
            && !self.listener_absent
            && !self.is_http_sse()
        {
            self.listener = Some(self.send(Role::Listener));
        }
    }

    /// Ends the live session, if there is one: closes its listener and tells the server, whose
    /// answer nobody waits for.
    pub(crate) fn leave_session(&mut self) {
        self.restoring.clear();
        self.forget_asked();
        if let Some(number) = self.listener.take()
            && let Some(mut listener) = self.remove(number)
        {
            self.abort(number, &mut listener);
            self.release(number, &mut listener);
        }
        self.listener_absent = false;
        let ended = self.session.headers();
        if ended.id.is_some() {
            self.send(Role::Farewell(ended));
        }
        self.forget_cookies();
    }
}
