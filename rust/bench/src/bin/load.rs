//! Runs one scenario against one bridge and prints what came of it as one JSON document.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use ferry_bench::Failure;
use ferry_bench::report::Report;
use ferry_bench::scenario::{self, Order};
use ferry_bench::tree::load_average;

const USAGE: &str = "\
Usage: load SCENARIO [OPTIONS] -- COMMAND...

Speaks MCP with COMMAND over its stdin and stdout and prints what came of it as JSON.

  bare           run COMMAND to its end
  start          start, initialize, 20 calls; processor time and memory
  echo           keep calls of echo under way: latency, throughput, processor time
  system-calls   the same under strace, counting
  large          echo texts of --bytes
  events         events from timekeeper: how long each is on its way
  slow           --outstanding calls of half a second at once
  drain          --outstanding calls of 200 ms, then the end of stdin
  fleet          --fleet bridges at once
  growth         memory over --messages calls

  --outstanding COUNT   calls under way at once [1]
  --messages COUNT      the most calls, or events [10000]
  --seconds SECONDS     the longest time that new calls are made [10]
  --bytes COUNT         the length of a large text [1048576]
  --fleet COUNT         bridges of a fleet [10]
  --patience SECONDS    when a bridge that hangs is killed [60]
";

type Scenario = fn(&Order) -> Result<Report, Failure>;

const SCENARIOS: [(&str, Scenario); 10] = [
    ("bare", scenario::bare),
    ("start", scenario::start),
    ("echo", scenario::echo),
    ("system-calls", scenario::system_calls),
    ("large", scenario::large),
    ("events", scenario::events),
    ("slow", scenario::slow),
    ("drain", scenario::drain),
    ("fleet", scenario::fleet),
    ("growth", scenario::growth),
];

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if arguments.first().is_none_or(|first| first == "--help") {
        return print(&mut io::stdout(), USAGE);
    }
    match order(arguments) {
        Ok((name, scenario, order)) => {
            // A bridge that fails is a result, too.
            let mut report = scenario(&order).unwrap_or_else(|failure| Report {
                problem: Some(failure.to_string()),
                ..Report::default()
            });
            report.scenario = name;
            report.load_average = load_average();
            match serde_json::to_string(&report) {
                Ok(document) => print(&mut io::stdout(), &format!("{document}\n")),
                Err(_) => ExitCode::FAILURE,
            }
        }
        Err(complaint) => {
            print(&mut io::stderr(), &format!("load: {complaint} (see --help)\n"));
            ExitCode::from(2)
        }
    }
}

fn print(to: &mut impl Write, text: &str) -> ExitCode {
    match to.write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn order(arguments: Vec<OsString>) -> Result<(&'static str, Scenario, Order), Failure> {
    let usage = |text: String| Failure::Usage(text);
    let mut arguments = arguments.into_iter();
    let wanted = arguments.next().unwrap_or_default();
    let found = SCENARIOS.into_iter().find(|(name, _)| wanted == *name);
    let (name, scenario) =
        found.ok_or_else(|| usage(format!("there is no scenario {}", wanted.display())))?;
    let mut order = Order {
        command: Vec::new(),
        outstanding: 1,
        messages: 10_000,
        time: Duration::from_secs(10),
        bytes: 1 << 20,
        fleet: 10,
        patience: Duration::from_secs(60),
    };
    while let Some(flag) = arguments.next() {
        if flag == "--" {
            order.command = arguments.collect();
            return Ok((name, scenario, order));
        }
        let flag = flag.to_string_lossy().into_owned();
        let value = arguments.next().and_then(|value| value.to_str()?.parse::<u64>().ok());
        let value = value.ok_or_else(|| usage(format!("{flag} needs a number")))?;
        match &*flag {
            "--outstanding" => order.outstanding = value,
            "--messages" => order.messages = value,
            "--seconds" => order.time = Duration::from_secs(value),
            "--bytes" => order.bytes = usize::try_from(value).unwrap_or(usize::MAX),
            "--fleet" => order.fleet = value,
            "--patience" => order.patience = Duration::from_secs(value),
            _ => return Err(usage(format!("there is no option {flag}"))),
        }
    }
    Err(usage("a command has to follow --".to_owned()))
}
