//! What the server answers: heads, bodies and ends of exchanges, and what they make of them.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::LOCATION;

use crate::bridge::Bridge;
use crate::exchange::{Exchange, Role, Stage, Whole};
use crate::failing::wrong_reply;
use crate::frame::{Frame, Framer};
use crate::headers::{self, Media};
use crate::outgoing::What;
use crate::reply::{Failure, Kind, Quoted};
use crate::seam::{ExchangeId, Fault, FaultKind, Head};
use crate::sse::Decoder;

/// How long a stream whose reply is in may stay open. Servers end it at once; the moment lets the
/// connection be used again.
const LINGER: Duration = Duration::from_secs(1);

/// How long the listener may take to bring the reply to a request that was answered by 202.
const ELSEWHERE_PATIENCE: Duration = Duration::from_secs(5);

/// How long nothing is sent after a connection broke under a request. A process that is being torn
/// down still accepts connections for some milliseconds, and what is sent on them is lost without
/// anybody knowing whether it ran.
const BREATH: Duration = Duration::from_millis(250);

/// How often one request is redirected (RFC 9110 leaves it open; browsers allow 20, curl 30: an
/// endpoint that needs more than five is a loop).
const MOST_REDIRECTS: u32 = 5;

impl Bridge {
    pub(crate) fn on_sent(&mut self, id: ExchangeId) {
        if let Some(exchange) = self.exchanges.get_mut(&id.number)
            && exchange.attempt == id.attempt
        {
            exchange.sent = true;
        }
    }

    pub(crate) fn on_head(&mut self, id: ExchangeId, head: Head) {
        let Some(mut exchange) = self.take(id) else { return };
        let number = id.number;
        exchange.sent = true;
        // That a stream may be gone on with is no word of the request yet.
        if exchange.deadline.is_some() && exchange.owes() && exchange.resume.last_id.is_none() {
            exchange.deadline = Some(self.now + exchange.patience(&self.config));
        }
        if head.status.is_success() {
            self.lane.let_go(number);
        }
        self.keep_cookies(&exchange, &head.headers);
        if matches!(exchange.role, Role::Farewell(_)) && !is_redirect(head.status) {
            // Whatever it says ("405 Method Not Allowed" is permitted): the session is over.
            self.abort(number, &mut exchange);
            self.release(number, &mut exchange);
        } else if head.status.is_success() {
            self.on_success(number, exchange, head);
        } else if is_redirect(head.status) && head.headers.contains_key(LOCATION) {
            self.on_redirect(number, exchange, &head);
        } else {
            exchange.stage = Stage::Whole(Whole::new(head.status, head.headers));
            self.put(number, exchange);
        }
    }

    fn on_success(&mut self, number: u64, mut exchange: Box<Exchange>, head: Head) {
        let media = headers::media(&head.headers);
        let limit = self.config.max_message;
        exchange.tries.unmet = 0;
        exchange.tries.unsent = 0;
        exchange.away_since = None;
        let is_initialize = match &exchange.role {
            Role::Reopen(_) => true,
            Role::Client(outgoing) => outgoing.what == What::Initialize,
            _ => false,
        };
        if is_initialize {
            let Ok(given) = headers::session_id(&head.headers) else {
                let failure = Failure::new(
                    Kind::Session,
                    "the server's Mcp-Session-Id has characters that no session id may have; \
                     the server has to be mended",
                );
                self.abort(number, &mut exchange);
                return self.fail(number, exchange, failure);
            };
            exchange.given = given;
        }
        let empty = matches!(head.status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT);
        match &exchange.role {
            Role::Announce(_) => {
                self.on_announced();
                self.restore();
                return self.linger(number, exchange);
            }
            Role::Listener if media != Media::Events || empty => {
                self.abort(number, &mut exchange);
                return self.on_no_listener(number, exchange);
            }
            Role::Stream if media != Media::Events || empty => {
                self.abort(number, &mut exchange);
                let failure =
                    Failure::new(Kind::NoReply, "the server has no event stream at this URL");
                return self.fail(number, exchange, failure);
            }
            // That of a session that is gone meanwhile says nothing of the new one.
            Role::Client(outgoing)
                if outgoing.what == What::Initialized
                    && exchange.session.is_none_or(|of| of == self.session.generation()) =>
            {
                self.on_announced();
            }
            _ => {}
        }
        exchange.stage = match media {
            _ if empty => return self.on_accepted(number, exchange),
            Media::Events => Stage::Events(Decoder::new(limit)),
            Media::Lines => Stage::Lines(Framer::new(limit)),
            Media::Whole => Stage::Whole(Whole::new(head.status, head.headers)),
        };
        let waited_for = exchange.owes()
            || matches!(
                exchange.role,
                Role::Listener | Role::Stream | Role::Reopen(_) | Role::Refresh(..)
            );
        if waited_for {
            self.put(number, exchange);
        } else {
            self.linger(number, exchange);
        }
    }

    /// 202 or 204: enough for a notification. The reply to a request may come by the listener.
    fn on_accepted(&mut self, number: u64, mut exchange: Box<Exchange>) {
        if !exchange.owes() && !matches!(exchange.role, Role::Reopen(_) | Role::Refresh(..)) {
            return self.linger(number, exchange);
        }
        if self.is_http_sse() && !exchange.is_modern() {
            if self.is_stale(&exchange) {
                return self.lose_with_stream(number, exchange);
            }
            // Every reply comes by the stream.
            exchange.stage = Stage::Elsewhere;
            exchange.deadline = Some(self.now + exchange.patience(&self.config));
            return self.put(number, exchange);
        }
        if !exchange.is_modern() && self.listener.is_some() {
            exchange.stage = Stage::Elsewhere;
            exchange.deadline = Some(self.now + ELSEWHERE_PATIENCE);
            return self.put(number, exchange);
        }
        self.fail_accepted(number, exchange);
    }

    fn on_redirect(&mut self, number: u64, mut exchange: Box<Exchange>, head: &Head) {
        self.abort(number, &mut exchange);
        if exchange.settled {
            return self.release(number, &mut exchange);
        }
        let location =
            head.headers.get(LOCATION).map(http::HeaderValue::as_bytes).unwrap_or_default();
        let target =
            std::str::from_utf8(location).ok().and_then(|text| exchange.url.join(text).ok());
        exchange.tries.redirects += 1;
        let message = match target {
            Some(target) if target.origin() == self.config.url.origin() => {
                if exchange.tries.redirects <= MOST_REDIRECTS {
                    exchange.url = target;
                    exchange.stage = Stage::Waiting(self.now);
                    self.put(number, exchange);
                    return self.start(number);
                }
                format!(
                    "the server redirects in circles, at last to {}",
                    Quoted(without_query(location))
                )
            }
            _ => format!(
                "the server redirects to {}, another origin, where no credential may go; \
                 give that URL to mcp-ferry if it is meant",
                Quoted(without_query(location))
            ),
        };
        let failure = Failure {
            http_status: Some(head.status.as_u16()),
            ..Failure::new(Kind::Redirect, message)
        };
        self.fail(number, exchange, failure);
    }

    pub(crate) fn on_chunk(&mut self, id: ExchangeId, piece: Bytes) {
        let Some(mut exchange) = self.take(id) else { return };
        let number = id.number;
        let timeout = self.now + exchange.patience(&self.config);
        let mut heard = true;
        let fits = match std::mem::replace(&mut exchange.stage, Stage::Asked) {
            Stage::Whole(mut whole) => {
                whole.push(piece);
                let fits = whole.len() <= self.config.max_message;
                exchange.stage = Stage::Whole(whole);
                fits
            }
            Stage::Events(mut decoder) => {
                decoder.push(&piece);
                heard = false;
                let fits = self.drain_events(number, &mut exchange, &mut decoder, &mut heard);
                exchange.stage = Stage::Events(decoder);
                fits
            }
            Stage::Lines(mut framer) => {
                framer.buffer().extend_from_slice(&piece);
                let mut fits = true;
                while let Some(frame) = framer.next_frame() {
                    match frame {
                        Frame::Line(line) => self.deliver(number, &mut exchange, &line),
                        Frame::TooLong(_) => fits = false,
                    }
                }
                exchange.stage = Stage::Lines(framer);
                fits
            }
            Stage::Linger(Some(mut decoder)) => {
                decoder.push(&piece);
                let fits = self.drain_events(number, &mut exchange, &mut decoder, &mut heard);
                exchange.stage = Stage::Linger(fits.then_some(decoder));
                true
            }
            other => {
                exchange.stage = other;
                true
            }
        };
        if !fits {
            self.abort(number, &mut exchange);
            return self.on_too_large(number, exchange);
        }
        if matches!(exchange.role, Role::Stream | Role::Reopen(_))
            && let Some(refusal) = exchange.refusal.take()
        {
            self.abort(number, &mut exchange);
            return self.fail(number, exchange, refusal.failure);
        }
        let has_own_time = exchange.settled || matches!(exchange.stage, Stage::Elsewhere);
        if heard && exchange.deadline.is_some() && !has_own_time {
            exchange.deadline = Some(timeout);
        }
        self.put_or_linger(number, exchange);
    }

    /// Delivers every complete event; false if one is over the limit.
    fn drain_events(
        &mut self,
        number: u64,
        exchange: &mut Exchange,
        decoder: &mut Decoder,
        heard: &mut bool,
    ) -> bool {
        loop {
            match decoder.next_event() {
                Ok(Some(event)) => {
                    *heard = true;
                    match event.kind {
                        crate::sse::Kind::Message => self.deliver(number, exchange, &event.data),
                        crate::sse::Kind::Endpoint if matches!(exchange.role, Role::Stream) => {
                            self.on_endpoint(exchange, &event.data);
                        }
                        _ => {}
                    }
                }
                Ok(None) => break,
                Err(crate::sse::TooLarge) => return false,
            }
        }
        // A comment that keeps the connection alive is silence; a large event on its way is not.
        *heard |= decoder.held() > 4096;
        if let Some(last) = decoder.last_id()
            && exchange.resume.last_id.as_ref() != Some(last)
        {
            exchange.resume.last_id = Some(last.clone());
            exchange.tries.resumes = 0;
        }
        exchange.resume.retry = decoder.retry().or(exchange.resume.retry);
        true
    }

    /// Back into the map; or, if its last answer was just delivered, towards its end.
    fn put_or_linger(&mut self, number: u64, exchange: Box<Exchange>) {
        let answered = exchange.outgoing().is_some_and(|outgoing| outgoing.owed.is_empty());
        if answered && matches!(exchange.stage, Stage::Events(_) | Stage::Lines(_)) {
            self.linger(number, exchange);
        } else {
            self.put(number, exchange);
        }
    }

    /// Nothing is owed any more: its place is free, and its stream may end by itself for a moment.
    pub(crate) fn linger(&mut self, number: u64, mut exchange: Box<Exchange>) {
        if std::mem::take(&mut exchange.slot) {
            self.slots -= 1;
        }
        exchange.settled = true;
        exchange.stage = match exchange.stage {
            // A cancelled request whose answer has not begun: its head is still to come.
            Stage::Asked if !exchange.sent => Stage::Asked,
            // A refusal may yet say that the session is gone.
            Stage::Whole(whole) if !whole.status.is_success() => Stage::Whole(whole),
            Stage::Events(decoder) | Stage::Linger(Some(decoder)) => Stage::Linger(Some(decoder)),
            _ => Stage::Linger(None),
        };
        if !exchange.on_wire {
            return self.release(number, &mut exchange);
        }
        if let Some(outgoing) = exchange.outgoing_mut() {
            outgoing.weight = None;
        }
        exchange.deadline = Some(self.now + LINGER);
        self.put(number, exchange);
    }

    pub(crate) fn on_finished(&mut self, id: ExchangeId, outcome: Result<(), Fault>) {
        let Some(mut exchange) = self.take(id) else { return };
        let number = id.number;
        exchange.on_wire = false;
        let is_cut = matches!(&outcome, Err(fault) if fault.kind == FaultKind::Cut);
        if is_cut && matches!(exchange.role, Role::Client(_)) {
            self.quiet_until = self.quiet_until.max(Some(self.now + BREATH));
        }
        match std::mem::replace(&mut exchange.stage, Stage::Linger(None)) {
            Stage::Elsewhere => {
                exchange.stage = Stage::Elsewhere;
                self.put(number, exchange);
            }
            Stage::Linger(_) => self.release(number, &mut exchange),
            Stage::Whole(whole) if outcome.is_ok() => self.on_whole(number, exchange, whole),
            Stage::Events(mut decoder) => {
                // "a\r" at the very end of a stream is a complete line.
                let mut heard = false;
                self.drain_events(number, &mut exchange, &mut decoder, &mut heard);
                self.on_stream_end(number, exchange, outcome);
            }
            Stage::Lines(mut framer) => {
                if let (Ok(()), Some(Frame::Line(line))) = (&outcome, framer.finish()) {
                    self.deliver(number, &mut exchange, &line);
                }
                self.on_stream_end(number, exchange, outcome);
            }
            stage => {
                exchange.sent |= !matches!(stage, Stage::Asked);
                let ended = Fault {
                    kind: FaultKind::Cut,
                    detail: "the server closed the connection".into(),
                };
                self.on_fault(number, exchange, &outcome.err().unwrap_or(ended));
            }
        }
    }

    /// A body is complete.
    fn on_whole(&mut self, number: u64, mut exchange: Box<Exchange>, whole: Whole) {
        let (status, headers) = (whole.status, whole.headers.clone());
        let body = whole.into_body();
        if !status.is_success() {
            return self.on_refusal(number, exchange, status, &headers, &body);
        }
        self.deliver(number, &mut exchange, &body);
        if exchange.owes() || matches!(exchange.role, Role::Reopen(_) | Role::Refresh(..)) {
            if self.is_http_sse() {
                // Some old servers acknowledge with a 200 and a word.
                return self.on_accepted(number, exchange);
            }
            let refusal = exchange.refusal.take().map(|refusal| refusal.failure);
            let failure = refusal.unwrap_or_else(|| wrong_reply(&body, status));
            return self.fail(number, exchange, failure);
        }
        self.release(number, &mut exchange);
    }

    /// A stream ended, in order or not. What is still owed of it may be had by a GET, by asking
    /// again, or not at all.
    fn on_stream_end(
        &mut self,
        number: u64,
        mut exchange: Box<Exchange>,
        outcome: Result<(), Fault>,
    ) {
        if matches!(exchange.role, Role::Listener) {
            return self.on_listener_end(number, exchange);
        }
        if !exchange.owes()
            && !matches!(exchange.role, Role::Reopen(_) | Role::Refresh(..) | Role::Stream)
        {
            return self.release(number, &mut exchange);
        }
        if self.resume(number, &mut exchange) {
            return self.put(number, exchange);
        }
        match outcome {
            Ok(()) => self.fail_unanswered(number, exchange, "the answer ended without a reply"),
            Err(fault) => self.on_fault(number, exchange, &fault),
        }
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 307 | 308)
}

/// A target without its query, which may hold what is nobody's business.
pub(crate) fn without_query(location: &[u8]) -> &[u8] {
    location.split(|byte| *byte == b'?').next().unwrap_or_default()
}
