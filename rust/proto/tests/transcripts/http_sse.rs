//! Servers of 2024-11-05.

use std::time::Duration;

use ferry_proto::{FaultKind, Transport};
use insta::assert_snapshot;

use crate::rig::{ANSWER, INITIALIZE, Rig};
use crate::words::{ENDPOINT, event, over_http_sse};

const CALL: &str = r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"t"}}"#;
const LIST: &str = r#"{"jsonrpc":"2.0","id":4,"method":"tools/list"}"#;

fn reply(id: u32) -> String {
    event(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#))
}

#[test]
fn an_old_server_is_found_as_the_specification_says() {
    let mut rig = over_http_sse();
    rig.client(CALL);
    rig.head(4, 202, &[]);
    rig.end(4);
    rig.chunk(2, &event(r#"{"jsonrpc":"2.0","method":"notifications/progress"}"#));
    rig.chunk(2, &reply(3));
    rig.client_closes();
    assert_snapshot!(rig.transcript);
}

#[test]
fn a_server_that_is_neither() {
    let mut rig = Rig::new();
    rig.client(INITIALIZE);
    rig.answer(1, 404, &[], "no such page");
    rig.answer(2, 404, &[], "");
    rig.transcript += "-- and the next initialize may probe again\n";
    rig.client(INITIALIZE);
    assert_snapshot!(rig.transcript);
}

#[test]
fn a_json_rpc_error_is_an_answer_and_no_reason_to_probe() {
    let mut rig = Rig::new();
    rig.client(INITIALIZE);
    rig.answer(
        1,
        400,
        &[],
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"no"}}"#,
    );
    assert_snapshot!(rig.transcript);
}

#[test]
fn told_to_speak_http_it_does_not_probe() {
    let mut rig = Rig::with(|config| config.transport = Transport::Http);
    rig.client(INITIALIZE);
    rig.answer(1, 405, &[], "");
    assert_snapshot!(rig.transcript);
}

#[test]
fn told_to_speak_sse_it_opens_the_stream_first() {
    let mut rig = Rig::with(|config| config.transport = Transport::Sse);
    rig.client(INITIALIZE);
    rig.events(2);
    rig.chunk(2, ENDPOINT);
    rig.head(1, 202, &[]);
    rig.end(1);
    rig.chunk(2, &event(ANSWER));
    assert_snapshot!(rig.transcript);
}

#[test]
fn an_endpoint_of_another_origin_is_refused() {
    let mut rig = Rig::with(|config| config.transport = Transport::Sse);
    rig.client(INITIALIZE);
    rig.events(2);
    rig.chunk(2, "event: endpoint\ndata: http://elsewhere.test/m\n\n");
    rig.pass(Duration::from_secs(1));
    assert_snapshot!(rig.transcript);
}

#[test]
fn an_endpoint_that_no_longer_knows_the_stream() {
    let mut rig = over_http_sse();
    rig.client(CALL);
    rig.transcript.clear();
    rig.answer(4, 404, &[], "");
    rig.events(6);
    rig.chunk(6, "event: endpoint\ndata: /messages?session=2\n\n");
    assert_snapshot!(rig.transcript);
}

#[test]
fn the_stream_breaks_before_a_call_is_accepted() {
    let mut rig = over_http_sse();
    rig.client(CALL);
    rig.transcript.clear();
    rig.fault(2, FaultKind::Cut);
    rig.head(4, 202, &[]);
    rig.end(4);
    rig.events(6);
    rig.chunk(6, "event: endpoint\ndata: /messages?session=2\n\n");
    assert_snapshot!(rig.transcript);
}

#[test]
fn the_stream_breaks_under_a_call_and_a_list() {
    let mut rig = over_http_sse();
    rig.client(CALL);
    rig.client(LIST);
    rig.transcript.clear();
    rig.head(4, 202, &[]);
    rig.end(4);
    rig.head(5, 202, &[]);
    rig.end(5);
    rig.fault(2, FaultKind::Cut);
    rig.events(7);
    rig.chunk(7, "event: endpoint\ndata: /messages?session=2\n\n");
    rig.head(6, 202, &[]);
    rig.end(6);
    rig.chunk(7, &event(&ANSWER.replace("\"id\":1", "\"id\":\"mcp-ferry:6\"")));
    rig.head(8, 202, &[]);
    rig.end(8);
    rig.head(9, 202, &[]);
    rig.end(9);
    rig.chunk(7, &reply(4));
    assert_snapshot!(rig.transcript);
}

#[test]
fn a_silent_old_server() {
    let mut rig = over_http_sse();
    rig.client(CALL);
    rig.transcript.clear();
    rig.head(4, 202, &[]);
    rig.end(4);
    rig.pass(Duration::from_secs(61));
    assert_snapshot!(rig.transcript);
}
