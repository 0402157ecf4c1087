//! The wires of mcp-ferry: everything that touches a descriptor, a socket, a clock or a signal.
//!
//! The rules live in `ferry-proto` and decide; this crate carries out. Its parts:
//!
//! - [`config`]: what a person can set, the defaults, and the checks with their remedies;
//! - [`tls`]: whom to trust, asked only when a handshake needs it;
//! - [`http`]: one exchange as a stream of inputs for the rules;
//! - [`fault`]: what a transport error says about the request;
//! - [`client`]: what a client is to the loop;
//! - [`stdio`]: the client's two ends, without a thread between where the descriptor allows it;
//! - [`sessions`]: clients in the same process, thousands of them;
//! - [`tokens`]: credentials of a file or a command, had again when they change;
//! - [`notices`]: signals, a parent that died, a reader that closed;
//! - [`driver`]: the one loop that holds the bridge.

pub mod client;
pub mod config;
pub mod driver;
pub mod error;
pub mod fault;
pub mod http;
pub mod notices;
#[cfg(unix)]
pub mod sessions;
pub mod stdio;
pub mod tls;
pub mod tokens;

pub use config::{Config, ConfigError, Settings};
pub use error::RunError;

use crate::stdio::{Outbox, Source};

/// Carries messages between the process's own stdin and stdout and the configured endpoint, until
/// either side ends or a signal comes. Blocks the calling thread.
///
/// # Errors
/// See [`RunError`]. A server that fails is no error here: the client gets that as a reply.
pub fn run(config: &Config) -> Result<ferry_proto::ExitReason, RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RunError::Runtime)?;
    let outcome = runtime.block_on(async {
        let input =
            Source::new(stdio::input().map_err(RunError::Stdio)?, config.rules().max_message);
        let (writer, closed) = stdio::output().map_err(RunError::Stdio)?;
        tls::warn_if_unchecked(config);
        let http = http::Client::new(config)?;
        let notices = notices::of_this_process(closed);
        Ok(driver::drive(config, http, input, Outbox::new(writer), notices).await)
    });
    // A thread may be stuck in a name lookup or in a read of a terminal: it must not hold us.
    runtime.shutdown_background();
    outcome
}
