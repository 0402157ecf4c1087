//! The paths that every message takes, each so many times: `hot_paths NAME TIMES`.
//!
//! `tests/test_instructions.py` counts the instructions of two runs under callgrind; the difference,
//! divided by the difference of the times, is what one message costs. That needs no quiet machine.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    reason = "a tool that begins at any instant, and says where it cannot go on"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferry_proto::seam::{Action, Head, Input};
use ferry_proto::sse::Decoder;
use ferry_proto::{Bridge, Config, Frame, Framer, Transport, message};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};

/// A call as SDKs write it.
const CALL: &str = r#"{"method":"tools/call","params":{"name":"echo","arguments":{"text":"the tide is high"},"_meta":{"progressToken":7}},"jsonrpc":"2.0","id":7}"#;
const REPLY: &str = r#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"the tide is high"}],"isError":false}}"#;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().expect("a name");
    let times: u32 = arguments.next().and_then(|it| it.parse().ok()).expect("how many times");
    match name.as_str() {
        "framer" => framer(times),
        "envelope" => envelope(times),
        "events" => events(times),
        "machine" => machine(times),
        _ => panic!("framer, envelope, events or machine"),
    }
}

/// A read of sixteen lines.
fn framer(times: u32) {
    let read = format!("{CALL}\n").repeat(16);
    let mut framer = Framer::new(1 << 20);
    for _ in 0..times {
        framer.buffer().extend_from_slice(read.as_bytes());
        while let Some(frame) = framer.next_frame() {
            black_box(frame);
        }
    }
}

/// A look at a call and at its reply.
fn envelope(times: u32) {
    for _ in 0..times {
        let call = message::peek(black_box(CALL)).map(|message| message.meta.version.is_some());
        let _ = black_box(call);
        let _ = black_box(message::peek(black_box(REPLY)).is_ok());
    }
}

/// An event in two pieces.
fn events(times: u32) {
    let event = format!("id: 4-17\nevent: message\ndata: {REPLY}\n\n");
    let (one, two) = event.split_at(event.len() / 2);
    let mut decoder = Decoder::new(1 << 20);
    for _ in 0..times {
        for piece in [one, two] {
            decoder.push(piece.as_bytes());
            while let Ok(Some(event)) = decoder.next_event() {
                black_box(event);
            }
        }
    }
}

/// A call through the whole machine: frame in, POST out, JSON answer in, line out.
fn machine(times: u32) {
    let now = Instant::now();
    let config = Config {
        url: "http://localhost/mcp".parse().expect("a URL"),
        headers: HeaderMap::new(),
        renewable: false,
        transport: Transport::Auto,
        listens: true,
        response_timeout: Duration::from_secs(60),
        connect_patience: Duration::from_secs(10),
        concurrency: 64,
        max_message: 1 << 20,
    };
    let mut bridge = Bridge::new(config, 1, now);
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let (call, reply) = (Bytes::from_static(CALL.as_bytes()), Bytes::from_static(REPLY.as_bytes()));
    for _ in 0..times {
        bridge.handle(now, Input::ClientFrame(Frame::Line(call.clone())));
        let Some(Action::Open(id, request)) = bridge.poll_action() else { panic!("a POST") };
        black_box(request);
        let head = Head { status: StatusCode::OK, headers: headers.clone() };
        bridge.handle(now, Input::Sent(id));
        bridge.handle(now, Input::Head(id, head));
        bridge.handle(now, Input::Chunk(id, reply.clone()));
        bridge.handle(now, Input::Finished(id, Ok(())));
        let Some(Action::Write(line)) = bridge.poll_action() else { panic!("a line") };
        bridge.handle(now, Input::Written(line.len()));
        assert!(bridge.poll_action().is_none(), "nothing else is to be done");
    }
}
