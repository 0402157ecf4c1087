//! How sessions open, and what waits for them.

use std::time::Duration;

use ferry_proto::FaultKind;
use insta::assert_snapshot;

use crate::rig::{ANSWER, INITIALIZE, INITIALIZED, Rig};

const LIST: &str = r#"{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{}}"#;

/// The conversation of IBM/mcp-context-forge#4419: both lines at once.
#[test]
fn both_lines_at_once() {
    let mut rig = Rig::new();
    rig.client(INITIALIZE);
    rig.client(LIST);
    rig.json(1, &[("mcp-session-id", "s1")], ANSWER);
    rig.json(2, &[], r#"{"jsonrpc":"2.0","id":2,"result":{"tools":[]}}"#);
    rig.client_closes();
    rig.head(3, 200, &[]);
    assert_snapshot!(rig.transcript);
}

#[test]
fn both_lines_and_the_end_at_once() {
    let mut rig = Rig::new();
    rig.client(INITIALIZE);
    rig.client(LIST);
    rig.client_closes();
    rig.json(1, &[("mcp-session-id", "s1")], ANSWER);
    rig.json(2, &[], r#"{"jsonrpc":"2.0","id":2,"result":{"tools":[]}}"#);
    rig.head(3, 405, &[]);
    assert_snapshot!(rig.transcript);
}

#[test]
fn what_follows_initialized_waits_until_it_is_taken() {
    let mut rig = Rig::new();
    rig.client(INITIALIZE);
    rig.client(INITIALIZED);
    rig.client(LIST);
    rig.json(1, &[("mcp-session-id", "s1")], ANSWER);
    rig.sent(2);
    rig.head(2, 202, &[]);
    rig.end(2);
    rig.events(3);
    rig.chunk(3, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}\n\n");
    assert_snapshot!(rig.transcript);
}

#[test]
fn a_server_without_sessions() {
    let mut rig = Rig::new();
    rig.client(INITIALIZE);
    rig.json(1, &[], ANSWER);
    rig.client(INITIALIZED);
    rig.head(2, 202, &[]);
    rig.end(2);
    rig.head(3, 405, &[]);
    rig.end(3);
    rig.client(LIST);
    rig.client_closes();
    rig.json(4, &[], r#"{"jsonrpc":"2.0","id":2,"result":{}}"#);
    assert_snapshot!(rig.transcript);
}

/// A refusal's session id is dead (`ContextForge` sends one with its 400): it must not be used.
#[test]
fn a_refused_initialize_opens_no_session() {
    let mut rig = Rig::new();
    rig.client(INITIALIZE);
    rig.client(LIST);
    let body = r#"{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"Bad"}}"#;
    rig.answer(1, 400, &[("mcp-session-id", "dead")], body);
    rig.answer(2, 400, &[("mcp-session-id", "dead")], body);
    rig.client(INITIALIZE);
    rig.json(3, &[("mcp-session-id", "s2")], ANSWER);
    assert_snapshot!(rig.transcript);
}

#[test]
fn an_illegal_session_id_is_refused() {
    let mut rig = Rig::new();
    rig.client(INITIALIZE);
    rig.head(1, 200, &[("mcp-session-id", "a b"), ("content-type", "application/json")]);
    assert_snapshot!(rig.transcript);
}

#[test]
fn initialize_answered_by_an_event_stream() {
    let mut rig = Rig::new();
    rig.client(INITIALIZE);
    rig.head(1, 200, &[("mcp-session-id", "s1"), ("content-type", "text/event-stream")]);
    rig.chunk(1, "id: 1\ndata: \n\n");
    rig.client(LIST);
    rig.chunk(1, &format!("id: 2\ndata: {ANSWER}\n\n"));
    rig.end(1);
    assert_snapshot!(rig.transcript);
}

#[test]
fn without_initialize_frames_go_as_they_come() {
    let mut rig = Rig::new();
    rig.client(LIST);
    rig.client(INITIALIZED);
    assert_snapshot!(rig.transcript);
}

#[test]
fn a_server_that_is_away_is_waited_for() {
    let mut rig = Rig::new();
    rig.client(INITIALIZE);
    rig.client(LIST);
    rig.fault(1, FaultKind::Connect);
    rig.pass(Duration::from_millis(200));
    rig.fault(1, FaultKind::Connect);
    rig.pass(Duration::from_millis(400));
    rig.json(1, &[("mcp-session-id", "s1")], ANSWER);
    assert_snapshot!(rig.transcript);
}

#[test]
fn a_listener_that_is_not_gone_yet_is_asked_again() {
    let mut rig = Rig::new();
    rig.client(INITIALIZE);
    rig.json(1, &[("mcp-session-id", "s1")], ANSWER);
    rig.client(INITIALIZED);
    rig.head(2, 202, &[]);
    rig.end(2);
    rig.head(3, 409, &[("retry-after", "2")]);
    rig.end(3);
    rig.pass(Duration::from_secs(3));
    rig.events(3);
    rig.chunk(3, "id: 7\nretry: 500\n\n");
    rig.end(3);
    rig.pass(Duration::from_secs(1));
    assert_snapshot!(rig.transcript);
}

#[test]
fn a_second_initialize_starts_afresh() {
    let mut rig = Rig::in_session();
    rig.client(INITIALIZE);
    rig.client(LIST);
    rig.head(4, 200, &[]);
    rig.json(5, &[("mcp-session-id", "s2")], ANSWER);
    assert_snapshot!(rig.transcript);
}

/// It waits for a moment because a connection broke; the server cannot know its id.
#[test]
fn what_has_not_left_has_no_answer() {
    let mut rig = Rig::in_session();
    rig.client(r#"{"jsonrpc":"2.0","id":10,"method":"tools/call","params":{"name":"t"}}"#);
    rig.client(r#"{"jsonrpc":"2.0","id":11,"method":"tools/call","params":{"name":"t"}}"#);
    rig.events(4);
    rig.fault(5, FaultKind::Cut);
    rig.client(INITIALIZE);
    rig.chunk(4, &format!("data: {ANSWER}\n\n"));
    rig.pass(Duration::from_secs(1));
    rig.json(7, &[("mcp-session-id", "s2")], ANSWER);
    rig.client(r#"{"jsonrpc":"2.0","id":12,"method":"tools/list"}"#);
    assert_snapshot!(rig.transcript);
}

/// Its answer came by another stream; that its own is too long says nothing of the next one.
#[test]
fn what_is_answered_cannot_fail() {
    let mut rig = Rig::with(|config| config.max_message = 400);
    rig.client(r#"{"jsonrpc":"2.0","id":10,"method":"tools/call","params":{"name":"t"}}"#);
    rig.events(1);
    rig.client(INITIALIZE);
    rig.head(2, 429, &[]);
    rig.chunk(1, &format!("data: {ANSWER}\n\n"));
    rig.client(&INITIALIZE.replace(r#""id":1"#, r#""id":11"#));
    rig.client(LIST);
    rig.chunk(2, &"x".repeat(401));
    rig.json(3, &[("mcp-session-id", "s2")], &ANSWER.replace(r#""id":1"#, r#""id":11"#));
    assert_snapshot!(rig.transcript);
}
