//! The seam between the rules and the wires: what happened, and what to do now.
//!
//! Nothing here acts. The wires translate sockets, pipes and clocks into [`Input`]s and carry out
//! [`Action`]s; whoever can do both (stdio, an in-process API, a test with a made-up clock) drives
//! the same rules.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use url::Url;

/// Names one HTTP request and whatever its answer brings. Never used twice by one bridge: a message
/// that is sent again keeps its number and takes the next attempt, so that nothing late is mistaken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeId {
    /// The exchange, the same for all its attempts.
    pub number: u64,
    /// Which of its attempts, from 1.
    pub attempt: u32,
}

/// What happened on one of the shores, or on the clock.
#[derive(Debug)]
pub enum Input {
    /// The client wrote something; see [`crate::frame::Framer`].
    ClientFrame(crate::frame::Frame),
    /// A client in the same process has this message to send, on these terms.
    ClientMessage(Bytes, Option<Arc<Terms>>),
    /// The client wants to hear what the server says unasked, from now on: see `Config::listens`.
    Listen,
    /// End of the client's input: what is owed is still delivered, then the bridge exits.
    ClientClosed,
    /// The last byte of the exchange's request was handed to its connection.
    Sent(ExchangeId),
    /// The answer's status and headers are in.
    Head(ExchangeId, Head),
    /// A piece of the answer's body.
    Chunk(ExchangeId, Bytes),
    /// The answer ended, or the exchange failed. Nothing follows for this id.
    Finished(ExchangeId, Result<(), Fault>),
    /// The credential that [`Action::FetchToken`] asked for, as the value of `Authorization`, or why
    /// there is none. It may also come unasked, when it changed.
    Token(Result<HeaderValue, String>),
    /// So many bytes of [`Action::Write`], line ends not counted, have left for the client.
    Written(usize),
    /// The client no longer reads: nothing more can be delivered.
    ClientGone,
    /// A signal asked for the end: owed requests get an error, and the bridge exits soon.
    Shutdown,
    /// The instant that `poll_timeout` named has come.
    Tick,
}

/// What a client asks for one message, in place of what holds for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Headers besides the bridge's own; one of the same name takes its place. None is reserved.
    pub headers: HeaderMap,
    /// How long the server may be silent about it.
    pub response_timeout: Option<Duration>,
}

/// What the wires must do now, in this order.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "moved once or twice; a box is dearer than the move")]
pub enum Action {
    /// One message for the client, without its line end: the writer adds a single LF.
    Write(Bytes),
    /// Send this request, and report what comes of it under this id.
    Open(ExchangeId, Request),
    /// Close this exchange's connection or stream. No further input about it is needed.
    Abort(ExchangeId),
    /// Ask for the credential, and report it by [`Input::Token`].
    FetchToken,
    /// All is delivered, or never will be: flush what was written, then end.
    Exit(ExitReason),
}

/// Why the bridge ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// The client closed its end and everything owed was delivered.
    ClientClosed,
    /// The client stopped reading.
    ClientGone,
    /// A signal.
    Shutdown,
}

/// One HTTP request, complete: the wires add nothing but what HTTP itself demands (Host, length).
#[derive(Clone, Debug)]
pub struct Request {
    /// POST for messages, GET for streams, DELETE for the end of a session.
    pub method: Method,
    /// Where to; always of the configured origin.
    pub url: Url,
    /// All headers; the values of secrets are marked sensitive.
    pub headers: HeaderMap,
    /// The message, byte for byte as the client wrote it; empty for GET and DELETE.
    pub body: Bytes,
}

/// The status line and headers of an answer.
#[derive(Clone, Debug)]
pub struct Head {
    /// The HTTP status.
    pub status: StatusCode,
    /// The HTTP headers.
    pub headers: HeaderMap,
}

/// Why an exchange failed below HTTP. `detail` is for a person and never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What kind of failure it was, which decides what may be sent again.
    pub kind: FaultKind,
    /// The cause in words, as the transport gave it.
    pub detail: String,
}

/// Failures by what they tell about the request: whether the server can have seen it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The host's name did not resolve. Not sent.
    Resolve,
    /// The connection was refused or the host is out of reach. Not sent.
    Connect,
    /// No connection within the connect timeout. Not sent.
    ConnectTimeout,
    /// The TLS handshake failed. Not sent.
    Tls,
    /// The connection ended before the request was written to it. Not sent.
    Unsent,
    /// The connection broke after the request, or a part of it, may have left.
    Cut,
}
