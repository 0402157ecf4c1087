//! One exchange: a request to the server, and whatever its answer brings.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use url::Url;

use crate::annotations::Annotations;
use crate::bridge::Config;
use crate::frame::Framer;
use crate::headers::{self, SessionHeaders};
use crate::outgoing::{Outgoing, What};
use crate::reply::Failure;
use crate::seam::Request;
use crate::sse::Decoder;

/// The most that is set aside at once because a server announced a length. A body that really is
/// larger grows as it comes.
const MOST_SET_ASIDE: usize = 32 * 1024 * 1024;

/// One request and its answer, over all attempts.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "four answers to four questions")]
pub struct Exchange {
    /// What it is for.
    pub role: Role,
    /// How far it has come.
    pub stage: Stage,
    /// The attempt that is under way, or was the last.
    pub attempt: u32,
    /// Where it goes, which a redirect may have changed.
    pub url: Url,
    /// The session it was sent in, by its generation; `None` if it bore no session id.
    pub session: Option<u32>,
    /// The session id that the answer to `initialize` came with; it counts if that is a success.
    pub given: Option<HeaderValue>,
    /// Whether its attempt has begun and not ended: there is a connection or stream to close.
    pub on_wire: bool,
    /// Whether the last byte of its request has left.
    pub sent: bool,
    /// Whether nothing is wanted of it any more: its answers came, or were cancelled.
    pub settled: bool,
    /// Whether it takes one of the places of `concurrency`.
    pub slot: bool,
    /// The token it was sent with, by its generation.
    pub token: u32,
    /// Why it is of no use: what it was refused with before the other transport was tried, or what
    /// is wrong with the stream of that transport.
    pub refusal: Option<Refusal>,
    /// How often what happened to it.
    pub tries: Tries,
    /// When it was first sent.
    pub since: Instant,
    /// When the server was first out of reach, in a row.
    pub away_since: Option<Instant>,
    /// When its stage has lasted too long.
    pub deadline: Option<Instant>,
    /// How many of the server's own requests on its stream the client has yet to answer.
    pub asked: u32,
    /// Where its stream goes on if it is cut: the id of the last event, and the pause asked for.
    pub resume: Resume,
}

/// Where a stream goes on.
#[derive(Clone, Debug, Default)]
pub struct Resume {
    /// The id of the last complete event.
    pub last_id: Option<Bytes>,
    /// The pause that the server asks for, in milliseconds.
    pub retry: Option<u64>,
}

/// What an exchange is for.
#[derive(Debug)]
pub enum Role {
    /// It carries a message of the client's.
    Client(Outgoing),
    /// The ferry's own `initialize`.
    Reopen(Bytes),
    /// The ferry's own message, whose answer nobody sees.
    Own(Bytes),
    /// The ferry's own `notifications/initialized`.
    Announce(Bytes),
    /// The ferry's own `tools/list`, for the sake of what the tools are now; which page of it.
    Refresh(Outgoing, u32),
    /// The GET stream of the session.
    Listener,
    /// The GET stream of the HTTP+SSE transport.
    Stream,
    /// The DELETE that ends this session; the last one if the bridge is ending.
    Farewell(SessionHeaders),
}

/// How far an exchange has come.
#[derive(Debug)]
pub enum Stage {
    /// Not on the wire: it is sent, again or at last, at this instant.
    Waiting(Instant),
    /// Not on the wire: it is sent when this is there.
    Parked(Wait),
    /// On the wire; no answer yet.
    Asked,
    /// The body is collected, to be judged when it is whole.
    Whole(Whole),
    /// The body is an event stream.
    Events(Decoder),
    /// The body is a message a line.
    Lines(Framer),
    /// The server took it and answers on the listener.
    Elsewhere,
    /// Nothing is owed any more; what comes yet is read for a moment, so that the connection can be
    /// used again. Messages on a stream still count.
    Linger(Option<Decoder>),
}

/// A refusal that is told if what is tried about it fails too.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// What the client is told.
    pub failure: Failure,
    /// What the server said, which goes before it if it is a JSON-RPC error.
    pub body: Bytes,
}

/// What an exchange may wait for, other than the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// A credential.
    Token,
    /// The endpoint of the HTTP+SSE transport.
    Endpoint,
    /// A fresh list of the server's tools.
    Tools,
    /// A session: it was lost while the exchange waited to be sent again.
    Session,
}

/// A body that is collected.
#[derive(Debug)]
pub struct Whole {
    /// The status it came with.
    pub status: StatusCode,
    /// The headers it came with.
    pub headers: HeaderMap,
    body: Collected,
}

#[derive(Debug)]
enum Collected {
    /// Nothing yet, or all of it in one piece: by far the usual case.
    One(Bytes),
    Many(BytesMut),
}

/// How often what happened to an exchange, each of which has its bound.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tries {
    /// It could not be sent.
    pub unsent: u32,
    /// It may have run, and was harmless.
    pub harmless: u32,
    /// The server asked to come again later.
    pub refused: u32,
    /// The server did not know the session.
    pub session: u32,
    /// The server wanted another credential.
    pub token: u32,
    /// The server found its headers and its body to differ.
    pub headers: u32,
    /// It was redirected.
    pub redirects: u32,
    /// Its stream was cut and brought nothing new since.
    pub resumes: u32,
    /// A GET that should have gone on with it found nobody, in a row.
    pub unmet: u32,
}

impl Exchange {
    /// How many bytes of an unfinished message it holds.
    #[must_use]
    pub fn held(&self) -> usize {
        match &self.stage {
            Stage::Whole(whole) => whole.len(),
            Stage::Events(decoder) | Stage::Linger(Some(decoder)) => decoder.held(),
            Stage::Lines(framer) => framer.held(),
            _ => 0,
        }
    }

    /// What it asks the server now, with the user's `own` headers.
    #[must_use]
    pub fn request(
        &self,
        own: &HeaderMap,
        session: &SessionHeaders,
        annotations: &Annotations,
    ) -> Request {
        let fresh = SessionHeaders::default();
        let session = if self.is_in_session() { session } else { &fresh };
        let last_event = self.resume.last_id.as_ref();
        let (method, mut headers) = match &self.role {
            Role::Client(Outgoing { modern: Some(modern), body, .. })
            | Role::Refresh(Outgoing { modern: Some(modern), body, .. }, _) => {
                let name = modern.name.as_deref();
                let mut headers = headers::modern_post(own, &modern.version, &modern.method, name);
                if let ("tools/call", Some(tool)) = (modern.method.as_str(), name) {
                    let text = std::str::from_utf8(body).unwrap_or_default();
                    annotations.mirror(tool, text, &mut headers);
                }
                (Method::POST, headers)
            }
            Role::Stream => (Method::GET, headers::stream_get(own, session, None)),
            Role::Listener => (Method::GET, headers::stream_get(own, session, last_event)),
            Role::Client(_) | Role::Refresh(..) if last_event.is_some() => {
                (Method::GET, headers::stream_get(own, session, last_event))
            }
            Role::Farewell(ended) => (Method::DELETE, headers::session_delete(own, ended)),
            Role::Client(_)
            | Role::Refresh(..)
            | Role::Reopen(_)
            | Role::Own(_)
            | Role::Announce(_) => (Method::POST, headers::legacy_post(own, session)),
        };
        if let Some(terms) = self.outgoing().and_then(|outgoing| outgoing.terms.as_ref()) {
            for (name, value) in &terms.headers {
                headers.insert(name.clone(), value.clone());
            }
        }
        let body = match &self.role {
            _ if method != Method::POST => Bytes::new(),
            Role::Client(outgoing) | Role::Refresh(outgoing, _) => outgoing.body.clone(),
            Role::Reopen(body) | Role::Own(body) | Role::Announce(body) => body.clone(),
            Role::Listener | Role::Stream | Role::Farewell(_) => Bytes::new(),
        };
        Request { method, url: self.url.clone(), headers, body }
    }

    /// Whether its request is one of the session's.
    #[must_use]
    pub fn is_in_session(&self) -> bool {
        match &self.role {
            Role::Client(outgoing) | Role::Refresh(outgoing, _) => {
                let opens = outgoing.what == What::Initialize && self.resume.last_id.is_none();
                outgoing.modern.is_none() && !opens
            }
            Role::Reopen(_) | Role::Stream => false,
            Role::Own(_) | Role::Announce(_) | Role::Listener | Role::Farewell(_) => true,
        }
    }

    /// The client's message, if it carries one.
    #[must_use]
    pub fn outgoing(&self) -> Option<&Outgoing> {
        if let Role::Client(outgoing) = &self.role { Some(outgoing) } else { None }
    }

    /// Likewise.
    pub fn outgoing_mut(&mut self) -> Option<&mut Outgoing> {
        if let Role::Client(outgoing) = &mut self.role { Some(outgoing) } else { None }
    }

    /// Whether the client is owed an answer of it.
    #[must_use]
    pub fn owes(&self) -> bool {
        self.outgoing().is_some_and(|outgoing| !outgoing.owed.is_empty())
    }

    /// How long the server may be silent about it.
    #[must_use]
    pub fn patience(&self, config: &Config) -> Duration {
        let terms = self.outgoing().and_then(|outgoing| outgoing.terms.as_ref());
        terms.and_then(|terms| terms.response_timeout).unwrap_or(config.response_timeout)
    }

    /// Whether its message is a modern one.
    #[must_use]
    pub fn is_modern(&self) -> bool {
        match &self.role {
            Role::Client(outgoing) | Role::Refresh(outgoing, _) => outgoing.modern.is_some(),
            _ => false,
        }
    }

    /// Whether the server may have seen it.
    #[must_use]
    pub fn left(&self) -> bool {
        self.sent || !matches!(self.stage, Stage::Waiting(_) | Stage::Parked(_) | Stage::Asked)
    }
}

impl Whole {
    /// A body of which nothing has come yet.
    #[must_use]
    pub fn new(status: StatusCode, headers: HeaderMap) -> Self {
        Self { status, headers, body: Collected::One(Bytes::new()) }
    }

    /// How much there is of it.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.body {
            Collected::One(body) => body.len(),
            Collected::Many(body) => body.len(),
        }
    }

    /// Whether there is nothing of it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a piece. One that is the whole body is kept as it is; any other is copied, because it is
    /// a slice of a read buffer that may be a hundred times as large.
    pub fn push(&mut self, piece: Bytes) {
        let announced = self.headers.get(CONTENT_LENGTH);
        let announced: Option<usize> =
            announced.and_then(|value| value.to_str().ok()?.parse().ok());
        match &mut self.body {
            Collected::Many(body) => body.extend_from_slice(&piece),
            Collected::One(body) if body.is_empty() && announced == Some(piece.len()) => {
                *body = piece;
            }
            Collected::One(first) => {
                let enough = first.len() + piece.len();
                let room = announced.unwrap_or(0).min(MOST_SET_ASIDE).max(enough);
                let mut body = BytesMut::with_capacity(room);
                body.extend_from_slice(first);
                body.extend_from_slice(&piece);
                self.body = Collected::Many(body);
            }
        }
    }

    /// The body.
    #[must_use]
    pub fn into_body(self) -> Bytes {
        match self.body {
            Collected::One(body) => body,
            Collected::Many(body) => body.freeze(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_whole_in_any_pieces_and_not_copied_in_one() {
        let one = Bytes::from_static(b"0123456789");
        for step in 1..=10 {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("10"));
            let mut whole = Whole::new(StatusCode::OK, headers);
            assert!(whole.is_empty());
            (0..10).step_by(step).for_each(|at| whole.push(one.slice(at..(at + step).min(10))));
            assert_eq!(whole.len(), 10);
            let body = whole.into_body();
            assert_eq!(body, one);
            assert_eq!(body.as_ptr() == one.as_ptr(), step == 10, "step {step}");
        }
    }
}
