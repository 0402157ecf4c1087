//! What the client writes: frames become messages on their way, or are answered at once.

use bytes::Bytes;

use crate::bridge::Bridge;
use crate::exchange::Stage;
use crate::frame::Frame;
use crate::message::{self, Id, Malformed, Message, Shape};
use crate::outgoing::{Lasting, Outgoing, Owed, What};
use crate::outline::Outline;
use crate::reply::{Failure, Kind};

impl Bridge {
    pub(crate) fn on_frame(&mut self, frame: Frame) {
        match frame {
            Frame::Line(line) => self.on_line(&line),
            Frame::TooLong(outline) => self.on_too_long(&outline),
        }
    }

    fn on_line(&mut self, line: &Bytes) {
        let text = match std::str::from_utf8(line) {
            Ok(text) => text,
            Err(error) => return self.refuse(&Malformed::Json(error.to_string()), line),
        };
        if message::is_batch(text) {
            return self.on_batch(line, text);
        }
        match message::peek(text) {
            Ok(message) => self.on_message(line.clone(), &message),
            Err(malformed) => self.refuse(&malformed, line),
        }
    }

    fn on_message(&mut self, body: Bytes, message: &Message<'_>) {
        if let Shape::Response(Some(id)) = message.shape {
            self.on_answer(id);
        }
        let version = message.meta().version.and_then(message::string);
        if let Some(version) = &version
            && self.modern_version.as_deref() != Some(version)
        {
            self.modern_version = Some(version.clone().into_owned());
        }
        let outgoing = match self.era(message, version.as_deref()) {
            Some(version) => Outgoing::single(body, message, Some(&version)),
            None => Outgoing::single(body, message, None),
        };
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
        if let What::Cancelled(id) = &outgoing.what
            && !self.on_cancelled(&id.clone(), &mut outgoing)
        {
            return;
        }
        self.remember(&outgoing);
        outgoing.weight = Some(self.load.weigh(outgoing.body.len()));
        if outgoing.modern.is_some() {
            self.dispatch(outgoing);
        } else {
            self.gate.push_back(outgoing);
        }
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
    fn on_batch(&mut self, line: &Bytes, text: &str) {
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
                if !modern && messages.iter().all(|message| message.meta().version.is_none()) =>
            {
                let mut ids = Vec::new();
                for message in &messages {
                    match message.shape {
                        Shape::Request(id) => ids.push(Id::within(line, id)),
                        Shape::Response(Some(id)) => self.on_answer(id),
                        _ => {}
                    }
                }
                let notes = ids.is_empty();
                let mut outgoing = Outgoing::batch(line.clone(), ids);
                if notes && !self.session.has_batches() {
                    return self.on_members(line, &members);
                }
                outgoing.weight = Some(self.load.weigh(line.len()));
                self.gate.push_back(outgoing);
            }
            _ => self.on_members(line, &members),
        }
    }

    fn on_members(&mut self, line: &Bytes, members: &[&str]) {
        for member in members {
            self.on_line(&message::shared(line, member.as_bytes()));
        }
    }

    /// Sends the members of a batch one by one, where the revision has no batches.
    pub(crate) fn dispatch_members(&mut self, batch: &Outgoing) {
        let text = std::str::from_utf8(&batch.body).unwrap_or_default();
        let still_owed = |outgoing: &Outgoing| match &outgoing.owed {
            Owed::One(id) => matches!(&batch.owed, Owed::Many(ids) if ids.contains(id)),
            _ => true,
        };
        for member in message::split_batch(text).unwrap_or_default() {
            let body = message::shared(&batch.body, member.as_bytes());
            let Ok(message) = message::peek(member) else { continue };
            let mut outgoing = Outgoing::single(body, &message, None);
            if still_owed(&outgoing) {
                outgoing.weight = Some(self.load.weigh(outgoing.body.len()));
                self.dispatch(outgoing);
            }
        }
    }

    /// The client answers something that the server asked.
    fn on_answer(&mut self, id: &str) {
        let Some(at) = self.asked.iter().position(|(asked, _)| asked == id.as_bytes()) else {
            return;
        };
        let (_, number) = self.asked.swap_remove(at);
        if let Some(exchange) = self.exchanges.get_mut(&number) {
            exchange.asked = exchange.asked.saturating_sub(1);
            self.restart_clock(number);
        }
    }

    /// The client no longer wants an answer. Whether the cancellation is to be sent.
    fn on_cancelled(&mut self, id: &Bytes, outgoing: &mut Outgoing) -> bool {
        let wanted = std::str::from_utf8(id).unwrap_or_default();
        // Not sent yet: the request and its cancellation are dropped together.
        for queue in [&mut self.gate, &mut self.waiting] {
            let single =
                |queued: &Outgoing| queued.what != What::Initialize && queued.owed.has(wanted);
            if let Some(at) = queue.iter().position(single) {
                let emptied = queue.get_mut(at).is_some_and(|queued| {
                    queued.owed.take(wanted);
                    queued.owed.is_empty()
                });
                if emptied {
                    queue.remove(at);
                }
                return false;
            }
        }
        let Some((&number, _)) = self.exchanges.iter().find(|(_, exchange)| {
            exchange
                .outgoing()
                .is_some_and(|sent| sent.owed.has(wanted) && sent.what != What::Initialize)
        }) else {
            // Answered meanwhile, or never known: in a legacy session the server may judge.
            return outgoing.modern.is_none();
        };
        let Some(mut exchange) = self.remove(number) else { return false };
        let is_modern = exchange.is_modern();
        let unsent = matches!(exchange.stage, Stage::Waiting(_)) && !exchange.sent;
        if let Some(sent) = exchange.outgoing_mut() {
            sent.owed.take(wanted);
            sent.cancelled = Some(id.clone());
        }
        if is_modern || unsent {
            // Modern: "closing the SSE response stream is the cancellation signal" (2026-07-28,
            // streamable-http, "Cancellation").
            self.abort(number, &mut exchange);
            self.release(number, &mut exchange);
            return false;
        }
        if exchange.owes() {
            self.put(number, exchange);
        } else {
            self.linger(number, exchange);
        }
        // The era of a cancellation is that of what it cancels.
        outgoing.modern = None;
        true
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
                    self.on_message(body.clone(), &message);
                }
            }
        }
    }
}
