//! The answers that the ferry gives itself: errors, each under the id of the request it is owed to.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;

use crate::message::Id;

/// What went wrong, as `data.kind` names it.
///
/// The codes stand outside -32768 to -32000, which JSON-RPC reserves, so that nobody takes an error
/// of the ferry's for one of the server's. The two exceptions are those that JSON-RPC itself
/// prescribes for what is no message at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The client's line is not JSON.
    Parse,
    /// The client's line is JSON, but no message that could be answered.
    Invalid,
    /// A message is over the size limit.
    TooLarge,
    /// The server cannot be reached.
    Unreachable,
    /// No trust in the server's certificate, or no TLS at all.
    Tls,
    /// The exchange was silent for too long.
    Timeout,
    /// The server answered with a status that is no success.
    HttpStatus,
    /// The server wants other credentials, or refuses these.
    Unauthorized,
    /// The server sends the request elsewhere, where it must not go.
    Redirect,
    /// The answer ended, or never came, without a reply.
    NoReply,
    /// The answer is not a reply to this request.
    WrongReply,
    /// The connection broke.
    Cut,
    /// The session was lost, and no new one could be had.
    Session,
    /// The ferry was told to end.
    Shutdown,
}

impl Kind {
    /// The name in `data.kind`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Parse => "parse",
            Self::Invalid => "invalid",
            Self::TooLarge => "too-large",
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::HttpStatus => "http-status",
            Self::Unauthorized => "unauthorized",
            Self::Redirect => "redirect",
            Self::NoReply => "no-reply",
            Self::WrongReply => "wrong-reply",
            Self::Cut => "cut",
            Self::Session => "session",
            Self::Shutdown => "shutdown",
        }
    }

    /// The JSON-RPC error code.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Parse => -32700,
            Self::Invalid => -32600,
            Self::TooLarge => -31001,
            Self::Unreachable => -31002,
            Self::Tls => -31003,
            Self::Timeout => -31004,
            Self::HttpStatus => -31005,
            Self::Unauthorized => -31006,
            Self::Redirect => -31007,
            Self::NoReply => -31008,
            Self::WrongReply => -31009,
            Self::Cut => -31010,
            Self::Session => -31011,
            Self::Shutdown => -31012,
        }
    }
}

/// Why a request gets an error of the ferry's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong.
    pub kind: Kind,
    /// What a person can do about it.
    pub message: String,
    /// The status of the last HTTP answer, if there was one.
    pub http_status: Option<u16>,
    /// How often the request was sent, or tried to.
    pub attempts: u32,
    /// Whether the server may have processed it all the same.
    pub maybe_processed: bool,
}

impl Failure {
    /// A failure of a request that the server has not seen.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            http_status: None,
            attempts: 0,
            maybe_processed: false,
        }
    }

    /// The error that says so under `id`, or under `null` where no id can be known.
    #[must_use]
    pub fn reply(&self, id: Option<&Id>) -> Bytes {
        #[derive(Serialize)]
        struct Error<'a> {
            code: i32,
            message: &'a str,
            data: Data,
        }
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Data {
            kind: &'static str,
            http_status: Option<u16>,
            attempts: u32,
            maybe_processed: bool,
        }
        let error = Error {
            code: self.kind.code(),
            message: &format!("mcp-ferry: {}", self.message),
            data: Data {
                kind: self.kind.name(),
                http_status: self.http_status,
                attempts: self.attempts,
                maybe_processed: self.maybe_processed,
            },
        };
        // Strings and numbers: serialising them cannot fail.
        let error = serde_json::to_vec(&error).unwrap_or_default();
        let mut out = BytesMut::new();
        out.put_slice(br#"{"jsonrpc":"2.0","id":"#);
        out.put_slice(id.map_or(b"null", Id::as_bytes));
        out.put_slice(br#","error":"#);
        out.put_slice(&error);
        out.put_u8(b'}');
        out.freeze()
    }
}

/// What a server said, made fit for a person's eyes: one line, no control characters, not long.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a>(pub &'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// As much of a server's words as a line of log or an error message bears.
        const LONGEST: usize = 300;
        let text =
            String::from_utf8_lossy(self.0.get(..self.0.len().min(LONGEST)).unwrap_or_default());
        for word in text.split_whitespace().enumerate() {
            let gap = if word.0 == 0 { "" } else { " " };
            write!(out, "{gap}{}", word.1.replace(is_unfit, "\u{fffd}"))?;
        }
        if self.0.len() > LONGEST { out.write_str("\u{2026}") } else { Ok(()) }
    }
}

/// Whether a character commands a terminal, or turns the direction of what follows.
fn is_unfit(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_the_requests_own_id_and_says_what_may_have_happened() {
        let id = Id::new(Bytes::from_static(b"1.0"));
        let mut failure = Failure::new(Kind::Cut, "the connection \"broke\"");
        failure.http_status = Some(502);
        failure.attempts = 1;
        failure.maybe_processed = true;
        let reply = failure.reply(Some(&id));
        insta::assert_snapshot!(String::from_utf8_lossy(&reply), @r#"{"jsonrpc":"2.0","id":1.0,"error":{"code":-31010,"message":"mcp-ferry: the connection \"broke\"","data":{"kind":"cut","httpStatus":502,"attempts":1,"maybeProcessed":true}}}"#);
        assert!(failure.reply(None).starts_with(br#"{"jsonrpc":"2.0","id":null,"#));
    }

    #[test]
    fn a_servers_words_cannot_reach_a_terminal_raw() {
        assert_eq!(Quoted(b"a\x1b[31m\r\n b\0\xff").to_string(), "a\u{fffd}[31m b\u{fffd}\u{fffd}");
        assert_eq!(Quoted(&[b'x'; 1000]).to_string().chars().count(), 301);
    }
}
