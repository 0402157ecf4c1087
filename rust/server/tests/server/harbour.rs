//! A server on a free port, and an HTTP client that sends exactly what a test says.

use ferry_server::{Observer, Settings, serve};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const BOTH: &str = "Accept: application/json, text/event-stream";
pub(crate) const JSON: &str = "Content-Type: application/json";
pub(crate) const LATEST: &str = "2025-11-25";

/// A running server. Ends when dropped.
pub(crate) struct Harbour {
    pub(crate) port: u16,
    pub(crate) shutdown: oneshot::Sender<()>,
    pub(crate) served: JoinHandle<std::io::Result<()>>,
}

pub(crate) async fn start(settings: Settings) -> Harbour {
    start_observed(settings, None).await
}

pub(crate) async fn start_observed(settings: Settings, observer: Option<Observer>) -> Harbour {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (shutdown, end) = oneshot::channel();
    let served = tokio::spawn(serve(listener, settings, observer, async {
        end.await.ok();
    }));
    Harbour { port, shutdown, served }
}

/// The head of a response, and its connection to read on from.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    connection: BufReader<TcpStream>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The whole body of a response with a content length.
    pub(crate) async fn body(&mut self) -> Vec<u8> {
        let length = self.header("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.connection.read_exact(&mut body).await.unwrap();
        body
    }

    pub(crate) async fn text(&mut self) -> String {
        String::from_utf8(self.body().await).unwrap()
    }

    pub(crate) async fn json(&mut self) -> Value {
        serde_json::from_slice(&self.body().await).unwrap()
    }

    /// The next line of a chunked event stream; `None` at its end.
    async fn line(&mut self) -> Option<String> {
        // The server sends each event as a chunk, so that no line is cut by the chunks' own lines.
        loop {
            let mut line = String::new();
            if self.connection.read_line(&mut line).await.unwrap_or(0) == 0 {
                return None;
            }
            let line = line.trim_end();
            if line == "0" {
                return None;
            }
            if line.is_empty() || line.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                continue;
            }
            return Some(line.to_owned());
        }
    }

    /// The next event of a chunked stream, as id and data; `None` at its end.
    pub(crate) async fn event(&mut self) -> Option<(String, String)> {
        let mut id = String::new();
        loop {
            let line = self.line().await?;
            match line.split_once(':').unwrap() {
                ("id", value) => value.trim().clone_into(&mut id),
                ("data", value) => return Some((id, value.trim().to_owned())),
                _ => {}
            }
        }
    }

    /// The message of the next event that has one.
    pub(crate) async fn message(&mut self) -> Option<Value> {
        loop {
            let (_, data) = self.event().await?;
            if !data.is_empty() {
                return Some(serde_json::from_str(&data).unwrap());
            }
        }
    }
}

impl Harbour {
    /// Sends one request whose body has a length.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[&str],
        body: impl AsRef<[u8]>,
    ) -> Reply {
        let length = format!("Content-Length: {}", body.as_ref().len());
        self.exchange(method, path, &[headers, &[&length]].concat(), body).await
    }

    /// Sends one request, just so, on a connection of its own and reads the head of the response.
    pub(crate) async fn exchange(
        &self,
        method: &str,
        path: &str,
        headers: &[&str],
        body: impl AsRef<[u8]>,
    ) -> Reply {
        let body = body.as_ref();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
        for header in headers {
            head += header;
            head += "\r\n";
        }
        head += "\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        // The server may refuse by the head alone and close.
        stream.write_all(body).await.ok();
        read_head(stream).await
    }

    pub(crate) async fn post(&self, headers: &[&str], body: impl AsRef<[u8]>) -> Reply {
        let headers = [&[BOTH, JSON], headers].concat();
        self.send("POST", "/mcp", &headers, body).await
    }

    /// Opens a session of this version, with elicitation.
    pub(crate) async fn open(&self, version: &str) -> Visit<'_> {
        let reply = self.post(&[], hello(version)).await;
        assert_eq!(reply.status, 200);
        let session = format!("Mcp-Session-Id: {}", reply.header("mcp-session-id").unwrap());
        Visit { harbour: self, session, version: format!("MCP-Protocol-Version: {version}") }
    }
}

async fn read_head(stream: TcpStream) -> Reply {
    let mut connection = BufReader::new(stream);
    let mut line = String::new();
    connection.read_line(&mut line).await.unwrap();
    let status = line.split(' ').nth(1).unwrap().parse().unwrap();
    let mut headers = Vec::new();
    loop {
        line.clear();
        connection.read_line(&mut line).await.unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_owned(), value.to_owned()));
    }
    Reply { status, headers, connection }
}

/// A session from the client's side.
pub(crate) struct Visit<'a> {
    pub(crate) harbour: &'a Harbour,
    pub(crate) session: String,
    pub(crate) version: String,
}

impl Visit<'_> {
    pub(crate) async fn post(&self, body: impl AsRef<[u8]>) -> Reply {
        self.harbour.post(&[&self.session, &self.version], body).await
    }

    pub(crate) async fn request(&self, id: u64, method: &str, params: Value) -> Reply {
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.post(request.to_string()).await
    }

    /// The outcome of a request that is answered by one JSON body.
    pub(crate) async fn answer(&self, method: &str, params: Value) -> Value {
        self.request(7, method, params).await.json().await
    }

    pub(crate) async fn call(&self, id: u64, tool: &str, arguments: Value) -> Reply {
        self.request(id, "tools/call", json!({"name": tool, "arguments": arguments})).await
    }

    pub(crate) async fn notify(&self, method: &str, params: Value) {
        let notification = json!({"jsonrpc": "2.0", "method": method, "params": params});
        assert_eq!(self.post(notification.to_string()).await.status, 202);
    }

    pub(crate) async fn listen(&self) -> Reply {
        let headers = ["Accept: text/event-stream", &self.session, &self.version];
        self.harbour.send("GET", "/mcp", &headers, "").await
    }

    pub(crate) async fn end(&self) -> Reply {
        self.harbour.send("DELETE", "/mcp", &[&self.session, &self.version], "").await
    }
}

pub(crate) fn hello(version: &str) -> String {
    json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": version,
        "capabilities": {"elicitation": {}},
        "clientInfo": {"name": "test", "version": "1.0.0"},
    }})
    .to_string()
}
