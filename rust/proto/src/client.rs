//! What the client writes: frames become messages on their way, or are answered at once.

use std::sync::Arc;

use bytes::Bytes;

use crate::bridge::Bridge;
use crate::ending::told_to_end;
use crate::exchange::{Exchange, Stage};
use crate::frame::Frame;
use crate::message::{self, Id, Malformed, Message, Shape};
use crate::outgoing::{Lasting, Outgoing, Owed, What};
use crate::outline::{Outline, Outliner};
use crate::reply::{Failure, Kind};
use crate::seam::Terms;
use crate::session::Phase;

impl Bridge {
    pub(crate) fn on_frame(&mut self, frame: Frame) {
        match frame {
            Frame::Line(line) => self.on_line(&line, None),
            Frame::TooLong(outline) => self.on_too_long(&outline),
        }
    }

    /// A message that needed no framing, and so was not measured yet.
    pub(crate) fn on_client_message(&mut self, message: &Bytes, terms: Option<&Arc<Terms>>) {
        if message.len() <= self.config.max_message {
            return self.on_line(message, terms);
        }
        let mut outliner = Outliner::default();
        outliner.push(message);
        self.on_too_long(&outliner.finish());
    }

    fn on_line(&mut self, line: &Bytes, terms: Option<&Arc<Terms>>) {
        let text = match std::str::from_utf8(line) {
            Ok(text) => text,
            Err(error) => return self.refuse(&Malformed::Json(error.to_string()), line),
        };
        if message::is_batch(text) {
            return self.on_batch(line, text, terms);
        }
        match message::peek(text) {
            Ok(message) => self.on_message(line.clone(), &message, terms),
            Err(malformed) => self.refuse(&malformed, line),
        }
    }

    fn on_message(&mut self, body: Bytes, message: &Message<'_>, terms: Option<&Arc<Terms>>) {
        if let Shape::Response(Some(id)) = message.shape
            && !self.on_answer(id)
        {
            log::warn!(target: "mcp_ferry.client", "an answer came too late for its session");
            return;
        }
        let version = message.meta.version.and_then(message::string);
        if let Some(version) = &version
            && self.modern_version.as_deref() != Some(version)
        {
            self.modern_version = Some(version.clone().into_owned());
        }
        let era = self.era(message, version.as_deref());
        let mut outgoing = Outgoing::single(body, message, era.as_deref());
        outgoing.terms = terms.cloned();
        self.accept(outgoing);
    }

    /// The version of a modern message; `None` for a legacy one.
    ///
    /// A frame that names its version is modern. One that does not, on a pipe that has been modern
    /// and opened no session, carries the version of the frames before it.
    fn era(&self, message: &Message<'_>, version: Option<&str>) -> Option<String> {
        let legacy = self.session.initialize.is_some() || message.method == "initialize";
        match version {
            Some(version) => Some(version.to_owned()),
            None if legacy => None,
            None => self.modern_version.clone(),
        }
    }

    fn accept(&mut self, mut outgoing: Outgoing) {
        if self.ending.is_leaving() {
            return self.refuse_unsent(outgoing, &told_to_end());
        }
        if outgoing.is_response && outgoing.modern.is_some() {
            // "The client MUST NOT send JSON-RPC responses" (2026-07-28, streamable-http).
            log::warn!(target: "mcp_ferry.client", "dropped a response: a modern server asks nothing");
            return;
        }
        if !self.take_note(&mut outgoing) {
            return;
        }
        outgoing.weight = Some(self.load.weigh(outgoing.body.len()));
        let is_lost = matches!(self.session.phase(), Phase::Lost { .. } | Phase::Reopening { .. });
        // A session of the client's own making does not wait for the one that is lost.
        let passes = outgoing.modern.is_some() || (is_lost && outgoing.what == What::Initialize);
        if passes || (self.gate.is_empty() && self.session.gate_is_open()) {
            self.dispatch(outgoing);
        } else {
            self.gate.push_back(outgoing);
        }
    }

    /// Acts on what a message does to the bridge itself. Whether it is to be sent.
    fn take_note(&mut self, outgoing: &mut Outgoing) -> bool {
        if let What::Cancelled(id) = outgoing.what.clone()
            && !self.on_cancelled(&id, outgoing)
        {
            return false;
        }
        self.remember(outgoing);
        true
    }

    /// Keeps what a new session would have to be told.
    fn remember(&mut self, outgoing: &Outgoing) {
        let body = || outgoing.body.clone();
        match &outgoing.lasting {
            Some(Lasting::LogLevel) => self.session.log_level = Some(body()),
            Some(Lasting::Subscribed(uri)) => self.session.subscribe(uri.clone(), body()),
            Some(Lasting::Unsubscribed(uri)) => self.session.unsubscribe(uri),
            None => {}
        }
    }

    /// A batch waits at the gate as one: whether it goes through as one depends on the revision.
    fn on_batch(&mut self, line: &Bytes, text: &str, terms: Option<&Arc<Terms>>) {
        let members = match message::split_batch(text) {
            Ok(members) if !members.is_empty() => members,
            Ok(_) => {
                return self.refuse(&Malformed::Message("a batch has members", None), line);
            }
            Err(malformed) => return self.refuse(&malformed, line),
        };
        let peeked: Result<Vec<_>, _> =
            members.iter().map(|member| message::peek(member)).collect();
        let modern = self.session.initialize.is_none() && self.modern_version.is_some();
        match peeked {
            Ok(messages)
                if !modern && messages.iter().all(|message| message.meta.version.is_none()) =>
            {
                let is_response =
                    |message: &Message<'_>| matches!(message.shape, Shape::Response(_));
                let responses = messages.iter().filter(|message| is_response(message)).count();
                if responses == messages.len() {
                    return self.on_members(line, &members, terms);
                }
                let request = |message: &Message<'_>| match message.shape {
                    Shape::Request(id) => Some(Id::within(line, id)),
                    _ => None,
                };
                let ids = messages.iter().filter_map(request).collect();
                let mut outgoing = Outgoing::batch(line.clone(), ids);
                outgoing.in_parts = responses > 0;
                outgoing.terms = terms.cloned();
                self.accept(outgoing);
            }
            _ => self.on_members(line, &members, terms),
        }
    }

    fn on_members(&mut self, line: &Bytes, members: &[&str], terms: Option<&Arc<Terms>>) {
        for member in members {
            self.on_line(&message::shared(line, member.as_bytes()), terms);
        }
    }

    /// Sends the members of a batch one by one, where the revision has no batches.
    pub(crate) fn dispatch_members(&mut self, batch: &Outgoing) {
        let text = std::str::from_utf8(&batch.body).unwrap_or_default();
        for member in message::split_batch(text).unwrap_or_default() {
            let body = message::shared(&batch.body, member.as_bytes());
            let Ok(message) = message::peek(member) else { continue };
            let mut outgoing = Outgoing::single(body, &message, None);
            outgoing.terms.clone_from(&batch.terms);
            if let Shape::Response(Some(id)) = message.shape
                && !self.on_answer(id)
            {
                continue;
            }
            if self.take_note(&mut outgoing) {
                outgoing.weight = Some(self.load.weigh(outgoing.body.len()));
                self.dispatch(outgoing);
            }
        }
    }

    /// Acts on what the members of a batch do to the bridge, when it goes as one.
    pub(crate) fn note_members(&mut self, batch: &Outgoing) {
        let text = std::str::from_utf8(&batch.body).unwrap_or_default();
        for member in message::split_batch(text).unwrap_or_default() {
            let body = message::shared(&batch.body, member.as_bytes());
            if let Ok(message) = message::peek(member) {
                self.take_note(&mut Outgoing::single(body, &message, None));
            }
        }
    }

    /// The client answers something that the server asked. Whether the server still waits for it: one
    /// that was asked in a session that is gone must not reach another.
    fn on_answer(&mut self, id: &str) -> bool {
        if let Some(at) = place(&self.asked, id, |(asked, _)| asked) {
            let (_, number) = self.asked.swap_remove(at);
            if let Some(exchange) = self.exchanges.get_mut(&number) {
                exchange.asked = exchange.asked.saturating_sub(1);
                self.restart_clock(number);
            }
            return true;
        }
        match place(&self.stale_asks, id, |asked| asked) {
            Some(at) => {
                self.stale_asks.swap_remove(at);
                false
            }
            None => true,
        }
    }

    /// The server no longer wants an answer, says a notification on this exchange.
    pub(crate) fn on_taken_back(&mut self, number: u64, exchange: &mut Exchange, id: &str) {
        let Some(at) = place(&self.asked, id, |(asked, _)| asked) else { return };
        let (_, asker) = self.asked.swap_remove(at);
        if asker == number {
            exchange.asked = exchange.asked.saturating_sub(1);
        } else if let Some(asker) = self.exchanges.get_mut(&asker) {
            asker.asked = asker.asked.saturating_sub(1);
        }
    }

    /// The client no longer wants an answer. Whether the cancellation is to be sent.
    fn on_cancelled(&mut self, id: &Bytes, outgoing: &mut Outgoing) -> bool {
        let wanted = std::str::from_utf8(id).unwrap_or_default();
        // One under exactly these bytes before one of the same value: 1 is not 1.0.
        let exactly = |owed: &Owed| owed.has_exactly(wanted);
        let similarly = |owed: &Owed| owed.has(wanted);
        self.cancel(wanted, outgoing, exactly)
            .or_else(|| self.cancel(wanted, outgoing, similarly))
            // Answered meanwhile, or never known: in a legacy session the server may judge.
            .unwrap_or(outgoing.modern.is_none())
    }

    /// Cancels the request that is `meant`, if there is one: whether the server is to be told.
    fn cancel(
        &mut self,
        wanted: &str,
        outgoing: &mut Outgoing,
        meant: impl Fn(&Owed) -> bool,
    ) -> Option<bool> {
        // Not sent yet: the request and its cancellation are dropped together.
        for queue in [&mut self.gate, &mut self.waiting] {
            let Some(at) = queue.iter().position(|queued| meant(&queued.owed)) else { continue };
            if let Some(queued) = queue.get_mut(at)
                && queued.what != What::Initialize
            {
                queued.owed.take(wanted);
                if !queued.drop_settled() {
                    queue.remove(at);
                }
            }
            return Some(false);
        }
        let sent = |exchange: &Exchange| exchange.outgoing().is_some_and(|sent| meant(&sent.owed));
        let (&number, exchange) = self.exchanges.iter().find(|(_, exchange)| sent(exchange))?;
        if exchange.outgoing().is_some_and(|sent| sent.what == What::Initialize) {
            // "The initialize request MUST NOT be cancelled by clients" (every legacy revision).
            log::warn!(target: "mcp_ferry.client", "initialize cannot be cancelled");
            return Some(false);
        }
        let mut exchange = self.remove(number)?;
        let is_modern = exchange.is_modern();
        let waits = matches!(exchange.stage, Stage::Waiting(_) | Stage::Parked(_));
        let unsent = waits && !exchange.sent;
        let is_to_go = waits && exchange.resume.last_id.is_none();
        let mut has_rest = false;
        if let Some(sent) = exchange.outgoing_mut() {
            sent.owed.take(wanted);
            has_rest = sent.drop_settled();
            sent.cancelled = Some(Bytes::copy_from_slice(wanted.as_bytes()));
        }
        if exchange.owes() || (has_rest && is_to_go) {
            self.put(number, exchange);
        } else if is_modern || unsent {
            // Modern: "closing the SSE response stream is the cancellation signal" (2026-07-28,
            // streamable-http, "Cancellation").
            self.abort(number, &mut exchange);
            self.release(number, &mut exchange);
            return Some(false);
        } else {
            self.linger(number, exchange);
        }
        // The era of a cancellation is that of what it cancels.
        outgoing.modern = None;
        Some(!unsent)
    }

    /// Answers what is no message.
    fn refuse(&mut self, malformed: &Malformed<'_>, line: &Bytes) {
        let (failure, id) = match malformed {
            Malformed::Json(error) => {
                (Failure::new(Kind::Parse, format!("the line is not JSON: {error}")), None)
            }
            Malformed::Message(why, id) => {
                let failure = Failure::new(Kind::Invalid, format!("not a JSON-RPC message: {why}"));
                (failure, id.map(|id| Id::within(line, id)))
            }
        };
        log::warn!(target: "mcp_ferry.client", "refused a line: {}", failure.message);
        self.write(&failure.reply(id.as_ref()));
    }

    /// Answers for a line that was dropped because of its size, to whoever waits for it.
    fn on_too_long(&mut self, outline: &Outline) {
        let limit = self.config.max_message;
        let failure = Failure::new(
            Kind::TooLarge,
            format!("the message is over the limit of {limit} bytes; raise --max-message-size"),
        );
        log::warn!(target: "mcp_ferry.client", "dropped a line: {}", failure.message);
        let id = outline.id.clone().map(Id::new);
        match (&id, outline.has_method) {
            (Some(_), true) | (None, false) => self.write(&failure.reply(id.as_ref())),
            // A notification is owed nothing.
            (None, true) => {}
            // An answer of the client's: the server waits for one.
            (Some(_), false) => {
                let body = failure.reply(id.as_ref());
                if let Ok(text) = std::str::from_utf8(&body)
                    && let Ok(message) = message::peek(text)
                {
                    self.on_message(body.clone(), &message, None);
                }
            }
        }
    }
}

/// Where the one with this id stands: with the same bytes, or else of the same value.
fn place<T>(asked: &[T], id: &str, of: impl Fn(&T) -> &Bytes) -> Option<usize> {
    let exact = asked.iter().position(|it| of(it) == id.as_bytes());
    exact.or_else(|| asked.iter().position(|it| Id::new(of(it).clone()).means(id)))
}
