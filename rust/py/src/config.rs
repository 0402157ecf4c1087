//! Settings from Python.

use std::path::PathBuf;
use std::sync::Arc;

use ferry_io::config::{self, Settings};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::exceptions;

/// Checked settings of a ferry. `None` stands for the default.
///
/// Raises `mcp_ferry.exceptions.ConfigError` for a value that cannot be used.
#[pyclass(frozen, module = "mcp_ferry._ferry")]
pub(crate) struct Config {
    asked: Arc<Settings>,
    checked: Arc<ferry_io::Config>,
}

impl Config {
    /// What was found good.
    pub(crate) fn checked(&self) -> &Arc<ferry_io::Config> {
        &self.checked
    }
}

#[pymethods]
impl Config {
    #[new]
    #[pyo3(signature = (
        url, *, headers=Vec::new(), auth=None, token_file=None, token_command=None, transport=None,
        timeout=None, connect_timeout=None, concurrency=None, max_message_size=None, ca_cert=None,
        client_cert=None, client_key=None, insecure=None, proxy=None,
    ))]
    #[expect(clippy::too_many_arguments, reason = "one for each setting, all by name")]
    fn new(
        url: String,
        headers: Vec<(String, String)>,
        auth: Option<String>,
        token_file: Option<PathBuf>,
        token_command: Option<String>,
        transport: Option<String>,
        timeout: Option<f64>,
        connect_timeout: Option<f64>,
        concurrency: Option<i64>,
        max_message_size: Option<i64>,
        ca_cert: Option<PathBuf>,
        client_cert: Option<PathBuf>,
        client_key: Option<PathBuf>,
        insecure: Option<bool>,
        proxy: Option<String>,
    ) -> PyResult<Self> {
        let asked = Settings {
            url,
            headers,
            auth,
            token_file,
            token_command,
            transport,
            timeout,
            connect_timeout,
            concurrency,
            max_message_size,
            ca_cert,
            client_cert,
            client_key,
            insecure,
            proxy,
        };
        let checked = Arc::new(asked.check().map_err(exceptions::config)?);
        Ok(Self { asked: Arc::new(asked), checked })
    }

    /// The value that each setting has when it is not given, by name.
    #[staticmethod]
    fn defaults(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
        let defaults = PyDict::new(py);
        defaults.set_item("transport", config::TRANSPORT)?;
        defaults.set_item("timeout", config::TIMEOUT)?;
        defaults.set_item("connect_timeout", config::CONNECT_TIMEOUT)?;
        defaults.set_item("concurrency", config::CONCURRENCY)?;
        defaults.set_item("max_message_size", config::MAX_MESSAGE_SIZE)?;
        defaults.set_item("insecure", config::INSECURE)?;
        Ok(defaults)
    }

    /// The same for somebody else's session: with these headers, and this value of `Authorization`, in
    /// place of its own of those names. Sessions of both share their connections.
    #[pyo3(signature = (headers, auth=None, *, listens=true))]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a list of Python's cannot be borrowed as a slice"
    )]
    fn with_headers(
        &self,
        headers: Vec<(String, String)>,
        auth: Option<&str>,
        listens: bool,
    ) -> PyResult<Self> {
        let checked = self.checked.with_headers(&headers, auth).map_err(exceptions::config)?;
        Ok(Self { asked: Arc::clone(&self.asked), checked: Arc::new(checked.listening(listens)) })
    }

    /// The endpoint.
    #[getter]
    fn url(&self) -> &str {
        self.checked.rules().url.as_str()
    }

    /// The file with the token.
    #[getter]
    fn token_file(&self) -> Option<&PathBuf> {
        self.asked.token_file.as_ref()
    }

    /// Which transport the server speaks: "auto", "http" or "sse".
    #[getter]
    fn transport(&self) -> &str {
        self.asked.transport.as_deref().unwrap_or(config::TRANSPORT)
    }

    /// Seconds a server may be silent about a request.
    #[getter]
    fn timeout(&self) -> f64 {
        self.checked.rules().response_timeout.as_secs_f64()
    }

    /// Seconds a connection may take.
    #[getter]
    fn connect_timeout(&self) -> f64 {
        self.checked.connect_timeout().as_secs_f64()
    }

    /// Requests in flight at once.
    #[getter]
    fn concurrency(&self) -> usize {
        self.checked.rules().concurrency
    }

    /// Bytes of the largest message.
    #[getter]
    fn max_message_size(&self) -> usize {
        self.checked.rules().max_message
    }

    /// The file with further authorities to trust.
    #[getter]
    fn ca_cert(&self) -> Option<&PathBuf> {
        self.asked.ca_cert.as_ref()
    }

    /// The file with the client's certificate.
    #[getter]
    fn client_cert(&self) -> Option<&PathBuf> {
        self.asked.client_cert.as_ref()
    }

    /// The file with the client's key.
    #[getter]
    fn client_key(&self) -> Option<&PathBuf> {
        self.asked.client_key.as_ref()
    }

    /// Whether any certificate is accepted.
    #[getter]
    fn insecure(&self) -> bool {
        self.checked.insecure()
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.checked)
    }
}
