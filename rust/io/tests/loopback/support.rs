//! Servers of a single connection that do exactly what a test says, byte by byte.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use bytes::Bytes;
use ferry_io::http::{Client, Exchange};
use ferry_io::{Config, Settings};
use ferry_proto::{ExchangeId, FaultKind, Input, Request};
use futures_util::StreamExt;
use http::{HeaderMap, Method};

/// Listens on a free port and plays `script` with the first connection.
pub(crate) fn once(script: impl FnOnce(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || script(listener.accept().unwrap().0));
    format!("http://{address}/mcp")
}

/// Reads one request with its body, as text.
pub(crate) fn read_request(stream: &mut impl Read) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    let wanted = |text: &[u8]| {
        let text = String::from_utf8_lossy(text).to_lowercase();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        Some(body.len() >= length.unwrap_or(0))
    };
    while wanted(&text) != Some(true) && stream.read(&mut byte).unwrap() == 1 {
        text.extend(byte);
    }
    String::from_utf8(text).unwrap()
}

/// Answers with a whole message.
pub(crate) fn reply(stream: &mut impl Write, body: &str) {
    let length = body.len();
    write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
    stream.flush().unwrap();
}

pub(crate) fn config(url: &str) -> Config {
    Settings { url: url.into(), ..Settings::default() }.check().unwrap()
}

/// A POST to the configured endpoint.
pub(crate) fn request(config: &Config, body: &'static str) -> Request {
    Request {
        method: Method::POST,
        url: config.rules().url.clone(),
        headers: HeaderMap::new(),
        body: Bytes::from_static(body.as_bytes()),
    }
}

/// Begins a POST to the configured endpoint.
pub(crate) fn post(config: &Config, body: &'static str) -> Exchange {
    let client = Client::new(config).unwrap();
    client.open(ExchangeId { number: 1, attempt: 1 }, request(config, body))
}

/// All that comes of an exchange, in short words, with the body in one piece.
pub(crate) async fn story(exchange: Exchange) -> Vec<String> {
    let mut body = Vec::new();
    let mut story = Vec::new();
    let mut inputs = exchange;
    while let Some(input) = inputs.next().await {
        match input {
            Input::Sent(_) => story.push("sent".into()),
            Input::Head(_, head) => story.push(head.status.as_str().to_owned()),
            Input::Chunk(_, bytes) => body.extend(bytes),
            Input::Finished(_, outcome) => {
                if !body.is_empty() {
                    story.push(String::from_utf8(std::mem::take(&mut body)).unwrap());
                }
                story.push(outcome.map_or_else(|fault| name(fault.kind).into(), |()| "end".into()));
            }
            other => panic!("no exchange yields {other:?}"),
        }
    }
    story
}

fn name(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Resolve => "resolve",
        FaultKind::Connect => "connect",
        FaultKind::ConnectTimeout => "connect timeout",
        FaultKind::Tls => "tls",
        FaultKind::Unsent => "unsent",
        FaultKind::Cut => "cut",
    }
}
