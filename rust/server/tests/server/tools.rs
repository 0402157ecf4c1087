//! The methods and the tools, and the forms in which their answers come.

use crate::harbour::{Harbour, LATEST, Reply, Visit, hello, start};
use ferry_server::{Answers, Settings};
use serde_json::{Value, json};

async fn json_harbour() -> Harbour {
    start(Settings::default()).await
}

async fn event_harbour() -> Harbour {
    start(Settings { answers: Answers::Events, ..Settings::default() }).await
}

fn text(reply: &Value) -> &str {
    reply["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text in {reply}"))
}

/// What the client answers to the elicitation in `message`.
fn consent(message: &Value) -> String {
    assert_eq!(message["method"], "elicitation/create");
    let answer = format!("yes to {}", message["params"]["message"]);
    let result = json!({"action": "accept", "content": {"answer": answer}});
    json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string()
}

#[tokio::test]
async fn every_method_answers() {
    let harbour = json_harbour().await;
    let visit = harbour.open(LATEST).await;
    let table = json!({"uri": "ferry://tide-table"});
    for (method, params, member) in [
        ("ping", json!({}), ""),
        ("tools/list", json!({}), "tools"),
        ("resources/list", json!({}), "resources"),
        ("resources/templates/list", json!({}), "resourceTemplates"),
        ("resources/read", table.clone(), "contents"),
        ("resources/subscribe", table.clone(), ""),
        ("resources/unsubscribe", table, ""),
        ("prompts/list", json!({}), "prompts"),
        ("prompts/get", json!({"name": "hail", "arguments": {"vessel": "\"A\\"}}), "messages"),
        ("logging/setLevel", json!({"level": "debug"}), ""),
        ("completion/complete", json!({"ref": {}, "argument": {}}), "completion"),
    ] {
        let reply = visit.answer(method, params).await;
        assert_eq!(reply["id"], 7);
        assert!(reply["result"].is_object(), "{method}: {reply}");
        assert!(member.is_empty() || !reply["result"][member].is_null(), "{method}: {reply}");
    }
}

#[tokio::test]
async fn wrong_requests_get_their_code() {
    let harbour = json_harbour().await;
    let visit = harbour.open(LATEST).await;
    let call = |name: &str, arguments: Value| json!({"name": name, "arguments": arguments});
    for (method, params, code) in [
        ("tools/unheard-of", json!({}), -32601),
        ("tools/list", json!({"cursor": "2"}), -32602),
        ("tools/list", json!([]), -32602),
        ("tools/call", json!({}), -32602),
        ("tools/call", call("unheard-of", json!({})), -32602),
        ("tools/call", call("echo", json!({})), -32602),
        ("tools/call", call("echo", json!({"text": 5})), -32602),
        ("tools/call", call("echo", json!(["x"])), -32602),
        ("tools/call", call("add", json!({"a": 1, "b": "2"})), -32602),
        ("tools/call", call("slow", json!({})), -32602),
        ("tools/call", call("slow", json!({"ms": -1})), -32602),
        ("tools/call", call("slow", json!({"ms": 1, "seconds": 1})), -32602),
        ("tools/call", call("slow", json!({"ms": 1, "steps": 0})), -32602),
        ("tools/call", call("slow", json!({"seconds": 1e9})), -32602),
        ("tools/call", call("ask", json!({})), -32602),
        ("resources/read", json!({}), -32602),
        ("resources/read", json!({"uri": "ferry://elsewhere"}), -32002),
        ("prompts/get", json!({"name": "unheard-of"}), -32602),
        ("prompts/get", json!({"name": "hail"}), -32602),
        ("logging/setLevel", json!({"level": "loud"}), -32602),
        ("completion/complete", json!({"ref": {}}), -32602),
    ] {
        let reply = visit.answer(method, params.clone()).await;
        assert_eq!(reply["error"]["code"], code, "{method} {params}: {reply}");
        assert_eq!(reply["id"], 7);
    }
}

#[tokio::test]
async fn ids_come_back_as_they_were_sent() {
    let harbour = json_harbour().await;
    let visit = harbour.open(LATEST).await;
    let long = format!("\"{}\"", "i".repeat(300));
    let integer = "1234567890".repeat(4);
    for id in ["1.0", "\"1\"", "-1", "9007199254740993", "1e2", r#""\u0041""#, &integer, &long] {
        let request = format!(r#"{{"method":"ping","id" : {id} ,"jsonrpc":"2.0"}}"#);
        let reply = visit.post(request).await.text().await;
        assert_eq!(reply, format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#));
    }
}

#[tokio::test]
async fn echo_gives_the_bytes_back() {
    for harbour in [json_harbour().await, event_harbour().await] {
        let visit = harbour.open(LATEST).await;
        let long = format!("\"{}\"", r"ab\u00e9\\ é🚢".repeat(100_000));
        for token in [r#""""#, r#""\u0041\/\ud800""#, r#""\"\\""#, &long] {
            let request = format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"arguments":{{"text":{token}}},"name":"echo"}}}}"#
            );
            let reply = visit.post(request).await.text().await;
            let content = format!(r#""result":{{"content":[{{"type":"text","text":{token}}}]}}}}"#);
            assert!(reply.contains(&content), "{} bytes", token.len());
        }
    }
}

#[tokio::test]
async fn deep_nesting_harms_nobody() {
    let harbour = json_harbour().await;
    let visit = harbour.open(LATEST).await;
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    let request = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo","arguments":{{"text":"x","deep":{deep}}}}}}}"#
    );
    assert_eq!(text(&visit.post(request).await.json().await), "x");
}

#[tokio::test]
async fn add_adds() {
    let harbour = json_harbour().await;
    let visit = harbour.open(LATEST).await;
    for (a, b, sum) in [
        (json!(2), json!(3), "5"),
        (json!(9_007_199_254_740_993_u64), json!(1), "9007199254740994"),
        (json!(0.5), json!(-2), "-1.5"),
    ] {
        assert_eq!(text(&visit.call(1, "add", json!({"a": a, "b": b})).await.json().await), sum);
    }
}

#[tokio::test]
async fn events_are_named_and_primed_since_the_last_revision() {
    let harbour = event_harbour().await;
    for (version, primed) in [("2025-06-18", false), (LATEST, true)] {
        let visit = harbour.open(version).await;
        let mut reply = visit.request(1, "ping", json!({})).await;
        assert_eq!(reply.header("content-type"), Some("text/event-stream"));
        let ping = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
        let expected = if primed {
            format!("id: 1-0\ndata: \n\nid: 1-1\nevent: message\ndata: {ping}\n\n")
        } else {
            format!("id: 1-0\nevent: message\ndata: {ping}\n\n")
        };
        assert_eq!(reply.text().await, expected);

        let mut slow = visit.call(2, "slow", json!({"ms": 0})).await;
        let (id, data) = slow.event().await.unwrap();
        assert_eq!((id.as_str(), data.is_empty()), ("2-0", primed));
    }
}

#[tokio::test]
async fn slow_tells_its_progress_on_the_stream_that_answers() {
    let harbour = event_harbour().await;
    let visit = harbour.open(LATEST).await;
    let mut reply = slow_with_progress(&visit).await;
    expect_progress(&mut reply).await;
    let answer = reply.message().await.unwrap();
    assert_eq!((&answer["id"], text(&answer)), (&json!(4), "Took 3 ms in 3 steps."));
    assert_eq!(reply.event().await, None);
}

#[tokio::test]
async fn slow_tells_its_progress_to_the_listener_where_answers_are_json() {
    let harbour = json_harbour().await;
    let visit = harbour.open(LATEST).await;
    // What comes before the listener waits for it.
    let mut reply = slow_with_progress(&visit).await;
    assert_eq!(text(&reply.json().await), "Took 3 ms in 3 steps.");
    expect_progress(&mut visit.listen().await).await;
}

async fn slow_with_progress(visit: &Visit<'_>) -> Reply {
    let params = json!({
        "name": "slow",
        "arguments": {"seconds": 0.003, "steps": 3},
        "_meta": {"progressToken": "p"},
    });
    visit.request(4, "tools/call", params).await
}

async fn expect_progress(stream: &mut Reply) {
    for step in 1..=3 {
        let message = stream.message().await.unwrap();
        assert_eq!(message["method"], "notifications/progress");
        let expected = json!({"progressToken": "p", "progress": step, "total": 3});
        assert_eq!(message["params"], expected);
    }
}

#[tokio::test]
async fn progress_that_nobody_reads_holds_nobody_up() {
    let harbour = start(Settings { pending_events: 2, ..Settings::default() }).await;
    let visit = harbour.open(LATEST).await;
    assert_eq!(text(&slow_with_progress(&visit).await.json().await), "Took 3 ms in 3 steps.");
}

#[tokio::test]
async fn ask_waits_for_the_client_on_the_stream_that_answers() {
    let harbour = event_harbour().await;
    let visit = harbour.open(LATEST).await;
    let mut calls = Vec::new();
    for id in 0..100 {
        let mut call = visit.call(id, "ask", json!({"question": id.to_string()})).await;
        let question = call.message().await.unwrap();
        calls.push((id, call, question));
    }
    for (id, mut call, question) in calls.into_iter().rev() {
        assert_eq!(visit.post(consent(&question)).await.status, 202);
        let answer = call.message().await.unwrap();
        assert_eq!(answer["id"], id);
        let expected = format!(r#"{{"action":"accept","content":{{"answer":"yes to \"{id}\""}}}}"#);
        assert_eq!(text(&answer), expected);
    }
}

#[tokio::test]
async fn ask_goes_to_the_listener_where_answers_are_json() {
    let harbour = json_harbour().await;
    let visit = harbour.open(LATEST).await;
    let mut listener = visit.listen().await;
    let answer_all = async {
        for _ in 0..3 {
            let question = listener.message().await.unwrap();
            assert_eq!(visit.post(consent(&question)).await.status, 202);
        }
    };
    let ask = async |id: u64| {
        visit.call(id, "ask", json!({"question": id.to_string()})).await.json().await
    };
    let (first, second, third, ()) = tokio::join!(ask(1), ask(2), ask(3), answer_all);
    for (id, answer) in [(1, first), (2, second), (3, third)] {
        assert_eq!(answer["id"], id);
        assert!(text(&answer).contains(&format!("yes to \\\"{id}\\\"")), "{answer}");
    }
}

#[tokio::test]
async fn a_refused_question_is_a_failed_call() {
    let harbour = event_harbour().await;
    let visit = harbour.open(LATEST).await;
    let mut call = visit.call(1, "ask", json!({"question": "?"})).await;
    let question = call.message().await.unwrap();
    let error = json!({"code": -1, "message": "no"});
    let refusal = json!({"jsonrpc": "2.0", "id": question["id"], "error": error});
    visit.post(refusal.to_string()).await;
    let answer = call.message().await.unwrap();
    assert_eq!(answer["result"]["isError"], true);
    assert_eq!(serde_json::from_str::<Value>(text(&answer)).unwrap(), error);
}

#[tokio::test]
async fn ask_needs_a_client_that_elicits() {
    let harbour = json_harbour().await;
    let greeting = hello(LATEST).replace("elicitation", "roots");
    let reply = harbour.post(&[], greeting).await;
    let session = format!("Mcp-Session-Id: {}", reply.header("mcp-session-id").unwrap());
    let version = format!("MCP-Protocol-Version: {LATEST}");
    let visit = Visit { harbour: &harbour, session, version };
    let answer = visit.call(1, "ask", json!({"question": "?"})).await.json().await;
    assert_eq!(answer["result"]["isError"], true);
}

#[tokio::test]
async fn a_cancelled_call_ends_without_an_answer() {
    for tool in ["slow", "ask"] {
        let arguments = json!({"seconds": 600, "question": "?"});
        let harbour = event_harbour().await;
        let visit = harbour.open(LATEST).await;
        let mut call = visit.call(1, tool, arguments.clone()).await;
        let mut again = visit.call(1, tool, arguments.clone()).await;
        assert_eq!(again.text().await.matches("-32600").count(), 1);
        visit.notify("notifications/cancelled", json!({"requestId": 1})).await;
        while let Some((_, data)) = call.event().await {
            assert!(!data.contains("result"), "{data}");
        }

        let harbour = json_harbour().await;
        let visit = harbour.open(LATEST).await;
        // It may come before the call, and is then passed over.
        let cancel = async {
            loop {
                visit.notify("notifications/cancelled", json!({"requestId": 1})).await;
            }
        };
        tokio::select! {
            reply = visit.call(1, tool, arguments) => assert_eq!(reply.status, 202),
            () = cancel => {}
        }
    }
}

#[tokio::test]
async fn the_end_of_a_session_ends_its_calls() {
    let harbour = event_harbour().await;
    let visit = harbour.open("2025-06-18").await;
    let mut call = visit.call(1, "slow", json!({"seconds": 600})).await;
    assert_eq!(visit.end().await.status, 200);
    assert_eq!(call.event().await, None);
}

#[tokio::test]
async fn a_batch_waits_for_its_calls() {
    let slow = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"slow","arguments":{"ms":1}}}"#;
    let ping = r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#;
    let batch = format!("[{slow},{ping}]");
    let harbour = json_harbour().await;
    let replies = harbour.open("2025-03-26").await.post(&batch).await.json().await;
    assert_eq!((&replies[0]["id"], &replies[1]["id"]), (&json!(1), &json!(2)));
    let harbour = event_harbour().await;
    let streamed = harbour.open("2025-03-26").await.post(&batch).await.message().await;
    assert_eq!(streamed.unwrap(), replies);
}
