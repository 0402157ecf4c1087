//! A lenient MCP server that demands no session and no version, and whose events say when they left.
//!
//! It has the tools `echo` and `slow` of the strict server, for bridges that send it too little, and `ticks`:
//! so many progress notifications, each with the system's time in nanoseconds as its message.

use std::convert::Infallible;
use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::channel::{Channel, Sender};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

type Body = Either<Full<Bytes>, Channel<Bytes, Infallible>>;

/// The raw result of `initialize`. The version is the one that the load generator asks for.
const WELCOME: &str = r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"timekeeper","version":"1"}}"#;

/// The raw result of `tools/list`.
const TOOLS: &str = r#"{"tools":[{"name":"echo","inputSchema":{"type":"object"}},{"name":"slow","inputSchema":{"type":"object"}},{"name":"ticks","inputSchema":{"type":"object"}}]}"#;

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    method: Option<&'a str>,
    #[serde(borrow, default)]
    params: Option<Params<'a>>,
}

#[derive(Default, Deserialize)]
struct Params<'a> {
    name: Option<&'a str>,
    #[serde(borrow, default)]
    arguments: Option<Arguments<'a>>,
    #[serde(borrow, default, rename = "_meta")]
    meta: Option<Meta<'a>>,
}

#[derive(Default, Deserialize)]
struct Arguments<'a> {
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(default)]
    ms: u64,
    #[serde(default)]
    steps: u64,
}

#[derive(Default, Deserialize)]
struct Meta<'a> {
    #[serde(borrow, default, rename = "progressToken")]
    token: Option<&'a RawValue>,
}

fn main() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        io::stdout().write_all(format!("http://{}/mcp\n", listener.local_addr()?).as_bytes())?;
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(serve(stream));
        }
    })
}

/// Answers what comes over one connection; a connection that breaks ends alone.
async fn serve(stream: TcpStream) {
    if stream.set_nodelay(true).is_ok() {
        let connection =
            http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
        let _ = connection.await;
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
    if request.method() != Method::POST {
        return Ok(empty(StatusCode::METHOD_NOT_ALLOWED));
    }
    let body = request.into_body().collect().await?.to_bytes();
    let Ok(message) = serde_json::from_slice::<Message<'_>>(&body) else {
        return Ok(empty(StatusCode::BAD_REQUEST));
    };
    let (Some(id), Some(method)) = (message.id.map(RawValue::get), message.method) else {
        return Ok(empty(StatusCode::ACCEPTED));
    };
    let params = message.params.unwrap_or_default();
    let arguments = params.arguments.unwrap_or_default();
    let took = format!(r#""Took {} ms in {} steps.""#, arguments.ms, arguments.steps);
    Ok(match (method, params.name) {
        ("initialize", _) => {
            let mut response = json(reply(id, WELCOME));
            // One session is as good as another here, but bridges behave differently without any.
            response.headers_mut().insert("mcp-session-id", HeaderValue::from_static("timekeeper"));
            response
        }
        ("tools/list", _) => json(reply(id, TOOLS)),
        ("tools/call", Some("echo")) => {
            json(reply(id, &text(arguments.text.map_or("\"\"", RawValue::get))))
        }
        ("tools/call", Some("slow")) => {
            sleep(Duration::from_millis(arguments.ms)).await;
            json(reply(id, &text(&took)))
        }
        ("tools/call", Some("ticks")) => {
            let (sender, channel) = Channel::new(16);
            let token = params.meta.unwrap_or_default().token.map_or("0", RawValue::get).to_owned();
            let pause = Duration::from_millis(arguments.ms);
            let last = reply(id, &text(&took));
            tokio::spawn(tick(sender, token, arguments.steps, pause, last));
            typed("text/event-stream", Either::Right(channel))
        }
        _ => json(reply(id, "{}")),
    })
}

/// Sends the events and at last the reply, unless the reader goes away.
async fn tick(
    mut to: Sender<Bytes, Infallible>,
    token: String,
    steps: u64,
    pause: Duration,
    last: String,
) {
    for step in 1..=steps {
        sleep(pause).await;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let event = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{step},"total":{steps},"message":"{now}"}}}}"#
        );
        if to.send_data(event_of(&event)).await.is_err() {
            return;
        }
    }
    let _ = to.send_data(event_of(&last)).await; // the reader has gone
}

fn event_of(data: &str) -> Bytes {
    format!("event: message\ndata: {data}\n\n").into()
}

fn reply(id: &str, result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
}

/// The result with one text, given as its raw JSON.
fn text(raw: &str) -> String {
    format!(r#"{{"content":[{{"type":"text","text":{raw}}}]}}"#)
}

fn json(body: String) -> Response<Body> {
    typed("application/json", Either::Left(Full::from(body)))
}

fn typed(kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::default()));
    *response.status_mut() = status;
    response
}
