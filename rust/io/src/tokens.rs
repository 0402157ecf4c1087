//! Where a credential comes from that can be had again: a file, or the output of a command.
//!
//! The rules ask for it before the first request and after a refusal. A file is also looked at when
//! the client says something, so that a token which was replaced is used before the old one fails;
//! nothing wakes up for it. A token is never part of a log or an error, nor is what a command prints.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, WeakShared, ready};
use http::HeaderValue;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio::time::timeout;

use crate::config::ConfigError;

/// The most that a file or a command may hold, in bytes. The largest tokens seen in the wild (signed,
/// with groups) have some 16 KiB; servers refuse headers of that size.
const MOST: u64 = 64 * 1024;
/// How long a command may run. It may have to ask a server of its own.
const COMMAND_PATIENCE: Duration = Duration::from_secs(30);
/// How long what a command printed is waited for once it has ended: a process that it left behind may
/// hold its end of the pipe open for ever.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How often a file is looked at, at most.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Where a credential comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// A file that somebody keeps up to date.
    File(PathBuf),
    /// A program and its arguments; it is started as it is, by no shell.
    Command(Vec<String>),
}

impl TokenSource {
    /// What the two settings ask for; both at once is one too many.
    pub(crate) fn of(
        file: Option<&Path>,
        command: Option<&str>,
    ) -> Result<Option<Self>, ConfigError> {
        match (file, command) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => {
                let message = "a token file is given as well; keep one of the two";
                Err(ConfigError::new("token_command", message))
            }
            (Some(file), None) if file.as_os_str().is_empty() => {
                let message = "it is empty; give the path of a file that holds the token";
                Err(ConfigError::new("token_file", message))
            }
            (Some(file), None) => Ok(Some(Self::File(file.to_owned()))),
            (None, Some(line)) => {
                let words = shlex::split(line).filter(|words| {
                    words.first().is_some_and(|program| !program.trim().is_empty())
                });
                let words = words.ok_or_else(|| {
                    let message = "it is empty, or a quote in it is not closed; write it as for a shell, like 'vault read -field=token secret/mcp'";
                    ConfigError::new("token_command", message)
                })?;
                Ok(Some(Self::Command(words)))
            }
        }
    }

    /// The name of the setting that it came by.
    pub(crate) fn setting(&self) -> &'static str {
        match self {
            Self::File(_) => "token_file",
            Self::Command(_) => "token_command",
        }
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The arguments of a command may be secret.
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Command(_) => f.debug_tuple("Command").finish_non_exhaustive(),
        }
    }
}

/// The value of `Authorization`, or in words why there is none and what to do.
pub type Token = Result<HeaderValue, String>;

/// What all sessions with the same source know of its tokens: one run of a command serves them all,
/// however many of them were refused.
#[derive(Clone, Default)]
pub struct Till(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    /// The last token that a command printed.
    last: Option<HeaderValue>,
    /// The run of it that is under way, if any is; those who wait for it keep it alive.
    run: Option<WeakShared<BoxFuture<'static, Token>>>,
}

impl Till {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A token other than `had`: one that is known already, or that of the next run.
    fn next(&self, words: &[String], had: Option<&HeaderValue>) -> BoxFuture<'static, Token> {
        let mut known = self.lock();
        if let Some(token) = known.last.as_ref().filter(|token| had != Some(*token)) {
            return ready(Ok(token.clone())).boxed();
        }
        let under_way = known.run.as_ref().and_then(WeakShared::upgrade);
        if let Some(run) = under_way.filter(|run| run.peek().is_none()) {
            return run.boxed();
        }
        let till = self.clone();
        let keep = move |token: &Token| {
            if let Ok(token) = token {
                till.lock().last = Some(token.clone());
            }
        };
        let run = run(words).inspect(keep).boxed().shared();
        known.run = run.downgrade();
        run.boxed()
    }
}

/// Fetches tokens from a source, one at a time.
pub struct Tokens {
    source: Option<TokenSource>,
    till: Till,
    /// The last token of a command that this session was given.
    had: Option<HeaderValue>,
    /// The fetch that is under way.
    fetch: Option<BoxFuture<'static, Token>>,
    /// What the file looked like when a token was last read from it.
    seen: Option<Stamp>,
    /// When the file was last looked at because the client said something.
    looked: Option<Instant>,
}

impl Tokens {
    /// Nothing is read or started before it is asked for.
    #[must_use]
    pub fn new(source: Option<TokenSource>, till: Till) -> Self {
        Self { source, till, had: None, fetch: None, seen: None, looked: None }
    }

    /// Begins to fetch a token, unless that is under way; [`Self::poll`] yields it.
    ///
    /// Must be called within the event loop.
    pub fn fetch(&mut self) {
        if self.fetch.is_some() {
            return;
        }
        self.fetch = match &self.source {
            None => None,
            Some(TokenSource::Command(words)) => Some(self.till.next(words, self.had.as_ref())),
            Some(TokenSource::File(path)) => {
                let (seen, token) = read(path);
                self.seen = seen;
                Some(ready(token).boxed())
            }
        };
    }

    /// The token that was fetched. Pending while no fetch is under way.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Token> {
        let Some(fetch) = &mut self.fetch else { return Poll::Pending };
        let token = fetch.poll_unpin(cx);
        if let Poll::Ready(token) = &token {
            self.fetch = None;
            if let (Ok(token), Some(TokenSource::Command(_))) = (token, &self.source) {
                self.had = Some(token.clone());
            }
        }
        token
    }

    /// The token of a file that is another than when it was last read; looks at most once a second.
    ///
    /// A file that is away or empty is perhaps just being replaced: the old token stays until the
    /// server refuses it, and the file is looked at again.
    pub fn changed(&mut self, now: Instant) -> Option<HeaderValue> {
        let (Some(TokenSource::File(path)), Some(seen)) = (&self.source, &self.seen) else {
            return None;
        };
        if self.looked.is_some_and(|looked| now.saturating_duration_since(looked) < LOOK_AGAIN) {
            return None;
        }
        self.looked = Some(now);
        if Stamp::of(&path.metadata().ok()?) == *seen {
            return None;
        }
        let (seen, token) = read(path);
        match token {
            Ok(token) => {
                log::info!(target: "mcp_ferry.wires", "the token file has changed and was read again");
                self.seen = seen;
                Some(token)
            }
            Err(why) => {
                log::debug!(target: "mcp_ferry.wires", "{why}");
                None
            }
        }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("source", &self.source)
            .field("fetching", &self.fetch.is_some())
            .finish_non_exhaustive()
    }
}

/// By what a file that was written again differs from what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    /// Which file it is: to replace one by renaming another need change nothing else.
    identity: u64,
}

impl Stamp {
    fn of(metadata: &std::fs::Metadata) -> Self {
        #[cfg(unix)]
        let identity = std::os::unix::fs::MetadataExt::ino(metadata);
        #[cfg(not(unix))]
        let identity = 0;
        Self { modified: metadata.modified().ok(), length: metadata.len(), identity }
    }
}

/// Reads the token of a file. The stamp is from before the reading, so that no later change is missed.
fn read(path: &Path) -> (Option<Stamp>, Token) {
    let unreadable = |error: std::io::Error| {
        format!(
            "the token file {} cannot be read ({}); check --token-file, and that the file is there and may be read",
            path.display(),
            error.kind()
        )
    };
    let metadata = match path.metadata() {
        Ok(metadata) => metadata,
        Err(error) => return (None, Err(unreadable(error))),
    };
    let stamp = Some(Stamp::of(&metadata));
    if !metadata.is_file() {
        // A pipe could make everything wait.
        let why = format!(
            "the token file {} is no regular file; name one, or use --token-command",
            path.display()
        );
        return (stamp, Err(why));
    }
    let mut text = Vec::new();
    let outcome =
        std::fs::File::open(path).and_then(|file| file.take(MOST + 1).read_to_end(&mut text));
    let token = match outcome {
        Ok(_) => value(&text).map_err(|trouble| {
            format!(
                "the token file {} {trouble}; write the token into it, and nothing else",
                path.display()
            )
        }),
        Err(error) => Err(unreadable(error)),
    };
    (stamp, token)
}

/// Runs a command for its output. Dropping the future kills it.
fn run(words: &[String]) -> impl Future<Output = Token> + Send + use<> {
    let mut words = words.iter();
    let mut command = Command::new(words.next().map_or("", String::as_str));
    command
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    async move {
        let output = timeout(COMMAND_PATIENCE, output(command)).await.unwrap_or_else(|_| {
            let seconds = COMMAND_PATIENCE.as_secs();
            Err(format!("was not done after {seconds} s; run it by hand to see what it waits for"))
        });
        output
            .and_then(|text| {
                value(&text).map_err(|trouble| {
                    format!("{trouble}; it has to print the token, and nothing else")
                })
            })
            .map_err(|trouble| format!("the token command {trouble}"))
    }
}

/// What a command prints, if it succeeds; else what it did instead.
async fn output(mut command: Command) -> Result<Vec<u8>, String> {
    let lost = |error: std::io::Error| format!("was lost sight of ({})", error.kind());
    let mut child = command.spawn().map_err(|error| {
        format!(
            "cannot be started ({}); give the full path of its program in --token-command",
            error.kind()
        )
    })?;
    let Some(stdout) = child.stdout.take() else { return Ok(Vec::new()) };
    let mut text = Vec::new();
    let status = {
        let mut reading = pin!(read_some(stdout, &mut text));
        tokio::select! {
            biased;
            fits = &mut reading => {
                if !fits.map_err(lost)? {
                    // It may wait for a reader: it is not waited for.
                    return Err(format!("printed more than {MOST} bytes; it has to print the token, and nothing else"));
                }
                child.wait().await
            }
            status = child.wait() => {
                let _ = timeout(LAST_WORDS, reading).await;
                status
            }
        }
    };
    let status = status.map_err(lost)?;
    if status.success() { Ok(text) } else { Err(failed(status)) }
}

/// Reads to the end; false if that is too far. What was read is in `text` even if it is cut short.
async fn read_some(mut from: impl AsyncRead + Unpin, text: &mut Vec<u8>) -> std::io::Result<bool> {
    while from.read_buf(text).await? > 0 {
        if u64::try_from(text.len()).is_ok_and(|length| length > MOST) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn failed(status: ExitStatus) -> String {
    let code = status.code();
    let how = code
        .map_or_else(|| "was killed".to_owned(), |code| format!("failed with exit status {code}"));
    format!("{how}; run it by hand to see why")
}

/// The value of `Authorization` for what was read: a bare token gets its scheme, anything with a
/// space has one.
fn value(text: &[u8]) -> Result<HeaderValue, &'static str> {
    if u64::try_from(text.len()).is_ok_and(|length| length > MOST) {
        return Err("holds more than any token has");
    }
    let text = text.trim_ascii();
    if text.is_empty() {
        return Err("gives nothing");
    }
    let illegal = "gives more than one line, or characters that no header may have";
    let text = std::str::from_utf8(text).ok().filter(|text| text.is_ascii()).ok_or(illegal)?;
    let whole = if text.contains(' ') { text.to_owned() } else { format!("Bearer {text}") };
    let mut value = HeaderValue::from_str(&whole).map_err(|_| illegal)?;
    value.set_sensitive(true);
    Ok(value)
}
