//! Serves MCP on a TCP port and prints the endpoint's URL as the one line on stdout.

use std::future::pending;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::str::FromStr;

use ferry_server::{Answers, ENDPOINT, Settings, serve};
use tokio::net::TcpListener;
use tokio::runtime::Builder;

const USAGE: &str = "\
Usage: ferry-server [OPTIONS]

  --listen ADDRESS:PORT   where to listen; port 0 takes a free one [127.0.0.1:0]
  --answers json|events   the form of answers [json]
  --demand-initialized    refuse requests before notifications/initialized
  --max-body BYTES        the longest request body
  --max-sessions COUNT    the most sessions at once
  --pending-events COUNT  the most messages that wait for one stream
  --threads COUNT         worker threads [one for each processor]
  --help                  print this and exit
";

/// What the command line asks for.
struct Options {
    listen: SocketAddr,
    threads: Option<usize>,
    settings: Settings,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help") {
        return report(&mut io::stdout(), USAGE, ExitCode::SUCCESS);
    }
    match options(arguments).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(complaint) => {
            let line = format!("ferry-server: {complaint} (see --help)\n");
            report(&mut io::stderr(), &line, ExitCode::from(2))
        }
    }
}

fn report(to: &mut impl Write, text: &str, code: ExitCode) -> ExitCode {
    match to.write_all(text.as_bytes()) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

fn options(arguments: Vec<String>) -> Result<Options, String> {
    let mut settings = Settings::default();
    let mut listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut threads = None;
    let mut arguments = arguments.into_iter();
    while let Some(flag) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{flag} needs a value"));
        match flag.as_str() {
            "--listen" => listen = read(&flag, &value()?)?,
            "--answers" => {
                settings.answers = match value()?.as_str() {
                    "json" => Answers::Json,
                    "events" => Answers::Events,
                    _ => return Err("--answers is json or events".to_owned()),
                }
            }
            "--demand-initialized" => settings.demand_initialized = true,
            "--max-body" => settings.max_body = read(&flag, &value()?)?,
            "--max-sessions" => settings.max_sessions = read(&flag, &value()?)?,
            "--pending-events" => settings.pending_events = read(&flag, &value()?)?,
            "--threads" => threads = Some(read(&flag, &value()?)?),
            _ => return Err(format!("there is no option {flag}")),
        }
    }
    if threads == Some(0) {
        return Err("--threads has to be at least 1".to_owned());
    }
    Ok(Options { listen, threads, settings })
}

fn read<T: FromStr>(flag: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{flag} cannot be {value:?}"))
}

fn run(options: Options) -> Result<(), String> {
    let mut builder = Builder::new_multi_thread();
    if let Some(threads) = options.threads {
        builder.worker_threads(threads);
    }
    let runtime = builder.enable_all().build().map_err(|fault| fault.to_string())?;
    runtime.block_on(async {
        let listener = TcpListener::bind(options.listen)
            .await
            .map_err(|fault| format!("cannot listen on {}: {fault}", options.listen))?;
        announce(&listener).map_err(|fault| format!("cannot print the URL: {fault}"))?;
        serve(listener, options.settings, None, pending()).await.map_err(|fault| fault.to_string())
    })
}

/// Prints the URL, whole and at once, so that a parent may read one line and go on.
fn announce(listener: &TcpListener) -> io::Result<()> {
    let line = format!("http://{}{ENDPOINT}\n", listener.local_addr()?);
    let mut stdout = io::stdout();
    stdout.write_all(line.as_bytes())?;
    stdout.flush()
}
