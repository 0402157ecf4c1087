//! Log records on their way to Python.
//!
//! The ferry must never wait for whoever reads its log. A record that passes the level goes into a
//! bounded queue, and a thread of its own carries it to Python; when the queue is full, records are
//! dropped and counted. A process that logs nothing has no thread and never touches the interpreter.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use log::kv::{self, VisitSource};
use log::{Level, LevelFilter, Log, Metadata};
use pyo3::prelude::*;

/// Records that may wait for Python.
const QUEUE: usize = 1024;
/// Targets of the ferry's own records; those of other crates pass at the finest level only.
const OWN: &str = "mcp_ferry";

static LOGGER: Logger = Logger {
    callback: Mutex::new(None),
    sender: OnceLock::new(),
    dropped: AtomicUsize::new(0),
    pending: Mutex::new(0),
    delivered: Condvar::new(),
};

/// Sends log records to `callback(level, logger, message, fields)`, with Python's level numbers.
///
/// Called from a thread of its own. Records below `level` cost nothing. A second call replaces the
/// first, unless it is only for a process that has no log yet.
#[pyfunction]
#[pyo3(signature = (callback, level, *, unless_set=false))]
pub(crate) fn log_to(callback: Py<PyAny>, level: i64, unless_set: bool) {
    let mut known = locked(&LOGGER.callback);
    if unless_set && known.is_some() {
        return;
    }
    *known = Some(callback);
    drop(known);
    // Fails from the second call on, when it is in place already.
    let _ = log::set_logger(&LOGGER);
    log::set_max_level(match level {
        ..10 => LevelFilter::Trace,
        10..20 => LevelFilter::Debug,
        20..30 => LevelFilter::Info,
        30..40 => LevelFilter::Warn,
        40..=50 => LevelFilter::Error,
        _ => LevelFilter::Off,
    });
}

/// Waits until all records have been delivered, but no longer than so many milliseconds.
///
/// Returns whether all were.
#[pyfunction]
pub(crate) fn log_flush(py: Python<'_>, timeout_ms: u64) -> bool {
    py.detach(|| {
        let timeout = Duration::from_millis(timeout_ms);
        let pending = locked(&LOGGER.pending);
        LOGGER
            .delivered
            .wait_timeout_while(pending, timeout, |pending| *pending > 0)
            .is_ok_and(|(pending, _)| *pending == 0)
    })
}

struct Record {
    level: Level,
    target: String,
    message: String,
    fields: BTreeMap<String, String>,
}

struct Logger {
    callback: Mutex<Option<Py<PyAny>>>,
    /// Made, together with the thread that reads from it, by the first record.
    sender: OnceLock<SyncSender<Record>>,
    dropped: AtomicUsize,
    /// Records that were queued and not yet delivered.
    pending: Mutex<usize>,
    delivered: Condvar,
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with(OWN) || log::max_level() == LevelFilter::Trace
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let mut fields = Fields::default();
        // The visitor below never fails.
        let _ = record.key_values().visit(&mut fields);
        let record = Record {
            level: record.level(),
            target: record.target().to_owned(),
            message: record.args().to_string(),
            fields: fields.0,
        };
        *locked(&self.pending) += 1;
        if self.sender().try_send(record).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            self.settle();
        }
    }

    fn flush(&self) {}
}

impl Logger {
    fn sender(&self) -> &SyncSender<Record> {
        self.sender.get_or_init(|| {
            let (sender, receiver) = sync_channel(QUEUE);
            // Without a thread the queue fills up, and records are dropped as they would be anyway.
            let _ = thread::Builder::new()
                .name("ferry-log".into())
                .spawn(move || LOGGER.deliver_all(&receiver));
            sender
        })
    }

    fn deliver_all(&self, receiver: &Receiver<Record>) {
        for record in receiver {
            self.deliver(record);
            let dropped = self.dropped.swap(0, Ordering::Relaxed);
            if dropped > 0 {
                self.deliver(Record {
                    level: Level::Warn,
                    target: "mcp_ferry.log".into(),
                    message: "records were dropped, the log is not read fast enough".into(),
                    fields: BTreeMap::from([("count".into(), dropped.to_string())]),
                });
            }
            self.settle();
        }
    }

    fn deliver(&self, record: Record) {
        // An interpreter that shuts down wants no more records.
        let _ = Python::try_attach(|py| {
            let callback = locked(&self.callback).as_ref().map(|callback| callback.clone_ref(py));
            let Some(callback) = callback else { return };
            let level = match record.level {
                Level::Error => 40,
                Level::Warn => 30,
                Level::Info => 20,
                Level::Debug => 10,
                Level::Trace => 5,
            };
            let outcome = callback.call1(py, (level, record.target, record.message, record.fields));
            // There is nowhere to report a log that fails.
            drop(outcome);
        });
    }

    /// One record less is on its way.
    fn settle(&self) {
        *locked(&self.pending) -= 1;
        self.delivered.notify_all();
    }
}

/// Nothing is left half-done under these locks, so a panic of another thread does not matter.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct Fields(BTreeMap<String, String>);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: kv::Key<'kvs>, value: kv::Value<'kvs>) -> Result<(), kv::Error> {
        self.0.insert(key.to_string(), value.to_string());
        Ok(())
    }
}
