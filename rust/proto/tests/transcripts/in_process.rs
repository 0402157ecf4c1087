//! Clients in the same process: messages on terms of their own, and a listener only when wanted.

use std::sync::Arc;

use bytes::Bytes;
use ferry_proto::{Input, Terms};
use http::{HeaderMap, HeaderName, HeaderValue};
use insta::assert_snapshot;

use crate::rig::{ANSWER, INITIALIZE, INITIALIZED, Rig};
use crate::words::{call, reopened, s};

fn terms(headers: &[(&'static str, &'static str)], seconds: Option<u64>) -> Arc<Terms> {
    let pairs = headers
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    Arc::new(Terms { headers: pairs.collect::<HeaderMap>(), response_timeout: seconds.map(s) })
}

fn says(rig: &mut Rig, message: &str, terms: Option<Arc<Terms>>) {
    let body = Bytes::copy_from_slice(message.as_bytes());
    rig.input(&format!("client: {message}"), Input::ClientMessage(body, terms));
}

#[test]
fn headers_of_one_message_are_on_its_attempts_and_on_no_other() {
    let mut rig = Rig::in_session_with(|config| {
        config.headers.insert("x-team", HeaderValue::from_static("blue"));
    });
    says(&mut rig, &call(5), Some(terms(&[("x-team", "red"), ("x-trace", "5")], None)));
    says(&mut rig, &call(6), None);
    // The hidden initialize is nobody's message.
    rig.head(4, 404, &[]);
    rig.end(4);
    rig.json(6, &[("mcp-session-id", "s2")], &reopened(6));
    rig.head(7, 202, &[]);
    rig.end(7);
    assert_snapshot!(rig.transcript);
}

#[test]
fn a_modern_message_has_headers_of_its_own_too() {
    let mut rig = Rig::new();
    let message = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
    says(&mut rig, message, Some(terms(&[("authorization", "Bearer one")], None)));
    assert_snapshot!(rig.transcript);
}

#[test]
fn a_time_of_its_own_is_shorter_or_longer() {
    let mut rig = Rig::in_session();
    says(&mut rig, &call(5), Some(terms(&[], Some(2))));
    says(&mut rig, &call(6), Some(terms(&[], Some(100))));
    rig.sent(4);
    rig.sent(5);
    rig.pass(s(61));
    rig.head(5, 200, &[("content-type", "text/event-stream")]);
    rig.pass(s(99));
    rig.chunk(5, ": still here\n\n");
    rig.pass(s(99));
    rig.pass(s(2));
    assert_snapshot!(rig.transcript);
}

#[test]
fn a_message_over_the_limit_is_answered_under_its_id() {
    let mut rig = Rig::in_session_with(|config| config.max_message = 20);
    says(&mut rig, &call(5), None);
    says(&mut rig, r#"{"jsonrpc":"2.0","method":"notifications/x"}"#, None);
    assert_snapshot!(rig.transcript);
}

#[test]
fn a_batch_passes_its_terms_on_to_its_members() {
    let mut rig = Rig::in_session();
    let batch = format!("[{},{}]", call(5), call(6));
    says(&mut rig, &batch, Some(terms(&[("x-trace", "7")], None)));
    assert_snapshot!(rig.transcript);
}

#[test]
fn nobody_listens_before_the_client_wants_to() {
    let mut rig = Rig::with(|config| config.listens = false);
    rig.input("listen", Input::Listen);
    rig.client(INITIALIZE);
    rig.json(1, &[("mcp-session-id", "s1")], ANSWER);
    rig.client(INITIALIZED);
    rig.head(2, 202, &[]);
    rig.end(2);
    assert_snapshot!(rig.transcript);
}

#[test]
fn a_listener_opens_in_a_session_that_stands_once() {
    let mut rig = Rig::with(|config| config.listens = false);
    rig.client(INITIALIZE);
    rig.json(1, &[("mcp-session-id", "s1")], ANSWER);
    rig.client(INITIALIZED);
    rig.head(2, 202, &[]);
    rig.end(2);
    rig.transcript.clear();
    rig.input("listen", Input::Listen);
    rig.input("listen", Input::Listen);
    rig.client_closes();
    rig.input("listen", Input::Listen);
    assert_snapshot!(rig.transcript);
}
