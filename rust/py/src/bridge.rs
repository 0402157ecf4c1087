//! Running the ferry on the process's own stdin and stdout.

use ferry_proto::ExitReason;
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;

use crate::config::Config;
use crate::exceptions;
use crate::memory;

/// Carries messages between stdin, stdout and the endpoint until one of them ends or a signal comes.
///
/// Returns why it ended: "client-closed", "client-gone" or "shutdown". The interpreter is free for
/// other threads meanwhile.
#[pyfunction]
pub(crate) fn run(py: Python<'_>, config: &Bound<'_, Config>) -> PyResult<&'static str> {
    let config = config.get().checked();
    memory::give_back_large_blocks();
    let reason = py.detach(|| ferry_io::run(config)).map_err(|error| exceptions::run(&error))?;
    if reason == ExitReason::Shutdown {
        forget_interrupt(py)?;
    }
    Ok(word(reason))
}

/// Python's word for why a ferry ended.
pub(crate) fn word(reason: ExitReason) -> &'static str {
    match reason {
        ExitReason::ClientClosed => "client-closed",
        ExitReason::ClientGone => "client-gone",
        ExitReason::Shutdown => "shutdown",
    }
}

/// Python heard the signal too and would now raise it; it has been obeyed already.
fn forget_interrupt(py: Python<'_>) -> PyResult<()> {
    match py.check_signals() {
        Err(error) if error.is_instance_of::<PyKeyboardInterrupt>(py) => Ok(()),
        outcome => outcome,
    }
}
