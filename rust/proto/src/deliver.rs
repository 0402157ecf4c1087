//! From the server to the client: each message to stdout, each answer to whom it is owed.

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::bridge::Bridge;
use crate::exchange::{Exchange, Refusal, Role};
use crate::headers::SessionHeaders;
use crate::message::{self, Message, Shape};
use crate::outgoing::{Outgoing, Owed, What};
use crate::reply::{Failure, Kind, Quoted};
use crate::session::{Phase, Step, version_header};

/// How many unanswered requests of the server's are kept track of. More are carried all the same;
/// only the clock of the calls behind them is not stopped.
const MOST_ASKED: usize = 1024;

impl Bridge {
    /// Delivers what the server sent as one text: a message, or an array of them.
    pub(crate) fn deliver(&mut self, number: u64, exchange: &mut Exchange, bytes: &Bytes) {
        let Ok(text) = std::str::from_utf8(bytes) else {
            return drop_message("it is not UTF-8", bytes);
        };
        if !message::is_batch(text) {
            return self.deliver_one(number, exchange, bytes, text);
        }
        let members = message::split_batch(text).unwrap_or_default();
        if answers_batch(exchange, &members) {
            if let Some(outgoing) = exchange.outgoing_mut() {
                for member in &members {
                    if let Ok(Message { shape: Shape::Response(Some(id)), .. }) =
                        message::peek(member)
                    {
                        outgoing.owed.take(id);
                    }
                }
            }
            return self.write(bytes);
        }
        for member in members {
            self.deliver_one(number, exchange, &message::shared(bytes, member.as_bytes()), member);
        }
    }

    fn deliver_one(&mut self, number: u64, exchange: &mut Exchange, bytes: &Bytes, text: &str) {
        let Ok(message) = message::peek(text) else {
            return drop_message("it is not a JSON-RPC message", bytes);
        };
        match message.shape {
            Shape::Request(_) if exchange.is_modern() => {
                // "The server MUST NOT send independent JSON-RPC requests" (2026-07-28): the client
                // has no way to answer one.
                drop_message("a modern server may not ask", bytes);
            }
            Shape::Request(id) => {
                if self.asked.len() < MOST_ASKED {
                    self.asked.push((Bytes::copy_from_slice(id.as_bytes()), number));
                    exchange.asked += 1;
                }
                self.write(bytes);
            }
            Shape::Notification => {
                if message.method == "notifications/cancelled"
                    && let Some(id) = message.params.request_id
                {
                    self.on_taken_back(number, exchange, id.get());
                }
                self.on_progress(&message);
                self.write(bytes);
            }
            Shape::Response(id) => self.deliver_answer(exchange, bytes, text, id, message.is_error),
        }
    }

    fn deliver_answer(
        &mut self,
        exchange: &mut Exchange,
        bytes: &Bytes,
        text: &str,
        id: Option<&str>,
        is_error: bool,
    ) {
        let given = exchange.given.clone();
        let outgoing = match &mut exchange.role {
            Role::Client(outgoing) => outgoing,
            // An answer under another id is none; an error may bear an invented one.
            Role::Reopen(body) | Role::Refresh(Outgoing { body, .. }, _)
                if !is_error && !id.is_some_and(|id| is_own(body, id)) =>
            {
                return drop_message("nobody asked for it", bytes);
            }
            Role::Reopen(_) => return self.on_reopen_answer(exchange, text, is_error),
            Role::Listener | Role::Stream => {
                let settled = id.is_some_and(|id| self.settle_elsewhere(id, bytes, text));
                if !settled {
                    drop_message("nobody asked for it", bytes);
                }
                return;
            }
            Role::Refresh(..) => return self.on_fresh_tools(exchange, text, is_error),
            Role::Own(_) | Role::Announce(_) | Role::Farewell(_) => return,
        };
        let mut own = id.and_then(|id| outgoing.owed.take(id));
        if own.is_none() {
            if id.is_some_and(|id| self.settle_elsewhere(id, bytes, text)) {
                return;
            }
            // An error that bears an invented id, or none, is still this request's error.
            own = if is_error { outgoing.owed.take_only() } else { None };
        }
        let Some(own) = own else {
            return drop_message("nobody asked for it", bytes);
        };
        if outgoing.what == What::Initialize {
            let step = match (is_error, message::result(text)) {
                (false, Some(result)) => Step::InitializeAnswered(negotiated(given, result)),
                _ => Step::InitializeFailed,
            };
            self.session.step(step);
        }
        let lists_tools = outgoing.modern.as_ref().is_some_and(|it| it.method == "tools/list");
        let exact = id.is_some_and(|id| id.as_bytes() == own.as_bytes());
        let answer = if exact { bytes.clone() } else { message::readdressed(text, id, &own) };
        let shown = if lists_tools {
            std::str::from_utf8(&answer).ok().and_then(|text| self.learn_tools(text))
        } else {
            None
        };
        self.write(shown.as_ref().unwrap_or(&answer));
    }

    /// Delivers an answer that came by the listener, or by another request's stream, to the exchange
    /// that owes it. Some servers answer 202 and reply on the listener; old ones always do.
    fn settle_elsewhere(&mut self, id: &str, bytes: &Bytes, text: &str) -> bool {
        // What has never left is nothing that a server can answer.
        let asked = || self.exchanges.iter().filter(|(_, exchange)| exchange.attempt > 0);
        let exact = |exchange: &Exchange| match &exchange.role {
            Role::Client(outgoing) => outgoing.owed.has_exactly(id),
            Role::Reopen(body) => is_own(body, id),
            _ => false,
        };
        let similar =
            |exchange: &Exchange| exchange.outgoing().is_some_and(|outgoing| outgoing.owed.has(id));
        let found = asked().find(|(_, exchange)| exact(exchange));
        let found = found.or_else(|| asked().find(|(_, exchange)| similar(exchange)));
        let Some((&number, _)) = found else { return false };
        let Some(mut debtor) = self.remove(number) else { return false };
        let is_error = message::peek(text).is_ok_and(|message| message.is_error);
        self.deliver_answer(&mut debtor, bytes, text, Some(id), is_error);
        if debtor.owes() || matches!(debtor.role, Role::Reopen(_)) {
            self.put(number, debtor);
        } else {
            self.linger(number, debtor);
        }
        true
    }

    /// Delivers the JSON-RPC error in the body of a refusal, whatever id it bears, to every request
    /// of the exchange, under its own.
    pub(crate) fn deliver_error(&mut self, exchange: &mut Exchange, body: &Bytes) {
        let Ok(text) = std::str::from_utf8(body) else { return };
        let Ok(Message { shape: Shape::Response(id), is_error: true, .. }) = message::peek(text)
        else {
            return;
        };
        let Some(outgoing) = exchange.outgoing_mut() else { return };
        for own in outgoing.owed.take_all() {
            self.write(&message::readdressed(text, id, &own));
        }
    }

    /// Progress that comes by the listener restarts the clock of the call it belongs to.
    fn on_progress(&mut self, message: &Message<'_>) {
        let Some(token) = message.params.progress_token else { return };
        let of = |exchange: &Exchange| {
            let wanted = exchange.outgoing().and_then(|outgoing| outgoing.progress_token.as_ref());
            wanted.is_some_and(|wanted| wanted == token.get().as_bytes())
        };
        if let Some(number) =
            self.exchanges.iter().find_map(|(number, exchange)| of(exchange).then_some(*number))
        {
            self.restart_clock(number);
        }
    }

    fn on_reopen_answer(&mut self, exchange: &mut Exchange, text: &str, is_error: bool) {
        if !matches!(self.session.phase(), Phase::Reopening { .. }) {
            return;
        }
        if let Some(result) = message::result(text).filter(|_| !is_error) {
            let headers = negotiated(exchange.given.take(), result);
            self.on_reopened(headers, result);
            // The exchange has done its work: nothing that follows on it counts.
            exchange.role = Role::Own(Bytes::new());
            return;
        }
        let [words] = message::members(message::error(text), ["message"]);
        let words = words.and_then(message::string).unwrap_or_default();
        let words = format!("the server refused it: {}", Quoted(words.as_bytes()));
        let failure = Failure::new(Kind::Session, words);
        exchange.refusal = Some(Refusal { failure, body: Bytes::new() });
    }
}

/// Whether these are the answers to a whole batch, which then goes out as one line.
fn answers_batch(exchange: &Exchange, members: &[&str]) -> bool {
    let Some(outgoing) = exchange.outgoing() else { return false };
    let mut owed: Owed = outgoing.owed.clone();
    outgoing.what == What::Batch
        && !members.is_empty()
        && members.iter().all(|member| {
            matches!(message::peek(member), Ok(Message { shape: Shape::Response(Some(id)), .. })
                if owed.take(id).is_some_and(|own| own.as_bytes() == id.as_bytes()))
        })
}

/// Whether this is the id of a request of the ferry's own.
fn is_own(request: &[u8], id: &str) -> bool {
    let text = std::str::from_utf8(request).unwrap_or_default();
    matches!(message::peek(text), Ok(Message { shape: Shape::Request(own), .. }) if own == id)
}

/// What a result of `initialize` negotiated.
fn negotiated(given: Option<http::HeaderValue>, result: &RawValue) -> SessionHeaders {
    let [version] = message::members(Some(result), ["protocolVersion"]);
    let version = version.and_then(message::string);
    log::info!(
        target: "mcp_ferry.session",
        "session opened: version {}, {} session id",
        Quoted(version.as_deref().unwrap_or("none").as_bytes()),
        if given.is_some() { "with a" } else { "without a" },
    );
    // A version is a date; what is longer is none, and would fill every header block.
    let version = version.filter(|version| version.len() <= 64);
    SessionHeaders { id: given, version: version.and_then(|version| version_header(&version)) }
}

fn drop_message(why: &str, bytes: &Bytes) {
    // Not what it says: results are the client's own affair.
    log::warn!(target: "mcp_ferry.server", "dropped a message of {} bytes: {why}", bytes.len());
}
