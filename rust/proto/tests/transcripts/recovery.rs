//! What breaks, and what becomes of it.

use std::time::Duration;

use ferry_proto::FaultKind;
use insta::assert_snapshot;

use crate::rig::{ANSWER, INITIALIZE, INITIALIZED, Rig};
use crate::words::{call, list, reply, resumed, with_listener};

const REOPENED: &str = r#"{"jsonrpc":"2.0","id":"mcp-ferry:6","result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true},"prompts":{}}}}"#;

fn event(id: u32) -> String {
    format!("data: {}\n\n", reply(id))
}

/// Two requests are told that the session is gone; one new session serves both.
#[test]
fn a_forgotten_session_is_opened_anew_once() {
    let mut rig = Rig::in_session();
    rig.client(&call(10));
    rig.client(&call(11));
    rig.answer(4, 404, &[], r#"{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"Session not found"}}"#);
    rig.client(&call(12));
    rig.answer(5, 404, &[], "");
    rig.json(6, &[("mcp-session-id", "s2")], REOPENED);
    rig.head(7, 202, &[]);
    rig.end(7);
    assert_snapshot!(rig.transcript);
}

/// What the client no longer waits for still says it, before its cancellation and after.
#[test]
fn a_cancelled_request_may_say_that_the_session_is_gone() {
    let cancel =
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":10}}"#;
    let mut rig = Rig::in_session();
    rig.client(&call(10));
    rig.sent(4);
    rig.client(cancel);
    rig.answer(4, 404, &[], "");
    rig.transcript += "\n";
    let first = std::mem::replace(&mut rig, Rig::in_session()).transcript;
    rig.client(&call(10));
    rig.head(4, 404, &[]);
    rig.client(cancel);
    rig.end(4);
    assert_snapshot!(first + &rig.transcript);
}

#[test]
fn a_new_session_is_given_what_the_old_one_had() {
    let mut rig = Rig::in_session();
    rig.client(
        r#"{"jsonrpc":"2.0","id":20,"method":"logging/setLevel","params":{"level":"debug"}}"#,
    );
    rig.json(4, &[], &reply(20));
    for (exchange, id, method, uri) in
        [(5, 21, "subscribe", "a"), (6, 22, "subscribe", "b"), (7, 23, "unsubscribe", "a")]
    {
        rig.client(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"resources/{method}","params":{{"uri":"{uri}"}}}}"#
        ));
        rig.json(exchange, &[], &reply(id));
    }
    rig.transcript.clear();
    rig.client(&call(24));
    rig.answer(8, 404, &[], "");
    rig.json(9, &[], &REOPENED.replace("ferry:6", "ferry:9"));
    rig.head(10, 202, &[]);
    rig.end(10);
    rig.json(11, &[], r#"{"jsonrpc":"2.0","id":"mcp-ferry:11","result":{}}"#);
    assert_snapshot!(rig.transcript);
}

/// Several SDKs say it with a 400.
#[test]
fn a_400_that_speaks_of_the_session() {
    let mut rig = Rig::in_session();
    rig.client(&call(10));
    rig.answer(4, 400, &[], "Bad Request: No valid session ID provided");
    rig.json(5, &[("mcp-session-id", "s2")], &REOPENED.replace("ferry:6", "ferry:5"));
    rig.head(6, 202, &[]);
    rig.end(6);
    rig.client(&call(11));
    rig.transcript += "-- a 400 of another kind is the request's own\n";
    rig.answer(9, 400, &[], "the argument is wrong");
    assert_snapshot!(rig.transcript);
}

#[test]
fn a_session_that_is_lost_again_at_once_is_an_error() {
    let mut rig = Rig::in_session();
    rig.client(&call(10));
    rig.answer(4, 404, &[], "");
    rig.json(5, &[("mcp-session-id", "s2")], &REOPENED.replace("ferry:6", "ferry:5"));
    rig.head(6, 202, &[]);
    rig.end(6);
    rig.answer(8, 404, &[], r#"{"detail":"Session not found"}"#);
    rig.transcript += "-- the next request asks again\n";
    rig.client(&call(11));
    rig.answer(9, 404, &[], "");
    assert_snapshot!(rig.transcript);
}

#[test]
fn no_new_session_can_be_had() {
    let mut rig = Rig::in_session();
    rig.client(&call(10));
    rig.client(&call(11));
    rig.answer(4, 404, &[], "");
    rig.answer(5, 404, &[], "");
    rig.answer(6, 500, &[], "down");
    rig.transcript += "-- not before the backoff\n";
    rig.client(&call(12));
    rig.pass(Duration::from_secs(1));
    rig.json(7, &[("mcp-session-id", "s2")], &REOPENED.replace("ferry:6", "ferry:7"));
    assert_snapshot!(rig.transcript);
}

#[test]
fn a_listener_that_loses_its_session_asks_for_a_new_one() {
    let mut rig = with_listener();
    rig.fault(3, FaultKind::Cut);
    rig.pass(Duration::from_secs(1));
    rig.answer(3, 404, &[], "");
    rig.json(4, &[("mcp-session-id", "s2")], &REOPENED.replace("ferry:6", "ferry:4"));
    rig.head(5, 202, &[]);
    rig.end(5);
    rig.events(6);
    assert_snapshot!(rig.transcript);
}

/// 2025-11-25: the server may close the connection after an event id, and be polled.
#[test]
fn a_stream_cut_after_an_event_id_goes_on() {
    let mut rig = Rig::in_session();
    rig.client(&call(10));
    rig.events(4);
    rig.chunk(4, "id: a1\nretry: 3000\ndata:\n\n");
    rig.end(4);
    rig.pass(Duration::from_millis(2999));
    rig.transcript += "-- 2999 ms later\n";
    rig.pass(Duration::from_millis(1));
    rig.events(4);
    rig.chunk(4, "id: a2\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n");
    rig.fault(4, FaultKind::Cut);
    rig.pass(Duration::from_secs(3));
    rig.events(4);
    rig.chunk(4, &event(10));
    rig.end(4);
    assert_snapshot!(rig.transcript);
}

#[test]
fn a_stream_that_may_not_go_on() {
    let mut rig = Rig::in_session();
    rig.client(&call(10));
    rig.client(&list(11));
    for exchange in [4, 5] {
        rig.events(exchange);
        rig.chunk(exchange, "id: a1\ndata:\n\n");
        rig.end(exchange);
        rig.pass(Duration::from_millis(200));
        rig.answer(exchange, 405, &[], "");
    }
    rig.pass(Duration::from_secs(1));
    rig.json(5, &[], &reply(11));
    assert_snapshot!(rig.transcript);
}

/// A restarted server does not know the stream either: a call that may have run is not sent again.
#[test]
fn a_stream_whose_session_is_gone() {
    let mut rig = resumed();
    rig.pass(Duration::from_secs(1));
    rig.answer(4, 404, &[], "");
    rig.client(&list(11));
    rig.pass(Duration::from_secs(1));
    assert_snapshot!(rig.transcript);
}

/// A server may be polled for as long as the client waits for anything; then it is silence.
#[test]
fn a_stream_that_never_brings_anything_new_ends() {
    let mut rig = Rig::in_session_with(|config| config.response_timeout = Duration::from_secs(15));
    rig.client(&call(10));
    for _ in 0..20 {
        if rig.transcript.contains("error") {
            break;
        }
        rig.events(4);
        rig.chunk(4, "id: a1\nretry: 0\ndata:\n\n");
        rig.end(4);
        rig.pass(Duration::from_secs(3));
    }
    assert_snapshot!(rig.transcript);
}

#[test]
fn what_may_have_run_is_sent_again_only_if_that_is_harmless() {
    let mut rig = Rig::in_session();
    rig.client(&call(10));
    rig.client(&list(11));
    rig.fault(4, FaultKind::Cut);
    rig.fault(5, FaultKind::Cut);
    rig.pass(Duration::from_secs(1));
    rig.answer(5, 502, &[], "");
    rig.pass(Duration::from_secs(1));
    rig.answer(5, 504, &[], "");
    assert_snapshot!(rig.transcript);
}

#[test]
fn a_server_that_asks_to_come_again_is_left_in_peace_until_then() {
    let mut rig = Rig::in_session();
    rig.client(&call(10));
    rig.head(4, 429, &[("retry-after", "5")]);
    rig.end(4);
    rig.client(&call(11));
    rig.pass(Duration::from_secs(5));
    rig.json(4, &[], &reply(10));
    rig.head(5, 503, &[("retry-after", "900")]);
    rig.end(5);
    rig.client(&call(12));
    rig.answer(6, 503, &[], "");
    assert_snapshot!(rig.transcript);
}

#[test]
fn a_server_that_stays_away() {
    let mut rig = Rig::in_session();
    rig.client(&call(10));
    for _ in 0..12 {
        rig.fault(4, FaultKind::Connect);
        if rig.transcript.contains("unreachable") {
            break;
        }
        rig.pass(Duration::from_secs(5));
    }
    rig.client(&call(11));
    rig.fault(5, FaultKind::Tls);
    rig.client(&call(12));
    rig.fault(6, FaultKind::Connect);
    rig.client(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":12}}"#);
    assert_snapshot!(rig.transcript);
}

#[test]
fn the_listener_is_opened_again_without_haste() {
    let mut rig = Rig::new();
    rig.client(INITIALIZE);
    rig.json(1, &[], ANSWER);
    rig.client(INITIALIZED);
    rig.head(2, 202, &[]);
    rig.end(2);
    rig.transcript.clear();
    for _ in 0..5 {
        rig.events(3);
        rig.chunk(3, "retry: 0\n\n");
        rig.end(3);
        rig.pass(Duration::from_secs(6));
    }
    assert_snapshot!(rig.transcript);
}
