//! What clients and servers say in transcripts, and conversations to begin with.

use std::time::Duration;

use ferry_proto::seam::FaultKind;

use crate::rig::{ANSWER, INITIALIZE, INITIALIZED, Rig};

pub(crate) fn call(id: u32) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"t"}}}}"#)
}
pub(crate) fn list(id: u32) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list"}}"#)
}
pub(crate) fn reply(id: u32) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#)
}
pub(crate) fn event(text: &str) -> String {
    format!("data: {text}\n\n")
}
pub(crate) fn cancel(id: u32) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#
    )
}
pub(crate) fn reopened(n: u64) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":"mcp-ferry:{n}","result":{{"protocolVersion":"2025-11-25","capabilities":{{}}}}}}"#
    )
}
pub(crate) fn s(n: u64) -> Duration {
    Duration::from_secs(n)
}
pub(crate) const ASK: &str =
    r#"{"jsonrpc":"2.0","id":"srv1","method":"elicitation/create","params":{}}"#;
pub(crate) const ENDPOINT: &str = "event: endpoint\ndata: /messages?session=1\n\n";

/// in session with an open listener #3
pub(crate) fn with_listener() -> Rig {
    let mut rig = Rig::new();
    rig.client(INITIALIZE);
    rig.json(1, &[("mcp-session-id", "s1")], ANSWER);
    rig.client(INITIALIZED);
    rig.head(2, 202, &[]);
    rig.end(2);
    rig.events(3);
    rig.transcript.clear();
    rig
}
/// A session over the old transport: stream #2, `initialize` #1, `initialized` #3.
pub(crate) fn over_http_sse() -> Rig {
    let mut rig = Rig::new();
    rig.client(INITIALIZE);
    rig.client(INITIALIZED);
    rig.head(1, 405, &[]);
    rig.end(1);
    rig.events(2);
    rig.chunk(2, ENDPOINT);
    rig.head(1, 202, &[]);
    rig.chunk(1, "Accepted");
    rig.end(1);
    rig.chunk(2, &event(ANSWER));
    rig.head(3, 202, &[]);
    rig.end(3);
    rig
}
/// The same, with nothing of it in the transcript.
pub(crate) fn old() -> Rig {
    let mut rig = over_http_sse();
    rig.transcript.clear();
    rig
}
/// Call 10, exchange #4, whose stream was cut after an event id: it goes on by GET.
pub(crate) fn resumed() -> Rig {
    let mut rig = Rig::in_session();
    rig.client(&call(10));
    rig.events(4);
    rig.chunk(4, "id: a1\ndata:\n\n");
    rig.fault(4, FaultKind::Cut);
    rig
}
pub(crate) fn no(rig: &Rig, what: &str) {
    assert!(!rig.transcript.contains(what), "must not contain {what:?}:\n{}", rig.transcript);
}
pub(crate) fn yes(rig: &Rig, what: &str) {
    assert!(rig.transcript.contains(what), "must contain {what:?}:\n{}", rig.transcript);
}
pub(crate) fn count(rig: &Rig, what: &str) -> usize {
    rig.transcript.matches(what).count()
}

pub(crate) fn modern(id: u32, method: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{"name":"t","_meta":{{"progressToken":"p","io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}}}}"#
    )
}
