//! A look at the envelope of a JSON-RPC message, and no further.
//!
//! Content is carried byte for byte, so nothing here builds a message anew: [`peek`] says what a
//! text is and where its id stands, [`readdressed`] puts another id into its place. Values that no
//! rule names are skipped without being stored, however deep they nest.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use memchr::{memchr2, memchr2_iter};
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// An id under which a request is owed an answer: its JSON text as it was written.
///
/// `1`, `"1"` and `1.0` are three different ids.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(Bytes);

impl Id {
    /// The id whose JSON text stands in `text`, which is a part of `frame`.
    #[must_use]
    pub fn within(frame: &Bytes, text: &str) -> Self {
        Self(shared(frame, text.as_bytes()))
    }

    /// The id with this JSON text.
    #[must_use]
    pub fn new(text: Bytes) -> Self {
        Self(text)
    }

    /// The JSON text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether `text` is the same value, perhaps in another spelling: servers that parse an id and
    /// write it anew turn `1.0` into `1` and `"\u0061"` into `"a"`.
    #[must_use]
    pub fn means(&self, text: &str) -> bool {
        if self.0 == text.as_bytes() {
            return true;
        }
        let Ok(own) = std::str::from_utf8(&self.0) else { return false };
        if own.starts_with('"') {
            let unescape = |raw| serde_json::from_str::<String>(raw).ok();
            return text.starts_with('"')
                && unescape(own).is_some_and(|id| Some(id) == unescape(text));
        }
        // Two integers are equal when their digits are: 2^53+1 is not 2^53. Only where one of them
        // is written as a fraction can the spelling differ.
        let fraction = |raw: &str| raw.contains(['.', 'e', 'E']);
        let value = |raw: &str| raw.parse::<f64>().ok();
        (fraction(own) || fraction(text)) && value(own).is_some_and(|id| Some(id) == value(text))
    }
}

/// What a message is, by its envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape<'a> {
    /// Has a method and an id, which is a string or a number.
    Request(&'a str),
    /// Has a method and no id.
    Notification,
    /// Has a result or an error; its id, if it has one that is not null.
    Response(Option<&'a str>),
}

/// The envelope of one message, and the `params` members that some rule names.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    /// Request, notification or response.
    pub shape: Shape<'a>,
    /// The method; empty for a response.
    pub method: Cow<'a, str>,
    /// Whether a response is an error.
    pub is_error: bool,
    /// The members of `params`, raw.
    pub params: Params<'a>,
    /// What `params._meta` says.
    pub meta: Meta<'a>,
}

/// The members of `params` that some rule names, as raw JSON, each `None` if absent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Params<'a> {
    /// `_meta`.
    pub meta: Option<&'a RawValue>,
    /// `name` of `tools/call` and `prompts/get`.
    pub name: Option<&'a RawValue>,
    /// `uri` of `resources/read` and of subscriptions.
    pub uri: Option<&'a RawValue>,
    /// `requestId` of `notifications/cancelled`.
    pub request_id: Option<&'a RawValue>,
    /// `progressToken` of `notifications/progress`.
    pub progress_token: Option<&'a RawValue>,
}

/// Why a text is not a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Malformed<'a> {
    /// Not JSON (-32700); what is wrong, and where.
    Json(String),
    /// JSON, but no message (-32600): why, and the id it bears if that can be answered.
    Message(&'static str, Option<&'a str>),
}

/// What stands in `_meta` that some rule names, as raw JSON.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meta<'a> {
    /// `io.modelcontextprotocol/protocolVersion`, which makes a frame modern.
    pub version: Option<&'a RawValue>,
    /// `progressToken`, under which the server reports progress.
    pub progress_token: Option<&'a RawValue>,
}

/// What `_meta` says; nothing if it is not an object.
fn meta(params: Params<'_>) -> Meta<'_> {
    let fields = ["io.modelcontextprotocol/protocolVersion", "progressToken"];
    let [version, progress_token] = members(params.meta, fields);
    Meta { version, progress_token }
}

/// Looks at one message.
pub fn peek(text: &str) -> Result<Message<'_>, Malformed<'_>> {
    if !text.trim_start().starts_with('{') {
        serde_json::from_str::<IgnoredAny>(text).map_err(not_json)?;
        return Err(Malformed::Message("a message is a JSON object", None));
    }
    let envelope: Envelope<'_> = serde_json::from_str(text).map_err(not_json)?;
    let id = envelope.id.map(RawValue::get);
    let answerable = id
        .filter(|raw| raw.starts_with(['"', '-']) || raw.starts_with(|c: char| c.is_ascii_digit()));
    let is_error = envelope.error.is_some_and(|error| error.get() != "null");
    let refuse = |why| Err(Malformed::Message(why, answerable));
    let (shape, method) = match envelope.method {
        Some(raw) => {
            let Some(method) = string(raw) else { return refuse("the method is not a string") };
            match (id, answerable) {
                (None, _) => (Shape::Notification, method),
                (Some(_), Some(id)) => (Shape::Request(id), method),
                (Some(_), None) => return refuse("the id of a request is a string or a number"),
            }
        }
        None if envelope.result || is_error => (Shape::Response(answerable), Cow::Borrowed("")),
        None => return refuse("there is neither a method nor a result nor an error"),
    };
    let (params, meta) = (envelope.params, meta(envelope.params));
    Ok(Message { shape, method, is_error, params, meta })
}

/// Whether a text is an array rather than an object.
#[must_use]
pub fn is_batch(text: &str) -> bool {
    text.trim_start().starts_with('[')
}

/// The members of a batch.
pub fn split_batch(text: &str) -> Result<Vec<&str>, Malformed<'_>> {
    let members: Vec<&RawValue> = serde_json::from_str(text).map_err(not_json)?;
    Ok(members.into_iter().map(RawValue::get).collect())
}

/// A raw value that is a JSON string, unescaped.
#[must_use]
pub fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str(raw.get()).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// The members with these names of a raw value that is an object; all `None` of any other value.
#[must_use]
pub fn members<'a, const N: usize>(
    object: Option<&'a RawValue>,
    names: [&str; N],
) -> [Option<&'a RawValue>; N] {
    let mut found = [None; N];
    if let Some(object) = object
        && object.get().starts_with('{')
    {
        // The raw value was parsed before, so this cannot fail.
        let mut reader = serde_json::Deserializer::from_str(object.get());
        let _ = Deserializer::deserialize_map(&mut reader, Members { names, found: &mut found });
    }
    found
}

/// `result` of a response, raw.
#[must_use]
pub fn result(text: &str) -> Option<&RawValue> {
    member(text, "result")
}

/// `error` of a response, raw.
#[must_use]
pub fn error(text: &str) -> Option<&RawValue> {
    member(text, "error")
}

/// One member of a message, raw.
fn member<'a>(text: &'a str, name: &str) -> Option<&'a RawValue> {
    let object: &RawValue = serde_json::from_str(text).ok()?;
    let [member] = members(Some(object), [name]);
    member
}

/// `text`, a message of which `peek` said that it bears this id or none, under the id `own`.
#[must_use]
pub fn readdressed(text: &str, id: Option<&str>, own: &Id) -> Bytes {
    let mut out = BytesMut::with_capacity(text.len() + own.0.len() + 8);
    let place = match id {
        Some(id) => offset(text, id).map(|at| (at, id.len())),
        None => null_id(text),
    };
    let mut copy = |part: Option<&str>| out.extend_from_slice(part.unwrap_or_default().as_bytes());
    if let Some((at, length)) = place {
        copy(text.get(..at));
        copy(std::str::from_utf8(&own.0).ok());
        copy(text.get(at + length..));
    } else {
        let brace = text.find('{').map_or(0, |at| at + 1);
        copy(text.get(..brace));
        copy(Some("\"id\":"));
        copy(std::str::from_utf8(&own.0).ok());
        copy(Some(","));
        copy(text.get(brace..));
    }
    out.freeze()
}

/// A message as one line: line breaks, which can stand only between tokens, become spaces, and
/// white space around it goes.
#[must_use]
pub fn one_line(text: &Bytes) -> Bytes {
    let trimmed = text.trim_ascii();
    if memchr2(b'\n', b'\r', trimmed).is_none() {
        return shared(text, trimmed);
    }
    let mut line = BytesMut::from(trimmed);
    for at in memchr2_iter(b'\n', b'\r', trimmed) {
        if let Some(byte) = line.get_mut(at) {
            *byte = b' ';
        }
    }
    line.freeze()
}

/// Where an `"id": null` stands in a message, and how long the `null` is.
fn null_id(text: &str) -> Option<(usize, usize)> {
    let id = member(text, "id")?.get();
    offset(text, id).map(|at| (at, id.len()))
}

/// `part`, a slice of `frame`, without a copy; copied if it is no slice of it.
#[must_use]
pub fn shared(frame: &Bytes, part: &[u8]) -> Bytes {
    let start = (part.as_ptr() as usize).checked_sub(frame.as_ptr() as usize);
    match start.filter(|start| start + part.len() <= frame.len()) {
        Some(start) => frame.slice(start..start + part.len()),
        None => Bytes::copy_from_slice(part),
    }
}

/// Where `part`, a slice of `text`, begins in it; `None` if it is no slice of it.
#[must_use]
pub fn offset(text: &str, part: &str) -> Option<usize> {
    let at = (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    (at + part.len() <= text.len()).then_some(at)
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn not_json(error: serde_json::Error) -> Malformed<'static> {
    Malformed::Json(error.to_string())
}

#[derive(serde::Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default, deserialize_with = "even_null")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<&'a RawValue>,
    #[serde(borrow, default)]
    params: Params<'a>,
    #[serde(default, deserialize_with = "present")]
    result: bool,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// `null` is a value here: `"id": null` is not the absence of an id.
fn even_null<'de, D: Deserializer<'de>>(value: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(value).map(Some)
}

fn present<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(value).map(|_| true)
}

impl<'de: 'a, 'a> Deserialize<'de> for Params<'a> {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        value.deserialize_any(ParamsVisitor)
    }
}

/// Reads `params` of any type: what is wrong with them is for the server to say.
struct ParamsVisitor;

impl<'de> Visitor<'de> for ParamsVisitor {
    type Value = Params<'de>;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("any JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let mut found = [None; 5];
        let names = ["_meta", "name", "uri", "requestId", "progressToken"];
        Members { names, found: &mut found }.visit_map(map)?;
        let [meta, name, uri, request_id, progress_token] = found;
        Ok(Params { meta, name, uri, request_id, progress_token })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Params::default())
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Params::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Params::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Params::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Params::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Params::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Params::default())
    }
}

/// Keeps the named members of an object and skips the rest; of a name that comes twice, the last.
struct Members<'n, 'f, 'de, const N: usize> {
    names: [&'n str; N],
    found: &'f mut [Option<&'de RawValue>; N],
}

impl<'de, const N: usize> Visitor<'de> for Members<'_, '_, 'de, N> {
    type Value = ();

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Key<'de>>()? {
            let slot = self.names.iter().position(|name| *name == key.0);
            match slot.and_then(|slot| self.found.get_mut(slot)) {
                Some(slot) => *slot = Some(map.next_value()?),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// A key, borrowed unless it has escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;
            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(key)))
            }
            fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }
        value.deserialize_str(KeyVisitor).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> (Shape<'_>, String) {
        let message = peek(text).unwrap();
        (message.shape, message.method.into_owned())
    }

    #[test]
    fn the_three_shapes() {
        use Shape::{Notification, Request, Response};
        for (text, expected, method) in [
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, Request("1"), "ping"),
            (r#" {"method":"p\u0069ng","id":"a","params":[]} "#, Request("\"a\""), "ping"),
            (r#"{"method":"m","id":-1.5e3,"params":7}"#, Request("-1.5e3"), "m"),
            (r#"{"method":"m"}"#, Notification, "m"),
            (r#"{"id":1,"result":null}"#, Response(Some("1")), ""),
            (r#"{"id":null,"error":{"code":1}}"#, Response(None), ""),
            (r#"{"error":{"code":1}}"#, Response(None), ""),
        ] {
            assert_eq!(shape(text), (expected, method.to_owned()), "{text}");
        }
        assert!(peek(r#"{"id":1,"error":{}}"#).unwrap().is_error);
        assert!(!peek(r#"{"id":1,"result":1,"error":null}"#).unwrap().is_error);
    }

    #[test]
    fn what_is_no_message_and_whether_it_can_be_answered() {
        for (text, id) in [
            (r#"{"id":7}"#, Some("7")),
            (r#"{"id":"x","method":5}"#, Some("\"x\"")),
            (r#"{"id":null,"method":"m"}"#, None),
            (r#"{"id":{},"method":"m"}"#, None),
            ("17", None),
            ("\"a\"", None),
        ] {
            assert!(matches!(peek(text), Err(Malformed::Message(_, got)) if got == id), "{text}");
        }
        for text in
            ["", "{", "nonsense", r#"{"a":1}}"#, r#"{"a":01}"#, "{\"a\":\"\n\"}", r#"{"a":}"#]
        {
            assert!(matches!(peek(text), Err(Malformed::Json(_))), "{text}");
        }
    }

    #[test]
    fn nesting_crashes_nothing() {
        let deep = "[".repeat(200_000) + &"]".repeat(200_000);
        let text = format!(r#"{{"id":1,"x":{deep},"method":"m","params":{{"a":{deep}}}}}"#);
        assert_eq!(shape(&text).0, Shape::Request("1"));
        assert!(split_batch(&deep).is_ok());
        assert!(peek(&deep).is_err());
    }

    #[test]
    fn the_named_params_and_meta() {
        let text = r#"{"method":"m","params":{"name":"a\nb","x":{"name":1},"uri":"u","requestId":12,
            "_meta":{"progressToken":"t","io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
        let message = peek(text).unwrap();
        assert_eq!(string(message.params.name.unwrap()).unwrap(), "a\nb");
        assert_eq!(message.params.request_id.unwrap().get(), "12");
        assert_eq!(message.meta.version.unwrap().get(), "\"2026-07-28\"");
        assert_eq!(message.meta.progress_token.unwrap().get(), "\"t\"");
        for params in ["{}", "[]", "1", "null", "\"s\"", "true", "-1", "1.5", r#"{"_meta":7}"#] {
            let text = format!(r#"{{"method":"m","params":{params}}}"#);
            assert!(peek(&text).unwrap().meta.version.is_none(), "{params}");
        }
    }

    #[test]
    fn ids_by_bytes_and_by_meaning() {
        let id = |text: &'static str| Id::new(Bytes::from_static(text.as_bytes()));
        assert_ne!(id("1"), id("1.0"));
        for (own, other, same) in [
            ("1.0", "1", true),
            ("1", "1.0", true),
            ("\"a\"", "\"\\u0061\"", true),
            ("1", "\"1\"", false),
            ("9007199254740993", "9007199254740992", false),
            ("1e2", "100", true),
        ] {
            assert_eq!(id(own).means(other), same, "{own} {other}");
        }
    }

    #[test]
    fn another_id_in_its_place_and_no_other_byte_changed() {
        let own = Id::new(Bytes::from_static(b"\"mine\""));
        for (text, expected) in [
            (r#"{"id": 7 ,"result":{"id":7}}"#, r#"{"id": "mine" ,"result":{"id":7}}"#),
            (r#"{"result":{"id":1},"id":"server-error"}"#, r#"{"result":{"id":1},"id":"mine"}"#),
            (r#"{"id":null,"error":{}}"#, r#"{"id":"mine","error":{}}"#),
            (r#" {"error":{}}"#, r#" {"id":"mine","error":{}}"#),
        ] {
            let message = peek(text).unwrap();
            let Shape::Response(id) = message.shape else { panic!("{text}") };
            assert_eq!(readdressed(text, id, &own), expected.as_bytes(), "{text}");
        }
    }

    #[test]
    fn one_line_touches_only_white_space() {
        for (text, expected) in
            [(" {\"a\":\r\n 1}\n", "{\"a\":   1}"), ("{\"a\":\"\\n\"}", "{\"a\":\"\\n\"}")]
        {
            assert_eq!(one_line(&Bytes::from_static(text.as_bytes())), expected.as_bytes());
        }
    }
}
