//! JSON-RPC messages: reading the envelope of what came, writing what goes back.
//!
//! Only the envelope is parsed. Ids and contents stay the raw tokens they were, so they go back byte for
//! byte, and the nesting inside them costs no stack.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use serde_json::value::RawValue;

/// The body is not JSON.
pub(crate) const PARSE_ERROR: i32 = -32700;
/// The JSON is no JSON-RPC message that may stand here.
pub(crate) const INVALID_REQUEST: i32 = -32600;
/// Nothing answers to this method.
pub(crate) const METHOD_NOT_FOUND: i32 = -32601;
/// The method exists; its params do not fit.
pub(crate) const INVALID_PARAMS: i32 = -32602;
/// The resource does not exist (a code of MCP's own).
pub(crate) const RESOURCE_NOT_FOUND: i32 = -32002;

/// A token at least this long is passed on as a slice of the request's body rather than copied.
const WORTH_SLICING: usize = 16 * 1024;

/// What one POST carried.
pub(crate) enum Posted<'a> {
    One(Message<'a>),
    /// An array; a member that is no message stands there as its fault.
    Batch(Vec<Result<Message<'a>, Fault>>),
}

/// One JSON-RPC message.
pub(crate) enum Message<'a> {
    Request(Request<'a>),
    Notification(Notification<'a>),
    Response(Response<'a>),
}

/// A message that wants an answer.
pub(crate) struct Request<'a> {
    /// The raw token: a string or a number.
    pub(crate) id: &'a str,
    pub(crate) method: Cow<'a, str>,
    pub(crate) params: Option<&'a RawValue>,
}

/// A message that wants none.
pub(crate) struct Notification<'a> {
    pub(crate) method: Cow<'a, str>,
    pub(crate) params: Option<&'a RawValue>,
}

/// The client's answer to a request of the server's.
pub(crate) struct Response<'a> {
    /// The raw token.
    pub(crate) id: &'a str,
    /// The raw `result`, or the raw `error`.
    pub(crate) outcome: Result<&'a RawValue, &'a RawValue>,
}

/// Why something is refused: a JSON-RPC error that still lacks its id.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) code: i32,
    pub(crate) message: Cow<'static, str>,
}

impl Fault {
    pub(crate) fn new(code: i32, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into() }
    }

    pub(crate) fn params(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(INVALID_PARAMS, message)
    }
}

#[derive(Clone, Copy, Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    method: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    error: Option<&'a RawValue>,
}

/// Keeps a member that is `null` apart from one that is absent, which `Option` alone would not.
pub(crate) fn present<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Reads the body of a POST.
pub(crate) fn parse(body: &[u8]) -> Result<Posted<'_>, Fault> {
    let text = std::str::from_utf8(body)
        .map_err(|_| Fault::new(PARSE_ERROR, "Parse error: the body is not UTF-8"))?;
    if !text.trim_ascii_start().starts_with('[') {
        return serde_json::from_str(text).map_err(unreadable).and_then(message).map(Posted::One);
    }
    let members: Vec<&RawValue> = serde_json::from_str(text).map_err(unreadable)?;
    if members.is_empty() {
        return Err(Fault::new(INVALID_REQUEST, "Invalid Request: the batch is empty"));
    }
    Ok(Posted::Batch(members.into_iter().map(|raw| fields(raw).and_then(message)).collect()))
}

/// Reads the members of a JSON object. Anything else is a fault: also an array, which serde would take
/// for the fields in their order.
pub(crate) fn fields<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Result<T, Fault> {
    if !raw.get().starts_with('{') {
        return Err(Fault::new(INVALID_REQUEST, "Invalid Request: not a JSON-RPC message"));
    }
    serde_json::from_str(raw.get()).map_err(unreadable)
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn unreadable(error: serde_json::Error) -> Fault {
    match error.classify() {
        Category::Data => Fault::new(INVALID_REQUEST, "Invalid Request: not a JSON-RPC message"),
        Category::Io | Category::Syntax | Category::Eof => {
            Fault::new(PARSE_ERROR, "Parse error: the body is not JSON")
        }
    }
}

fn message(envelope: Envelope<'_>) -> Result<Message<'_>, Fault> {
    let fault = |message: &'static str| Err(Fault::new(INVALID_REQUEST, message));
    if envelope.jsonrpc.map(RawValue::get) != Some("\"2.0\"") {
        return fault("Invalid Request: \"jsonrpc\" is not \"2.0\"");
    }
    let id = envelope.id.map(RawValue::get);
    if id.is_some_and(|id| !is_string_or_number(id)) {
        return fault("Invalid Request: the id is neither a string nor a number");
    }
    let params = envelope.params;
    match (envelope.method, id, envelope.result, envelope.error) {
        (Some(method), id, None, None) => {
            let Some(method) = string(method.get()) else {
                return fault("Invalid Request: the method is not a string");
            };
            Ok(match id {
                Some(id) => Message::Request(Request { id, method, params }),
                None => Message::Notification(Notification { method, params }),
            })
        }
        (None, Some(id), Some(result), None) => {
            Ok(Message::Response(Response { id, outcome: Ok(result) }))
        }
        (None, Some(id), None, Some(error)) => {
            Ok(Message::Response(Response { id, outcome: Err(error) }))
        }
        _ => fault("Invalid Request: neither a request nor a notification nor a response"),
    }
}

/// Whether a valid raw JSON token is what ids and progress tokens may be.
pub(crate) fn is_string_or_number(token: &str) -> bool {
    token.starts_with(|first: char| first == '"' || first == '-' || first.is_ascii_digit())
}

/// The content of a raw JSON string token; `None` if it is another token, or no Unicode (a lone
/// surrogate).
pub(crate) fn string(token: &str) -> Option<Cow<'_, str>> {
    let inner = token.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str(token).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// The JSON string token for `text`.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The bytes of one message on their way out, in up to three pieces so that a long token in the middle
/// need not be copied. Holds no line break, so that it fits one `data` line of an event.
#[derive(Debug, Default)]
pub(crate) struct Payload {
    pub(crate) head: Bytes,
    pub(crate) middle: Bytes,
    pub(crate) tail: Bytes,
}

impl From<String> for Payload {
    fn from(text: String) -> Self {
        Self { head: text.into(), ..Self::default() }
    }
}

impl Payload {
    /// `prefix`, `token` and `suffix` in a row, where `token` is a piece of `body`.
    pub(crate) fn around(mut prefix: String, body: &Bytes, token: &str, suffix: &str) -> Self {
        if token.len() < WORTH_SLICING {
            prefix.reserve_exact(token.len() + suffix.len());
            prefix.push_str(token);
            prefix.push_str(suffix);
            return prefix.into();
        }
        Self {
            head: prefix.into(),
            middle: body.slice_ref(token.as_bytes()),
            tail: Bytes::copy_from_slice(suffix.as_bytes()),
        }
    }

    /// The reply to `id` whose result is the raw JSON `result`.
    pub(crate) fn result(id: &str, result: &str) -> Self {
        joined(&[r#"{"jsonrpc":"2.0","id":"#, id, r#","result":"#, result, "}"])
    }

    /// The error reply to `id`.
    pub(crate) fn error(id: &str, fault: &Fault) -> Self {
        let Fault { code, message } = fault;
        let message = quoted(message);
        format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":{message}}}}}"#)
            .into()
    }

    /// One array of all `replies`.
    pub(crate) fn array(replies: &[Self]) -> Self {
        let mut whole = Vec::with_capacity(replies.iter().map(|reply| reply.len() + 1).sum());
        for reply in replies {
            whole.push(if whole.is_empty() { b'[' } else { b',' });
            for piece in [&reply.head, &reply.middle, &reply.tail] {
                whole.extend_from_slice(piece);
            }
        }
        whole.push(b']');
        Self { head: whole.into(), ..Self::default() }
    }

    /// This payload with `prefix` before and `suffix` after it.
    pub(crate) fn enclosed(self, prefix: &str, suffix: &str) -> Self {
        let mut head = Vec::with_capacity(prefix.len() + self.head.len() + suffix.len());
        head.extend_from_slice(prefix.as_bytes());
        head.extend_from_slice(&self.head);
        if self.middle.is_empty() && self.tail.is_empty() {
            head.extend_from_slice(suffix.as_bytes());
            return Self { head: head.into(), ..Self::default() };
        }
        let tail = [&self.tail, suffix.as_bytes()].concat();
        Self { head: head.into(), middle: self.middle, tail: tail.into() }
    }

    /// The length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.head.len() + self.middle.len() + self.tail.len()
    }
}

fn joined(pieces: &[&str]) -> Payload {
    pieces.concat().into()
}
