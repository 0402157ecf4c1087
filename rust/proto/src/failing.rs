//! How an exchange fails: refusals, silence, answers that are none. Every request that is owed an
//! answer gets an error here, under its own id.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::bridge::Bridge;
use crate::exchange::{Exchange, Role, Stage, Wait};
use crate::headers;
use crate::message::{self, Message, Shape};
use crate::outgoing::{Outgoing, What};
use crate::reply::{Failure, Kind, Quoted};
use crate::retry::{Verdict, judge_status};
use crate::session::Step;
use crate::tools::refreshes;

impl Bridge {
    /// A status that is no success, with its body.
    pub(crate) fn on_refusal(
        &mut self,
        number: u64,
        mut exchange: Box<Exchange>,
        status: StatusCode,
        headers: &HeaderMap,
        body: &Bytes,
    ) {
        if exchange.settled {
            // Nobody waits for it, but all that follows is in the same session.
            self.forget_session_of(&exchange, status);
            return self.release(number, &mut exchange);
        }
        let is_credential = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        if is_credential && self.renews(number, &mut exchange) {
            let at_once = matches!(exchange.stage, Stage::Waiting(_));
            self.put(number, exchange);
            if at_once {
                self.start(number);
            }
            return;
        }
        if matches!(exchange.role, Role::Listener) {
            return self.on_listener_refused(number, exchange, status, headers, body);
        }
        if exchange.resume.last_id.is_some() && exchange.owes() {
            return self.on_resume_refused(number, exchange, status);
        }
        if is_session_loss(&exchange, status, body) && exchange.tries.session == 0 {
            return self.on_session_lost(number, exchange);
        }
        let verdict = judge_status(status);
        if refreshes(&mut exchange, status, body, |exchange| {
            refused(status, headers, body, exchange)
        }) {
            self.put(number, exchange);
            return self.refresh_tools(number);
        }
        if self.probes(&mut exchange, status, body, |exchange| {
            refused(status, headers, body, exchange)
        }) {
            self.put(number, exchange);
            return self.start(number);
        }
        match self.retry_later(&mut exchange, verdict, headers) {
            Some(at) => {
                exchange.stage = Stage::Waiting(at);
                return self.put(number, exchange);
            }
            None if matches!(exchange.role, Role::Client(_)) => {
                self.deliver_error(&mut exchange, body);
            }
            None => {}
        }
        let mut failure = refused(status, headers, body, &exchange);
        self.mask(&mut failure);
        self.fail(number, exchange, failure);
    }

    pub(crate) fn on_too_large(&mut self, number: u64, exchange: Box<Exchange>) {
        if matches!(exchange.role, Role::Listener) {
            log::warn!(target: "mcp_ferry.server", "a message on the listener is over --max-message-size; it is lost");
            return self.on_listener_end(number, exchange);
        }
        let limit = self.config.max_message;
        let failure = Failure {
            maybe_processed: true,
            ..Failure::new(
                Kind::TooLarge,
                format!(
                    "the server's answer is over the limit of {limit} bytes; raise --max-message-size"
                ),
            )
        };
        self.fail(number, exchange, failure);
    }

    /// Servers repeat the session id that they do not know; it goes no further.
    fn mask(&self, failure: &mut Failure) {
        if let Some(id) = self.session.headers().id
            && let Ok(id) = id.to_str()
        {
            failure.message = failure.message.replace(id, "(session id)");
        }
    }

    /// A request that was answered by 202, and whose reply did not come by another way.
    pub(crate) fn fail_accepted(&mut self, number: u64, mut exchange: Box<Exchange>) {
        self.abort(number, &mut exchange);
        let message =
            "the server accepted the request and sent no reply; it may have been processed";
        let failure = Failure { maybe_processed: true, ..Failure::new(Kind::NoReply, message) };
        self.tell_cancelled(&exchange);
        self.fail(number, exchange, failure);
    }

    /// An exchange that owes an answer and gets none, though nothing broke.
    pub(crate) fn fail_unanswered(&mut self, number: u64, exchange: Box<Exchange>, what: &str) {
        let failure = Failure {
            maybe_processed: true,
            ..Failure::new(Kind::NoReply, format!("{what}; the request may have been processed"))
        };
        self.retry_or_fail(number, exchange, Verdict::Unknown, failure);
    }

    /// Answers for a message that never went out.
    pub(crate) fn refuse_unsent(&mut self, mut outgoing: Outgoing, failure: &Failure) {
        for id in outgoing.owed.take_all() {
            self.write(&failure.reply(Some(&id)));
        }
    }

    /// Ends an exchange for good: every request that it still owes an answer gets this error.
    pub(crate) fn fail(&mut self, number: u64, mut exchange: Box<Exchange>, mut failure: Failure) {
        if exchange.settled {
            // What it was for is done; the session may have moved on since.
            return self.release(number, &mut exchange);
        }
        failure.attempts = exchange.attempt + exchange.tries.session;
        failure.maybe_processed |=
            exchange.tries.harmless > 0 || (exchange.resume.last_id.is_some() && exchange.owes());
        match &mut exchange.role {
            Role::Client(outgoing) => {
                let what = outgoing.what.clone();
                for id in outgoing.owed.take_all() {
                    log::info!(target: "mcp_ferry.exchange", "answered with an error of the ferry's own: {}", failure.message);
                    self.write(&failure.reply(Some(&id)));
                }
                match what {
                    What::Initialize => self.session.step(Step::InitializeFailed),
                    What::Initialized => {
                        log::warn!(target: "mcp_ferry.session", "notifications/initialized was not accepted: {}", failure.message);
                        self.session.step(Step::InitializedSettled);
                    }
                    What::Note | What::Cancelled(_) => {
                        log::warn!(target: "mcp_ferry.exchange", "a notification or response was lost: {}", failure.message);
                    }
                    _ => {}
                }
            }
            Role::Reopen(_) => self.on_reopen_failed(&failure),
            Role::Announce(_) => {
                log::warn!(target: "mcp_ferry.session", "the new session was not announced: {}", failure.message);
                if !self.ending.is_leaving() {
                    self.on_announced();
                    self.restore();
                }
            }
            Role::Own(_) => {
                log::warn!(target: "mcp_ferry.session", "the new session lacks something of the old: {}", failure.message);
            }
            Role::Stream => self.on_stream_lost(&failure),
            Role::Refresh(..) => {
                self.refreshing = false;
                self.fail_parked(Wait::Tools, &failure);
            }
            Role::Listener | Role::Farewell(_) => {
                log::debug!(target: "mcp_ferry.session", "{}", failure.message);
            }
        }
        self.release(number, &mut exchange);
    }

    /// The deadline of an exchange has come.
    pub(crate) fn on_deadline(&mut self, number: u64) {
        let Some(mut exchange) = self.remove(number) else { return };
        // By HTTP+SSE every reply comes another way, so that its silence is the usual one.
        let waited = matches!(exchange.stage, Stage::Elsewhere) && !self.is_http_sse();
        self.abort(number, &mut exchange);
        if waited {
            return self.fail_accepted(number, exchange);
        }
        if exchange.settled || matches!(exchange.role, Role::Farewell(_)) {
            return self.release(number, &mut exchange);
        }
        if let Some(refusal) = exchange.refusal.take() {
            self.deliver_error(&mut exchange, &refusal.body);
            return self.fail(number, exchange, refusal.failure);
        }
        let seconds = exchange.patience(&self.config).as_secs_f64();
        let failure = Failure {
            maybe_processed: exchange.sent,
            ..Failure::new(
                Kind::Timeout,
                format!(
                    "the server was silent for {seconds} s; raise --timeout if it needs longer"
                ),
            )
        };
        self.tell_cancelled(&exchange);
        self.fail(number, exchange, failure);
    }
}

/// Whether the server says that it does not know the session: by 404 (2025-03-26 and later, "Session
/// Management" 3), or by a 400 that speaks of it, as several SDKs do.
pub(crate) fn is_session_loss(exchange: &Exchange, status: StatusCode, body: &[u8]) -> bool {
    if exchange.session.is_none() {
        return false;
    }
    if status != StatusCode::BAD_REQUEST {
        return status == StatusCode::NOT_FOUND;
    }
    // An error under the request's own id is its answer, whatever it speaks of.
    let text = std::str::from_utf8(body).unwrap_or_default();
    if let Ok(Message { shape: Shape::Response(Some(id)), .. }) = message::peek(text)
        && exchange.outgoing().is_some_and(|outgoing| outgoing.owed.has(id))
    {
        return false;
    }
    let start = body.get(..body.len().min(4096)).unwrap_or(body);
    let text = String::from_utf8_lossy(start).to_ascii_lowercase();
    let phrases = [
        "session id",
        "session not found",
        "invalid session",
        "unknown session",
        "not initialized",
    ];
    phrases.iter().any(|phrase| text.contains(phrase))
}

/// The error for a whole body that holds no reply to its request.
pub(crate) fn wrong_reply(body: &[u8], status: StatusCode) -> Failure {
    let (kind, message) = if body.trim_ascii().is_empty() {
        (Kind::NoReply, "the server's answer was empty".to_owned())
    } else {
        (
            Kind::WrongReply,
            format!("the server's answer is no reply to this request: {}", Quoted(body)),
        )
    };
    Failure {
        http_status: Some(status.as_u16()),
        maybe_processed: true,
        ..Failure::new(kind, message)
    }
}

/// Whether a server that answers so may have processed the request: it gave up in the middle, or
/// somebody on the way gave up on it.
fn may_have_run(status: StatusCode, headers: &HeaderMap) -> bool {
    let come_again = headers::retry_after(headers).is_some();
    match status {
        StatusCode::REQUEST_TIMEOUT => true,
        StatusCode::SERVICE_UNAVAILABLE => !come_again,
        _ => status.is_server_error(),
    }
}

/// The error for a status that is no success.
fn refused(status: StatusCode, headers: &HeaderMap, body: &[u8], exchange: &Exchange) -> Failure {
    let said =
        if body.trim_ascii().is_empty() { String::new() } else { format!(": {}", Quoted(body)) };
    let (kind, message) = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let wants = headers::challenge(headers)
                .map(|it| format!(" (it asks for {})", Quoted(it.as_bytes())));
            let wants = wants.unwrap_or_default();
            let advice = if status == StatusCode::UNAUTHORIZED {
                "give a valid credential with MCP_FERRY_AUTH, a header or a token file"
            } else {
                "this credential may not do that"
            };
            (Kind::Unauthorized, format!("the server answered {status}{wants}; {advice}{said}"))
        }
        StatusCode::NOT_FOUND if exchange.session.is_none() => (
            Kind::HttpStatus,
            format!("the server answered {status}; check the path of the URL{said}"),
        ),
        _ => (Kind::HttpStatus, format!("the server answered {status}{said}")),
    };
    Failure {
        http_status: Some(status.as_u16()),
        maybe_processed: may_have_run(status, headers),
        ..Failure::new(kind, message)
    }
}
