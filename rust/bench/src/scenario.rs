//! What is done to a bridge, one function for each thing that is measured.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Failure;
use crate::bridge::Bridge;
use crate::ledger::{Ledger, departure};
use crate::report::{Report, percentiles};
use crate::tree;

/// Calls before the measured ones, for caches, connections and just-in-time compilers.
const WARM_UP: u64 = 200;

/// The longest part of a run that is spent on warming up.
const WARM_UP_TIME: Duration = Duration::from_millis(500);

/// Calls of `start` after the handshake.
const FIRST_CALLS: u64 = 20;

/// How long a process is left alone before its memory is read.
const SETTLE: Duration = Duration::from_millis(300);

const MIB: f64 = 1024.0 * 1024.0;

/// What a scenario is told. Each takes what it needs.
#[derive(Clone, Debug)]
pub struct Order {
    /// The bridge's command.
    pub command: Vec<OsString>,
    /// Calls that are owed a reply at any time.
    pub outstanding: u64,
    /// The most calls.
    pub messages: u64,
    /// The longest time that new calls are written.
    pub time: Duration,
    /// The length of one text, in bytes.
    pub bytes: usize,
    /// How many processes.
    pub fleet: u64,
    /// When a bridge that does not come to an end is killed.
    pub patience: Duration,
}

/// Runs a command to its end: the bare cost of an interpreter, in `seconds`.
///
/// # Errors
/// The command could not be run.
pub fn bare(order: &Order) -> Result<Report, Failure> {
    let mut bridge = Bridge::start(&order.command, order.patience)?;
    bridge.close()?;
    let seconds = bridge.started.elapsed().as_secs_f64();
    Ok(Report { seconds: Some(seconds), ..Report::default() })
}

/// Starts a bridge, opens the session and makes 20 calls; `cpu_ms` is the processor time of all that.
///
/// # Errors
/// The bridge failed.
pub fn start(order: &Order) -> Result<Report, Failure> {
    let (mut bridge, took) = Bridge::open(&order.command, order.patience)?;
    let mut ledger = Ledger::default();
    pump(&mut bridge, &mut ledger, 1, FIRST_CALLS, order.time)?;
    let cpu = tree::cpu_time(bridge.pid());
    std::thread::sleep(SETTLE);
    let usage = tree::usage(bridge.pid());
    ledger.close();
    Ok(Report {
        counts: ledger.counts,
        first_reply_ms: Some(millis(took)),
        cpu_ms: Some(millis(cpu)),
        pss_kib: Some(usage.pss),
        rss_kib: Some(usage.rss),
        processes: Some(usage.processes),
        ..Report::default()
    })
}

/// Keeps so many calls of a short `echo` under way: latency, throughput and what each costs.
///
/// # Errors
/// The bridge failed.
pub fn echo(order: &Order) -> Result<Report, Failure> {
    let (mut bridge, _) = Bridge::open(&order.command, order.patience)?;
    let mut ledger = Ledger::default();
    pump(&mut bridge, &mut ledger, order.outstanding, WARM_UP, WARM_UP_TIME)?;
    let before = tree::cpu_time(bridge.pid());
    let answered = ledger.counts.answered;
    let begun = Instant::now();
    let histogram = pump(&mut bridge, &mut ledger, order.outstanding, order.messages, order.time)?;
    let seconds = begun.elapsed().as_secs_f64();
    let usage = tree::usage(bridge.pid());
    let calls = number(ledger.counts.answered - answered).max(1.0);
    finish(&mut bridge, &mut ledger)?;
    Ok(Report {
        counts: ledger.counts,
        seconds: Some(seconds),
        per_second: Some(calls / seconds),
        cpu_us_per_call: Some((usage.cpu.saturating_sub(before)).as_secs_f64() * 1e6 / calls),
        latency_us: percentiles(&histogram),
        pss_kib: Some(usage.pss),
        rss_kib: Some(usage.rss),
        ..Report::default()
    })
}

/// As `echo`, with strace counting; the other figures would be those of a traced process and are left out.
///
/// # Errors
/// The bridge failed, or there is no strace.
pub fn system_calls(order: &Order) -> Result<Report, Failure> {
    let (mut bridge, _) = Bridge::open(&order.command, order.patience)?;
    let mut ledger = Ledger::default();
    pump(&mut bridge, &mut ledger, order.outstanding, WARM_UP, WARM_UP_TIME)?;
    let answered = ledger.counts.answered;
    let tracer = Tracer::attach(bridge.pid())?;
    pump(&mut bridge, &mut ledger, order.outstanding, order.messages, order.time)?;
    let made = tracer.detach()?;
    let calls = number(ledger.counts.answered - answered).max(1.0);
    finish(&mut bridge, &mut ledger)?;
    Ok(Report {
        counts: ledger.counts,
        system_calls_per_call: Some(number(made) / calls),
        ..Report::default()
    })
}

/// Echoes large texts one after the other; memory is that of the bridge's processes together.
///
/// # Errors
/// The bridge failed.
pub fn large(order: &Order) -> Result<Report, Failure> {
    let (mut bridge, _) = Bridge::open(&order.command, order.patience)?;
    let mut ledger = Ledger::default();
    pump(&mut bridge, &mut ledger, 1, FIRST_CALLS, order.time)?;
    let before = tree::usage(bridge.pid());
    let text = "a ferry full of text, ".chars().cycle().take(order.bytes).collect::<String>();
    let arguments = format!(r#"{{"text":"{text}"}}"#);
    let mut histogram = histogram();
    let mut line = Vec::with_capacity(arguments.len() * 2);
    let mut request = Vec::with_capacity(arguments.len() * 2);
    let begun = Instant::now();
    let mut trips = 0;
    while trips < order.messages && (trips == 0 || begun.elapsed() < order.time) {
        trips += 1;
        request.clear();
        ledger.call("echo", &arguments, text.clone(), &mut request);
        let sent = Instant::now();
        bridge.exchange(&request, &mut line)?;
        let took = sent.elapsed();
        while ledger.settle(&line, Instant::now()).is_none() {
            if !bridge.receive(&mut line)? {
                return Err(bridge.end("it owed a large reply"));
            }
        }
        histogram.saturating_record(nanos(took));
    }
    let after = tree::usage(bridge.pid());
    let seconds = begun.elapsed().as_secs_f64();
    finish(&mut bridge, &mut ledger)?;
    let latency = percentiles(&histogram);
    #[allow(clippy::cast_precision_loss)] // a text is far from 2^53 bytes
    let bytes = order.bytes as f64;
    Ok(Report {
        counts: ledger.counts,
        seconds: Some(seconds),
        mib_per_second: latency.map(|latency| bytes / MIB / (latency.p50 / 1e6)),
        peak_multiple: Some(number(after.peak.saturating_sub(before.rss)) * 1024.0 / bytes),
        cpu_us_per_call: Some(
            after.cpu.saturating_sub(before.cpu).as_secs_f64() * 1e6 / number(trips),
        ),
        latency_us: latency,
        rss_kib: Some(after.rss),
        ..Report::default()
    })
}

/// Asks `timekeeper` for a stream of events: how long each is on its way to stdout.
///
/// # Errors
/// The bridge failed.
pub fn events(order: &Order) -> Result<Report, Failure> {
    let (mut bridge, _) = Bridge::open(&order.command, order.patience)?;
    let mut ledger = Ledger::default();
    pump(&mut bridge, &mut ledger, 1, FIRST_CALLS, order.time)?;
    let mut request = Vec::new();
    let arguments = format!(r#"{{"steps":{},"ms":2}}"#, order.messages);
    ledger.call("ticks", &arguments, String::new(), &mut request);
    // Clients that are SDKs pass progress on only for a call that asked for it.
    let asked = String::from_utf8_lossy(&request)
        .replace(r#""params":{"#, r#""params":{"_meta":{"progressToken":"ticks"},"#);
    bridge.send(asked.as_bytes())?;
    let mut histogram = histogram();
    let mut line = Vec::new();
    while ledger.owed() > 0 {
        if !bridge.receive(&mut line)? {
            return Err(bridge.end("it streamed events"));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        if let Some(departed) = departure(&line) {
            histogram.saturating_record(nanos(now).saturating_sub(departed).max(1));
        }
        ledger.settle(&line, Instant::now());
    }
    let missed = order.messages.saturating_sub(histogram.len());
    finish(&mut bridge, &mut ledger)?;
    Ok(Report {
        problem: (missed > 0).then(|| format!("{missed} of {} events never came", order.messages)),
        counts: ledger.counts,
        latency_us: percentiles(&histogram),
        ..Report::default()
    })
}

/// Makes so many calls of half a second at once; `seconds` is the time until all are answered.
///
/// # Errors
/// The bridge failed.
pub fn slow(order: &Order) -> Result<Report, Failure> {
    let (mut bridge, _) = Bridge::open(&order.command, order.patience)?;
    let mut ledger = Ledger::default();
    pump(&mut bridge, &mut ledger, 1, FIRST_CALLS, order.time)?;
    let begun = Instant::now();
    bridge.send(&slow_calls(&mut ledger, order.outstanding, 500))?;
    let mut line = Vec::new();
    while ledger.owed() > 0 {
        if !bridge.receive(&mut line)? {
            return Err(bridge.end("it owed replies to slow calls"));
        }
        ledger.settle(&line, Instant::now());
    }
    let seconds = begun.elapsed().as_secs_f64();
    finish(&mut bridge, &mut ledger)?;
    Ok(Report { counts: ledger.counts, seconds: Some(seconds), ..Report::default() })
}

/// Makes calls of 200 ms and closes stdin at once: what is owed has to come before the end.
///
/// # Errors
/// The bridge failed.
pub fn drain(order: &Order) -> Result<Report, Failure> {
    let (mut bridge, _) = Bridge::open(&order.command, order.patience)?;
    let mut ledger = Ledger::default();
    pump(&mut bridge, &mut ledger, 1, FIRST_CALLS, order.time)?;
    bridge.send(&slow_calls(&mut ledger, order.outstanding, 200))?;
    bridge.hang_up();
    let mut last = Instant::now();
    let mut line = Vec::new();
    while ledger.owed() > 0 && bridge.receive(&mut line)? {
        last = Instant::now();
        ledger.settle(&line, last);
    }
    finish(&mut bridge, &mut ledger)?;
    Ok(Report { counts: ledger.counts, exit_ms: Some(millis(last.elapsed())), ..Report::default() })
}

/// Starts many bridges at once; each opens its session and makes one call. `seconds` is the time until the
/// last reply, `cpu_ms` the processor time of all, `pss_kib` that of one.
///
/// # Errors
/// A bridge failed.
pub fn fleet(order: &Order) -> Result<Report, Failure> {
    let begun = Instant::now();
    let mut bridges = Vec::new();
    for _ in 0..order.fleet {
        let mut bridge = Bridge::start(&order.command, order.patience)?;
        bridge.greet()?;
        bridges.push((bridge, Ledger::default()));
    }
    let mut report = Report { processes: Some(order.fleet), ..Report::default() };
    let mut request = Vec::new();
    for (bridge, ledger) in &mut bridges {
        bridge.meet()?;
        request.clear();
        ledger.echo(&mut request);
        bridge.send(&request)?;
    }
    let mut line = Vec::new();
    for (bridge, ledger) in &mut bridges {
        while ledger.owed() > 0 && bridge.receive(&mut line)? {
            ledger.settle(&line, Instant::now());
        }
        ledger.close();
        report.counts.sent += ledger.counts.sent;
        report.counts.answered += ledger.counts.answered;
        report.counts.lost += ledger.counts.lost;
        report.counts.wrong += ledger.counts.wrong;
        report.counts.errors += ledger.counts.errors;
    }
    report.seconds = Some(begun.elapsed().as_secs_f64());
    std::thread::sleep(SETTLE);
    let usages = bridges.iter().map(|(bridge, _)| tree::usage(bridge.pid()));
    let (cpu, pss) =
        usages.fold((Duration::ZERO, 0), |(cpu, pss), usage| (cpu + usage.cpu, pss + usage.pss));
    report.cpu_ms = Some(millis(cpu));
    report.pss_kib = Some(pss / order.fleet.max(1));
    Ok(report)
}

/// Makes very many calls through one bridge: what its memory grows by after the first tenth.
///
/// # Errors
/// The bridge failed.
pub fn growth(order: &Order) -> Result<Report, Failure> {
    let (mut bridge, _) = Bridge::open(&order.command, order.patience)?;
    let mut ledger = Ledger::default();
    let tenth = order.messages / 10;
    pump(&mut bridge, &mut ledger, order.outstanding, tenth, order.time)?;
    let early = tree::usage(bridge.pid());
    pump(&mut bridge, &mut ledger, order.outstanding, order.messages - tenth, order.time)?;
    let late = tree::usage(bridge.pid());
    finish(&mut bridge, &mut ledger)?;
    Ok(Report {
        counts: ledger.counts,
        pss_kib: Some(late.pss),
        growth_kib: Some(late.pss.cast_signed() - early.pss.cast_signed()),
        ..Report::default()
    })
}

/// Keeps calls under way until so many are written or the time is over, then waits for the last reply.
fn pump(
    bridge: &mut Bridge,
    ledger: &mut Ledger,
    outstanding: u64,
    calls: u64,
    time: Duration,
) -> Result<Histogram<u64>, Failure> {
    let mut histogram = histogram();
    let mut line = Vec::new();
    let mut out = Vec::new();
    let mut left = calls;
    let end = Instant::now() + time;
    for _ in 0..outstanding.min(left) {
        ledger.echo(&mut out);
        left -= 1;
    }
    bridge.send(&out)?;
    out.clear();
    while ledger.owed() > 0 {
        if !bridge.receive(&mut line)? {
            return Err(bridge.end("it owed replies"));
        }
        let now = Instant::now();
        if let Some(took) = ledger.settle(&line, now) {
            histogram.saturating_record(nanos(took));
            if left > 0 && now < end {
                ledger.echo(&mut out);
                left -= 1;
            }
        }
        if !out.is_empty() && !bridge.has_line() {
            bridge.send(&out)?;
            out.clear();
        }
    }
    Ok(histogram)
}

/// So many calls of so many milliseconds each.
fn slow_calls(ledger: &mut Ledger, count: u64, ms: u64) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..count {
        let arguments = format!(r#"{{"ms":{ms},"steps":1}}"#);
        let text = format!("Took {ms} ms in 1 steps.");
        ledger.call("slow", &arguments, text, &mut out);
    }
    out
}

/// Closes the bridge and the books; a reply that comes only now is a double.
fn finish(bridge: &mut Bridge, ledger: &mut Ledger) -> Result<(), Failure> {
    let (late, _) = bridge.close()?;
    for line in late {
        ledger.settle(&line, Instant::now());
    }
    ledger.close();
    Ok(())
}

/// strace, counting the system calls of a process and its threads.
struct Tracer {
    child: Child,
    stderr: BufReader<std::process::ChildStderr>,
}

impl Tracer {
    /// Returns once the process is traced.
    fn attach(pid: u32) -> Result<Self, Failure> {
        let failed = |fault| Failure::Io("strace", fault);
        let mut child = Command::new("strace")
            .args(["-f", "-c", "-U", "calls,name", "-p", &pid.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let Some(stderr) = child.stderr.take() else {
            return Err(Failure::Usage("strace has no stderr".to_owned()));
        };
        let mut stderr = BufReader::new(stderr);
        stderr.read_line(&mut String::new()).map_err(failed)?; // "Process N attached"
        Ok(Self { child, stderr })
    }

    /// Ends the tracing; returns how many system calls there were.
    fn detach(mut self) -> Result<u64, Failure> {
        let failed = |fault| Failure::Io("strace", fault);
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, Signal::SIGINT).map_err(|errno| failed(errno.into()))?;
        let mut total = None;
        for line in self.stderr.by_ref().lines() {
            let line = line.map_err(failed)?;
            total =
                line.trim().strip_suffix("total").map(|count| count.trim().to_owned()).or(total);
        }
        self.child.wait().map_err(failed)?;
        let total = total.and_then(|count| count.parse().ok());
        total.ok_or_else(|| Failure::Usage("strace counted nothing".to_owned()))
    }
}

/// A histogram of nanoseconds, up to ten minutes, to three digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(600_000_000_000, 3)
        .unwrap_or_else(|_| unreachable!("these bounds are valid"))
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[allow(clippy::cast_precision_loss)] // counts are far from 2^53
fn number(count: u64) -> f64 {
    count as f64
}
