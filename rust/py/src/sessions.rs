//! Many sessions of this process, from the side of an event loop.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

use bytes::Bytes;
use ferry_io::config;
use ferry_io::sessions::{self, Ending, Event};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};

use crate::bridge::word;
use crate::config::Config;
use crate::exceptions;

/// Sessions that share one thread and its connections. Every method may be called from any thread,
/// and none of them waits but `stop`.
#[pyclass(frozen, weakref, module = "mcp_ferry._ferry")]
pub(crate) struct Sessions(sessions::Sessions);

#[pymethods]
impl Sessions {
    #[new]
    fn new() -> PyResult<Self> {
        sessions::Sessions::start().map(Self).map_err(|error| exceptions::run(&error))
    }

    /// The number of a new session.
    fn open(&self, config: &Bound<'_, Config>) -> u64 {
        self.0.open(Arc::clone(config.get().checked()))
    }

    /// Sends one JSON-RPC message.
    #[pyo3(signature = (session, message, headers=None, timeout=None))]
    fn send(
        &self,
        session: u64,
        message: &Bound<'_, PyBytes>,
        headers: Option<Vec<(String, String)>>,
        timeout: Option<f64>,
    ) -> PyResult<()> {
        let terms = if headers.is_some() || timeout.is_some() {
            let headers = headers.unwrap_or_default();
            Some(Arc::new(config::terms(&headers, timeout).map_err(exceptions::config)?))
        } else {
            None
        };
        self.0.send(session, Bytes::copy_from_slice(message.as_bytes()), terms);
        Ok(())
    }

    /// From now on the session hears what the server says unasked.
    fn listen(&self, session: u64) {
        self.0.listen(session);
    }

    /// Ends a session: after all that is owed has come, or at once.
    #[pyo3(signature = (session, *, at_once=false))]
    fn end(&self, session: u64, at_once: bool) {
        self.0.end(session, if at_once { Ending::AtOnce } else { Ending::Drained });
    }

    /// Has everything said so far carried out.
    fn flush(&self) {
        self.0.flush();
    }

    /// The descriptor that is readable as long as `take` has something.
    fn fileno(&self) -> i32 {
        self.0.as_fd().as_raw_fd()
    }

    /// What has come: triples of the session, the number of the request that is answered if one is,
    /// and the message; where the session has ended, a string that says why in place of a message.
    fn take<'py>(&self, py: Python<'py>, most: usize) -> PyResult<Bound<'py, PyList>> {
        let arrivals = PyList::empty(py);
        for arrival in self.0.take(most) {
            let (reply_to, what) = match arrival.event {
                Event::Message(reply_to, message) => {
                    (reply_to, PyBytes::new(py, &message).into_any())
                }
                Event::Ended(reason) => (None, PyString::new(py, word(reason)).into_any()),
                Event::Failed(why) => (None, PyString::new(py, &why).into_any()),
            };
            arrivals.append((arrival.session, reply_to, what))?;
        }
        Ok(arrivals)
    }

    /// Ends all sessions at once and returns when that is done, two seconds later at most.
    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.0.stop());
    }
}
