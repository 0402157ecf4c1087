//! Opens sessions with the least that can be sent, `initialize` and `notifications/initialized`, and prints what
//! that cost as one JSON document: what opening a session costs at least.

use std::cell::Cell;
use std::io::{self, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

use ferry_bench::connection::{Connection, field};
use ferry_bench::tree::load_average;
use nix::time::{ClockId, clock_gettime};
use serde::Serialize;
use tokio::task::{JoinSet, LocalSet};

const USAGE: &str = "usage: pairs http://HOST:PORT/PATH COUNT AT-ONCE";

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"pairs","version":"0"}}}"#;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// Where the sessions are opened, and how many more are wanted.
struct Wanted {
    authority: String,
    path: String,
    left: Cell<u64>,
}

#[derive(Serialize)]
struct Report {
    opening: Opening,
    load_average: f64,
}

/// What opening so many sessions cost, all together and each.
#[derive(Serialize)]
struct Opening {
    count: u64,
    seconds: f64,
    cpu_seconds: f64,
    per_second: f64,
    per_cpu_second: f64,
    cpu_us: f64,
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, count, at_once] = arguments.as_slice() else { return Err(broken(USAGE)) };
    let rest = url.strip_prefix("http://").ok_or_else(|| broken(USAGE))?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let count = count.parse().map_err(|_| broken(USAGE))?;
    let at_once = at_once.parse().map_err(|_| broken(USAGE))?;
    let wanted = Rc::new(Wanted {
        authority: authority.to_owned(),
        path: format!("/{path}"),
        left: Cell::new(count),
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (begin, cpu) = (Instant::now(), processor_time()?);
    LocalSet::new().block_on(&runtime, open_all(&wanted, at_once))?;
    let (seconds, cpu_time) =
        (begin.elapsed().as_secs_f64(), processor_time()?.saturating_sub(cpu));
    let report =
        Report { opening: opening(count, seconds, cpu_time), load_average: load_average() };
    let mut line = serde_json::to_string(&report)?;
    line.push('\n');
    io::stdout().write_all(line.as_bytes())
}

/// Opens them all, each of the tasks one after the other.
async fn open_all(wanted: &Rc<Wanted>, at_once: u64) -> io::Result<()> {
    let mut tasks = JoinSet::new();
    for _ in 0..at_once {
        tasks.spawn_local(open_some(Rc::clone(wanted)));
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

async fn open_some(wanted: Rc<Wanted>) -> io::Result<()> {
    let mut connection = Connection::open(&wanted.authority).await?;
    while let Some(left) = wanted.left.get().checked_sub(1) {
        wanted.left.set(left);
        let head = exchange(&mut connection, &wanted, "", INITIALIZE, "200").await?;
        let id = field(&head, "mcp-session-id:").ok_or_else(|| broken("there is no session id"))?;
        let headers = format!("mcp-session-id: {id}\r\nmcp-protocol-version: 2025-11-25\r\n");
        exchange(&mut connection, &wanted, &headers, INITIALIZED, "202").await?;
    }
    Ok(())
}

/// Posts one message and reads the answer, which has to have this status; its head.
async fn exchange(
    connection: &mut Connection,
    wanted: &Wanted,
    headers: &str,
    body: &str,
    status: &str,
) -> io::Result<String> {
    connection.post(&wanted.path, &wanted.authority, headers, body.as_bytes()).await?;
    let head = connection.upto(b"\r\n\r\n").await?;
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    if head.split(' ').nth(1) != Some(status) {
        return Err(broken("the server refused"));
    }
    let length = field(&head, "content-length:").unwrap_or("0");
    connection.exactly(length.parse().map_err(|_| broken("content-length"))?).await?;
    Ok(head)
}

#[allow(clippy::cast_precision_loss)] // so many sessions there never are
fn opening(count: u64, seconds: f64, cpu: Duration) -> Opening {
    let (many, cpu_seconds) = (count as f64, cpu.as_secs_f64());
    Opening {
        count,
        seconds,
        cpu_seconds,
        per_second: many / seconds,
        per_cpu_second: many / cpu_seconds,
        cpu_us: cpu_seconds * 1e6 / many,
    }
}

/// User and system time of this process so far.
fn processor_time() -> io::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?.into())
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
