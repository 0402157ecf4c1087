//! What an onlooker is told about each HTTP exchange.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Response, header};
use tokio::sync::mpsc;

use crate::headers::{PROTOCOL_VERSION, SESSION_ID};

/// How many bytes of a request body an [`Observed`] holds at most.
pub const BODY_PREFIX: usize = 2048;

/// The request headers that matter to MCP, in the order in which they are told.
const TOLD: [HeaderName; 6] = [
    SESSION_ID,
    PROTOCOL_VERSION,
    header::ACCEPT,
    header::CONTENT_TYPE,
    header::ORIGIN,
    HeaderName::from_static("last-event-id"),
];

/// Where [`Observed`] exchanges go. The receiver may be dropped at any time.
pub type Observer = mpsc::UnboundedSender<Observed>;

/// One HTTP exchange, seen from the server, as soon as the head of its response is known.
///
/// It holds the session id in full: whoever shows it to a person shortens it first.
#[derive(Clone)]
pub struct Observed {
    /// The request's method.
    pub method: Method,
    /// The request's path, without a query.
    pub path: String,
    /// The request's MCP-relevant headers: lower-case name and value.
    pub headers: Vec<(String, String)>,
    /// The first [`BODY_PREFIX`] bytes of the request's body.
    pub body: Bytes,
    /// The response's status code.
    pub status: u16,
    /// The session id that the response gave, if any.
    pub issued_session: Option<String>,
}

impl Observed {
    pub(crate) fn new<B>(request: &Parts, body: &Bytes, response: &Response<B>) -> Self {
        // A copy, because a slice would keep the whole body alive.
        let prefix = body.get(..BODY_PREFIX).unwrap_or(body);
        Self {
            method: request.method.clone(),
            path: request.uri.path().to_owned(),
            headers: told(&request.headers),
            body: Bytes::copy_from_slice(prefix),
            status: response.status().as_u16(),
            issued_session: response
                .headers()
                .get(SESSION_ID)
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
        }
    }
}

fn told(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for name in TOLD {
        for value in headers.get_all(&name) {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            pairs.push((name.as_str().to_owned(), value));
        }
    }
    pairs
}
