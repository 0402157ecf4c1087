//! The rules of the transport, one by one.

use crate::harbour::{BOTH, Harbour, JSON, LATEST, hello, start, start_observed};
use ferry_server::{BODY_PREFIX, Settings};
use serde_json::json;
use tokio::sync::mpsc;

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
const UNKNOWN: &str = "Mcp-Session-Id: 0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn there_is_one_endpoint_with_three_methods() {
    let harbour = start(Settings::default()).await;
    assert_eq!(harbour.send("POST", "/other", &[BOTH, JSON], PING).await.status, 404);
    let reply = harbour.send("PUT", "/mcp", &[], "").await;
    assert_eq!(reply.status, 405);
    assert_eq!(reply.header("allow"), Some("GET, POST, DELETE"));
}

#[tokio::test]
async fn initialize_opens_a_session_with_a_visible_ascii_id() {
    let harbour = start(Settings::default()).await;
    let mut reply = harbour.post(&[], hello(LATEST)).await;
    assert_eq!(reply.status, 200);
    let id = reply.header("mcp-session-id").unwrap();
    assert!(id.bytes().all(|byte| (0x21..=0x7e).contains(&byte)));
    let result = reply.json().await["result"].clone();
    assert_eq!(result["protocolVersion"], LATEST);
    for capability in ["tools", "resources", "prompts", "logging"] {
        assert!(result["capabilities"][capability].is_object());
    }
}

#[tokio::test]
async fn an_unsupported_version_is_answered_with_the_latest() {
    let harbour = start(Settings::default()).await;
    for (wanted, negotiated) in [
        ("2024-11-05", "2024-11-05"),
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
    ] {
        let reply = harbour.post(&[], hello(wanted)).await.json().await;
        assert_eq!(reply["result"]["protocolVersion"], negotiated);
    }
}

#[tokio::test]
async fn initialize_without_its_params_opens_nothing() {
    let harbour = start(Settings::default()).await;
    for params in [
        json!({}),
        json!({"protocolVersion": 1, "capabilities": {}, "clientInfo": {}}),
        json!({"protocolVersion": LATEST, "clientInfo": {}}),
        json!({"protocolVersion": LATEST, "capabilities": [], "clientInfo": {}}),
        json!({"protocolVersion": LATEST, "capabilities": {}}),
    ] {
        let request = json!({"jsonrpc": "2.0", "id": 5, "method": "initialize", "params": params});
        let mut reply = harbour.post(&[], request.to_string()).await;
        assert_eq!(reply.header("mcp-session-id"), None);
        let reply = reply.json().await;
        assert_eq!((&reply["id"], &reply["error"]["code"]), (&json!(5), &json!(-32602)));
    }
}

#[tokio::test]
async fn without_a_session_only_initialize_is_answered() {
    let harbour = start(Settings::default()).await;
    let mut reply = harbour.post(&[], PING).await;
    assert_eq!(reply.status, 400);
    let body = reply.json().await;
    assert!(body["id"].is_null() && body["error"]["message"].is_string());
    assert_eq!(harbour.send("GET", "/mcp", &[BOTH], "").await.status, 400);
    assert_eq!(harbour.send("DELETE", "/mcp", &[], "").await.status, 400);
}

#[tokio::test]
async fn an_unknown_session_is_not_found() {
    let harbour = start(Settings::default()).await;
    for id in [UNKNOWN, "Mcp-Session-Id: short", "Mcp-Session-Id: +123456789abcdef0123456789abcdef"]
    {
        assert_eq!(harbour.post(&[id], PING).await.status, 404);
        assert_eq!(harbour.post(&[id], hello(LATEST)).await.status, 404);
        assert_eq!(harbour.send("GET", "/mcp", &[BOTH, id], "").await.status, 404);
        assert_eq!(harbour.send("DELETE", "/mcp", &[id], "").await.status, 404);
    }
}

#[tokio::test]
async fn a_session_is_initialized_once_and_named_once() {
    let harbour = start(Settings::default()).await;
    let visit = harbour.open(LATEST).await;
    assert_eq!(visit.post(hello(LATEST)).await.status, 400);
    let twice = [visit.session.as_str(), &visit.session, &visit.version];
    assert_eq!(harbour.post(&twice, PING).await.status, 400);
}

#[tokio::test]
async fn delete_ends_the_session() {
    let harbour = start(Settings::default()).await;
    let visit = harbour.open(LATEST).await;
    let mut listener = visit.listen().await;
    assert_eq!(visit.end().await.status, 200);
    assert_eq!(listener.event().await, None);
    assert_eq!(visit.post(PING).await.status, 404);
    assert_eq!(visit.end().await.status, 404);
}

#[tokio::test]
async fn the_version_header_is_the_negotiated_one() {
    let harbour = start(Settings::default()).await;
    for (version, without) in
        [("2024-11-05", 200), ("2025-03-26", 200), ("2025-06-18", 400), ("2025-11-25", 400)]
    {
        let visit = harbour.open(version).await;
        let session = visit.session.as_str();
        assert_eq!(visit.post(PING).await.status, 200);
        assert_eq!(harbour.post(&[session], PING).await.status, without);
        for wrong in ["MCP-Protocol-Version: 2026-07-28", "MCP-Protocol-Version: nonsense"] {
            assert_eq!(harbour.post(&[session, wrong], PING).await.status, 400);
            let get = harbour.send("GET", "/mcp", &[BOTH, session, wrong], "").await;
            assert_eq!(get.status, 400);
            assert_eq!(harbour.send("DELETE", "/mcp", &[session, wrong], "").await.status, 400);
        }
    }
}

#[tokio::test]
async fn initialized_is_demanded_where_that_is_set() {
    let list = r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#;
    let lenient = start(Settings::default()).await;
    assert_eq!(lenient.open(LATEST).await.post(list).await.status, 200);

    let strict = start(Settings { demand_initialized: true, ..Settings::default() }).await;
    let visit = strict.open(LATEST).await;
    assert_eq!(visit.post(PING).await.status, 200);
    assert_eq!(visit.post(list).await.status, 400);
    visit.notify("notifications/initialized", json!({})).await;
    assert_eq!(visit.post(list).await.status, 200);
}

#[tokio::test]
async fn accept_has_to_list_both_types() {
    let harbour = start(Settings::default()).await;
    for accept in ["Accept: application/json", "Accept: text/event-stream", "Accept: */*"] {
        let reply = harbour.send("POST", "/mcp", &[accept, JSON], hello(LATEST)).await;
        assert_eq!(reply.status, 406);
    }
    let spelled = "Accept: TEXT/event-stream;q=0.5 ,application/JSON; charset=utf-8";
    assert_eq!(harbour.send("POST", "/mcp", &[spelled, JSON], hello(LATEST)).await.status, 200);
    let twice = ["Accept: application/json", "Accept: text/event-stream", JSON];
    assert_eq!(harbour.send("POST", "/mcp", &twice, hello(LATEST)).await.status, 200);

    let visit = harbour.open(LATEST).await;
    let headers = ["Accept: application/json", &visit.session, &visit.version];
    assert_eq!(harbour.send("GET", "/mcp", &headers, "").await.status, 406);
}

#[tokio::test]
async fn content_type_has_to_be_json() {
    let harbour = start(Settings::default()).await;
    assert_eq!(harbour.send("POST", "/mcp", &[BOTH], hello(LATEST)).await.status, 415);
    for (content_type, status) in [
        ("Content-Type: text/plain", 415),
        ("Content-Type: application/jsonp", 415),
        ("Content-Type: application/json; charset=utf-8", 200),
    ] {
        let reply = harbour.send("POST", "/mcp", &[BOTH, content_type], hello(LATEST)).await;
        assert_eq!(reply.status, status);
    }
}

#[tokio::test]
async fn foreign_origins_are_forbidden() {
    let harbour = start(Settings::default()).await;
    for (origin, status) in [
        ("Origin: http://localhost:6274", 200),
        ("Origin: http://127.0.0.1", 200),
        ("Origin: https://[::1]:8443", 200),
        ("Origin: http://localhost.evil.example", 403),
        ("Origin: http://localhost@evil.example", 403),
        ("Origin: https://evil.example", 403),
        ("Origin: null", 403),
        ("Origin: file://localhost", 403),
    ] {
        assert_eq!(harbour.post(&[origin], hello(LATEST)).await.status, status, "{origin}");
    }
}

#[tokio::test]
async fn there_is_one_listener_at_a_time() {
    let harbour = start(Settings::default()).await;
    let visit = harbour.open(LATEST).await;
    let first = visit.listen().await;
    assert_eq!(first.status, 200);
    assert_eq!(first.header("content-type"), Some("text/event-stream"));
    let second = visit.listen().await;
    assert_eq!((second.status, second.header("retry-after")), (409, Some("1")));
    drop(first);
    // The server learns of the closed connection in its own time.
    while visit.listen().await.status == 409 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn notifications_and_responses_are_accepted_without_a_body() {
    let harbour = start(Settings::default()).await;
    let visit = harbour.open(LATEST).await;
    for message in [
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/unheard-of","params":{}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":99}}"#,
        r#"{"jsonrpc":"2.0","id":99,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":"99","error":{"code":-1,"message":"no"}}"#,
    ] {
        let mut reply = visit.post(message).await;
        assert_eq!((reply.status, reply.text().await.as_str()), (202, ""));
    }
}

#[tokio::test]
async fn what_is_no_message_is_refused() {
    let harbour = start(Settings::default()).await;
    let visit = harbour.open(LATEST).await;
    for (body, code) in [
        (&b"{"[..], -32700),
        (b"", -32700),
        (b"{} trailing", -32700),
        (b"\"\xff\"", -32700),
        (b"5", -32600),
        (b"{}", -32600),
        (br#"{"id":1,"method":"ping"}"#, -32600),
        (br#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, -32600),
        (br#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, -32600),
        (br#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, -32600),
        (br#"{"jsonrpc":"2.0","id":1,"method":5}"#, -32600),
        (br#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, -32600),
        (br#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#, -32600),
        (br#"{"jsonrpc":"2.0","id":1}"#, -32600),
    ] {
        let mut reply = visit.post(body).await;
        assert_eq!(reply.status, 400);
        let body = reply.json().await;
        assert_eq!((&body["id"], &body["error"]["code"]), (&json!(null), &json!(code)));
    }
}

#[tokio::test]
async fn batches_belong_to_one_revision() {
    let harbour = start(Settings::default()).await;
    let batch = r#"[{"jsonrpc":"2.0","id":1.0,"method":"ping"}, {"jsonrpc":"2.0","method":"notifications/initialized"}, [], {"jsonrpc":"2.0","id":"b","method":"ping"}]"#;
    let visit = harbour.open("2025-03-26").await;
    let mut reply = visit.post(batch).await;
    let text = reply.text().await;
    assert!(text.starts_with(r#"[{"jsonrpc":"2.0","id":1.0,"result":{}},{"#), "{text}");
    assert!(text.ends_with(r#",{"jsonrpc":"2.0","id":"b","result":{}}]"#), "{text}");
    assert_eq!(text.matches("-32600").count(), 1);
    let notice = r#"[{"jsonrpc":"2.0","method":"notifications/initialized"}]"#;
    assert_eq!(visit.post(notice).await.status, 202);
    assert_eq!(visit.post("[]").await.status, 400);
    let greeting = format!("[{}]", hello(LATEST));
    assert_eq!(visit.post(greeting).await.status, 400);
    for version in ["2024-11-05", "2025-06-18", "2025-11-25"] {
        assert_eq!(harbour.open(version).await.post(batch).await.status, 400);
    }
}

#[tokio::test]
async fn the_limits_hold() {
    let settings = Settings { max_body: 400, max_sessions: 2, ..Settings::default() };
    let harbour = start(settings).await;
    let visit = harbour.open(LATEST).await;
    assert_eq!(visit.post(" ".repeat(401)).await.status, 413);
    let chunked = format!("1ff\r\n{}\r\n0\r\n\r\n", " ".repeat(0x1ff));
    let headers = ["Transfer-Encoding: chunked", BOTH, JSON];
    assert_eq!(harbour.exchange("POST", "/mcp", &headers, chunked).await.status, 413);
    assert_eq!(visit.post(format!("{PING}{}", " ".repeat(400 - PING.len()))).await.status, 200);

    harbour.open(LATEST).await;
    assert_eq!(harbour.post(&[], hello(LATEST)).await.status, 503);
    visit.end().await;
    harbour.open(LATEST).await;
}

#[tokio::test]
async fn an_observer_sees_every_exchange() {
    let (observer, mut exchanges) = mpsc::unbounded_channel();
    let harbour = start_observed(Settings::default(), Some(observer)).await;
    let visit = harbour.open(LATEST).await;
    let opened = exchanges.recv().await.unwrap();
    assert_eq!(
        (opened.method.as_str(), opened.path.as_str(), opened.status),
        ("POST", "/mcp", 200)
    );
    assert_eq!(&opened.body[..], hello(LATEST).as_bytes());
    let issued = opened.issued_session.unwrap();
    assert_eq!(visit.session, format!("Mcp-Session-Id: {issued}"));

    visit.post("x".repeat(3 * BODY_PREFIX)).await;
    let refused = exchanges.recv().await.unwrap();
    assert_eq!(
        (refused.status, refused.body.len(), refused.issued_session),
        (400, BODY_PREFIX, None)
    );
    assert!(refused.headers.contains(&("mcp-session-id".to_owned(), issued)));
    assert!(refused.headers.contains(&("mcp-protocol-version".to_owned(), LATEST.to_owned())));

    drop(exchanges);
    assert_eq!(visit.post(PING).await.status, 200);
}

#[tokio::test]
async fn shutdown_closes_everything_at_once() {
    let harbour = start(Settings::default()).await;
    let mut listener = harbour.open(LATEST).await.listen().await;
    let Harbour { port, shutdown, served } = harbour;
    shutdown.send(()).unwrap();
    served.await.unwrap().unwrap();
    assert_eq!(listener.event().await, None);
    assert!(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err());
}
