//! Request headers by era, and what answers say in theirs.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, DATE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue};

/// `Mcp-Session-Id` (2025-03-26, basic/transports, "Session Management").
pub const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
/// `MCP-Protocol-Version` (2025-06-18, basic/transports, "Protocol Version Header").
pub const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// `Last-Event-ID` (WHATWG HTML 9.2.4).
pub const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// `Mcp-Method` (2026-07-28, streamable-http, "Standard Request Headers").
pub const METHOD: HeaderName = HeaderName::from_static("mcp-method");
/// `Mcp-Name` (likewise).
pub const NAME: HeaderName = HeaderName::from_static("mcp-name");

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
/// "The client MUST include an `Accept` header, listing both" (every revision since 2025-03-26).
const EITHER: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");

/// The headers that belong to the protocol or to HTTP's framing: a user's own may not bear these
/// names. `Mcp-Param-*` belong here too; see [`is_reserved`].
const RESERVED: [&str; 18] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether a user's header may not bear this name.
#[must_use]
pub fn is_reserved(name: &HeaderName) -> bool {
    RESERVED.contains(&name.as_str()) || name.as_str().starts_with("mcp-param-")
}

/// What a message of a legacy session bears, beside the user's own headers.
#[derive(Clone, Debug, Default)]
pub struct SessionHeaders {
    /// The id that the server gave to the session, marked sensitive.
    pub id: Option<HeaderValue>,
    /// The version that was negotiated.
    pub version: Option<HeaderValue>,
}

impl SessionHeaders {
    fn put(&self, headers: &mut HeaderMap) {
        if let Some(id) = &self.id {
            headers.insert(SESSION_ID, id.clone());
        }
        if let Some(version) = &self.version {
            headers.insert(PROTOCOL_VERSION, version.clone());
        }
    }
}

/// How many headers the protocol and the HTTP client add to the user's own, without the parameters
/// that are mirrored: so many have room at once.
const ADDED: usize = 8;

/// The user's own headers, with room for the others.
fn beginning(own: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(own.len() + ADDED);
    for (name, value) in own {
        headers.append(name, value.clone());
    }
    headers
}

/// The headers of a POST in a legacy session, or outside any.
#[must_use]
pub fn legacy_post(own: &HeaderMap, session: &SessionHeaders) -> HeaderMap {
    let mut headers = beginning(own);
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(ACCEPT, EITHER);
    session.put(&mut headers);
    headers
}

/// The headers of a GET that opens a stream: the listener, or one that goes on after `last_event`.
#[must_use]
pub fn stream_get(
    own: &HeaderMap,
    session: &SessionHeaders,
    last_event: Option<&Bytes>,
) -> HeaderMap {
    let mut headers = beginning(own);
    headers.insert(ACCEPT, EVENTS);
    session.put(&mut headers);
    if let Some(id) = last_event.and_then(|id| HeaderValue::from_bytes(id).ok()) {
        headers.insert(LAST_EVENT_ID, id);
    }
    headers
}

/// The headers of the DELETE that ends a session.
#[must_use]
pub fn session_delete(own: &HeaderMap, session: &SessionHeaders) -> HeaderMap {
    let mut headers = beginning(own);
    session.put(&mut headers);
    headers
}

/// The headers of a modern POST: its version, method, and name or URI.
#[must_use]
pub fn modern_post(own: &HeaderMap, version: &str, method: &str, name: Option<&str>) -> HeaderMap {
    let mut headers = beginning(own);
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(ACCEPT, EITHER);
    headers.insert(PROTOCOL_VERSION, encoded(version));
    headers.insert(METHOD, encoded(method));
    if let Some(name) = name {
        headers.insert(NAME, encoded(name));
    }
    headers
}

/// A value as a header can carry it (2026-07-28, streamable-http, "Value Encoding"): as it is, or
/// in the Base64 sentinel. Nothing is dropped, and nothing can inject a line.
#[must_use]
pub fn encoded(value: &str) -> HeaderValue {
    let plain = value.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
    let outer = value.starts_with([' ', '\t']) || value.ends_with([' ', '\t']);
    let sentinel = value.starts_with("=?base64?") && value.ends_with("?=");
    let text = if plain && !outer && !sentinel {
        value.to_owned()
    } else {
        format!("=?base64?{}?=", STANDARD.encode(value))
    };
    // Either form is visible ASCII, which every header value may be.
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

/// The session id of an answer to `initialize`: `Ok(None)` if there is none, `Err` if it has a
/// character outside 0x21 to 0x7E, which the specification forbids.
pub fn session_id(headers: &HeaderMap) -> Result<Option<HeaderValue>, IllegalSessionId> {
    let Some(value) = headers.get(SESSION_ID) else { return Ok(None) };
    let visible = !value.is_empty() && value.as_bytes().iter().all(u8::is_ascii_graphic);
    let mut id = value.clone();
    id.set_sensitive(true);
    if visible { Ok(Some(id)) } else { Err(IllegalSessionId) }
}

/// The server's session id has characters that a session id must not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IllegalSessionId;

/// The kinds of body that an answer may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// `text/event-stream`.
    Events,
    /// `application/x-ndjson`: a message a line.
    Lines,
    /// `application/json`, and whatever else: judged by what it holds.
    Whole,
}

/// The media type of an answer; case and parameters do not matter.
#[must_use]
pub fn media(headers: &HeaderMap) -> Media {
    let value = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if essence.eq_ignore_ascii_case(b"text/event-stream") {
        Media::Events
    } else if essence.eq_ignore_ascii_case(b"application/x-ndjson")
        || essence.eq_ignore_ascii_case(b"application/ndjson")
    {
        Media::Lines
    } else {
        Media::Whole
    }
}

/// `Retry-After` as a span (RFC 9110, 10.2.3). A date counts from the answer's own `Date`, so that
/// neither clock has to be right; without one it says nothing.
#[must_use]
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(u64::from(seconds)));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    let date = headers.get(DATE)?.to_str().ok()?;
    let now: SystemTime = httpdate::parse_http_date(date).ok()?;
    Some(until.duration_since(now).unwrap_or_default())
}

/// The scheme and the realm of the first challenge of a 401 (RFC 9110, 11.6.1), for a person.
#[must_use]
pub fn challenge(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(WWW_AUTHENTICATE)?.to_str().ok()?;
    let scheme = text.split([' ', ',']).next().filter(|scheme| !scheme.is_empty())?;
    let realm = text.to_ascii_lowercase().find("realm=").and_then(|at| text.get(at + 6..));
    Some(match realm.map(|rest| rest.trim_start_matches('"')) {
        Some(rest) => {
            let realm = rest.split(['"', ',']).next().unwrap_or_default();
            format!("{scheme}, realm \"{realm}\"")
        }
        None => scheme.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
            })
            .collect()
    }

    #[test]
    fn values_are_carried_or_encoded_never_injected() {
        for (value, expected) in [
            ("us-west1", "us-west1"),
            ("a b\tc", "a b\tc"),
            ("", ""),
            (" a", "=?base64?IGE=?="),
            ("a\r\nX: y", "=?base64?YQ0KWDogeQ==?="),
            ("caf\u{e9}", "=?base64?Y2Fmw6k=?="),
            ("=?base64?x?=", "=?base64?PT9iYXNlNjQ/eD89?="),
            ("a\0", "=?base64?YQA=?="),
        ] {
            assert_eq!(encoded(value), expected, "{value:?}");
        }
        let long = "n".repeat(8192);
        assert_eq!(encoded(&long), long.as_str());
    }

    #[test]
    fn session_ids_are_visible_ascii_and_secret() {
        assert_eq!(session_id(&map(&[])), Ok(None));
        let id = session_id(&map(&[("mcp-session-id", "ab!~1")])).unwrap().unwrap();
        assert!(id.is_sensitive());
        for bad in ["a b", "", "caf\u{e9}", "a\tb"] {
            assert_eq!(
                session_id(&map(&[("mcp-session-id", bad)])),
                Err(IllegalSessionId),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn media_types_by_their_essence() {
        for (value, expected) in [
            ("text/event-stream", Media::Events),
            ("Text/Event-Stream; charset=utf-8", Media::Events),
            ("application/x-ndjson", Media::Lines),
            ("application/json;x=text/event-stream", Media::Whole),
            ("", Media::Whole),
        ] {
            assert_eq!(media(&map(&[("content-type", value)])), expected, "{value}");
        }
        assert_eq!(media(&map(&[])), Media::Whole);
    }

    #[test]
    fn retry_after_in_seconds_and_dates() {
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        for (pairs, seconds) in [
            (&[("retry-after", "7")][..], Some(7)),
            (&[("retry-after", "-1")], None),
            (&[("retry-after", "soon")], None),
            (&[], None),
            (&[("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT"), date], Some(60)),
            (&[("retry-after", "Sun, 06 Nov 1994 08:40:37 GMT"), date], Some(0)),
            (&[("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT")], None),
        ] {
            assert_eq!(retry_after(&map(pairs)), seconds.map(Duration::from_secs), "{pairs:?}");
        }
    }

    #[test]
    fn challenges_in_words() {
        for (value, words) in [
            ("Bearer", "Bearer"),
            ("Bearer realm=\"the sea\", error=\"invalid_token\"", "Bearer, realm \"the sea\""),
            ("Basic Realm=x", "Basic, realm \"x\""),
        ] {
            assert_eq!(challenge(&map(&[("www-authenticate", value)])).as_deref(), Some(words));
        }
        assert_eq!(challenge(&map(&[])), None);
    }

    #[test]
    fn a_users_header_yields_to_the_protocols() {
        for name in ["mcp-session-id", "accept", "mcp-param-region", "host"] {
            assert!(is_reserved(&HeaderName::from_static(name)), "{name}");
        }
        assert!(!is_reserved(&HeaderName::from_static("x-tenant")));
        let session = SessionHeaders {
            id: Some(HeaderValue::from_static("s")),
            version: Some(HeaderValue::from_static("2025-11-25")),
        };
        let own = map(&[("x-tenant", "t")]);
        let headers = legacy_post(&own, &session);
        assert_eq!(headers.len(), 5);
        let headers = modern_post(&own, "2026-07-28", "tools/call", Some("echo"));
        assert_eq!(headers.get(NAME).unwrap(), "echo");
        assert!(headers.get(SESSION_ID).is_none());
        let headers = stream_get(&own, &session, Some(&Bytes::from_static(b"7")));
        assert_eq!(headers.get(LAST_EVENT_ID).unwrap(), "7");
    }
}
