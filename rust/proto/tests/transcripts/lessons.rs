//! What was once wrong, one test for each: found by reading the machine as a hostile server would.

use crate::rig::{ANSWER, INITIALIZE, INITIALIZED, Rig};
use ferry_proto::{FaultKind, Input};
use std::time::Duration;

fn call(id: u32) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"t"}}}}"#)
}
fn list(id: u32) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list"}}"#)
}
fn reply(id: u32) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#)
}
fn event(text: &str) -> String {
    format!("data: {text}\n\n")
}
fn cancel(id: u32) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#
    )
}
fn reopened(n: u64) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":"mcp-ferry:{n}","result":{{"protocolVersion":"2025-11-25","capabilities":{{}}}}}}"#
    )
}
fn s(n: u64) -> Duration {
    Duration::from_secs(n)
}
const ASK: &str = r#"{"jsonrpc":"2.0","id":"srv1","method":"elicitation/create","params":{}}"#;
const ENDPOINT: &str = "event: endpoint\ndata: /messages?session=1\n\n";

/// in session with an open listener #3
fn with_listener() -> Rig {
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
fn old() -> Rig {
    let mut rig = Rig::new();
    rig.client(INITIALIZE);
    rig.client(INITIALIZED);
    rig.head(1, 405, &[]);
    rig.end(1);
    rig.events(2);
    rig.chunk(2, ENDPOINT);
    rig.head(1, 202, &[]);
    rig.end(1);
    rig.chunk(2, &event(ANSWER));
    rig.head(3, 202, &[]);
    rig.end(3);
    rig.transcript.clear();
    rig
}
fn no(rig: &Rig, what: &str) {
    assert!(!rig.transcript.contains(what), "must not contain {what:?}:\n{}", rig.transcript);
}
fn yes(rig: &Rig, what: &str) {
    assert!(rig.transcript.contains(what), "must contain {what:?}:\n{}", rig.transcript);
}
fn count(rig: &Rig, what: &str) -> usize {
    rig.transcript.matches(what).count()
}

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
    let mut rig = Rig::in_session();
    rig.client(&call(10));
    rig.events(4);
    rig.chunk(4, "id: a1\ndata:\n\n");
    rig.fault(4, FaultKind::Cut);
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
    let mut rig = Rig::in_session();
    rig.client(&call(10));
    rig.events(4);
    rig.chunk(4, "id: a1\ndata:\n\n");
    rig.fault(4, FaultKind::Cut);
    rig.pass(s(1));
    rig.head(4, 307, &[("location", "http://elsewhere.test/")]);
    no(&rig, r#""maybeProcessed":false"#);
}
#[test]
fn resumed_call_times_out_while_connecting() {
    let mut rig = Rig::in_session();
    rig.client(&call(10));
    rig.events(4);
    rig.chunk(4, "id: a1\ndata:\n\n");
    rig.fault(4, FaultKind::Cut);
    rig.pass(s(70));
    no(&rig, r#""maybeProcessed":false"#);
    yes(&rig, "notifications/cancelled");
}
#[test]
fn cancel_of_a_resumed_call_is_told() {
    let mut rig = Rig::in_session();
    rig.client(&call(10));
    rig.events(4);
    rig.chunk(4, "id: a1\ndata:\n\n");
    rig.fault(4, FaultKind::Cut);
    rig.pass(s(1));
    rig.fault(4, FaultKind::Connect);
    rig.transcript.clear();
    rig.client(&cancel(10));
    yes(&rig, "open #");
}
#[test]
fn shutdown_during_resume() {
    let mut rig = Rig::in_session();
    rig.client(&call(10));
    rig.events(4);
    rig.chunk(4, "id: a1\ndata:\n\n");
    rig.fault(4, FaultKind::Cut);
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
fn a_retry_waits_for_the_session() {
    let mut rig = Rig::in_session();
    rig.client(&list(10)); // 4
    rig.client(&call(11)); // 5
    rig.fault(4, FaultKind::Cut);
    rig.answer(5, 404, &[], "");
    rig.pass(s(1));
    for line in rig.transcript.lines().filter(|l| l.contains("open #4")).skip(1) {
        assert!(line.contains("mcp-session-id"), "{line}\n{}", rig.transcript);
    }
}
#[test]
fn and_the_client_gets_an_error_of_it() {
    let mut rig = Rig::in_session();
    rig.client(&list(10)); // 4
    rig.client(&call(11)); // 5
    rig.fault(4, FaultKind::Cut);
    rig.answer(5, 404, &[], "");
    rig.pass(s(1));
    rig.answer(4, 400, &[], "Bad Request: Mcp-Session-Id header is required");
    no(&rig, r#""id":10,"error""#);
}
#[test]
fn a_resumed_stream_does_not_move_to_another_session() {
    let mut rig = Rig::in_session();
    rig.client(&call(10)); // 4
    rig.events(4);
    rig.chunk(4, "id: a1\nretry: 3000\ndata:\n\n");
    rig.end(4);
    rig.client(&call(11)); // 5
    rig.answer(5, 404, &[], "");
    rig.json(6, &[("mcp-session-id", "s2")], &reopened(6));
    rig.head(7, 202, &[]);
    rig.end(7);
    rig.pass(s(4));
    no(&rig, "last-event-id: a1; mcp-protocol-version: 2025-11-25; mcp-session-id: s2");
}
#[test]
fn a_wait_after_503_meets_a_lost_session() {
    let mut rig = Rig::in_session();
    rig.client(&call(10)); // 4
    rig.client(&call(11)); // 5
    rig.answer(4, 503, &[("retry-after", "1")], "");
    rig.answer(5, 404, &[], "");
    rig.pass(Duration::from_millis(1500));
    let mut n = 0;
    for line in rig.transcript.lines().filter(|l| l.contains("open #4")).skip(1) {
        n += 1;
        assert!(line.contains("mcp-session-id"), "{line}\n{}", rig.transcript);
    }
    let _ = n;
}
#[test]
fn old_transport_request_before_initialize() {
    let mut rig = old();
    rig.client(&list(10)); // 4
    rig.fault(4, FaultKind::Connect);
    rig.fault(2, FaultKind::Cut);
    rig.pass(s(1));
    rig.transcript += "-- endpoint comes\n";
    // the stream is the newest GET
    let n = rig
        .transcript
        .lines()
        .rfind(|l| l.contains(" GET "))
        .unwrap()
        .split('#')
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    rig.events(n);
    rig.chunk(n, "event: endpoint\ndata: /messages?session=2\n\n");
    let after = rig.transcript.split("-- endpoint comes").nth(1).unwrap().to_owned();
    assert!(!after.contains("tools/list"), "{}", rig.transcript);
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
fn listener_409_retry_after_0() {
    let mut rig = {
        let mut r = with_listener();
        r.fault(3, FaultKind::Cut);
        r.pass(s(1));
        r
    };
    let mut opens = 0;
    for _ in 0..50 {
        let before = rig.now_ms();
        rig.answer(3, 409, &[("retry-after", "0")], "");
        rig.pass(Duration::ZERO);
        if rig.transcript.lines().last().unwrap().contains("open #3") && rig.now_ms() == before {
            opens += 1;
        } else {
            break;
        }
    }
    assert!(opens < 5, "{opens} GETs in no time at all\n{}", rig.transcript);
}
#[test]
fn listener_503_retry_after_0() {
    let mut rig = {
        let mut r = with_listener();
        r.fault(3, FaultKind::Cut);
        r.pass(s(1));
        r
    };
    let mut opens = 0;
    for _ in 0..50 {
        rig.answer(3, 503, &[("retry-after", "0")], "");
        rig.pass(Duration::ZERO);
        if rig.transcript.lines().last().unwrap().contains("open #3") { opens += 1 } else { break }
    }
    assert!(opens < 5, "{opens} GETs in no time at all");
}
#[test]
fn listener_new_id_retry_0() {
    let mut rig = with_listener();
    let mut opens = 0;
    for n in 0..50 {
        rig.chunk(3, &format!("id: {n}\nretry: 0\ndata:\n\n"));
        rig.end(3);
        rig.pass(Duration::ZERO);
        if rig.transcript.lines().last().unwrap().contains("open #3") {
            opens += 1;
            rig.events(3);
        } else {
            break;
        }
    }
    assert!(opens < 5, "{opens} GETs in no time at all");
}
#[test]
fn listener_404_reopen_loop() {
    let mut rig = with_listener();
    let mut listener = 3;
    let mut inits = 0;
    let start = rig.now_ms();
    for _ in 0..20 {
        rig.chunk(listener, "retry: 0\n\n");
        rig.end(listener);
        rig.pass(Duration::ZERO);
        rig.answer(listener, 404, &[], "");
        rig.pass(Duration::ZERO);
        let n = listener + 1;
        if !rig.transcript.lines().last().unwrap().contains(&format!("open #{n} POST")) {
            break;
        }
        inits += 1;
        rig.json(n, &[("mcp-session-id", "s2")], &reopened(n));
        rig.head(n + 1, 202, &[]);
        rig.end(n + 1);
        listener = n + 2;
        rig.events(listener);
    }
    assert!(inits < 5, "{inits} sessions in {} ms", rig.now_ms() - start);
}
#[test]
fn old_stream_loop() {
    let mut rig = old();
    let start = rig.now_ms();
    let mut stream = 2;
    let mut sessions = 0;
    for _ in 0..20 {
        rig.end(stream);
        rig.pass(Duration::ZERO);
        // reopen: number r, stream r+1
        let Some(line) = rig.transcript.lines().last().map(str::to_owned) else { break };
        if !line.contains(" GET ") {
            break;
        }
        stream = line.split('#').nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        sessions += 1;
        rig.events(stream);
        rig.chunk(stream, ENDPOINT);
        let r = stream - 1;
        rig.head(r, 202, &[]);
        rig.end(r);
        rig.chunk(stream, &event(&reopened(r)));
    }
    assert!(sessions < 5, "{sessions} sessions in {} ms", rig.now_ms() - start);
}
#[test]
fn old_announce_404_loop() {
    let mut rig = old();
    let start = rig.now_ms();
    rig.end(2);
    let mut sessions = 0;
    for _ in 0..40 {
        rig.pass(s(6));
        let Some(line) = rig.transcript.lines().rfind(|l| l.contains("open #")).map(str::to_owned)
        else {
            break;
        };
        if !line.contains(" GET ") {
            break;
        }
        let stream: u64 =
            line.split('#').nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        sessions += 1;
        rig.events(stream);
        rig.chunk(stream, ENDPOINT);
        let r = stream - 1;
        rig.head(r, 202, &[]);
        rig.end(r);
        rig.chunk(stream, &event(&reopened(r)));
        rig.answer(stream + 1, 404, &[], "");
    }
    assert!(
        sessions < 5,
        "{sessions} sessions in {} ms\n{}",
        rig.now_ms() - start,
        &rig.transcript[..2000]
    );
}
#[test]
fn notes_keep_their_order_over_a_retry() {
    let mut rig = Rig::in_session();
    rig.client(r#"{"jsonrpc":"2.0","method":"notifications/a"}"#);
    rig.fault(4, FaultKind::Connect);
    rig.client(r#"{"jsonrpc":"2.0","method":"notifications/b"}"#);
    no(&rig, "open #5");
}
#[test]
fn notes_keep_their_order_over_a_lost_session() {
    let mut rig = Rig::in_session();
    rig.client(r#"{"jsonrpc":"2.0","method":"notifications/a"}"#);
    rig.client(r#"{"jsonrpc":"2.0","method":"notifications/b"}"#);
    rig.head(4, 404, &[]);
    rig.end(4);
    if rig.transcript.contains("open #5 POST /mcp mcp-protocol-version: 2025-11-25; mcp-session-id: s1; {\"jsonrpc\":\"2.0\",\"method\":\"notifications/b\"}") {
        rig.answer(5, 404, &[], "");
        rig.json(6, &[("mcp-session-id", "s2")], &reopened(6));
        rig.head(7, 202, &[]);
        rig.end(7);
    }
    rig.transcript += "-- new\n";
    let after = &rig.transcript.clone();
    let a = after.rfind("notifications/a");
    let b = after.rfind("notifications/b\"}\n");
    let _ = (a, b);
    assert!(after.rfind("notifications/a") > after.find("mcp-session-id: s2"), "{after}");
    assert!(
        !(after.lines().filter(|l| l.contains("s2")).any(|l| l.contains("notifications/b"))),
        "b overtakes a:\n{after}"
    );
}
#[test]
fn an_answer_to_the_old_session_does_not_reach_the_new_one() {
    let mut rig = with_listener();
    rig.chunk(3, &event(r#"{"jsonrpc":"2.0","id":0,"method":"elicitation/create","params":{"message":"delete draft?"}}"#));
    rig.client(r#"{"jsonrpc":"2.0","id":0,"result":{"action":"accept"}}"#);
    rig.answer(4, 404, &[], "");
    rig.json(5, &[("mcp-session-id", "s2")], &reopened(5));
    rig.head(6, 202, &[]);
    rig.end(6);
    let bad = rig.transcript.lines().any(|l| l.contains("s2") && l.contains("accept"));
    assert!(!bad, "{}", rig.transcript);
}
#[test]
fn initialize_may_start_afresh_though_the_old_session_cannot_be_reopened() {
    let mut rig = Rig::in_session();
    rig.client(&call(10));
    rig.answer(4, 404, &[], "");
    rig.answer(5, 400, &[], "unsupported protocol version");
    rig.pass(s(10));
    rig.transcript.clear();
    rig.client(&INITIALIZE.replace("2025-11-25", "2026-01-01"));
    let line = rig.transcript.lines().last().unwrap().to_owned();
    assert!(line.contains("2026-01-01"), "{}", rig.transcript);
}
#[test]
fn redirects_of_the_old_transport() {
    let mut rig = old();
    rig.client(&list(4));
    rig.head(4, 307, &[("location", "/v2/messages?session=1")]);
    yes(&rig, "open #4 POST /v2/messages");
}
#[test]
fn relative_endpoint_after_redirect() {
    let mut rig = Rig::with(|c| {
        c.transport = ferry_proto::Transport::Sse;
        c.url = "http://server.test/sse".parse().unwrap();
    });
    rig.client(INITIALIZE);
    rig.head(2, 307, &[("location", "/app/sse")]);
    rig.events(2);
    rig.chunk(2, "event: endpoint\ndata: messages?session=1\n\n");
    yes(&rig, "open #1 POST /app/messages");
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
fn shutdown_while_announcing_anew() {
    let mut rig = Rig::in_session();
    rig.client(
        r#"{"jsonrpc":"2.0","id":20,"method":"logging/setLevel","params":{"level":"debug"}}"#,
    );
    rig.json(4, &[], &reply(20));
    rig.client(&call(10));
    rig.answer(5, 404, &[], "");
    rig.json(6, &[("mcp-session-id", "s2")], &reopened(6));
    rig.transcript.clear();
    rig.input("shutdown", Input::Shutdown);
    no(&rig, "setLevel");
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
fn reopen_error_on_a_stream_is_told_at_once() {
    let mut rig = Rig::in_session();
    rig.client(&call(10));
    rig.answer(4, 404, &[], "");
    rig.events(5);
    rig.chunk(
        5,
        &event(r#"{"jsonrpc":"2.0","id":"mcp-ferry:5","error":{"code":-1,"message":"no"}}"#),
    );
    yes(&rig, r#""id":10,"error""#);
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
fn listener_400_no_session() {
    let mut rig = with_listener();
    rig.fault(3, FaultKind::Cut);
    rig.pass(s(1));
    rig.answer(3, 400, &[], "Bad Request: No valid session ID provided");
    rig.pass(s(1));
    yes(&rig, "open #4 POST");
}
#[test]
fn garbage_id_of_a_long_line() {
    let mut rig = Rig::new();
    rig.too_long(
        b"{\"id\":1x\x1b\xff,\"method\":\"a\",\"params\":{\"x\":\"yyyyyyyyyyyyyyyyyyyyyy\"}}\n",
    );
    no(&rig, "\"id\":1x");
}
/// Asking again is harmless, and the answer then comes with its session id.
#[test]
fn initialize_is_asked_again_and_not_resumed() {
    let mut rig = Rig::new();
    rig.client(INITIALIZE);
    rig.head(1, 200, &[("content-type", "text/event-stream"), ("mcp-session-id", "s1")]);
    rig.chunk(1, "id: a\ndata:\n\n");
    rig.end(1);
    rig.pass(s(1));
    no(&rig, "GET");
    rig.json(1, &[("mcp-session-id", "s2")], ANSWER);
    rig.client(INITIALIZED);
    yes(&rig, "open #2 POST /mcp mcp-protocol-version: 2025-11-25; mcp-session-id: s2");
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
fn restore_is_bounded() {
    let mut rig = Rig::in_session_with(|c| c.concurrency = 4);
    for n in 0..200_u32 {
        rig.client(&format!(r#"{{"jsonrpc":"2.0","id":{},"method":"resources/subscribe","params":{{"uri":"u{n}"}}}}"#, 100 + n));
        rig.json(u64::from(4 + n), &[], &reply(100 + n));
    }
    rig.client(&call(10));
    rig.answer(204, 404, &[], "");
    rig.json(205, &[("mcp-session-id", "s2")], &reopened(205));
    rig.transcript.clear();
    rig.head(206, 202, &[]);
    assert!(count(&rig, "open #") < 20, "{} at once", count(&rig, "open #"));
}
#[test]
fn listener_after_token_failure() {
    let mut rig = Rig::with(|c| c.renewable = true);
    rig.client(INITIALIZE);
    rig.input("token", Input::Token(Ok("Bearer a".parse().unwrap())));
    rig.json(1, &[("mcp-session-id", "s1")], ANSWER);
    rig.client(INITIALIZED);
    rig.head(2, 202, &[]);
    rig.end(2);
    rig.events(3);
    rig.fault(3, FaultKind::Cut);
    rig.pass(s(1));
    rig.answer(3, 401, &[], "");
    rig.input("token", Input::Token(Err("flaky".into())));
    rig.transcript.clear();
    rig.pass(s(3600));
    yes(&rig, "open #");
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
fn initialized_404_and_nobody_asks() {
    let mut rig = Rig::new();
    rig.client(INITIALIZE);
    rig.json(1, &[("mcp-session-id", "s1")], ANSWER);
    rig.client(INITIALIZED);
    rig.answer(2, 404, &[], "");
    rig.pass(s(10));
    yes(&rig, "open #3");
}
#[test]
fn timeout_in_a_lost_session_opens_none() {
    let mut rig = Rig::in_session();
    rig.client(&call(10)); // 4
    rig.client(&call(11)); // 5
    rig.sent(4);
    rig.events(5);
    rig.client(&call(12)); // 6
    rig.sent(4);
    rig.answer(6, 404, &[], "");
    rig.answer(7, 500, &[], "");
    rig.transcript.clear();
    rig.pass(s(120));
    no(&rig, "initialize");
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
fn a_stream_without_content_is_none() {
    let mut rig = Rig::with(|config| config.transport = ferry_proto::Transport::Sse);
    rig.client(INITIALIZE);
    rig.head(2, 204, &[("content-type", "text/event-stream")]);
    yes(&rig, "has no event stream");
}

fn modern(id: u32, method: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{"name":"t","_meta":{{"progressToken":"p","io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}}}}"#
    )
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
fn initialize_cannot_be_cancelled() {
    let mut rig = Rig::new();
    rig.client(INITIALIZE);
    rig.sent(1);
    rig.client(&cancel(1));
    rig.json(1, &[("mcp-session-id", "s1")], ANSWER);
    yes(&rig, &format!("write {ANSWER}"));
    no(&rig, "open #2");
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
fn a_redirected_delete_ends_the_old_session_and_no_other() {
    let mut rig = Rig::in_session();
    rig.client(INITIALIZE);
    rig.json(5, &[("mcp-session-id", "s2")], ANSWER);
    rig.head(4, 307, &[("location", "/other")]);
    yes(&rig, "DELETE /other mcp-protocol-version: 2025-11-25; mcp-session-id: s1");
    no(&rig, "DELETE /other mcp-protocol-version: 2025-11-25; mcp-session-id: s2");
}

#[test]
fn what_restores_a_session_ends_with_it() {
    let mut rig = Rig::in_session();
    rig.client(
        r#"{"jsonrpc":"2.0","id":20,"method":"logging/setLevel","params":{"level":"debug"}}"#,
    );
    rig.json(4, &[], &reply(20));
    rig.client(&call(10));
    rig.answer(5, 404, &[], "");
    rig.json(6, &[("mcp-session-id", "s2")], &reopened(6));
    rig.head(7, 202, &[]);
    rig.end(7);
    rig.client(&call(11));
    rig.fault(9, FaultKind::Connect);
    rig.answer(11, 404, &[], "");
    rig.transcript.clear();
    rig.pass(s(1));
    yes(&rig, "initialize");
    no(&rig, "setLevel");
}

#[test]
fn a_response_to_a_modern_server_is_not_sent() {
    let mut rig = Rig::new();
    rig.client(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#);
    rig.transcript.clear();
    rig.client(r#"{"jsonrpc":"2.0","id":"q","result":{}}"#);
    no(&rig, "open");
}
