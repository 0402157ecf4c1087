//! What a transport error says about the request: whether the server can have seen it, and why.

use std::error::Error;
use std::io;

use ferry_proto::{Fault, FaultKind};

/// How long a cause may be before it is cut: a person reads it in one line.
const MAX_DETAIL: usize = 200;

/// When it happened, which the HTTP client knows and the error's type does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before there was a connection.
    Connecting,
    /// Before the request was handed to a connection.
    BeforeRequest,
    /// After the request, or a part of it, was handed to a connection.
    AfterRequest,
}

/// A name lookup that failed: from the error inside nobody could tell that it was one.
#[derive(Debug, thiserror::Error)]
#[error("the name lookup failed")]
pub struct Unresolved(#[source] pub io::Error);

/// Judges an error by its moment and its chain of causes.
#[must_use]
pub fn judge(error: &(dyn Error + 'static), moment: Moment) -> Fault {
    let kind = match moment {
        Moment::Connecting => why_unconnected(error),
        Moment::AfterRequest if !causes(error).any(was_refused_unread) => FaultKind::Cut,
        Moment::BeforeRequest | Moment::AfterRequest => FaultKind::Unsent,
    };
    Fault { kind, detail: detail(error) }
}

fn why_unconnected(error: &(dyn Error + 'static)) -> FaultKind {
    if causes(error).any(<dyn Error>::is::<Unresolved>) {
        FaultKind::Resolve
    } else if causes(error).any(<dyn Error>::is::<rustls::Error>) {
        FaultKind::Tls
    } else if causes(error).any(ran_out_of_time) {
        FaultKind::ConnectTimeout
    } else {
        FaultKind::Connect
    }
}

fn ran_out_of_time(cause: &(dyn Error + 'static)) -> bool {
    cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
}

/// HTTP/2 servers can say that they did not look at a request; then it is as good as unsent.
fn was_refused_unread(cause: &(dyn Error + 'static)) -> bool {
    cause.downcast_ref::<h2::Error>().is_some_and(|error| {
        error.is_remote() && error.reason() == Some(h2::Reason::REFUSED_STREAM)
    })
}

/// The error and everything behind it, outermost first.
///
/// An [`io::Error`] that wraps another error skips it in `source`, so it is unwrapped by hand.
fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> + 'a {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let current = next?;
        next = match current.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => current.source(),
        };
        Some(current)
    })
}

/// The innermost cause in words: the outer ones say only "sending the request failed".
fn detail(error: &(dyn Error + 'static)) -> String {
    let innermost = causes(error).last().unwrap_or(error);
    let words = match innermost.downcast_ref::<io::Error>() {
        // The kind reads better than the system's text with its error number.
        Some(io) if io.raw_os_error().is_some() => io.kind().to_string(),
        _ => innermost.to_string(),
    };
    words.chars().filter(|c| !c.is_control()).take(MAX_DETAIL).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_io_error_is_looked_into() {
        let tls = io::Error::other(rustls::Error::DecryptError);
        assert_eq!(judge(&tls, Moment::Connecting).kind, FaultKind::Tls);
    }

    #[test]
    fn a_lookup_and_a_limit_are_known_from_afar() {
        let lookup = Unresolved(io::ErrorKind::TimedOut.into());
        assert_eq!(judge(&lookup, Moment::Connecting).kind, FaultKind::Resolve);
        let limit = io::Error::other(io::Error::from(io::ErrorKind::TimedOut));
        assert_eq!(judge(&limit, Moment::Connecting).kind, FaultKind::ConnectTimeout);
        assert_eq!(judge(&limit, Moment::AfterRequest).kind, FaultKind::Cut);
    }

    #[cfg(unix)]
    #[test]
    fn the_cause_is_in_words_without_numbers() {
        let refused = io::Error::from_raw_os_error(rustix::io::Errno::CONNREFUSED.raw_os_error());
        let fault = judge(&refused, Moment::Connecting);
        assert_eq!(fault, Fault { kind: FaultKind::Connect, detail: "connection refused".into() });
    }

    #[test]
    fn only_the_server_can_say_that_it_did_not_look() {
        let local = h2::Error::from(h2::Reason::REFUSED_STREAM);
        assert_eq!(judge(&local, Moment::AfterRequest).kind, FaultKind::Cut);
        assert_eq!(judge(&local, Moment::BeforeRequest).kind, FaultKind::Unsent);
    }

    #[test]
    fn control_characters_and_length_are_cut() {
        let nasty = io::Error::other(format!("\x1b[2J{}", "x".repeat(1000)));
        let fault = judge(&nasty, Moment::AfterRequest);
        assert!(fault.detail.starts_with("[2Jxxx") && fault.detail.len() == MAX_DETAIL);
    }
}
