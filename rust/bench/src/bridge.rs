//! A bridge under test: a process group with a pipe on either side, ended when its time is over.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::Failure;

/// More than a pipe holds, so that one read empties it.
const BUFFER: usize = 256 * 1024;

/// How long a bridge may take to end after its stdin was closed, before its group is killed.
const FAREWELL: Duration = Duration::from_secs(10);

/// The first message, as every client writes it.
const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"ferry-bench","version":"1"}}}"#;

/// What follows once `initialize` was answered.
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// A running bridge. Dropped, it is killed with all its descendants that kept its process group.
pub struct Bridge {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    group: Pid,
    /// When the process was asked for.
    pub started: Instant,
    patience: Duration,
    /// Dropped or told a new deadline, the watchdog does not bite.
    watchdog: Sender<Duration>,
}

impl Bridge {
    /// Starts a bridge that is killed, so that reads end, once `patience` is over.
    ///
    /// # Errors
    /// The command is empty or could not be started.
    pub fn start(command: &[OsString], patience: Duration) -> Result<Self, Failure> {
        let Some((program, arguments)) = command.split_first() else {
            return Err(Failure::Usage("a command has to follow --".to_owned()));
        };
        let started = Instant::now();
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|fault| Failure::Io("the bridge could not be started", fault))?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Failure::Usage("the bridge has no pipes".to_owned()));
        };
        let group = Pid::from_raw(child.id().cast_signed());
        let watchdog = watch(group, patience);
        Ok(Self {
            child,
            stdin: Some(stdin),
            stdout: BufReader::with_capacity(BUFFER, stdout),
            group,
            started,
            patience,
            watchdog,
        })
    }

    /// Starts a bridge and opens the session. Also tells how long it took from the start to the reply to
    /// `initialize`.
    ///
    /// # Errors
    /// The bridge ended or did not answer with a result.
    pub fn open(command: &[OsString], patience: Duration) -> Result<(Self, Duration), Failure> {
        let mut bridge = Self::start(command, patience)?;
        bridge.greet()?;
        let took = bridge.meet()?;
        Ok((bridge, took))
    }

    /// Writes `initialize`.
    ///
    /// # Errors
    /// The pipe broke.
    pub fn greet(&mut self) -> Result<(), Failure> {
        self.send(format!("{INITIALIZE}\n").as_bytes())
    }

    /// Reads the reply to `initialize` and writes `notifications/initialized`.
    ///
    /// # Errors
    /// The bridge ended or did not answer with a result.
    pub fn meet(&mut self) -> Result<Duration, Failure> {
        let mut line = Vec::new();
        loop {
            if !self.receive(&mut line)? {
                return Err(self.end("it was to answer initialize"));
            }
            let took = self.started.elapsed();
            let message: serde_json::Value = serde_json::from_slice(&line).unwrap_or_default();
            if message.get("id").and_then(serde_json::Value::as_u64) != Some(0) {
                continue; // a log line or a notification
            }
            if message.get("result").is_none() {
                return Err(Failure::Refused(String::from_utf8_lossy(&line).trim().to_owned()));
            }
            self.send(format!("{INITIALIZED}\n").as_bytes())?;
            return Ok(took);
        }
    }

    /// The id of the bridge's first process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes whole lines.
    ///
    /// # Errors
    /// The pipe broke, or was closed before.
    pub fn send(&mut self, lines: &[u8]) -> Result<(), Failure> {
        let broken = |fault| Failure::Io("the bridge does not read", fault);
        let closed = || broken(io::ErrorKind::BrokenPipe.into());
        self.stdin.as_mut().ok_or_else(closed)?.write_all(lines).map_err(broken)
    }

    /// Writes lines that may be longer than all pipes hold, while `receive`'s side is read, and reads one line.
    ///
    /// # Errors
    /// The pipe broke, or the bridge ended.
    pub fn exchange(&mut self, lines: &[u8], reply: &mut Vec<u8>) -> Result<(), Failure> {
        let stdin = &mut self.stdin;
        let stdout = &mut self.stdout;
        reply.clear();
        let count = thread::scope(|scope| {
            scope.spawn(move || stdin.as_mut().map(|stdin| stdin.write_all(lines)));
            stdout.read_until(b'\n', reply)
        });
        match count.map_err(|fault| Failure::Io("the bridge's stdout", fault))? {
            0 => Err(self.end("it owed a large reply")),
            _ => Ok(()),
        }
    }

    /// Waits for the next line. `false` at the end of the bridge's output.
    ///
    /// # Errors
    /// The pipe broke.
    pub fn receive(&mut self, line: &mut Vec<u8>) -> Result<bool, Failure> {
        line.clear();
        let count = self.stdout.read_until(b'\n', line);
        Ok(count.map_err(|fault| Failure::Io("the bridge's stdout", fault))? > 0)
    }

    /// Whether `receive` would return without waiting.
    #[must_use]
    pub fn has_line(&self) -> bool {
        memchr::memchr(b'\n', self.stdout.buffer()).is_some()
    }

    /// Why there is no more output, once `receive` has returned `false`.
    #[must_use]
    pub fn end(&self, doing: &'static str) -> Failure {
        if self.started.elapsed() < self.patience {
            Failure::Ended(doing)
        } else {
            Failure::Hung { doing, patience: self.patience }
        }
    }

    /// Closes the bridge's stdin.
    pub fn hang_up(&mut self) {
        self.stdin = None;
    }

    /// Closes stdin, reads what is left and waits for the end. Returns the lines that came late.
    ///
    /// # Errors
    /// The pipe broke, or the process could not be waited for.
    pub fn close(&mut self) -> Result<(Vec<Vec<u8>>, ExitStatus), Failure> {
        self.hang_up();
        let _ = self.watchdog.send(FAREWELL); // fails only if the watchdog has bitten
        let mut rest = Vec::new();
        let stdout = &mut self.stdout;
        stdout.read_to_end(&mut rest).map_err(|fault| Failure::Io("the bridge's stdout", fault))?;
        let status = self.child.wait();
        let status = status.map_err(|fault| Failure::Io("the bridge's end", fault))?;
        let lines = rest.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        Ok((lines.map(<[u8]>::to_vec).collect(), status))
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = killpg(self.group, Signal::SIGKILL); // gone already, mostly
        let _ = self.child.wait();
    }
}

/// Kills the group after the given time; a new time may be sent.
fn watch(group: Pid, patience: Duration) -> Sender<Duration> {
    let (sender, receiver) = mpsc::channel::<Duration>();
    thread::spawn(move || {
        let mut left = patience;
        loop {
            match receiver.recv_timeout(left) {
                Ok(changed) => left = changed,
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    let _ = killpg(group, Signal::SIGKILL); // gone in this very moment
                    return;
                }
            }
        }
    });
    sender
}
