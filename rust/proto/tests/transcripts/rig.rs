//! A bridge with a made-up clock and a made-up server, and the transcript of all that passes.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferry_proto::seam::{Action, ExchangeId, Fault, FaultKind, Head, Input, Request};
use ferry_proto::{Bridge, Config, Frame, Transport};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

pub(crate) const INITIALIZE: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#;
pub(crate) const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
pub(crate) const ANSWER: &str =
    r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","capabilities":{}}}"#;

pub(crate) struct Rig {
    bridge: Bridge,
    now: Instant,
    start: Instant,
    /// The last attempt of each exchange.
    attempts: Vec<ExchangeId>,
    pub(crate) transcript: String,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config {
            url: "http://server.test/mcp".parse().unwrap(),
            headers: HeaderMap::new(),
            renewable: false,
            transport: Transport::Auto,
            listens: true,
            response_timeout: Duration::from_secs(60),
            connect_patience: Duration::from_secs(10),
            concurrency: 64,
            max_message: 1 << 20,
        };
        change(&mut config);
        let start = Instant::now();
        let bridge = Bridge::new(config, 1, start);
        Self { bridge, now: start, start, attempts: Vec::new(), transcript: String::new() }
    }

    /// A session that is open and announced, its listener refused by 405; nothing of that in the
    /// transcript.
    pub(crate) fn in_session() -> Self {
        Self::in_session_with(|_| {})
    }

    pub(crate) fn in_session_with(change: impl FnOnce(&mut Config)) -> Self {
        let mut rig = Self::with(change);
        rig.client(INITIALIZE);
        rig.json(1, &[("mcp-session-id", "s1")], ANSWER);
        rig.client(INITIALIZED);
        rig.head(2, 202, &[]);
        rig.end(2);
        rig.head(3, 405, &[]);
        rig.end(3);
        rig.transcript.clear();
        rig
    }

    pub(crate) fn client(&mut self, line: &str) {
        let frame = Frame::Line(Bytes::copy_from_slice(line.as_bytes()));
        self.input(&format!("client: {line}"), Input::ClientFrame(frame));
    }

    pub(crate) fn client_closes(&mut self) {
        self.input("client closes", Input::ClientClosed);
    }

    pub(crate) fn head(&mut self, number: u64, status: u16, headers: &[(&'static str, &str)]) {
        let mut text = format!("#{number} head {status}");
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let _ = write!(text, " {name}: {value};");
            map.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        let head = Head { status: StatusCode::from_u16(status).unwrap(), headers: map };
        self.input(&text, Input::Head(self.id(number), head));
    }

    pub(crate) fn sent(&mut self, number: u64) {
        self.input(&format!("#{number} sent"), Input::Sent(self.id(number)));
    }

    pub(crate) fn chunk(&mut self, number: u64, text: &str) {
        let piece = Bytes::copy_from_slice(text.as_bytes());
        self.input(&format!("#{number} chunk {text:?}"), Input::Chunk(self.id(number), piece));
    }

    pub(crate) fn end(&mut self, number: u64) {
        self.input(&format!("#{number} end"), Input::Finished(self.id(number), Ok(())));
    }

    pub(crate) fn fault(&mut self, number: u64, kind: FaultKind) {
        let fault = Fault { kind, detail: "test".to_owned() };
        self.input(
            &format!("#{number} fault {kind:?}"),
            Input::Finished(self.id(number), Err(fault)),
        );
    }

    /// A whole JSON answer.
    pub(crate) fn json(&mut self, number: u64, headers: &[(&'static str, &str)], body: &str) {
        self.answer(number, 200, headers, body);
    }

    pub(crate) fn answer(
        &mut self,
        number: u64,
        status: u16,
        headers: &[(&'static str, &str)],
        body: &str,
    ) {
        let mut headers = headers.to_vec();
        headers.push(("content-type", "application/json"));
        self.head(number, status, &headers);
        self.chunk(number, body);
        self.end(number);
    }

    /// An event stream begins.
    pub(crate) fn events(&mut self, number: u64) {
        self.head(number, 200, &[("content-type", "text/event-stream")]);
    }

    /// Time passes, tick by tick as the machine asks for it.
    pub(crate) fn pass(&mut self, span: Duration) {
        let until = self.now + span;
        while let Some(wake) = self.bridge.poll_timeout().filter(|wake| *wake <= until) {
            self.now = wake.max(self.now);
            let elapsed = (self.now - self.start).as_millis();
            // A tick at which nothing happens is not told: when it comes is the machine's affair.
            let before = self.transcript.clone();
            self.input(&format!("+{elapsed} ms"), Input::Tick);
            if self.transcript.lines().last().is_some_and(|line| line.starts_with('+')) {
                self.transcript = before;
            }
        }
        self.now = until;
    }

    pub(crate) fn input(&mut self, text: &str, input: Input) {
        self.transcript += text;
        self.transcript += "\n";
        self.bridge.handle(self.now, input);
        while let Some(action) = self.bridge.poll_action() {
            let line = match action {
                Action::Write(line) => format!("write {}", String::from_utf8_lossy(&line)),
                Action::Open(id, request) => self.open(id, &request),
                Action::Abort(id) => format!("abort #{}", id.number),
                Action::FetchToken => "fetch token".to_owned(),
                Action::Exit(reason) => format!("exit: {reason:?}"),
            };
            let _ = writeln!(self.transcript, "    {line}");
        }
    }

    /// Whether the client may be read.
    pub(crate) fn reads_client(&self) -> bool {
        self.bridge.reads_client()
    }

    /// Whether an exchange may be read.
    pub(crate) fn reads_server(&self, number: u64) -> bool {
        self.bridge.reads_server(self.id(number))
    }

    /// How much time has passed, in milliseconds.
    pub(crate) fn now_ms(&self) -> u128 {
        (self.now - self.start).as_millis()
    }

    /// A line that is over the limit.
    pub(crate) fn too_long(&mut self, line: &[u8]) {
        let mut framer = ferry_proto::Framer::new(20);
        framer.buffer().extend_from_slice(line);
        while let Some(frame) = framer.next_frame() {
            self.input("client: (too long)", Input::ClientFrame(frame));
        }
    }

    fn open(&mut self, id: ExchangeId, request: &Request) -> String {
        self.attempts.retain(|known| known.number != id.number);
        self.attempts.push(id);
        let mut text = format!("open #{} {} {}", id.number, request.method, request.url.path());
        let mut names: Vec<&str> = request.headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        for name in names {
            if !matches!(name, "accept" | "content-type") {
                let value = String::from_utf8_lossy(request.headers[name].as_bytes());
                let _ = write!(text, " {name}: {value};");
            }
        }
        if !request.body.is_empty() {
            let _ = write!(text, " {}", String::from_utf8_lossy(&request.body));
        }
        text
    }

    fn id(&self, number: u64) -> ExchangeId {
        *self
            .attempts
            .iter()
            .find(|id| id.number == number)
            .unwrap_or_else(|| panic!("no exchange #{number} is open:\n{}", self.transcript))
    }
}
