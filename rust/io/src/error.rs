//! What can keep the ferry from running at all.

use std::io;

/// Why [`crate::run`] could not start. Nothing that happens later is an error of this kind.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The operating system refused what an event loop needs.
    #[error("cannot start the event loop: {0}; check the limit on open files (ulimit -n)")]
    Runtime(#[source] io::Error),
    /// Stdin or stdout cannot be used.
    #[error("cannot use stdin and stdout: {0}; start the ferry with both connected")]
    Stdio(#[source] io::Error),
    /// The HTTP client could not be built.
    #[error("cannot set up HTTP: {0}; check the proxy settings")]
    Http(String),
}
