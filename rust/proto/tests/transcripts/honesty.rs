//! What a client is told, and when: each was once wrong, and was found by reading the machine as a
//! hostile server would.

use ferry_proto::{FaultKind, Input};

use crate::rig::{ANSWER, INITIALIZE, Rig};
use crate::words::{
    ASK, call, cancel, count, event, list, no, old, reopened, resumed, s, with_listener, yes,
};

#[test]
fn shutdown_answers_what_an_old_stream_would_have() {
    let mut rig = old();
    rig.client(&list(4));
    rig.head(4, 202, &[]);
    rig.end(4);
    rig.input("shutdown", Input::Shutdown);
    yes(&rig, r#"write {"jsonrpc":"2.0","id":4,"error""#);
}

#[test]
fn resumed_call_maybe_processed() {
    let mut rig = resumed();
    for _ in 0..12 {
        rig.pass(s(6));
        if rig.transcript.contains("\"error\"") {
            break;
        }
        rig.fault(4, FaultKind::Connect);
    }
    no(&rig, r#""maybeProcessed":false"#);
}

#[test]
fn resumed_call_redirected() {
    let mut rig = resumed();
    rig.pass(s(1));
    rig.head(4, 307, &[("location", "http://elsewhere.test/")]);
    no(&rig, r#""maybeProcessed":false"#);
}

#[test]
fn resumed_call_times_out_while_connecting() {
    let mut rig = resumed();
    rig.pass(s(70));
    no(&rig, r#""maybeProcessed":false"#);
    yes(&rig, "notifications/cancelled");
}

#[test]
fn cancel_of_a_resumed_call_is_told() {
    let mut rig = resumed();
    rig.pass(s(1));
    rig.fault(4, FaultKind::Connect);
    rig.transcript.clear();
    rig.client(&cancel(10));
    yes(&rig, "open #");
}

#[test]
fn shutdown_during_resume() {
    let mut rig = resumed();
    rig.pass(s(1));
    rig.input("shutdown", Input::Shutdown);
    no(&rig, r#""maybeProcessed":false"#);
}

#[test]
fn cancelled_call_is_not_sent_again_after_503() {
    let mut rig = Rig::in_session();
    rig.client(&call(10));
    rig.sent(4);
    rig.client(&cancel(10));
    rig.answer(4, 503, &[("retry-after", "1")], "");
    rig.pass(s(3));
    assert_eq!(count(&rig, "tools/call"), 2, "{}", rig.transcript); // client line + one open
}

#[test]
fn cancelled_call_is_not_sent_again_after_401() {
    let mut rig = Rig::with(|config| config.renewable = true);
    rig.client(&call(10));
    rig.input("token", Input::Token(Ok("Bearer a".parse().unwrap())));
    rig.sent(1);
    rig.client(&cancel(10));
    rig.answer(1, 401, &[], "");
    rig.input("token", Input::Token(Ok("Bearer b".parse().unwrap())));
    assert_eq!(count(&rig, "tools/call"), 2, "{}", rig.transcript);
}

#[test]
fn cancelled_list_is_not_sent_again_after_502() {
    let mut rig = Rig::in_session();
    rig.client(&list(10));
    rig.sent(4);
    rig.client(&cancel(10));
    rig.answer(4, 502, &[], "");
    rig.pass(s(3));
    assert_eq!(count(&rig, "tools/list"), 2, "{}", rig.transcript);
}

#[test]
fn draining_ends_though_the_server_asked_something() {
    let mut rig = Rig::in_session();
    rig.client(&call(10));
    rig.events(4);
    rig.chunk(4, &event(ASK));
    rig.client_closes();
    rig.pass(s(3600));
    yes(&rig, "exit");
}

#[test]
fn a_request_that_the_server_took_back_stops_no_clock() {
    let mut rig = with_listener();
    rig.chunk(3, &event(ASK));
    rig.chunk(
        3,
        &event(
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"srv1"}}"#,
        ),
    );
    rig.client(&call(10));
    rig.pass(s(3600));
    yes(&rig, r#""id":10,"error""#);
}

#[test]
fn answer_in_other_spelling() {
    let mut rig = with_listener();
    rig.chunk(3, &event(r#"{"jsonrpc":"2.0","id":1.0,"method":"ping"}"#));
    rig.client(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
    rig.head(4, 202, &[]);
    rig.end(4);
    rig.client(&call(10));
    rig.pass(s(3600));
    yes(&rig, r#""id":10,"error""#);
}

#[test]
fn a_large_call_that_elicits_does_not_lock_out_the_answer() {
    let mut rig = Rig::in_session_with(|c| c.max_message = 64 << 20);
    let big = format!(
        r#"{{"jsonrpc":"2.0","id":10,"method":"tools/call","params":{{"name":"t","x":"{}"}}}}"#,
        "x".repeat(17 << 20)
    );
    rig.client(&big);
    rig.transcript.clear();
    rig.sent(4);
    rig.events(4);
    rig.chunk(4, &event(ASK));
    assert!(rig.reads_client());
}

#[test]
fn deadline_while_waiting_is_kept_armed() {
    let mut rig = Rig::in_session();
    rig.client(&call(10));
    rig.events(4);
    rig.chunk(4, "id: a1\nretry: 3600000\ndata:\n\n");
    rig.end(4);
    rig.client(r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#); // 5: lane timer, 1 s
    rig.pass(s(2));
    rig.head(5, 202, &[]);
    rig.end(5);
    rig.pass(s(300));
    yes(&rig, r#""id":10,"error""#);
}

#[test]
fn frames_after_shutdown() {
    let mut rig = Rig::in_session();
    rig.input("shutdown", Input::Shutdown);
    rig.client(&call(10));
    assert!(
        !rig.transcript.lines().any(|l| l.contains("open #") && l.contains("tools/call")),
        "{}",
        rig.transcript
    );
}

#[test]
fn the_refusal_is_told_if_no_endpoint_comes() {
    let mut rig = Rig::new();
    rig.client(INITIALIZE);
    rig.answer(1, 400, &[], "missing tenant header");
    rig.events(2);
    rig.transcript.clear();
    rig.pass(s(61));
    yes(&rig, "missing tenant header");
}

#[test]
fn status_524() {
    let mut rig = Rig::in_session();
    rig.client(&call(10));
    rig.answer(4, 524, &[], "a timeout occurred");
    no(&rig, r#""maybeProcessed":false"#);
}

#[test]
fn status_408() {
    let mut rig = Rig::in_session();
    rig.client(&call(10));
    rig.answer(4, 408, &[], "");
    no(&rig, r#""maybeProcessed":false"#);
}

#[test]
fn session_id_in_errors() {
    let mut rig = Rig::in_session();
    rig.client(&call(10));
    rig.answer(4, 404, &[], "Session not found: s1");
    rig.json(5, &[("mcp-session-id", "secret-s2")], &reopened(5));
    rig.head(6, 202, &[]);
    rig.end(6);
    rig.transcript.clear();
    rig.answer(8, 404, &[], "Session not found: secret-s2");
    let bad = rig.transcript.lines().any(|l| l.contains("write ") && l.contains("secret-s2"));
    assert!(!bad, "{}", rig.transcript);
}

#[test]
fn a_400_that_is_the_calls_own_answer_is_no_loss() {
    let mut rig = Rig::in_session();
    rig.client(&call(10));
    rig.answer(4, 400, &[], r#"{"jsonrpc":"2.0","id":10,"error":{"code":-32000,"message":"payment sent, but the mailer is not initialized"}}"#);
    no(&rig, "initialize\"");
}

#[test]
fn connect_patience_begins_with_the_first_failure() {
    let mut rig = Rig::in_session();
    rig.client(&list(10));
    rig.answer(4, 503, &[("retry-after", "20")], "");
    rig.pass(s(20));
    rig.fault(4, FaultKind::Connect);
    rig.pass(s(1));
    no(&rig, r#""id":10,"error""#);
}

#[test]
fn cancel_of_1_does_not_hit_1_0() {
    let mut rig = Rig::in_session();
    rig.client(r#"{"jsonrpc":"2.0","id":1.0,"method":"tools/call","params":{"name":"a"}}"#);
    rig.client(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"b"}}"#);
    rig.sent(4);
    rig.sent(5);
    rig.client(&cancel(1));
    rig.json(4, &[], r#"{"jsonrpc":"2.0","id":1.0,"result":{"own":"a"}}"#);
    yes(&rig, r#"write {"jsonrpc":"2.0","id":1.0,"result":{"own":"a"}}"#);
}

#[test]
fn parked_request_and_its_cancellation_go_together() {
    let mut rig = Rig::with(|c| c.renewable = true);
    rig.client(&call(10));
    rig.client(&cancel(10));
    rig.input("token", Input::Token(Ok("Bearer a".parse().unwrap())));
    no(&rig, "open #");
}

#[test]
fn late_end_after_a_redirect() {
    let mut rig = Rig::in_session();
    rig.client(&call(9));
    rig.client(&call(10));
    rig.answer(4, 503, &[("retry-after", "5")], "");
    rig.head(5, 307, &[("location", "/other")]);
    rig.end(5); // late: its abort was on the way
    no(&rig, r#""id":10,"error""#);
}

#[test]
fn harmless_cut_then_unreachable() {
    let mut rig = Rig::in_session();
    rig.client(&list(10));
    rig.sent(4);
    rig.fault(4, FaultKind::Cut);
    for _ in 0..40 {
        rig.pass(s(6));
        if rig.transcript.contains("\"error\"") {
            break;
        }
        rig.fault(4, FaultKind::Connect);
    }
    no(&rig, r#""maybeProcessed":false"#);
}

#[test]
fn a_cancelled_request_is_not_redirected() {
    let mut rig = Rig::in_session();
    rig.client(&call(10));
    rig.sent(4);
    rig.client(&cancel(10));
    rig.head(4, 307, &[("location", "/other")]);
    no(&rig, "POST /other");
}

#[test]
fn initialize_cannot_be_cancelled() {
    let mut rig = Rig::new();
    rig.client(INITIALIZE);
    rig.sent(1);
    rig.client(&cancel(1));
    rig.json(1, &[("mcp-session-id", "s1")], ANSWER);
    yes(&rig, &format!("write {ANSWER}"));
    no(&rig, "open #2");
}

/// A process that is being torn down still accepts for a moment; what goes out then is lost.
#[test]
fn nothing_follows_at_once_where_a_connection_broke() {
    let mut rig = Rig::in_session_with(|config| config.concurrency = 1);
    rig.client(&call(10));
    rig.client(&call(11));
    rig.fault(4, FaultKind::Cut);
    no(&rig, "open #5");
    rig.pass(s(1));
    yes(&rig, "open #5");
}
