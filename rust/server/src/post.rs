//! POST: messages come in, and each request gets its answer in the form that is set.

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use tokio::sync::mpsc;

use crate::headers::{EVENT_STREAM, JSON, SESSION_ID, accepts, is_media_type, only};
use crate::http::{Answered, find_session, named_session, typed};
use crate::message::{self, Fault, INVALID_REQUEST, Message, Payload, Posted};
use crate::methods::{self, Origin, Outcome};
use crate::refusal::Refusal;
use crate::session::{Session, Unopened};
use crate::stream::Answer;
use crate::tools::Outlet;
use crate::{Answers, Server};

/// Takes in what was posted.
pub(crate) async fn post(server: &Server, headers: &HeaderMap, body: &Bytes) -> Answered {
    if !(accepts(headers, JSON) && accepts(headers, EVENT_STREAM)) {
        let message = format!("Not acceptable: Accept has to list {JSON} and {EVENT_STREAM}");
        return Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, message));
    }
    let content_type = only(headers, &CONTENT_TYPE)?.map(HeaderValue::as_bytes);
    if !content_type.is_some_and(|value| is_media_type(value, JSON)) {
        let message = format!("Content-Type has to be {JSON}");
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    let posted = message::parse(body)?;
    if let Posted::One(Message::Request(request)) = &posted
        && request.method == "initialize"
    {
        return initialize(server, headers, request);
    }
    let (_, session) = find_session(server, headers)?;
    let gate = Gate { server, session: &session };
    match posted {
        Posted::One(message) => match gate.take(body, &message)? {
            None => Ok(accepted()),
            Some(outcome) => deliver(server, &session, Owed::One(outcome)).await,
        },
        Posted::Batch(_) if !session.version().has_batches() => {
            let message = "Invalid Request: the negotiated version has no batches";
            Err(Fault::new(INVALID_REQUEST, message).into())
        }
        Posted::Batch(members) => {
            let mut outcomes = Vec::new();
            for member in &members {
                match member {
                    Ok(message) => outcomes.extend(gate.take(body, message)?),
                    Err(fault) => outcomes.push(Outcome::Ready(Payload::error("null", fault))),
                }
            }
            if outcomes.is_empty() {
                return Ok(accepted());
            }
            deliver(server, &session, Owed::Batch(outcomes)).await
        }
    }
}

/// Opens a session.
fn initialize(server: &Server, headers: &HeaderMap, request: &message::Request<'_>) -> Answered {
    if headers.contains_key(SESSION_ID) {
        named_session(server, headers)?;
        let message = "Invalid Request: the session is initialized already";
        return Err(Fault::new(INVALID_REQUEST, message).into());
    }
    let (version, elicits) = match methods::greeting(request.params) {
        Ok(greeting) => greeting,
        Err(fault) => return Ok(typed(JSON, Payload::error(request.id, &fault).into())),
    };
    let session = Arc::new(Session::new(version, elicits, server.settings.pending_events));
    let id = server.sessions.open(Arc::clone(&session)).map_err(|unopened| match unopened {
        Unopened::Full => Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "Too many sessions"),
        Unopened::NoRandom => {
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "The system gave no random bytes")
        }
    })?;
    let id = HeaderValue::try_from(id.wire())
        .map_err(|_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "The session has no name"))?;
    let reply = Payload::result(request.id, &methods::welcome(version));
    let mut response = ready(server, &session, reply);
    response.headers_mut().insert(SESSION_ID, id);
    Ok(response)
}

/// Where the messages of a session come in.
#[derive(Clone, Copy)]
struct Gate<'a> {
    server: &'a Server,
    session: &'a Arc<Session>,
}

impl Gate<'_> {
    /// Takes one message in; a request comes to something.
    fn take(self, body: &Bytes, message: &Message<'_>) -> Result<Option<Outcome>, Refusal> {
        let session = self.session;
        match message {
            Message::Request(request) => {
                if self.server.settings.demand_initialized
                    && !session.is_initialized()
                    && request.method != "ping"
                {
                    return Err(Refusal::bad("Bad Request: Server not initialized"));
                }
                if request.method == "initialize" {
                    let message = "Invalid Request: initialize cannot be part of a batch";
                    return Err(Fault::new(INVALID_REQUEST, message).into());
                }
                Ok(Some(methods::answer(Origin { session, body }, request)))
            }
            Message::Notification(notification) => {
                methods::notice(session, notification);
                Ok(None)
            }
            Message::Response(response) => {
                session.answered(response);
                Ok(None)
            }
        }
    }
}

/// What a POST with requests in it is owed.
enum Owed {
    One(Outcome),
    Batch(Vec<Outcome>),
}

impl Owed {
    /// Lets the calls run, one after the other. `None` if no reply is left to send.
    async fn settle(self, outlet: &Outlet) -> Option<Payload> {
        let outcomes = match self {
            Self::One(outcome) => return outcome.reply(outlet).await,
            Self::Batch(outcomes) => outcomes,
        };
        let mut replies = Vec::with_capacity(outcomes.len());
        for outcome in outcomes {
            replies.extend(outcome.reply(outlet).await);
        }
        (!replies.is_empty()).then(|| Payload::array(&replies))
    }
}

/// The response that carries what is owed.
async fn deliver(server: &Server, session: &Arc<Session>, owed: Owed) -> Answered {
    let owed = match owed {
        Owed::One(Outcome::Ready(reply)) => return Ok(ready(server, session, reply)),
        owed => owed,
    };
    match server.settings.answers {
        Answers::Json => {
            let outbox = session.outbox().ok_or_else(Refusal::unknown_session)?;
            let reply = owed.settle(&Outlet::listener(outbox)).await;
            // HTTP wants a response even to a call that was cancelled.
            Ok(reply.map_or_else(accepted, |reply| typed(JSON, reply.into())))
        }
        Answers::Events => {
            let (messages, receiver) = mpsc::channel(server.settings.pending_events.max(1));
            tokio::spawn(async move {
                let outlet = Outlet::stream(messages);
                if let Some(reply) = owed.settle(&outlet).await {
                    outlet.send(reply).await;
                }
            });
            Ok(typed(EVENT_STREAM, Answer::stream(session, receiver)))
        }
    }
}

/// The response that carries a reply which is there already.
fn ready(server: &Server, session: &Session, reply: Payload) -> Response<Answer> {
    match server.settings.answers {
        Answers::Json => typed(JSON, reply.into()),
        Answers::Events => typed(EVENT_STREAM, Answer::event(session, reply)),
    }
}

/// The response to what wants no answer.
fn accepted() -> Response<Answer> {
    let mut response = Response::new(Answer::default());
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}
