//! Every scenario, through the floor to the server that tells the time. Nothing is asserted about time.

#![allow(clippy::expect_used, reason = "what fails here is the test")]

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ferry_bench::Failure;
use ferry_bench::report::Report;
use ferry_bench::scenario::{self, Order};

type Scenario = fn(&Order) -> Result<Report, Failure>;

struct Timekeeper {
    process: Child,
    url: String,
}

impl Timekeeper {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_timekeeper"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("timekeeper starts");
        let mut url = String::new();
        let stdout = process.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut url).expect("a line");
        Self { process, url: url.trim().to_owned() }
    }

    /// Eight calls under way, 100 in all, through the floor.
    fn order(&self) -> Order {
        Order {
            command: vec![env!("CARGO_BIN_EXE_floor").into(), OsString::from(&self.url)],
            outstanding: 8,
            messages: 100,
            time: Duration::from_secs(60),
            bytes: 1 << 20,
            fleet: 3,
            patience: Duration::from_secs(60),
        }
    }
}

impl Drop for Timekeeper {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn every_call_of_every_scenario_is_answered_once() {
    let timekeeper = Timekeeper::start();
    let scenarios: [Scenario; 8] = [
        scenario::start,
        scenario::echo,
        scenario::large,
        scenario::events,
        scenario::slow,
        scenario::drain,
        scenario::fleet,
        scenario::growth,
    ];
    for scenario in scenarios {
        let report = scenario(&timekeeper.order()).expect("a report");
        let counts = report.counts;
        assert!(report.problem.is_none(), "{report:?}");
        assert!(counts.sent > 0 && counts.answered == counts.sent, "{report:?}");
        assert_eq!((counts.doubled, counts.wrong, counts.errors, counts.noise), (0, 0, 0, 0));
    }
}

#[test]
fn an_echo_says_what_it_cost() {
    let timekeeper = Timekeeper::start();
    let report = scenario::echo(&timekeeper.order()).expect("a report");
    assert_eq!(report.latency_us.expect("a latency").count, 100);
    assert!(report.cpu_us_per_call.expect("a cost") > 0.0);
    assert!(report.pss_kib.expect("a size") > 0);
}

#[test]
fn a_bridge_that_ends_or_hangs_is_told_apart() {
    let command = |words: &[&str]| words.iter().map(OsString::from).collect();
    let patience = Duration::from_millis(200);
    let timekeeper = Timekeeper::start();
    let ends = Order { command: command(&["true"]), ..timekeeper.order() };
    let hangs = Order { command: command(&["sleep", "60"]), patience, ..timekeeper.order() };
    // A process that ends at once may do so before or after it was written to.
    assert!(matches!(scenario::echo(&ends), Err(Failure::Ended(_) | Failure::Io(..))));
    assert!(matches!(scenario::echo(&hangs), Err(Failure::Hung { .. })));
}

#[test]
fn bare_pairs_open_as_many_sessions_as_are_wanted() {
    let timekeeper = Timekeeper::start();
    let output = Command::new(env!("CARGO_BIN_EXE_pairs"))
        .args([&timekeeper.url, "10", "3"])
        .output()
        .expect("pairs runs");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a document");
    assert_eq!(report["opening"]["count"], 10, "{report}");
    assert!(report["opening"]["cpu_us"].as_f64().is_some_and(|cpu| cpu > 0.0), "{report}");
}
