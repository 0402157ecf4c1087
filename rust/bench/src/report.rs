//! What came of a scenario: one JSON document, in which a figure that was not measured is absent.

use hdrhistogram::Histogram;
use serde::Serialize;

/// What became of the calls.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Counts {
    /// Calls written.
    pub sent: u64,
    /// Calls answered once with the right text.
    pub answered: u64,
    /// Calls never answered.
    pub lost: u64,
    /// Replies to a call that had its reply already.
    pub doubled: u64,
    /// Replies with another text, or under an id that was never used.
    pub wrong: u64,
    /// Calls answered with an error.
    pub errors: u64,
    /// Messages of the server that are no replies.
    pub other: u64,
    /// Lines that are not JSON.
    pub noise: u64,
}

/// Percentiles, in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
#[allow(missing_docs)] // the names say all
pub struct Percentiles {
    pub count: u64,
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

/// The result of one scenario.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The name of the scenario.
    pub scenario: &'static str,
    /// Why there is no result, or not a whole one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The machine's load average when the scenario ended.
    pub load_average: f64,
    /// What became of the calls.
    pub counts: Counts,
    /// From start to the reply to `initialize`, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_reply_ms: Option<f64>,
    /// Processor time in milliseconds, of what `scenario` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_ms: Option<f64>,
    /// How long the measured part took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Calls answered in a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_second: Option<f64>,
    /// Processor time of the bridge's processes for one call, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_us_per_call: Option<f64>,
    /// System calls of the bridge's processes for one call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_calls_per_call: Option<f64>,
    /// From write to reply, or from an event's departure to its arrival.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_us: Option<Percentiles>,
    /// Mebibytes of text echoed in a second, at the median.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mib_per_second: Option<f64>,
    /// The highest resident set size above that at the start, as a multiple of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_multiple: Option<f64>,
    /// Proportional set size of one bridge, in KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pss_kib: Option<u64>,
    /// Resident set size of one bridge, in KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rss_kib: Option<u64>,
    /// What the proportional set size grew by between a tenth of the calls and their end, in KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub growth_kib: Option<i64>,
    /// From the end of stdin, or the last reply after it, to the end of the process, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_ms: Option<f64>,
    /// Processes started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<u64>,
}

/// The percentiles of a histogram of nanoseconds; `None` if it is empty.
#[must_use]
#[allow(clippy::cast_precision_loss)] // latencies are far from 2^53 ns
pub fn percentiles(histogram: &Histogram<u64>) -> Option<Percentiles> {
    let at = |percent: f64| histogram.value_at_percentile(percent) as f64 / 1000.0;
    (!histogram.is_empty()).then(|| Percentiles {
        count: histogram.len(),
        mean: histogram.mean() / 1000.0,
        p50: at(50.0),
        p90: at(90.0),
        p99: at(99.0),
        p999: at(99.9),
        max: histogram.max() as f64 / 1000.0,
    })
}
