//! What the server does: heads, pieces of bodies, ends and faults, in any order that HTTP permits.

use bytes::Bytes;
use ferry_proto::seam::{ExchangeId, Fault, FaultKind, Head, Input};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use super::shores::{Call, MOST_MESSAGE, Shores};

const STATUSES: [u16; 16] =
    [200, 200, 200, 200, 202, 204, 307, 400, 401, 404, 405, 409, 429, 500, 502, 503];

const FAULTS: [FaultKind; 6] = [
    FaultKind::Cut,
    FaultKind::Connect,
    FaultKind::Unsent,
    FaultKind::Resolve,
    FaultKind::ConnectTimeout,
    FaultKind::Tls,
];

const EVENTS: &str = "text/event-stream";
const LINES: &str = "application/x-ndjson";
const JSON: &str = "application/json";

/// One step with one of the open exchanges, as far as its state permits it.
pub(crate) fn act(shores: &mut Shores, step: u8, which: u8, detail: u8) {
    let count = shores.open.len().max(1);
    let Some(id) = shores.open.keys().nth(usize::from(which) % count).copied() else { return };
    let Some(status) = shores.open.get(&id).map(|call| call.status) else { return };
    match (step, status) {
        (6 | 7, None) => answer_well(shores, id),
        (8, None) => fault(shores, id, FAULTS[usize::from(detail) % FAULTS.len()]),
        (9, None) => sent(shores, id),
        (_, None) => head(shores, id, which, detail),
        (6, Some(_)) => finish(shores, id),
        (7, Some(_)) => fault(shores, id, FaultKind::Cut),
        (_, Some(_)) => piece(shores, id, detail),
    }
}

/// Whatever a good server would do next, until the exchange is over.
pub(crate) fn answer_well(shores: &mut Shores, id: ExchangeId) {
    let Some(call) = shores.open.get(&id) else { return };
    let is_fresh = call.status.is_none();
    let is_reopening = call.is_initialize() && call.ids.is_empty();
    if is_fresh {
        let status = match call.method {
            Method::GET => 405,
            Method::DELETE => 200,
            _ if is_request(&call.message) => 200,
            _ => 202,
        };
        give_head(shores, id, status, JSON, &[]);
    }
    if shores.open.get(&id).is_some_and(|call| call.status == Some(200) && !call.answered) {
        answer(shores, id);
    }
    let given = shores.open.get(&id).and_then(|call| call.given.clone());
    finish(shores, id);
    if is_fresh && is_reopening {
        // The whole of a good answer is in.
        shores.current = given;
    }
}

fn is_request(message: &Value) -> bool {
    message.as_array().map_or_else(
        || message.get("method").is_some() && message.get("id").is_some(),
        |members| members.iter().any(is_request),
    )
}

fn sent(shores: &mut Shores, id: ExchangeId) {
    if let Some(call) = shores.open.get_mut(&id)
        && !std::mem::replace(&mut call.sent, true)
    {
        shores.input(Input::Sent(id));
    }
}

fn head(shores: &mut Shores, id: ExchangeId, which: u8, detail: u8) {
    let status = STATUSES[usize::from(detail) % STATUSES.len()];
    let media = [EVENTS, EVENTS, JSON, LINES][usize::from(detail >> 4) % 4];
    let extra: &[(&'static str, &'static str)] = match (status, which >> 6) {
        (307, 0) => &[("location", "/elsewhere")],
        (307, _) => &[("location", "http://other.test/mcp")],
        (401, _) => &[("www-authenticate", "Bearer realm=\"r\"")],
        (409 | 429 | 503, 0) => &[("retry-after", "0")],
        (409 | 429 | 503, 1) => &[("retry-after", "2")],
        (429 | 503, 2) => &[("retry-after", "3600")],
        (200, 1) => &[("set-cookie", "lb=1; Path=/")],
        _ => &[],
    };
    give_head(shores, id, status, media, extra);
}

fn give_head(
    shores: &mut Shores,
    id: ExchangeId,
    status: u16,
    media: &'static str,
    extra: &[(&'static str, &'static str)],
) {
    let mut headers = HeaderMap::new();
    for (name, value) in extra {
        headers.insert(*name, HeaderValue::from_static(value));
    }
    headers.insert("content-type", HeaderValue::from_static(media));
    let Some(call) = shores.open.get_mut(&id) else { return };
    call.status = Some(status);
    call.media = media;
    if call.is_initialize() && status == 200 {
        shores.sessions += 1;
        let session = format!("session-{}", shores.sessions);
        headers.insert("mcp-session-id", HeaderValue::from_str(&session).expect("text"));
        call.given = Some(session.clone());
        shores.offered.extend(call.ids.iter().map(|id| (*id, session.clone())));
    }
    let ids = call.ids.clone();
    let was_taken = (200..300).contains(&status) || matches!(status, 500 | 502 | 504);
    if was_taken {
        shores.may_have_run(&ids);
    }
    let status = StatusCode::from_u16(status).expect("a status");
    shores.input(Input::Head(id, Head { status, headers }));
}

/// A piece of the body.
fn piece(shores: &mut Shores, id: ExchangeId, detail: u8) {
    let is_read = shores.bridge.reads_server(id);
    let Some(call) = shores.open.get(&id).filter(|_| is_read) else { return };
    let number = u64::from(detail >> 4);
    let text = match detail % 16 {
        0 | 1 => return answer(shores, id),
        2 => reply(&Value::from(number)).to_string(),
        3 => json!({"jsonrpc": "2.0", "id": "nobody's", "error": {"code": -32000, "message": "x"}}).to_string(),
        4 => json!({"jsonrpc": "2.0", "id": null, "error": {"code": 1, "message": "session not found"}}).to_string(),
        5 => json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 7}}).to_string(),
        6 => json!({"jsonrpc": "2.0", "id": format!("asked-{}", number % 8), "method": "ping"}).to_string(),
        7 => return raw(shores, id, &format!("id: {number}\ndata:\n\n")),
        8 => return raw(shores, id, &format!("retry: {}\n\n", number * 100)),
        9 => return raw(shores, id, ["event: endpoint\ndata: /messages\n\n", "event: endpoint\ndata: //x/\n\n"][usize::from(number == 0)]),
        10 => return raw(shores, id, ": still here\n\n"),
        11 => return raw(shores, id, "id: half\ndata: {\"jsonrpc\""),
        12 => "<html>".to_owned(),
        13 => format!("[{},{}]", reply(&Value::from(number)), reply(&Value::from(number + 1))),
        14 => "x".repeat(MOST_MESSAGE + 64),
        _ => reply(&Value::from(format!("nobody's {number}"))).to_string(),
    };
    let framed = frame(call, &text);
    raw(shores, id, &framed);
}

/// The answer to everything that was asked.
fn answer(shores: &mut Shores, id: ExchangeId) {
    let Some(call) = shores.open.get_mut(&id) else { return };
    let text = match &call.message {
        Value::Array(members) => {
            let asked = members.iter().filter(|member| is_request(member));
            asked.map(|member| reply(&member["id"])).collect::<Value>().to_string()
        }
        message if is_request(message) => {
            let mut reply = reply(&message["id"]);
            if call.is_initialize() {
                let tools = json!({"listChanged": true});
                let version = &message["params"]["protocolVersion"];
                reply["result"] =
                    json!({"protocolVersion": version, "capabilities": {"tools": tools}});
            }
            reply.to_string()
        }
        _ => return,
    };
    let framed = frame(call, &text);
    call.answered = true;
    raw(shores, id, &framed);
}

fn reply(id: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": {}})
}

fn frame(call: &Call, text: &str) -> String {
    match call.media {
        EVENTS => format!("data: {text}\n\n"),
        LINES => format!("{text}\n"),
        _ => text.to_owned(),
    }
}

fn raw(shores: &mut Shores, id: ExchangeId, text: &str) {
    shores.input(Input::Chunk(id, Bytes::copy_from_slice(text.as_bytes())));
}

fn finish(shores: &mut Shores, id: ExchangeId) {
    let Some(call) = shores.open.remove(&id) else { return };
    if call.status == Some(404) && call.session.is_some() {
        shores.on_session_lost(&call);
    }
    shores.input(Input::Finished(id, Ok(())));
}

fn fault(shores: &mut Shores, id: ExchangeId, kind: FaultKind) {
    let Some(call) = shores.open.remove(&id) else { return };
    // A connection that was refused has sent nothing.
    let kind = if call.sent { FaultKind::Cut } else { kind };
    if kind == FaultKind::Cut {
        shores.may_have_run(&call.ids);
    }
    let fault = Fault { kind, detail: "test".to_owned() };
    shores.input(Input::Finished(id, Err(fault)));
}
