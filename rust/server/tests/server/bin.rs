//! The program: what it prints and how it refuses.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Command, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_ferry-server");

#[test]
fn the_url_is_the_one_line_on_stdout() {
    let flags = ["--answers", "events", "--threads", "1", "--max-body", "1000"];
    let mut server = Command::new(PROGRAM).args(flags).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(server.stdout.take().unwrap());
    let mut url = String::new();
    stdout.read_line(&mut url).unwrap();
    let address = url.strip_prefix("http://").unwrap().strip_suffix("/mcp\n").unwrap();
    TcpStream::connect(address).unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(stdout.lines().count(), 0);
}

#[test]
fn a_wrong_flag_is_one_line_on_stderr() {
    for flags in [
        &["--nonsense"][..],
        &["--threads", "0"],
        &["--answers", "xml"],
        &["--listen"],
        &["--listen", "localhost"],
    ] {
        let output = Command::new(PROGRAM).args(flags).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(output.stdout.is_empty());
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert!(complaint.starts_with("ferry-server: ") && complaint.lines().count() == 1);
    }
}
