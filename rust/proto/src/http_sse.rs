//! The HTTP+SSE transport of 2024-11-05: messages are `POSTed` to an endpoint that the stream of a GET
//! names first, and everything that the server says comes by that stream.
//!
//! It is found as the later revisions say ("Backwards Compatibility"): an `initialize` that is
//! answered by 400, 404 or 405 is followed by a GET that has to bring an `endpoint` event. What was
//! found is remembered.

use bytes::Bytes;
use http::StatusCode;
use url::Url;

use crate::answer::without_query;
use crate::bridge::{Bridge, Transport};
use crate::exchange::{Exchange, Refusal, Role, Stage, Wait};
use crate::message;
use crate::outgoing::What;
use crate::reply::{Failure, Kind, Quoted};
use crate::seam::{Fault, FaultKind};
use crate::session::{Phase, Step};

/// What is known of the server's transport.
#[derive(Clone, Debug, Default)]
pub(crate) enum HttpSse {
    /// Streamable HTTP, or nothing known yet.
    #[default]
    Off,
    /// HTTP+SSE; its stream is to be opened when something waits for it.
    Wanted,
    /// The GET is out.
    Opening,
    /// The stream is open, and this is where messages go.
    Open(Url),
}

impl Bridge {
    /// Whether the server is known, or told, to speak the old transport.
    pub(crate) fn is_http_sse(&self) -> bool {
        !matches!(self.http_sse, HttpSse::Off)
    }

    /// Where a message goes; `None` if it has to wait for the stream to say so.
    pub(crate) fn message_url(&mut self) -> Option<Url> {
        match &self.http_sse {
            HttpSse::Open(endpoint) => Some(endpoint.clone()),
            HttpSse::Opening => None,
            HttpSse::Wanted => {
                // Said before it is sent: sending it may end in an answer at once.
                self.http_sse = HttpSse::Opening;
                self.send(Role::Stream);
                None
            }
            HttpSse::Off => Some(self.config.url.clone()),
        }
    }

    /// Whether a refused `initialize` is sent once more, to an old server.
    pub(crate) fn probes(
        &mut self,
        exchange: &mut Exchange,
        status: StatusCode,
        body: &Bytes,
        failure: impl FnOnce(&Exchange) -> Failure,
    ) -> bool {
        let is_initialize = exchange
            .outgoing()
            .is_some_and(|outgoing| outgoing.what == What::Initialize && !outgoing.owed.is_empty());
        let may_be_old = matches!(status.as_u16(), 400 | 404 | 405) && !is_json_rpc_error(body);
        let unknown = self.config.transport == Transport::Auto && !self.is_http_sse();
        if !(is_initialize && may_be_old && unknown) {
            return false;
        }
        log::debug!(target: "mcp_ferry.session", "{status} to initialize: trying the HTTP+SSE transport of 2024-11-05");
        exchange.refusal = Some(Refusal { failure: failure(exchange), body: body.clone() });
        self.http_sse = HttpSse::Wanted;
        exchange.stage = Stage::Waiting(self.now);
        true
    }

    /// The stream says where messages go.
    pub(crate) fn on_endpoint(&mut self, exchange: &mut Exchange, data: &Bytes) {
        let target = std::str::from_utf8(data).ok().and_then(|text| exchange.url.join(text).ok());
        match target {
            Some(endpoint) if endpoint.origin() == self.config.url.origin() => {
                log::info!(target: "mcp_ferry.session", "the server speaks the HTTP+SSE transport of 2024-11-05");
                exchange.deadline = None;
                self.http_sse = HttpSse::Open(endpoint);
                self.unpark(Wait::Endpoint);
            }
            _ => {
                let message = format!(
                    "the server names {} as its endpoint, which is not of its own origin",
                    Quoted(without_query(data))
                );
                let failure = Failure::new(Kind::Redirect, message);
                exchange.refusal = Some(Refusal { failure, body: Bytes::new() });
                // It is an old server: what it said to the newer transport is not the trouble.
                for waiting in self.exchanges.values_mut() {
                    if matches!(waiting.stage, Stage::Parked(Wait::Endpoint)) {
                        waiting.refusal = None;
                    }
                }
            }
        }
    }

    /// The server does not know the stream any more, though it did not end it.
    pub(crate) fn close_stream(&mut self) {
        self.drop_exchanges(|exchange| matches!(exchange.role, Role::Stream));
        self.on_stream_lost(&Failure::new(Kind::Session, "the server does not know its stream"));
    }

    /// The stream ended, or never began. The session, which lives in it, is gone with it.
    pub(crate) fn on_stream_lost(&mut self, failure: &Failure) {
        let was_open = matches!(self.http_sse, HttpSse::Open(_));
        let remembered =
            was_open || self.config.transport == Transport::Sse || self.session.generation() > 0;
        self.http_sse = if remembered { HttpSse::Wanted } else { HttpSse::Off };
        self.fail_parked(Wait::Endpoint, failure);
        if !was_open {
            return;
        }
        let is_live = matches!(self.session.phase(), Phase::Live(_) | Phase::Announcing(_));
        // A bridge that leaves closes the stream itself.
        if is_live && !self.ending.is_leaving() {
            log::warn!(target: "mcp_ferry.session", "the server's stream broke; asking for a new session");
            let again = self.again();
            self.session.step(Step::Forgotten(again));
            self.forget_cookies();
            self.forget_asked();
            self.wants_session = true;
        }
        for number in self.numbers(|exchange| matches!(exchange.stage, Stage::Elsewhere)) {
            let Some(exchange) = self.remove(number) else { continue };
            self.lose_with_stream(number, exchange);
        }
    }

    /// Whether the stream that would bring the reply to a message is gone.
    pub(crate) fn is_stale(&self, exchange: &Exchange) -> bool {
        match &self.http_sse {
            HttpSse::Open(endpoint) => exchange.tries.redirects == 0 && exchange.url != *endpoint,
            _ => true,
        }
    }

    /// A message whose reply can no longer come.
    pub(crate) fn lose_with_stream(&mut self, number: u64, mut exchange: Box<Exchange>) {
        let again = !self.ending.is_leaving()
            && exchange.outgoing().is_some_and(|outgoing| {
                outgoing.harmless && !outgoing.reopened && outgoing.what != What::Initialize
            });
        if !again {
            let detail = "the server's stream broke".to_owned();
            let failure = self.failure_of(
                &Fault { kind: FaultKind::Cut, detail },
                crate::retry::Verdict::Unknown,
            );
            return self.fail(number, exchange, failure);
        }
        self.abort(number, &mut exchange);
        self.release(number, &mut exchange);
        if let Role::Client(mut outgoing) = exchange.role {
            outgoing.reopened = true;
            self.waiting.push_back(outgoing);
        }
    }
}

fn is_json_rpc_error(body: &[u8]) -> bool {
    let text = std::str::from_utf8(body).unwrap_or_default();
    message::peek(text).is_ok_and(|message| message.is_error)
}
