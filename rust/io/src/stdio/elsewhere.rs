//! Ends where no descriptor can be waited for: a thread each.

use std::io;

use tokio::io::BufWriter;

use super::{Closed, Reader, Writer};

/// The process's stdin.
///
/// # Errors
/// None here; other platforms have some.
pub fn input() -> io::Result<Reader> {
    Ok(Box::pin(tokio::io::stdin()))
}

/// The process's stdout. That its reader has gone shows when something is written.
///
/// # Errors
/// None here; other platforms have some.
pub fn output() -> io::Result<(Writer, Closed)> {
    Ok((Box::pin(BufWriter::new(tokio::io::stdout())), Box::pin(std::future::pending())))
}
