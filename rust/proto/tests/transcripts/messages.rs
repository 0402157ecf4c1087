//! Batches, ids, eras and bounds: each was once wrong, and was found by reading the machine as a
//! hostile peer would.

use ferry_proto::{FaultKind, Input};

use crate::rig::{ANSWER, INITIALIZE, Rig};
use crate::words::{ASK, call, cancel, count, event, list, modern, no, reopened, reply, s, yes};

#[test]
fn batch_cancel_drops_the_notification() {
    let mut rig = Rig::new();
    rig.client(INITIALIZE);
    rig.client(r#"[{"jsonrpc":"2.0","id":5,"method":"tools/list"},{"jsonrpc":"2.0","method":"notifications/x"}]"#);
    rig.client(&cancel(5));
    rig.json(1, &[], ANSWER);
    assert!(
        rig.transcript.lines().any(|l| l.contains("open #") && l.contains("notifications/x")),
        "{}",
        rig.transcript
    );
}

#[test]
fn batch_cancelled_member_is_sent() {
    let mut rig = Rig::new();
    rig.client(INITIALIZE);
    rig.client(r#"[{"jsonrpc":"2.0","id":5,"method":"tools/call"},{"jsonrpc":"2.0","id":6,"method":"tools/list"}]"#);
    rig.client(&cancel(5));
    rig.json(1, &[], &ANSWER.replace("2025-11-25", "2025-03-26"));
    let bad = rig.transcript.lines().any(|l| l.contains("open #") && l.contains("tools/call"));
    let told = rig
        .transcript
        .lines()
        .any(|l| l.contains("open #") && l.contains("notifications/cancelled"));
    assert!(!bad || told, "{}", rig.transcript);
}

#[test]
fn mixed_batch_members_are_not_remembered() {
    let mut rig = Rig::in_session();
    rig.client(
        r#"[{"jsonrpc":"2.0","id":5,"method":"logging/setLevel","params":{"level":"debug"}}]"#,
    );
    rig.json(4, &[], &reply(5));
    rig.client(&call(10));
    rig.answer(5, 404, &[], "");
    rig.json(6, &[("mcp-session-id", "s2")], &reopened(6));
    rig.transcript.clear();
    rig.head(7, 202, &[]);
    rig.end(7);
    yes(&rig, "setLevel");
}

#[test]
fn cancel_in_a_mixed_batch() {
    let mut rig = Rig::in_session();
    rig.client(&call(3));
    rig.sent(4);
    rig.client(&format!("[{},{}]", list(5), cancel(3)));
    rig.json(4, &[], &reply(3));
    no(&rig, &format!("write {}", reply(3)));
}

#[test]
fn garbage_id_of_a_long_line() {
    let mut rig = Rig::new();
    rig.too_long(
        b"{\"id\":1x\x1b\xff,\"method\":\"a\",\"params\":{\"x\":\"yyyyyyyyyyyyyyyyyyyyyy\"}}\n",
    );
    no(&rig, "\"id\":1x");
}

#[test]
fn unfinished_lines_count_as_held() {
    let mut rig = Rig::in_session_with(|c| c.max_message = 64 << 20);
    for id in 10..14 {
        rig.client(&list(id));
    }
    for n in 4..8 {
        rig.head(n, 200, &[("content-type", "application/x-ndjson")]);
        rig.chunk(n, &"x".repeat(3 << 20));
    }
    rig.transcript.clear();
    assert!(!rig.reads_server(7));
}

#[test]
fn bad_event_id_resumes_without_it() {
    let mut rig = Rig::in_session();
    rig.client(&call(10));
    rig.events(4);
    rig.chunk(4, "id: a\u{1}b\ndata:\n\n");
    rig.end(4);
    rig.pass(s(1));
    let bad =
        rig.transcript.lines().any(|l| l.contains("open #4 GET") && !l.contains("last-event-id"));
    assert!(!bad, "{}", rig.transcript);
}

#[test]
fn a_cancelled_member_of_a_batch_takes_no_other_along() {
    let mut rig = Rig::new();
    rig.client(INITIALIZE);
    rig.json(1, &[], &ANSWER.replace("2025-11-25", "2025-03-26"));
    rig.client(&format!("[{},{}]", list(5), list(6)));
    rig.fault(2, FaultKind::Unsent);
    rig.client(&cancel(5));
    rig.pass(s(1));
    rig.json(2, &[], &format!("[{}]", reply(6)));
    yes(&rig, &reply(6));
}

/// A session of the one revision that has batches.
fn with_batches(concurrency: usize) -> Rig {
    let mut rig = Rig::with(|config| config.concurrency = concurrency);
    rig.client(INITIALIZE);
    rig.json(1, &[("mcp-session-id", "s1")], &ANSWER.replace("2025-11-25", "2025-03-26"));
    rig.transcript.clear();
    rig
}

const NOTE: &str = r#"{"jsonrpc":"2.0","method":"notifications/x"}"#;

#[test]
fn a_batch_that_waits_for_a_slot_goes_without_what_is_cancelled() {
    let mut rig = with_batches(1);
    rig.client(&call(4));
    rig.client(&format!("[{}, {},{NOTE}]", list(5), call(6)));
    rig.client(&format!("[{},{NOTE}]", list(7)));
    rig.client(&format!("[{}]", list(8)));
    for id in [5, 7, 8] {
        rig.client(&cancel(id));
    }
    rig.json(2, &[], &reply(4));
    rig.json(3, &[], &format!("[{}]", reply(6)));
    insta::assert_snapshot!(rig.transcript);
}

#[test]
fn a_batch_that_is_sent_again_goes_without_what_is_cancelled() {
    let mut rig = with_batches(4);
    rig.client(&format!("[{},{NOTE}]", call(5)));
    rig.client(&format!("[{},{}]", call(6), call(7)));
    rig.fault(2, FaultKind::Unsent);
    rig.client(&cancel(5));
    rig.client(&cancel(6));
    rig.fault(3, FaultKind::Unsent);
    rig.pass(s(1));
    insta::assert_snapshot!(rig.transcript);
}

#[test]
fn a_batch_that_is_sent_again_goes_without_what_is_answered() {
    let mut rig = with_batches(4);
    rig.client(&format!("[{},{}]", call(5), list(6)));
    rig.client(&call(7));
    rig.events(3);
    rig.chunk(3, &event(&reply(5)));
    rig.answer(2, 404, &[], "");
    let version = reopened(4).replace("2025-11-25", "2025-03-26");
    rig.json(4, &[("mcp-session-id", "s2")], &version);
    rig.json(5, &[], &format!("[{}]", reply(6)));
    insta::assert_snapshot!(rig.transcript);
}

#[test]
fn a_modern_server_may_not_ask() {
    let mut rig = Rig::new();
    rig.client(&modern(10, "tools/call"));
    rig.events(1);
    rig.chunk(1, &event(ASK));
    no(&rig, "write");
    rig.pass(s(61));
    yes(&rig, r#"write {"jsonrpc":"2.0","id":10,"error""#);
}

#[test]
fn a_list_of_the_ferrys_own_bears_no_progress_token() {
    let mut rig = Rig::new();
    rig.client(&modern(10, "tools/call"));
    rig.transcript.clear();
    rig.answer(1, 400, &[], r#"{"jsonrpc":"2.0","id":10,"error":{"code":-32020,"message":"m"}}"#);
    yes(&rig, r#""method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/"#);
    no(&rig, "progressToken");
}

#[test]
fn an_array_that_mixes_responses_with_requests_goes_in_parts() {
    let mut rig = Rig::new();
    rig.client(INITIALIZE);
    rig.json(1, &[], &ANSWER.replace("2025-11-25", "2025-03-26"));
    rig.transcript.clear();
    rig.client(&format!("[{},{}]", list(5), reply(7)));
    yes(&rig, &format!("; {}\n", list(5)));
    yes(&rig, &format!("; {}\n", reply(7)));
}

#[test]
fn an_initialize_in_an_array_goes_alone() {
    let mut rig = Rig::new();
    rig.client(&format!("[{INITIALIZE},{}]", list(5)));
    yes(&rig, &format!("open #1 POST /mcp {INITIALIZE}\n"));
    rig.json(1, &[("mcp-session-id", "s1")], ANSWER);
    yes(&rig, &format!("mcp-session-id: s1; {}\n", list(5)));
}

#[test]
fn a_modern_404_with_an_error_is_the_answer() {
    let mut rig = Rig::new();
    rig.client(&modern(10, "x/y"));
    let error = r#"{"jsonrpc":"2.0","id":10,"error":{"code":-32601,"message":"Method not found"}}"#;
    rig.answer(1, 404, &[], error);
    yes(&rig, &format!("write {error}"));
    assert_eq!(count(&rig, "write"), 1, "{}", rig.transcript);
    no(&rig, "open #2");
}

#[test]
fn bytes_of_the_client_that_are_not_utf_8() {
    let mut rig = Rig::in_session();
    let line = bytes::Bytes::from_static(b"{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"\xff\"}");
    rig.input("client: (not UTF-8)", Input::ClientFrame(ferry_proto::Frame::Line(line)));
    yes(&rig, r#""code":-32700"#);
    no(&rig, "open #");
}

#[test]
fn a_response_to_a_modern_server_is_not_sent() {
    let mut rig = Rig::new();
    rig.client(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#);
    rig.transcript.clear();
    rig.client(r#"{"jsonrpc":"2.0","id":"q","result":{}}"#);
    no(&rig, "open");
}
