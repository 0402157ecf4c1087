//! A bridge between a client and a server that both do as they are told, and a notebook of what
//! each has seen: enough to say afterwards whether anything was lost, doubled or run twice.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferry_proto::seam::{Action, ExchangeId, ExitReason, Fault, FaultKind, Head, Input, Request};
use ferry_proto::{Bridge, Config, Frame, Transport};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

/// What the server does with an exchange that is open.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Does {
    /// Answers it as a good server would, as JSON.
    Answer,
    /// Likewise, as an event stream, cut in two.
    Stream,
    /// Begins an event stream with an event id, then cuts it.
    CutAfterId,
    /// Begins an event stream without ids, then cuts it.
    Cut,
    /// Breaks the connection.
    Reset,
    /// Refuses the connection.
    Refuse,
    /// Answers with this status and no body.
    Status(u16),
    /// Asks to come again in a second.
    Later,
    /// Takes a request without an answer.
    Accept,
    /// Answers under another id.
    Misaddress,
    /// Answers with something that is no message.
    Babble,
    /// Ends the stream in order, without a reply.
    EndUnanswered,
}

/// What the client does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Says {
    Initialize,
    Initialized,
    Call,
    List,
    Note,
    Cancel(u8),
    Nonsense,
}

/// What became of a request of the client's.
#[derive(Debug, Default)]
pub(crate) struct Fate {
    pub(crate) harmless: bool,
    pub(crate) cancelled: bool,
    pub(crate) replies: u32,
    /// How often it was sent.
    pub(crate) posts: u32,
    /// How often it was sent after it may have run.
    pub(crate) reruns: u32,
    may_have_run: bool,
}

pub(crate) struct World {
    bridge: Bridge,
    pub(crate) now: Instant,
    open: Vec<(ExchangeId, Request)>,
    pub(crate) fates: BTreeMap<u64, Fate>,
    next_id: u64,
    sessions: u64,
    /// The session that the server would honour now.
    live: Option<String>,
    pub(crate) exit: Option<ExitReason>,
    /// Bytes of `Write` not yet reported as written.
    unwritten: usize,
    pub(crate) broken: Vec<String>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let config = Config {
            url: "http://server.test/mcp".parse().unwrap(),
            headers: HeaderMap::new(),
            renewable: false,
            transport: Transport::Auto,
            listens: true,
            response_timeout: Duration::from_secs(60),
            connect_patience: Duration::from_secs(10),
            concurrency: 3,
            max_message: 1 << 16,
        };
        let now = Instant::now();
        Self {
            bridge: Bridge::new(config, seed, now),
            now,
            open: Vec::new(),
            fates: BTreeMap::new(),
            next_id: 1,
            sessions: 0,
            live: None,
            exit: None,
            unwritten: 0,
            broken: Vec::new(),
        }
    }

    pub(crate) fn say(&mut self, says: Says) {
        if !self.bridge.reads_client() {
            return;
        }
        let id = self.next_id;
        let line = match says {
            Says::Initialize => self.request(id, "initialize"),
            Says::Call => self.request(id, "tools/call"),
            Says::List => self.request(id, "tools/list"),
            Says::Initialized => json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
            Says::Note => json!({"jsonrpc": "2.0", "method": "notifications/roots/list_changed"}),
            Says::Cancel(which) => {
                let calls: Vec<u64> = self.fates.keys().copied().collect();
                let Some(id) = calls.get(usize::from(which) % calls.len().max(1)) else { return };
                let fate = self.fates.get_mut(id).unwrap();
                fate.cancelled = true;
                json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}})
            }
            Says::Nonsense => Value::from("nonsense"),
        };
        self.input(Input::ClientFrame(Frame::Line(Bytes::from(line.to_string()))));
    }

    fn request(&mut self, id: u64, method: &str) -> Value {
        self.next_id += 1;
        let harmless = method != "tools/call";
        self.fates.insert(id, Fate { harmless, ..Fate::default() });
        json!({"jsonrpc": "2.0", "id": id, "method": method, "params": {"protocolVersion": "2025-11-25"}})
    }

    /// The server forgets every session, as one that restarts.
    pub(crate) fn restart(&mut self) {
        self.live = None;
    }

    pub(crate) fn pass(&mut self, span: Duration) {
        let until = self.now + span;
        for _ in 0..10_000 {
            match self.bridge.poll_timeout().filter(|wake| *wake <= until) {
                Some(wake) => self.now = wake.max(self.now),
                None => break,
            }
            self.input(Input::Tick);
        }
        self.now = until;
    }

    pub(crate) fn close(&mut self) {
        self.input(Input::ClientClosed);
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    /// Lets the server do something with one of the open exchanges.
    pub(crate) fn serve(&mut self, which: u8, does: Does) {
        if self.open.is_empty() {
            return;
        }
        let (id, request) = self.open.remove(usize::from(which) % self.open.len());
        if !matches!(does, Does::Refuse) && request.method != Method::GET {
            self.input(Input::Sent(id));
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        let known = request.headers.get("mcp-session-id").map(|id| id.to_str().unwrap().to_owned());
        match does {
            Does::Refuse => return self.fault(id, FaultKind::Connect),
            Does::Reset => {
                self.may_have_run(&body);
                return self.fault(id, FaultKind::Cut);
            }
            Does::Status(status) => {
                if matches!(status, 500 | 502 | 504) {
                    self.may_have_run(&body);
                }
                self.head(id, status, &[]);
                return self.finish(id);
            }
            Does::Later => {
                self.head(id, 429, &[("retry-after", "1")]);
                return self.finish(id);
            }
            _ => {}
        }
        if known.is_some() && known != self.live {
            self.head(id, 404, &[]);
            return self.finish(id);
        }
        if request.method == Method::DELETE {
            self.head(id, 200, &[]);
            return self.finish(id);
        }
        if request.method == Method::GET {
            let resumes = request.headers.contains_key("last-event-id");
            self.head(id, if resumes { 400 } else { 405 }, &[]);
            return self.finish(id);
        }
        if body.get("id").is_none() {
            self.head(id, 202, &[]);
            return self.finish(id);
        }
        self.answer(id, &body, does);
    }

    fn answer(&mut self, id: ExchangeId, body: &Value, does: Does) {
        let mut headers = Vec::new();
        let mut reply = json!({"jsonrpc": "2.0", "id": body["id"], "result": {}});
        self.may_have_run(body);
        if body["method"] == "initialize" && matches!(does, Does::Answer | Does::Stream) {
            self.sessions += 1;
            self.live = Some(format!("s{}", self.sessions));
            headers.push(("mcp-session-id", self.live.clone().unwrap()));
            reply["result"] = json!({"protocolVersion": "2025-11-25", "capabilities": {}});
        }
        let mut headers: Vec<(&'static str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let stream = ("content-type", "text/event-stream");
        let event = format!("data: {reply}\n\n");
        match does {
            Does::Stream => {
                headers.push(stream);
                self.head(id, 200, &headers);
                let (one, two) = event.split_at(event.len() / 2);
                self.chunk(id, one);
                self.chunk(id, two);
            }
            Does::CutAfterId | Does::Cut => {
                self.head(id, 200, &[stream]);
                let prime =
                    if matches!(does, Does::Cut) { ": hello\n\n" } else { "id: 1\ndata:\n\n" };
                self.chunk(id, prime);
                return self.fault(id, FaultKind::Cut);
            }
            Does::EndUnanswered => self.head(id, 200, &[stream]),
            Does::Accept => self.head(id, 202, &[]),
            Does::Misaddress => {
                self.head(id, 200, &[]);
                self.chunk(id, r#"{"jsonrpc":"2.0","id":"nobody's","result":{}}"#);
            }
            Does::Babble => {
                self.head(id, 200, &[]);
                self.chunk(id, "<html>");
            }
            _ => {
                self.head(id, 200, &headers);
                self.chunk(id, &reply.to_string());
            }
        }
        self.finish(id);
    }

    fn may_have_run(&mut self, body: &Value) {
        if let Some(fate) = body["id"].as_u64().and_then(|id| self.fates.get_mut(&id)) {
            fate.may_have_run = true;
        }
    }

    fn head(&mut self, id: ExchangeId, status: u16, headers: &[(&'static str, &str)]) {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
            })
            .collect();
        let status = StatusCode::from_u16(status).unwrap();
        self.input(Input::Head(id, Head { status, headers }));
    }

    fn chunk(&mut self, id: ExchangeId, text: &str) {
        self.input(Input::Chunk(id, Bytes::copy_from_slice(text.as_bytes())));
    }

    fn finish(&mut self, id: ExchangeId) {
        self.input(Input::Finished(id, Ok(())));
    }

    fn fault(&mut self, id: ExchangeId, kind: FaultKind) {
        let fault = Fault { kind, detail: "test".to_owned() };
        self.input(Input::Finished(id, Err(fault)));
    }

    fn input(&mut self, input: Input) {
        self.bridge.handle(self.now, input);
        while let Some(action) = self.bridge.poll_action() {
            match action {
                Action::Write(line) => self.on_write(&line),
                Action::Open(id, request) => self.on_open(id, request),
                Action::Abort(id) => self.open.retain(|(open, _)| *open != id),
                Action::FetchToken => self.broken.push("a token nobody has".to_owned()),
                Action::Exit(reason) => self.exit = Some(reason),
            }
        }
        if self.unwritten > 0 {
            let written = std::mem::take(&mut self.unwritten);
            self.bridge.handle(self.now, Input::Written(written));
        }
    }

    fn on_write(&mut self, line: &Bytes) {
        self.unwritten += line.len();
        let Ok(message) = serde_json::from_slice::<Value>(line) else {
            return self.broken.push(format!("not JSON on stdout: {line:?}"));
        };
        if line.contains(&b'\n') {
            self.broken.push(format!("a line break inside a line: {line:?}"));
        }
        let Some(id) = message["id"].as_u64().filter(|_| message.get("method").is_none()) else {
            return;
        };
        match self.fates.get_mut(&id) {
            Some(fate) => fate.replies += 1,
            None => self.broken.push(format!("a reply that nobody is owed: {message}")),
        }
    }

    fn on_open(&mut self, id: ExchangeId, request: Request) {
        if self.exit.is_some() {
            self.broken.push("a request after the exit".to_owned());
        }
        if request.method == Method::POST {
            let body: Value = serde_json::from_slice(&request.body).unwrap();
            let has_session = request.headers.contains_key("mcp-session-id");
            if body["method"] == "initialize" && has_session {
                self.broken.push("initialize with a session id".to_owned());
            }
            if let Some(fate) = body["id"].as_u64().and_then(|id| self.fates.get_mut(&id)) {
                fate.posts += 1;
                fate.reruns += u32::from(fate.may_have_run);
            }
        }
        if self.open.iter().any(|(open, _)| *open == id) {
            self.broken.push(format!("{id:?} opened twice"));
        }
        self.open.push((id, request));
    }
}
