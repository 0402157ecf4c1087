//! What the client writes.

use bytes::Bytes;
use ferry_proto::Frame;
use ferry_proto::outline::Outline;
use ferry_proto::seam::Input;
use serde_json::{Value, json};

use super::shores::{Fate, Shores};

const VERSIONS: [&str; 4] = ["2025-11-25", "2025-03-26", "2025-06-18", "2024-11-05"];

/// Lines that are no message that anybody could answer.
const NONSENSE: [&str; 5] = ["nonsense", "42", "[]", r#"{"id":null,"method":"ping"}"#, "[1,[2]]"];

/// Writes one line, if the bridge reads.
pub(crate) fn say(shores: &mut Shores, what: u8, detail: u8) {
    if !shores.bridge.reads_client() {
        return;
    }
    let line = match what % 20 {
        0 | 1 => {
            let version = VERSIONS[usize::from(detail) % VERSIONS.len()];
            let params = json!({"protocolVersion": version, "capabilities": {}});
            request(shores, "initialize", &params)
        }
        2 | 3 => note(shores, "notifications/initialized", json!({})),
        4..=6 => {
            request(shores, "tools/call", &json!({"name": "t", "_meta": {"progressToken": 7}}))
        }
        7 => request(shores, "tools/list", &json!({})),
        8 => request(shores, "resources/read", &json!({"uri": "u:r"})),
        9 => request(shores, "logging/setLevel", &json!({"level": "info"})),
        10 => request(shores, "resources/subscribe", &json!({"uri": format!("u:{}", detail % 3)})),
        11 => {
            request(shores, "resources/unsubscribe", &json!({"uri": format!("u:{}", detail % 3)}))
        }
        12 => note(shores, "notifications/roots/list_changed", json!({})),
        13 => return cancel(shores, detail),
        14 => return answer(shores, detail),
        15 => batch(shores, detail),
        16 => request(shores, "tools/call", &modern("t")),
        17 => request(
            shores,
            ["tools/list", "subscriptions/listen"][usize::from(detail) % 2],
            &modern("t"),
        ),
        18 => Value::from(NONSENSE[usize::from(detail) % NONSENSE.len()]),
        _ => return too_long(shores),
    };
    let line = match line {
        Value::String(raw) => raw,
        message => message.to_string(),
    };
    write(shores, line);
}

fn write(shores: &mut Shores, line: String) {
    shores.input(Input::ClientFrame(Frame::Line(Bytes::from(line))));
}

fn request(shores: &mut Shores, method: &str, params: &Value) -> Value {
    let id = shores.next_id();
    let fate = Fate {
        harmless: ferry_proto::retry::is_harmless(method),
        endless: method == "subscriptions/listen",
        settles_session: method == "initialize",
        ..Fate::default()
    };
    shores.fates.insert(id, fate);
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

/// Every notification is another, so that one that is sent again can be told.
fn note(shores: &mut Shores, method: &str, mut params: Value) -> Value {
    params["count"] = Value::from(shores.next_id());
    json!({"jsonrpc": "2.0", "method": method, "params": params})
}

fn modern(name: &str) -> Value {
    json!({"name": name, "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}})
}

fn batch(shores: &mut Shores, detail: u8) -> Value {
    let mut members = Vec::new();
    for bit in 0..4 {
        members.push(match (detail >> (2 * bit)) % 4 {
            0 => continue,
            1 => request(shores, "tools/call", &json!({"name": "t"})),
            2 => request(shores, "tools/list", &json!({})),
            _ => note(shores, "notifications/roots/list_changed", json!({})),
        });
    }
    Value::from(members)
}

fn cancel(shores: &mut Shores, which: u8) {
    let ids: Vec<u64> = shores.fates.keys().copied().collect();
    let Some(id) = ids.get(usize::from(which) % ids.len().max(1)) else { return };
    let params = json!({"requestId": id});
    let line = note(shores, "notifications/cancelled", params).to_string();
    write(shores, line);
}

/// Answers one of the server's own requests, or one that it never made.
fn answer(shores: &mut Shores, which: u8) {
    let id = format!("asked-{}", which % 8);
    let count = shores.next_id();
    write(shores, json!({"jsonrpc": "2.0", "id": id, "result": {"count": count}}).to_string());
}

fn too_long(shores: &mut Shores) {
    let id = shores.next_id();
    shores.fates.insert(id, Fate::default());
    let outline = Outline { id: Some(Bytes::from(id.to_string())), has_method: true };
    shores.input(Input::ClientFrame(Frame::TooLong(outline)));
}
