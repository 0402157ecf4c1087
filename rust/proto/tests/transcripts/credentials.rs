//! Tokens that are renewed, cookies that are kept.

use ferry_proto::Input;
use http::HeaderValue;
use insta::assert_snapshot;

use crate::rig::{ANSWER, INITIALIZE, Rig};

const LIST: &str = r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#;
const CALL: &str = r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"t"}}"#;

fn token(rig: &mut Rig, value: &'static str) {
    rig.input(&format!("token {value}"), Input::Token(Ok(HeaderValue::from_static(value))));
}

fn reply(id: u32) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#)
}

#[test]
fn a_token_is_asked_for_when_it_is_first_needed() {
    let mut rig = Rig::with(|config| config.renewable = true);
    rig.client(LIST);
    rig.client(CALL);
    token(&mut rig, "Bearer t1");
    rig.json(1, &[], &reply(2));
    rig.client_closes();
    rig.json(2, &[], &reply(3));
    assert_snapshot!(rig.transcript);
}

#[test]
fn one_renewal_however_many_are_refused() {
    let mut rig = Rig::with(|config| config.renewable = true);
    rig.client(LIST);
    token(&mut rig, "Bearer t1");
    rig.client(CALL);
    rig.answer(1, 401, &[], "");
    rig.answer(2, 401, &[], "");
    token(&mut rig, "Bearer t2");
    rig.json(1, &[], &reply(2));
    rig.transcript += "-- a second refusal is final\n";
    rig.answer(2, 401, &[("www-authenticate", "Bearer realm=\"sea\"")], "");
    assert_snapshot!(rig.transcript);
}

/// Refused with the old token after the new one is there: sent again at once.
#[test]
fn a_late_refusal_asks_for_no_further_token() {
    let mut rig = Rig::with(|config| config.renewable = true);
    rig.client(LIST);
    token(&mut rig, "Bearer t1");
    rig.client(CALL);
    rig.answer(1, 401, &[], "");
    token(&mut rig, "Bearer t2");
    rig.answer(2, 401, &[], "");
    assert_snapshot!(rig.transcript);
}

#[test]
fn no_token_can_be_had() {
    let mut rig = Rig::with(|config| config.renewable = true);
    rig.client(LIST);
    rig.input("no token", Input::Token(Err("the file is missing".to_owned())));
    rig.transcript += "-- the next request asks again\n";
    rig.client(CALL);
    assert_snapshot!(rig.transcript);
}

#[test]
fn without_anything_to_renew_a_401_is_an_error() {
    let mut rig = Rig::new();
    rig.client(LIST);
    rig.answer(1, 401, &[("www-authenticate", "Bearer")], "");
    assert_snapshot!(rig.transcript);
}

#[test]
fn cookies_go_back_and_end_with_the_session() {
    let mut rig = Rig::new();
    rig.client(INITIALIZE);
    rig.json(1, &[("set-cookie", "host=a; Path=/"), ("mcp-session-id", "s1")], ANSWER);
    rig.client(LIST);
    rig.json(2, &[("set-cookie", "host=b; HttpOnly")], &reply(2));
    rig.client(CALL);
    rig.answer(3, 404, &[], "");
    assert_snapshot!(rig.transcript);
}
