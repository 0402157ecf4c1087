//! A peek at any text says what a full parse says, and changes nothing but what it is told to.

use bytes::Bytes;
use ferry_proto::message::{self, Id, Message, Shape};
use ferry_proto::outline::{Outline, Outliner};
use serde_json::Value;
use serde_json::value::RawValue;

use super::pieces::Cut;

/// Head: nothing, the cuts. Rest: a message.
pub(crate) fn run(data: &[u8]) {
    let Some(Cut { input, pieces, .. }) = Cut::read(data) else { return };
    let mut outliner = Outliner::default();
    for piece in pieces {
        outliner.push(piece);
    }
    let outline = outliner.finish();
    let Ok(text) = std::str::from_utf8(input) else { return };
    let peeked = message::peek(text);
    check_batch(text);
    let value = match serde_json::from_str::<Value>(text) {
        Ok(value) => value,
        Err(error) => return assert!(peeked.is_err() || skips(&error), "{error}: {text}"),
    };
    check_one_line(text, &value);
    let Some(object) = value.as_object() else {
        return assert!(peeked.is_err(), "no object, yet a message: {text}");
    };
    match peeked {
        Ok(message) => check_message(text, &message, &value, &outline),
        Err(message::Malformed::Json(why)) => {
            // A parse into a map lets the last of two members win; a message has each only once.
            assert!(why.contains("duplicate field"), "{why}: {text}");
        }
        Err(message::Malformed::Message(_, id)) => {
            let method = object.get("method").filter(|method| !method.is_null());
            let id_is_good = value["id"].is_string() || value["id"].is_number();
            assert!(!method.is_some_and(Value::is_string) || !id_is_good, "{text}");
            assert_eq!(id.is_some(), id_is_good, "{text}");
        }
    }
}

/// Whether a parse fails at what a message may hold where the bridge does not look: deep nesting,
/// numbers beyond a double, halves of surrogate pairs.
fn skips(error: &serde_json::Error) -> bool {
    let told = error.to_string();
    ["recursion limit", "number out of range", "surrogate", "hex escape"]
        .iter()
        .any(|what| told.contains(what))
}

fn check_message(text: &str, message: &Message<'_>, value: &Value, outline: &Outline) {
    let parsed = |raw: &str| serde_json::from_str::<Value>(raw).ok();
    let (shape_id, has_method) = match message.shape {
        Shape::Request(id) => (Some(id), true),
        Shape::Notification => (None, true),
        Shape::Response(id) => (id, false),
    };
    assert_eq!(has_method, value["method"].is_string(), "{text}");
    assert_eq!(&*message.method, value["method"].as_str().unwrap_or_default(), "{text}");
    match shape_id {
        Some(id) => assert_eq!(parsed(id).as_ref(), value.get("id"), "{text}"),
        None => assert!(!value["id"].is_string() && !value["id"].is_number(), "{text}"),
    }
    if matches!(message.shape, Shape::Notification) {
        assert!(value.get("id").is_none(), "{text}");
    }
    let error = value.get("error").filter(|error| !error.is_null());
    assert_eq!(message.is_error, error.is_some(), "{text}");
    let params = &message.params;
    for (raw, name) in [
        (params.meta, "_meta"),
        (params.name, "name"),
        (params.uri, "uri"),
        (params.request_id, "requestId"),
        (params.progress_token, "progressToken"),
    ] {
        let expected = value["params"].as_object().and_then(|params| params.get(name));
        assert_eq!(raw.map(RawValue::get).and_then(parsed).as_ref(), expected, "{name} of {text}");
    }
    let version = message.meta.version.and_then(message::string);
    let expected = value["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"].as_str();
    assert_eq!(version.as_deref(), expected, "{text}");
    // The outline reads keys as they are written.
    if !text.contains('\\') {
        assert_eq!(outline.id.as_deref(), shape_id.map(str::as_bytes), "{text}");
        assert_eq!(outline.has_method, value.get("method").is_some(), "{text}");
    }
    if let Shape::Response(id) = message.shape {
        let own = Id::new(Bytes::from_static(b"\"own\""));
        let readdressed = message::readdressed(text, id, &own);
        let mut expected = value.clone();
        expected["id"] = Value::from("own");
        assert_eq!(serde_json::from_slice::<Value>(&readdressed).ok(), Some(expected), "{text}");
    }
}

fn check_batch(text: &str) {
    let Ok(members) = message::split_batch(text) else { return };
    assert!(message::is_batch(text));
    let Ok(whole) = serde_json::from_str::<Vec<Value>>(text) else { return };
    let parsed: Vec<Value> =
        members.iter().filter_map(|member| serde_json::from_str(member).ok()).collect();
    assert_eq!(parsed, whole, "{text}");
}

fn check_one_line(text: &str, value: &Value) {
    let line = message::one_line(&Bytes::copy_from_slice(text.as_bytes()));
    assert!(!line.contains(&b'\n') && !line.contains(&b'\r'), "{text}");
    assert_eq!(serde_json::from_slice::<Value>(&line).ok().as_ref(), Some(value), "{text}");
}
