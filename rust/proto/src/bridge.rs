//! The bridge: stub while its rules are being written.

use std::time::{Duration, Instant};

use http::HeaderMap;
use url::Url;

use crate::seam::{Action, ExchangeId, Input};

/// What a bridge is told once, at its start. Defaults live with the wires.
#[derive(Clone, Debug)]
pub struct Config {
    /// The endpoint, used exactly as given.
    pub url: Url,
    /// The user's own headers, Authorization among them; secrets marked sensitive.
    pub headers: HeaderMap,
    /// How long an exchange may be silent before its request gets an error.
    pub response_timeout: Duration,
    /// How long a server that cannot be reached is tried again.
    pub connect_patience: Duration,
    /// How many requests may be in flight at once.
    pub concurrency: usize,
    /// The largest message in either direction, in bytes.
    pub max_message: usize,
}

/// The machine.
#[derive(Debug)]
pub struct Bridge {}

impl Bridge {
    /// A bridge that has heard nothing yet. `seed` feeds the jitter of its backoff.
    #[must_use]
    pub fn new(_config: Config, _seed: u64) -> Self {
        Self {}
    }
    /// Takes in one event. Drain [`Self::poll_action`] afterwards.
    pub fn handle(&mut self, _now: Instant, _input: Input) {}
    /// The next thing to do, until there is none.
    pub fn poll_action(&mut self) -> Option<Action> {
        None
    }
    /// When to come back with [`Input::Tick`] if nothing else happens first.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }
    /// Whether the client's next bytes may be read; false while too much is in flight.
    #[must_use]
    pub fn reads_client(&self) -> bool {
        true
    }
    /// Whether this exchange's next chunk may be read; false while too much waits for the client.
    #[must_use]
    pub fn reads_server(&self, _id: ExchangeId) -> bool {
        true
    }
}
