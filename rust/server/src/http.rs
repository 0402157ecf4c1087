//! From an HTTP request to its response: the transport's rules, in the order in which they are checked.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, ORIGIN, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use crate::headers::{EVENT_STREAM, PROTOCOL_VERSION, SESSION_ID, accepts, is_loopback, only};
use crate::observe::Observed;
use crate::post::post;
use crate::refusal::Refusal;
use crate::session::{Session, SessionId};
use crate::stream::Answer;
use crate::{ENDPOINT, Server};

/// The response to a request, or the rule that it breaks.
pub(crate) type Answered = Result<Response<Answer>, Refusal>;

/// Answers one HTTP request and tells the observer about it.
pub(crate) async fn exchange(
    server: Arc<Server>,
    request: Request<Incoming>,
) -> Result<Response<Answer>, Infallible> {
    let (parts, body) = request.into_parts();
    let (body, answered) = match read_body(body, server.settings.max_body).await {
        Ok(body) => {
            let answered = respond(&server, &parts, &body).await;
            (body, answered)
        }
        Err(refusal) => (Bytes::new(), Err(refusal)),
    };
    let response = answered.unwrap_or_else(Response::from);
    if let Some(observer) = &server.observer {
        // An observer that is gone wants to know nothing more.
        drop(observer.send(Observed::new(&parts, &body, &response)));
    }
    Ok(response)
}

/// Reads the whole body, in one allocation where its length is known. It is read even if a header
/// condemns the request already, because a connection with unread bytes cannot be used again.
async fn read_body(mut body: Incoming, limit: usize) -> Result<Bytes, Refusal> {
    let too_long = || {
        let message = format!("The body is longer than {limit} bytes");
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, message).with(CONNECTION, "close")
    };
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(too_long());
    }
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::bad("The body broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.is_empty() && data.len() == announced {
            return Ok(data);
        }
        if whole.len() + data.len() > limit {
            return Err(too_long());
        }
        whole.reserve(announced.saturating_sub(whole.len()).max(data.len()));
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

async fn respond(server: &Server, request: &Parts, body: &Bytes) -> Answered {
    if request.uri.path() != ENDPOINT {
        let message = format!("Not found: the MCP endpoint is {ENDPOINT}");
        return Err(Refusal::new(StatusCode::NOT_FOUND, message));
    }
    let headers = &request.headers;
    if headers.get_all(ORIGIN).iter().any(|origin| !is_loopback(origin)) {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "The Origin is not a loopback one"));
    }
    match request.method {
        Method::POST => post(server, headers, body).await,
        Method::GET => listen(server, headers),
        Method::DELETE => end_session(server, headers),
        _ => Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed")
            .with(ALLOW, "GET, POST, DELETE")),
    }
}

/// Opens the session's listener.
fn listen(server: &Server, headers: &HeaderMap) -> Answered {
    if !accepts(headers, EVENT_STREAM) {
        let message = format!("Not acceptable: Accept has to list {EVENT_STREAM}");
        return Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, message));
    }
    let (_, session) = find_session(server, headers)?;
    let Some(messages) = session.take_listener() else {
        let message = "The session has a listener already";
        return Err(Refusal::new(StatusCode::CONFLICT, message).with(RETRY_AFTER, "1"));
    };
    Ok(typed(EVENT_STREAM, Answer::listener(session, messages)))
}

fn end_session(server: &Server, headers: &HeaderMap) -> Answered {
    let (id, _) = find_session(server, headers)?;
    server.sessions.close(id);
    Ok(Response::new(Answer::default()))
}

/// The session that the headers name, under the version that it negotiated.
pub(crate) fn find_session(
    server: &Server,
    headers: &HeaderMap,
) -> Result<(SessionId, Arc<Session>), Refusal> {
    let (id, session) = named_session(server, headers)?;
    let negotiated = session.version();
    match only(headers, &PROTOCOL_VERSION)? {
        Some(version) if version.as_bytes() == negotiated.as_str().as_bytes() => Ok((id, session)),
        None if !negotiated.demands_header() => Ok((id, session)),
        _ => {
            let version = negotiated.as_str();
            Err(Refusal::bad(format!("Bad Request: MCP-Protocol-Version has to be {version}")))
        }
    }
}

/// The session that the headers name.
pub(crate) fn named_session(
    server: &Server,
    headers: &HeaderMap,
) -> Result<(SessionId, Arc<Session>), Refusal> {
    let value = only(headers, &SESSION_ID)?
        .ok_or_else(|| Refusal::bad("Bad Request: the Mcp-Session-Id header is required"))?;
    let id = SessionId::read(value).ok_or_else(Refusal::unknown_session)?;
    let session = server.sessions.find(id).ok_or_else(Refusal::unknown_session)?;
    Ok((id, session))
}

/// A 200 response of the given media type.
pub(crate) fn typed(media_type: &'static str, answer: Answer) -> Response<Answer> {
    let mut response = Response::new(answer);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    if media_type == EVENT_STREAM {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    }
    response
}
