//! The binding: the wires and the strict server as the Python module `mcp_ferry._ferry`.
//!
//! Nothing is decided here. Each part turns Python's values into those of a crate below and back,
//! and gives up the interpreter whenever it may have to wait.

mod bridge;
mod config;
mod exceptions;
mod logging;
mod memory;
mod server;
#[cfg(unix)]
mod sessions;

use pyo3::prelude::*;

/// The native module of mcp-ferry.
#[pymodule(gil_used = false)]
mod _ferry {
    #[pymodule_export]
    use crate::bridge::run;
    #[pymodule_export]
    use crate::config::Config;
    #[pymodule_export]
    use crate::logging::{log_flush, log_to};
    #[pymodule_export]
    use crate::server::Server;
    #[cfg(unix)]
    #[pymodule_export]
    use crate::sessions::Sessions;

    #[pymodule_export]
    #[expect(non_upper_case_globals, reason = "Python's name for it")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
