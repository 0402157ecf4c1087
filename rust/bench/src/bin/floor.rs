//! The least possible bridge: lines in, POSTs out, bodies back. It knows no errors, no retries, no limits and
//! no MCP beyond the session id. What a bridge costs above it is what its rules cost.

use std::cell::RefCell;
use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;

use ferry_bench::connection::{Connection, field};
use memchr::memchr;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::sync::Notify;
use tokio::task::{JoinSet, LocalSet};

/// What all exchanges share; there is one thread.
struct Floor {
    authority: String,
    path: String,
    session: RefCell<String>,
    idle: RefCell<Vec<Connection>>,
    out: RefCell<Vec<u8>>,
    written: Notify,
}

fn main() -> io::Result<()> {
    let url = std::env::args().nth(1).unwrap_or_default();
    let rest =
        url.strip_prefix("http://").ok_or_else(|| broken("usage: floor http://HOST:PORT/PATH"))?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let floor = Rc::new(Floor {
        authority: authority.to_owned(),
        path: format!("/{path}"),
        session: RefCell::default(),
        idle: RefCell::default(),
        out: RefCell::default(),
        written: Notify::new(),
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, run(floor))
}

async fn run(floor: Rc<Floor>) -> io::Result<()> {
    let stdin = Receiver::from_owned_fd(io::stdin().as_fd().try_clone_to_owned()?)?;
    let stdout = Sender::from_owned_fd(io::stdout().as_fd().try_clone_to_owned()?)?;
    let mut stdin = BufReader::with_capacity(64 * 1024, stdin);
    let writer = tokio::task::spawn_local(write(Rc::clone(&floor), stdout));
    let mut exchanges = JoinSet::new();
    let mut line = Vec::new();
    while stdin.read_until(b'\n', &mut line).await? > 0 {
        let body = std::mem::take(&mut line);
        if floor.session.borrow().is_empty() {
            exchange(&floor, &body).await?; // the first answer brings the session id
        } else {
            let floor = Rc::clone(&floor);
            exchanges.spawn_local(async move { exchange(&floor, &body).await });
        }
        while let Some(done) = exchanges.try_join_next() {
            done??;
        }
    }
    while let Some(done) = exchanges.join_next().await {
        done??;
    }
    floor.say(b""); // nothing is owed any more
    drop(floor);
    writer.await?
}

impl Floor {
    fn say(&self, line: &[u8]) {
        self.out.borrow_mut().extend_from_slice(line);
        self.written.notify_one();
    }
}

/// Writes what was said, all of it at once, until nobody is left to say more.
async fn write(floor: Rc<Floor>, mut stdout: Sender) -> io::Result<()> {
    loop {
        let said = floor.out.take();
        if !said.is_empty() {
            stdout.write_all(&said).await?;
        } else if Rc::strong_count(&floor) == 1 {
            return Ok(());
        } else {
            floor.written.notified().await;
        }
    }
}

/// Posts one line and copies what comes back.
async fn exchange(floor: &Floor, body: &[u8]) -> io::Result<()> {
    let idle = floor.idle.borrow_mut().pop();
    let mut connection = match idle {
        Some(connection) => connection,
        None => Connection::open(&floor.authority).await?,
    };
    let headers = floor.session.borrow().clone();
    connection.post(&floor.path, &floor.authority, &headers, body).await?;
    answer(&mut connection, floor).await?;
    floor.idle.borrow_mut().push(connection);
    Ok(())
}

/// Reads one response to its end.
async fn answer(connection: &mut Connection, floor: &Floor) -> io::Result<()> {
    let head = connection.upto(b"\r\n\r\n").await?;
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    if let Some(id) = field(&head, "mcp-session-id:")
        && floor.session.borrow().is_empty()
    {
        let headers = format!("mcp-session-id: {id}\r\nmcp-protocol-version: 2025-06-18\r\n");
        floor.session.replace(headers);
    }
    let events =
        field(&head, "content-type:").is_some_and(|kind| kind.starts_with("text/event-stream"));
    let mut copy = Copy { floor, events, held: Vec::new() };
    if let Some(length) = field(&head, "content-length:") {
        let body =
            connection.exactly(length.parse().map_err(|_| broken("content-length"))?).await?;
        copy.take(&body);
    } else if field(&head, "transfer-encoding:").is_some() {
        loop {
            let size = connection.upto(b"\r\n").await?;
            let size = String::from_utf8_lossy(&size);
            let size = usize::from_str_radix(size.trim(), 16).map_err(|_| broken("chunk"))?;
            let chunk = connection.exactly(size + 2).await?;
            if size == 0 {
                break;
            }
            copy.take(chunk.get(..size).unwrap_or_default());
        }
    }
    copy.end();
    Ok(())
}

/// The way of a body to stdout.
struct Copy<'a> {
    floor: &'a Floor,
    events: bool,
    held: Vec<u8>,
}

impl Copy<'_> {
    fn take(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        while self.events
            && let Some(at) = memchr(b'\n', &self.held)
        {
            let rest = self.held.split_off(at + 1);
            let line = std::mem::replace(&mut self.held, rest);
            if let Some(data) = line.strip_prefix(b"data: ")
                && data.first() == Some(&b'{')
            {
                self.floor.say(data);
            }
        }
    }

    fn end(mut self) {
        if !self.events && !self.held.is_empty() {
            self.held.push(b'\n');
            self.floor.say(&self.held);
        }
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
