//! How bridges end.

use std::time::Duration;

use ferry_proto::Input;
use insta::assert_snapshot;

use crate::rig::{INITIALIZE, Rig};

const CALL: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"t"}}"#;

#[test]
fn what_is_owed_is_delivered_first() {
    let mut rig = Rig::in_session();
    rig.client(CALL);
    rig.client_closes();
    rig.json(4, &[], r#"{"jsonrpc":"2.0","id":7,"result":{}}"#);
    rig.head(5, 200, &[]);
    assert_snapshot!(rig.transcript);
}

#[test]
fn a_signal_answers_for_what_runs() {
    let mut rig = Rig::in_session_with(|config| config.concurrency = 1);
    rig.client(CALL);
    rig.client(r#"{"jsonrpc":"2.0","id":8,"method":"tools/list"}"#);
    rig.sent(4);
    rig.input("SIGTERM", Input::Shutdown);
    rig.pass(Duration::from_secs(2));
    assert_snapshot!(rig.transcript);
}

#[test]
fn a_client_that_is_gone_is_not_written_to() {
    let mut rig = Rig::in_session();
    rig.client(CALL);
    rig.input("client gone", Input::ClientGone);
    rig.head(5, 405, &[]);
    assert_snapshot!(rig.transcript);
}

#[test]
fn no_session_is_opened_that_nobody_would_use() {
    let mut rig = Rig::in_session();
    rig.client(r#"{"jsonrpc":"2.0","method":"notifications/x"}"#);
    rig.client(CALL);
    rig.client(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}"#);
    rig.client_closes();
    rig.head(4, 202, &[]);
    rig.end(4);
    rig.answer(5, 404, &[], "");
    rig.head(6, 202, &[]);
    rig.end(6);
    assert_snapshot!(rig.transcript);
}

#[test]
fn nothing_was_ever_said() {
    let mut rig = Rig::new();
    rig.client_closes();
    assert_snapshot!(rig.transcript);
}

#[test]
fn a_silent_server_does_not_keep_the_ferry() {
    let mut rig = Rig::new();
    rig.client(INITIALIZE);
    rig.client_closes();
    rig.pass(Duration::from_secs(61));
    assert_snapshot!(rig.transcript);
}
