//! What the server answers, and what the client gets.

use std::time::Duration;

use ferry_proto::FaultKind;
use insta::assert_snapshot;

use crate::rig::Rig;

fn call(id: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"t"}}}}"#)
}

fn reply(id: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#)
}

#[test]
fn ids_keep_their_bytes() {
    let mut rig = Rig::in_session();
    for id in ["9007199254740993", "-1", "1.0", "\"1\"", "1"] {
        rig.client(&call(id));
    }
    rig.json(4, &[], &reply("9007199254740993"));
    rig.json(5, &[], &reply("-1"));
    // A server that parses 1.0 and writes it anew.
    rig.json(6, &[], &reply("1"));
    rig.json(7, &[], &reply("\"1\""));
    rig.json(8, &[], &reply("1"));
    assert_snapshot!(rig.transcript);
}

#[test]
fn events_are_written_as_they_arrive() {
    let mut rig = Rig::in_session();
    rig.client(&call("7"));
    rig.events(4);
    rig.chunk(
        4,
        "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"",
    );
    rig.chunk(
        4,
        ",\"params\":{}}\n\ndata: {\"jsonrpc\":\"2.0\",\ndata: \"id\":7,\"result\":{}}\n\n",
    );
    rig.end(4);
    assert_snapshot!(rig.transcript);
}

#[test]
fn a_stream_that_stays_open_after_its_reply_is_closed() {
    let mut rig = Rig::in_session();
    rig.client(&call("7"));
    rig.events(4);
    rig.chunk(4, &format!("data: {}\n\n", reply("7")));
    rig.chunk(4, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/late\"}\n\n");
    rig.pass(Duration::from_secs(5));
    assert_snapshot!(rig.transcript);
}

#[test]
fn what_is_no_reply() {
    let mut rig = Rig::in_session();
    for id in ["10", "11", "12", "13", "14", "15"] {
        rig.client(&call(id));
    }
    rig.json(4, &[], &reply("99"));
    rig.json(5, &[], "<html>no</html>");
    rig.json(6, &[], "");
    rig.head(7, 202, &[]);
    rig.events(8);
    rig.end(8);
    rig.fault(9, FaultKind::Cut);
    assert_snapshot!(rig.transcript);
}

#[test]
fn refusals() {
    let mut rig = Rig::in_session();
    for id in ["10", "11", "12", "13"] {
        rig.client(&call(id));
    }
    let error = r#"{"jsonrpc":"2.0","id":"server-error","error":{"code":-32602,"message":"m","data":[1.0]}}"#;
    rig.answer(4, 500, &[], error);
    rig.answer(5, 401, &[("www-authenticate", "Bearer realm=\"sea\"")], r#"{"detail":"no"}"#);
    rig.answer(6, 403, &[], "\u{1b}[31mno");
    rig.answer(7, 500, &[], "");
    assert_snapshot!(rig.transcript);
}

#[test]
fn redirects() {
    let mut rig = Rig::in_session();
    rig.client(&call("10"));
    rig.client(&call("11"));
    rig.head(4, 307, &[("location", "/mcp/")]);
    rig.json(4, &[], &reply("10"));
    rig.head(5, 308, &[("location", "http://elsewhere.test/mcp")]);
    assert_snapshot!(rig.transcript);
}

#[test]
fn batches_by_revision() {
    let batch = format!("[{},{}]", call("10"), call("11"));
    let mut rig = Rig::new();
    rig.client(crate::rig::INITIALIZE);
    rig.client(&batch);
    rig.json(1, &[], &crate::rig::ANSWER.replace("2025-11-25", "2025-03-26"));
    rig.json(2, &[], &format!("[{},{}]", reply("11"), reply("10")));
    rig.client(&batch);
    rig.json(
        3,
        &[],
        &format!("[{}, {}]", reply("11"), r#"{"jsonrpc":"2.0","method":"notifications/n"}"#),
    );
    assert_snapshot!(rig.transcript);
    let mut rig = Rig::in_session();
    rig.client(&batch);
    rig.client("[]");
    rig.client("[1]");
    assert_snapshot!("batches_under_a_revision_without", rig.transcript);
}

#[test]
fn what_the_client_writes_wrongly() {
    let mut rig = Rig::in_session();
    for line in
        ["nonsense", "17", r#"{"id":5}"#, r#"{"id":null,"method":"m"}"#, r#"{"id":5,"method":7}"#]
    {
        rig.client(line);
    }
    assert_snapshot!(rig.transcript);
}

#[test]
fn notifications_and_responses_go_in_the_order_written() {
    let mut rig = Rig::in_session();
    rig.client(r#"{"jsonrpc":"2.0","method":"notifications/a"}"#);
    rig.client(r#"{"jsonrpc":"2.0","id":"s","result":{}}"#);
    rig.client(r#"{"jsonrpc":"2.0","method":"notifications/b"}"#);
    rig.client(&call("7"));
    rig.head(4, 202, &[]);
    rig.pass(Duration::from_secs(2));
    rig.answer(6, 500, &[], "");
    assert_snapshot!(rig.transcript);
}

#[test]
fn a_silent_server_and_one_that_waits_for_an_answer() {
    let mut rig = Rig::in_session();
    rig.client(&call("7"));
    rig.sent(4);
    rig.client(&call("8"));
    rig.events(5);
    rig.chunk(5, "data: {\"jsonrpc\":\"2.0\",\"id\":\"q\",\"method\":\"elicitation/create\"}\n\n");
    rig.pass(Duration::from_secs(100));
    rig.client(r#"{"jsonrpc":"2.0","id":"q","result":{}}"#);
    rig.pass(Duration::from_secs(59));
    rig.chunk(5, &format!("data: {}\n\n", reply("8")));
    assert_snapshot!(rig.transcript);
}

#[test]
fn slots_are_for_requests_and_answers_pass_them() {
    let mut rig = Rig::in_session_with(|config| config.concurrency = 1);
    rig.client(&call("7"));
    rig.client(&call("8"));
    rig.client(r#"{"jsonrpc":"2.0","id":"s","result":{}}"#);
    rig.json(4, &[], &reply("7"));
    assert_snapshot!(rig.transcript);
}

#[test]
fn cancellation_before_and_after_sending() {
    let cancel = |id| {
        format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#
        )
    };
    let mut rig = Rig::in_session_with(|config| config.concurrency = 1);
    rig.client(&call("7"));
    rig.client(&call("8"));
    rig.client(&cancel("8"));
    rig.client(&cancel("7"));
    rig.sent(4);
    rig.json(4, &[], &reply("7"));
    rig.head(5, 202, &[]);
    assert_snapshot!(rig.transcript);
}

#[test]
fn replies_that_come_by_the_listener() {
    let mut rig = Rig::new();
    rig.client(crate::rig::INITIALIZE);
    rig.json(1, &[("mcp-session-id", "s1")], crate::rig::ANSWER);
    rig.client(crate::rig::INITIALIZED);
    rig.head(2, 202, &[]);
    rig.end(2);
    rig.events(3);
    rig.client(&call("7"));
    rig.client(&call("8"));
    rig.head(4, 202, &[]);
    rig.end(4);
    rig.head(5, 202, &[]);
    rig.end(5);
    rig.chunk(3, &format!("data: {}\n\n", reply("7")));
    rig.pass(Duration::from_secs(6));
    assert_snapshot!(rig.transcript);
}
