//! The strict server, run beside the interpreter.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use ferry_server::{Answers, ENDPOINT, Observed, Observer, Settings};
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use tokio::sync::{mpsc, oneshot};

/// A strict MCP server on a port of this machine, in a thread of its own.
///
/// It listens as soon as it exists. `observe` is called with a dict for each HTTP exchange, from
/// another thread; it holds the session id in full.
#[pyclass(frozen, module = "mcp_ferry._ferry")]
pub(crate) struct Server {
    url: String,
    running: Mutex<Option<Running>>,
}

struct Running {
    stop: oneshot::Sender<()>,
    threads: Vec<JoinHandle<()>>,
}

#[pymethods]
impl Server {
    #[new]
    #[pyo3(signature = (host="127.0.0.1", port=0, *, events=false, observe=None))]
    fn new(
        py: Python<'_>,
        host: &str,
        port: u16,
        events: bool,
        observe: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let answers = if events { Answers::Events } else { Answers::Json };
        let settings = Settings { answers, ..Settings::default() };
        py.detach(|| start((host, port), settings, observe)).map_err(|error| {
            PyOSError::new_err(format!("cannot listen on {host} port {port}: {error}"))
        })
    }

    /// The address of the endpoint.
    #[getter]
    fn url(&self) -> &str {
        &self.url
    }

    /// Stops listening, closes all connections and returns when all that happened was observed.
    fn close(&self, py: Python<'_>) {
        py.detach(|| {
            let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
            let Some(running) = running else { return };
            drop(running.stop);
            for thread in running.threads {
                // A thread that panicked has told so already.
                let _ = thread.join();
            }
        });
    }

    fn __enter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        _kind: &Bound<'_, PyAny>,
        _error: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) {
        self.close(py);
    }
}

fn start(
    address: (&str, u16),
    settings: Settings,
    observe: Option<Py<PyAny>>,
) -> io::Result<Server> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let url = format!("http://{}{ENDPOINT}", listener.local_addr()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut threads = Vec::new();
    let observer = match observe {
        Some(callback) => {
            let (observer, exchanges) = mpsc::unbounded_channel();
            threads.push(spawn("ferry-observe", move || tell_all(exchanges, &callback))?);
            Some(observer)
        }
        None => None,
    };
    let (stop, stopped) = oneshot::channel();
    threads.push(spawn("ferry-server", move || {
        runtime.block_on(serve(listener, settings, observer, stopped));
    })?);
    Ok(Server { url, running: Mutex::new(Some(Running { stop, threads })) })
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.into()).spawn(work)
}

async fn serve(
    listener: std::net::TcpListener,
    settings: Settings,
    observer: Option<Observer>,
    stopped: oneshot::Receiver<()>,
) {
    let shutdown = async {
        // Resolves when the sender is dropped, by `close` or with the object.
        let _ = stopped.await;
    };
    let served = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => ferry_server::serve(listener, settings, observer, shutdown).await,
        Err(error) => Err(error),
    };
    if let Err(error) = served {
        log::error!(target: "mcp_ferry.server", "the server ended: {error}");
    }
}

/// Hands each exchange to Python until the server has ended and all are told.
fn tell_all(mut exchanges: mpsc::UnboundedReceiver<Observed>, callback: &Py<PyAny>) {
    while let Some(exchange) = exchanges.blocking_recv() {
        // An interpreter that shuts down wants no more.
        let _ = Python::try_attach(|py| {
            let told = as_dict(py, exchange).and_then(|dict| callback.call1(py, (dict,)));
            if let Err(error) = told {
                error.write_unraisable(py, Some(callback.bind(py)));
            }
        });
    }
}

fn as_dict(py: Python<'_>, exchange: Observed) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("method", exchange.method.as_str())?;
    dict.set_item("path", exchange.path)?;
    dict.set_item("headers", exchange.headers)?;
    dict.set_item("body", PyBytes::new(py, &exchange.body))?;
    dict.set_item("status", exchange.status)?;
    dict.set_item("issued_session", exchange.issued_session)?;
    Ok(dict)
}
