//! Measures a bridge from where its user stands: at its stdin and stdout.
//!
//! [`bridge`] starts the bridge and holds its pipes, [`ledger`] checks every reply, [`tree`] reads what the
//! bridge's processes cost, [`scenario`] says what is done to it, [`report`] is what came of it. The program
//! `load` runs one scenario and prints one JSON document; `floor` is the least possible bridge, to compare
//! with; `timekeeper` is a lenient server whose events say when they left; `pairs` opens sessions with bare
//! POSTs, by the [`connection`] that the floor has too.

pub mod bridge;
pub mod connection;
pub mod ledger;
pub mod report;
pub mod scenario;
pub mod tree;

use std::io;
use std::time::Duration;

/// Why a scenario has no result.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A pipe or a process could not be had, or broke.
    #[error("{0}: {1}")]
    Io(&'static str, #[source] io::Error),
    /// The bridge closed its stdout.
    #[error("the bridge ended while {0}")]
    Ended(&'static str),
    /// The bridge was killed because its time was over.
    #[error("no answer for {} s while {doing}", patience.as_secs())]
    Hung {
        /// What the bridge was about.
        doing: &'static str,
        /// How long it was given.
        patience: Duration,
    },
    /// The bridge answered the handshake with something else than a result.
    #[error("initialize was answered with {0}")]
    Refused(String),
    /// The scenario was called with arguments that make no sense.
    #[error("{0}")]
    Usage(String),
}
