//! Tokens of real files and real commands.
#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails here is the test")]
#![cfg(unix)]

use std::fs;
use std::future::poll_fn;
use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ferry_io::tokens::{Till, Token, TokenSource, Tokens};
use futures_util::future::poll_immediate;
use rustix::fs::{FileType, Mode};

/// A directory of this test's own, gone with it.
struct Home(PathBuf);

impl Home {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ferry-{}-{name}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("token")
    }

    fn make_pipe(&self) {
        let (kind, mode) = (FileType::Fifo, Mode::RUSR | Mode::WUSR);
        rustix::fs::mknodat(rustix::fs::CWD, self.file(), kind, mode, 0).unwrap();
    }

    fn tokens(&self) -> Tokens {
        Tokens::new(Some(TokenSource::File(self.file())), Till::default())
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn fetch(tokens: &mut Tokens) -> Token {
    tokens.fetch();
    poll_fn(|cx| tokens.poll(cx)).await
}

async fn of_command(words: &[&str]) -> Token {
    let words = words.iter().map(|word| (*word).to_owned()).collect();
    fetch(&mut Tokens::new(Some(TokenSource::Command(words)), Till::default())).await
}

async fn of_shell(line: &str) -> Token {
    of_command(&["sh", "-c", line]).await
}

/// Each second one later, so that no wait is needed between two looks.
fn clock() -> impl FnMut() -> Instant {
    let mut now = Instant::now();
    move || {
        now += Duration::from_secs(1);
        now
    }
}

#[tokio::test]
async fn a_bare_token_gets_its_scheme_and_a_whole_value_is_left_alone() {
    let home = Home::new("schemes");
    for (content, value) in [
        ("t0ken\n", "Bearer t0ken"),
        ("\r\n  t0ken \r\n", "Bearer t0ken"),
        ("Basic dTpw\n", "Basic dTpw"),
        ("DPoP a=\"b\", c", "DPoP a=\"b\", c"),
    ] {
        fs::write(home.file(), content).unwrap();
        let token = fetch(&mut home.tokens()).await.unwrap();
        assert_eq!(token, value);
        assert!(token.is_sensitive());
    }
}

#[tokio::test]
async fn what_is_no_token_is_an_error_that_does_not_show_it() {
    let home = Home::new("nonsense");
    let long = "s3cret".repeat(20_000);
    for content in ["", " \n", "s3cret\ns3cret", "s3cret\0", "s3cret\u{fc}", &long] {
        fs::write(home.file(), content).unwrap();
        let why = fetch(&mut home.tokens()).await.unwrap_err();
        assert!(why.contains("the token file") && why.contains("write the token"), "{why}");
        assert!(!why.contains("s3cret"), "{why}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_there_is_named_and_may_come_later() {
    let home = Home::new("missing");
    let mut tokens = home.tokens();
    let why = fetch(&mut tokens).await.unwrap_err();
    assert!(why.contains(home.file().to_str().unwrap()) && why.contains("--token-file"), "{why}");
    assert_eq!(tokens.changed(clock()()), None, "nothing was had, so nothing can have changed");
    fs::write(home.file(), "late").unwrap();
    assert_eq!(fetch(&mut tokens).await.unwrap(), "Bearer late");
}

#[tokio::test]
async fn a_pipe_is_not_waited_for() {
    let home = Home::new("pipe");
    home.make_pipe();
    let why = fetch(&mut home.tokens()).await.unwrap_err();
    assert!(why.contains("no regular file"), "{why}");
}

#[tokio::test]
async fn a_file_that_was_replaced_has_changed_once() {
    let home = Home::new("replaced");
    let mut now = clock();
    fs::write(home.file(), "one").unwrap();
    let mut tokens = home.tokens();
    assert_eq!(fetch(&mut tokens).await.unwrap(), "Bearer one");
    assert_eq!(tokens.changed(now()), None);
    // Of the same length, perhaps of the same time: it is another file.
    fs::write(home.0.join("new"), "two").unwrap();
    fs::rename(home.0.join("new"), home.file()).unwrap();
    assert_eq!(tokens.changed(now()).unwrap(), "Bearer two");
    assert_eq!(tokens.changed(now()), None);
}

#[tokio::test]
async fn a_file_is_not_looked_at_twice_in_a_second() {
    let home = Home::new("twice");
    fs::write(home.file(), "one").unwrap();
    let mut tokens = home.tokens();
    fetch(&mut tokens).await.unwrap();
    let now = Instant::now();
    assert_eq!(tokens.changed(now), None);
    fs::write(home.file(), "another").unwrap();
    assert_eq!(tokens.changed(now + Duration::from_millis(999)), None);
    assert_eq!(tokens.changed(now + Duration::from_secs(1)).unwrap(), "Bearer another");
}

#[tokio::test]
async fn a_file_that_is_just_being_replaced_leaves_the_old_token() {
    let home = Home::new("halfway");
    let mut now = clock();
    fs::write(home.file(), "one").unwrap();
    let mut tokens = home.tokens();
    fetch(&mut tokens).await.unwrap();
    fs::remove_file(home.file()).unwrap();
    assert_eq!(tokens.changed(now()), None);
    fs::write(home.file(), "").unwrap();
    assert_eq!(tokens.changed(now()), None);
    fs::write(home.file(), "two").unwrap();
    assert_eq!(tokens.changed(now()).unwrap(), "Bearer two");
}

#[tokio::test]
async fn a_command_is_run_for_what_it_prints() {
    assert_eq!(of_command(&["echo", "t0ken"]).await.unwrap(), "Bearer t0ken");
    assert_eq!(of_command(&["echo", "Basic", "$HOME;"]).await.unwrap(), "Basic $HOME;");
    let with_noise = "cat; echo noise >&2; echo t0ken";
    assert_eq!(of_shell(with_noise).await.unwrap(), "Bearer t0ken", "its input is empty");
}

#[tokio::test]
async fn a_command_that_fails_is_an_error_that_does_not_show_what_it_said() {
    for (line, said) in [
        ("echo s3cret; echo s3cret >&2; exit 3", "exit status 3"),
        ("echo s3cret; kill -9 $$", "was killed"),
        ("true s3cret", "gives nothing"),
        ("echo s3cret; echo s3cret", "more than one line"),
        ("yes s3cret", "more than 65536 bytes"),
    ] {
        let why = of_shell(line).await.unwrap_err();
        assert!(why.contains(said) && why.starts_with("the token command "), "{line}: {why}");
        assert!(!why.contains("s3cret"), "{why}");
    }
}

#[tokio::test]
async fn a_command_that_is_not_there_is_an_error_with_a_remedy() {
    let why = of_command(&["/no/such/program", "s3cret"]).await.unwrap_err();
    assert!(why.contains("cannot be started") && why.contains("--token-command"), "{why}");
    assert!(!why.contains("s3cret"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_command_that_hangs_is_given_up() {
    // While nothing happens, the clock of this test leaps to the next deadline.
    let why = of_command(&["sleep", "3600"]).await.unwrap_err();
    assert!(why.contains("30 s"), "{why}");
}

#[tokio::test]
async fn a_command_that_is_given_up_is_killed() {
    let home = Home::new("killed");
    home.make_pipe();
    let line = format!("exec sleep 3600 > {}", home.file().display());
    let words = ["sh", "-c", &line].map(str::to_owned).to_vec();
    let mut tokens = Tokens::new(Some(TokenSource::Command(words)), Till::default());
    tokens.fetch();
    assert!(poll_immediate(poll_fn(|cx| tokens.poll(cx))).await.is_none(), "it has begun");
    // Opening waits for the other end.
    let mut pipe = fs::File::open(home.file()).unwrap();
    drop(tokens);
    assert_eq!(pipe.read(&mut [0]).unwrap(), 0, "the other end is closed");
}

#[tokio::test]
async fn what_a_command_leaves_behind_is_not_waited_for() {
    let token = of_shell("sleep 3600 & echo $!").await.unwrap();
    let left: i32 = token.to_str().unwrap().trim_start_matches("Bearer ").parse().unwrap();
    let left = rustix::process::Pid::from_raw(left).unwrap();
    rustix::process::kill_process(left, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_fetch_under_way_is_not_doubled() {
    let home = Home::new("once");
    let line = format!("echo x >> {}; echo t0ken", home.file().display());
    let words = ["sh", "-c", &line].map(str::to_owned).to_vec();
    let mut tokens = Tokens::new(Some(TokenSource::Command(words)), Till::default());
    tokens.fetch();
    tokens.fetch();
    assert_eq!(fetch(&mut tokens).await.unwrap(), "Bearer t0ken");
    assert_eq!(fs::read_to_string(home.file()).unwrap(), "x\n");
}

#[tokio::test]
async fn one_run_serves_all_sessions_that_want_another_token() {
    let home = Home::new("shared");
    let line = format!("echo x >> {0}; wc -l < {0}", home.file().display());
    let words = ["sh", "-c", &line].map(str::to_owned).to_vec();
    let till = Till::default();
    let source = || Some(TokenSource::Command(words.clone()));
    let (mut one, mut other) =
        (Tokens::new(source(), till.clone()), Tokens::new(source(), till.clone()));
    let (first, second) = tokio::join!(fetch(&mut one), fetch(&mut other));
    assert_eq!(
        (first.unwrap(), second.unwrap()),
        ("Bearer 1".parse().unwrap(), "Bearer 1".parse().unwrap())
    );
    assert_eq!(
        fetch(&mut Tokens::new(source(), till.clone())).await.unwrap(),
        "Bearer 1",
        "it is known"
    );
    assert_eq!(fetch(&mut one).await.unwrap(), "Bearer 2", "the first was refused");
    assert_eq!(fetch(&mut other).await.unwrap(), "Bearer 2", "the other hears of the new one");
    assert_eq!(fetch(&mut other).await.unwrap(), "Bearer 3", "which is refused too");
}
