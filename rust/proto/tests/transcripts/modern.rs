//! 2026-07-28: no session, and everything in headers.

use std::time::Duration;

use ferry_proto::FaultKind;
use insta::assert_snapshot;

use crate::rig::{ANSWER, INITIALIZE, Rig};

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#;

fn request(id: u32, method: &str, params: &str) -> String {
    let comma = if params.is_empty() { "" } else { "," };
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{META}{comma}{params}}}}}"#
    )
}

fn reply(id: u32, result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{{result}}}}}"#)
}

const TOOLS: &str = r#""tools":[{"name":"t","inputSchema":{"properties":{"r":{"type":"string","x-mcp-header":"Region"}}}},{"name":"bad","inputSchema":{"properties":{"r":{"type":"string","x-mcp-header":""}}}}]"#;
const MISMATCH: &str =
    r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32020,"message":"Header mismatch"}}"#;

#[test]
fn headers_say_what_the_body_says() {
    let mut rig = Rig::new();
    rig.client(&request(1, "server/discover", ""));
    rig.client(&request(2, "tools/call", r#""name":"caf\u00e9""#));
    rig.client(&request(3, "resources/read", r#""uri":"file:///a b""#));
    rig.client(&request(4, "prompts/get", r#""name":"a\r\nX-Evil: 1""#));
    rig.transcript += "-- one that names no version goes with the last\n";
    rig.client(r#"{"jsonrpc":"2.0","id":5,"method":"tools/list"}"#);
    rig.transcript += "-- one that is wrong goes as it is: the server judges\n";
    rig.client(r#"{"jsonrpc":"2.0","id":6,"method":"tools/list","params":{"_meta":7}}"#);
    assert_snapshot!(rig.transcript);
}

/// A client that probes, and falls back on the same pipe.
#[test]
fn a_probe_and_then_a_session() {
    let mut rig = Rig::new();
    rig.client(&request(1, "server/discover", ""));
    rig.answer(1, 400, &[("mcp-session-id", "dead")], r#"{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"Bad Request: Missing session ID"}}"#);
    rig.client(&INITIALIZE.replace("\"id\":1", "\"id\":2"));
    rig.json(2, &[("mcp-session-id", "s1")], &ANSWER.replace("\"id\":1", "\"id\":2"));
    rig.client(r#"{"jsonrpc":"2.0","id":3,"method":"tools/list"}"#);
    assert_snapshot!(rig.transcript);
}

#[test]
fn cancelling_closes_the_stream_and_sends_nothing() {
    let mut rig = Rig::new();
    rig.client(&request(1, "tools/call", r#""name":"t""#));
    rig.events(1);
    rig.client(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#);
    rig.transcript += "-- too late: nothing to close, nothing to send\n";
    rig.client(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#);
    assert_snapshot!(rig.transcript);
}

#[test]
fn a_subscription_lives_as_long_as_the_client_wants() {
    let mut rig = Rig::with(|config| config.concurrency = 1);
    rig.client(&request(1, "subscriptions/listen", ""));
    rig.client(&request(2, "tools/list", ""));
    rig.json(2, &[], &reply(2, ""));
    rig.events(1);
    rig.pass(Duration::from_secs(3600));
    rig.chunk(1, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n");
    rig.client_closes();
    assert_snapshot!(rig.transcript);
}

#[test]
fn a_cut_stream_is_lost_unless_it_is_harmless() {
    let mut rig = Rig::new();
    rig.client(&request(1, "tools/call", r#""name":"t""#));
    rig.client(&request(2, "tools/list", ""));
    for exchange in [1, 2] {
        rig.events(exchange);
        rig.chunk(exchange, "id: a1\ndata:\n\n");
        rig.fault(exchange, FaultKind::Cut);
    }
    rig.pass(Duration::from_secs(1));
    assert_snapshot!(rig.transcript);
}

#[test]
fn annotations_are_learned_and_bad_tools_taken_out() {
    let mut rig = Rig::new();
    rig.client(&request(1, "tools/list", ""));
    rig.json(1, &[], &reply(1, TOOLS));
    rig.client(&request(2, "tools/call", r#""name":"t","arguments":{"r":"eu north"}"#));
    rig.client(&request(3, "tools/call", r#""name":"t","arguments":{"r":null}"#));
    assert_snapshot!(rig.transcript);
}

/// Two calls find out that the tool has changed; one list, of two pages, serves both.
#[test]
fn wrong_headers_are_put_right_once() {
    let mut rig = Rig::new();
    rig.client(&request(1, "tools/call", r#""name":"t","arguments":{"r":"a"}"#));
    rig.client(&request(2, "tools/call", r#""name":"t","arguments":{"r":"b"}"#));
    rig.answer(1, 400, &[], MISMATCH);
    rig.answer(2, 400, &[], MISMATCH);
    rig.json(
        3,
        &[],
        r#"{"jsonrpc":"2.0","id":"mcp-ferry:3","result":{"tools":[],"nextCursor":"p2"}}"#,
    );
    rig.json(4, &[], &format!(r#"{{"jsonrpc":"2.0","id":"mcp-ferry:4","result":{{{TOOLS}}}}}"#));
    rig.json(1, &[], &reply(1, ""));
    rig.transcript += "-- a second mismatch is the answer\n";
    rig.answer(2, 400, &[], MISMATCH);
    assert_snapshot!(rig.transcript);
}

#[test]
fn no_fresh_list_can_be_had() {
    let mut rig = Rig::new();
    rig.client(&request(1, "tools/call", r#""name":"t""#));
    rig.answer(1, 400, &[], MISMATCH);
    rig.answer(2, 500, &[], "");
    assert_snapshot!(rig.transcript);
}

#[test]
fn a_silent_server_sees_its_stream_closed() {
    let mut rig = Rig::new();
    rig.client(&request(1, "tools/call", r#""name":"t""#));
    rig.sent(1);
    rig.pass(Duration::from_secs(61));
    assert_snapshot!(rig.transcript);
}
