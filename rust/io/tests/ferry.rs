//! The whole loop, between a client in memory and the strict server on loopback.
#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails here is the test")]

use ferry_io::driver;
use ferry_io::http::Client as Http;
use ferry_io::stdio::{Outbox, Source};
use ferry_io::{Config, Settings};
use ferry_proto::{ExitReason, Input};
use futures_util::stream::{self, Stream, StreamExt};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex};
use tokio::net::TcpListener;

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-03-26","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}"#;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
const LIST: &str = r#"{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{}}"#;

/// The strict server, for as long as the runtime lives.
async fn server() -> Config {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}{}", listener.local_addr().unwrap(), ferry_server::ENDPOINT);
    let settings = ferry_server::Settings::default();
    tokio::spawn(ferry_server::serve(listener, settings, None, std::future::pending()));
    Settings { url, ..Settings::default() }.check().unwrap()
}

struct Client {
    to: DuplexStream,
    from: BufReader<DuplexStream>,
}

impl Client {
    async fn say(&mut self, lines: &[&str]) {
        for line in lines {
            self.to.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        }
    }

    async fn hear(&mut self) -> String {
        let mut line = String::new();
        self.from.read_line(&mut line).await.unwrap();
        line
    }
}

/// A ferry between these two ends.
async fn drive(
    config: &Config,
    input: DuplexStream,
    output: DuplexStream,
    notices: impl Stream<Item = Input> + Unpin,
) -> ExitReason {
    let input = Source::new(input, config.rules().max_message);
    let http = Http::new(config).unwrap();
    driver::drive(config, http, input, Outbox::new(output), notices).await
}

/// A client, and the two ends for the ferry.
fn client() -> (Client, DuplexStream, DuplexStream) {
    let (to, input) = duplex(64);
    let (output, from) = duplex(64);
    (Client { to, from: BufReader::new(from) }, input, output)
}

#[tokio::test]
async fn lines_written_at_once_are_answered_and_the_end_is_clean() {
    let config = server().await;
    let (mut client, input, output) = client();
    let ferry = drive(&config, input, output, stream::pending());
    let conversation = async {
        client.say(&[INITIALIZE, LIST]).await;
        assert!(client.hear().await.contains("serverInfo"));
        assert!(client.hear().await.contains("echo"));
        let Client { to, mut from } = client;
        drop(to);
        let mut rest = String::new();
        from.read_line(&mut rest).await.unwrap();
        assert_eq!(rest, "");
    };
    let (reason, ()) = tokio::join!(ferry, conversation);
    assert_eq!(reason, ExitReason::ClientClosed);
}

#[tokio::test]
async fn many_calls_at_once_are_each_answered() {
    let config = server().await;
    let (client, input, output) = client();
    let Client { mut to, from } = client;
    let write = async move {
        for line in [INITIALIZE, INITIALIZED] {
            to.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        }
        for id in 100..300 {
            let call = format!(
                r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"echo","arguments":{{"text":"{id}"}}}}}}"#
            );
            to.write_all(format!("{call}\n").as_bytes()).await.unwrap();
        }
    };
    let read = async move {
        let mut lines = from.lines();
        let mut count = 0;
        while lines.next_line().await.unwrap().is_some() {
            count += 1;
        }
        count
    };
    let ferry = drive(&config, input, output, stream::pending());
    let (reason, (), count) = tokio::join!(ferry, write, read);
    assert_eq!((reason, count), (ExitReason::ClientClosed, 201));
}

#[tokio::test]
async fn a_client_that_does_not_read_ends_it() {
    let config = server().await;
    let (mut client, input, output) = client();
    let ferry = drive(&config, input, output, stream::pending());
    let conversation = async {
        client.say(&[INITIALIZE]).await;
        client.hear().await;
        let Client { mut to, from } = client;
        drop(from);
        to.write_all(format!("{LIST}\n").as_bytes()).await.unwrap();
        to
    };
    let (reason, _to) = tokio::join!(ferry, conversation);
    assert_eq!(reason, ExitReason::ClientGone);
}

#[tokio::test]
async fn a_signal_ends_it_even_if_the_server_says_nothing() {
    // Connections are taken by the system and never answered.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", silent.local_addr().unwrap());
    let config = Settings { url, ..Settings::default() }.check().unwrap();
    let (mut client, input, output) = client();
    let notices = stream::once(async move {
        client.say(&[INITIALIZE]).await;
        Input::Shutdown
    });
    let reason = drive(&config, input, output, Box::pin(notices).chain(stream::pending())).await;
    assert_eq!(reason, ExitReason::Shutdown);
}
