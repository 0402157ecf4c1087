//! Sessions, listeners and their order: each was once wrong, and was found by reading the machine as
//! a hostile server would.

use std::time::Duration;

use ferry_proto::{FaultKind, Input};

use crate::rig::{ANSWER, INITIALIZE, INITIALIZED, Rig};
use crate::words::{
    ENDPOINT, call, count, event, list, no, old, reopened, reply, s, with_listener, yes,
};

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
fn listener_400_no_session() {
    let mut rig = with_listener();
    rig.fault(3, FaultKind::Cut);
    rig.pass(s(1));
    rig.answer(3, 400, &[], "Bad Request: No valid session ID provided");
    rig.pass(s(1));
    yes(&rig, "open #4 POST");
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
fn a_stream_without_content_is_none() {
    let mut rig = Rig::with(|config| config.transport = ferry_proto::Transport::Sse);
    rig.client(INITIALIZE);
    rig.head(2, 204, &[("content-type", "text/event-stream")]);
    yes(&rig, "has no event stream");
}
