//! Connections that are kept for the next request, and those that must not be.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use ferry_io::Config;
use ferry_io::http::{Client, Exchange};
use ferry_proto::{ExchangeId, Input};
use futures_util::StreamExt;

use crate::support::{config, read_request, reply, request, story};

/// Listens on a free port and plays `script` with every connection, which it numbers from 1; the
/// second begins when the script is done with the first.
fn serve(mut script: impl FnMut(usize, TcpStream) + Send + 'static) -> Config {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for (number, stream) in (1..).zip(listener.incoming()) {
            script(number, stream.unwrap());
        }
    });
    config(&format!("http://{address}/mcp"))
}

/// Answers every request of a connection with the connection's number, until it is closed.
fn answer_all(number: usize, stream: &mut TcpStream) {
    while !read_request(stream).is_empty() {
        reply(stream, &number.to_string());
    }
}

fn post(client: &Client, config: &Config) -> Exchange {
    client.open(ExchangeId { number: 1, attempt: 1 }, request(config, "ping"))
}

/// Waits for a word of the server's, with the eyes open for all that happens meanwhile.
async fn word<T: Send + 'static>(told: Receiver<T>) -> T {
    tokio::task::spawn_blocking(move || told.recv().unwrap()).await.unwrap()
}

/// Sets the clock forward. It stands still for that only: left alone it would run ahead of the server.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn the_next_request_goes_by_the_same_connection() {
    let config = serve(|number, mut stream| answer_all(number, &mut stream));
    let client = Client::new(&config).unwrap();
    for _ in 0..3 {
        assert_eq!(story(post(&client, &config)).await, ["sent", "200", "1", "end"]);
        // A clone has no connections of its own.
        assert_eq!(story(post(&client.clone(), &config)).await, ["sent", "200", "1", "end"]);
    }
}

#[tokio::test]
async fn requests_at_once_have_connections_of_their_own_and_leave_them_to_others() {
    let config = serve(|number, mut stream| {
        thread::spawn(move || answer_all(number, &mut stream));
    });
    let client = Client::new(&config).unwrap();
    let mut one = post(&client, &config);
    assert!(matches!(one.next().await, Some(Input::Sent(_))));
    let mut other = post(&client, &config);
    assert!(matches!(other.next().await, Some(Input::Sent(_))));
    assert_eq!(story(one).await, ["200", "1", "end"]);
    assert_eq!(story(other).await, ["200", "2", "end"]);
    // The one that was used last.
    assert_eq!(story(post(&client, &config)).await, ["sent", "200", "2", "end"]);
}

#[tokio::test]
async fn a_request_that_finds_its_connection_closed_goes_by_another_one() {
    let (tell, told) = channel();
    let (go, wait) = channel();
    let config = serve(move |number, mut stream| {
        if number == 1 {
            read_request(&mut stream);
            reply(&mut stream, "");
            wait.recv().unwrap();
            drop(stream);
            tell.send(()).unwrap();
        } else {
            answer_all(number, &mut stream);
        }
    });
    let client = Client::new(&config).unwrap();
    assert_eq!(story(post(&client, &config)).await, ["sent", "200", "end"]);
    go.send(()).unwrap();
    word(told).await;
    assert_eq!(story(post(&client, &config)).await, ["sent", "200", "2", "end"]);
}

#[tokio::test]
async fn a_kept_connection_that_takes_the_request_and_closes_is_cut() {
    let config = serve(|_, mut stream| {
        read_request(&mut stream);
        reply(&mut stream, "");
        read_request(&mut stream);
    });
    let client = Client::new(&config).unwrap();
    assert_eq!(story(post(&client, &config)).await, ["sent", "200", "end"]);
    assert_eq!(story(post(&client, &config)).await, ["sent", "cut"]);
}

#[tokio::test]
async fn a_server_that_wants_no_other_request_gets_none() {
    let config = serve(|_, mut stream| {
        let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        assert!(!read_request(&mut stream).is_empty());
        write!(stream, "{head}").unwrap();
        assert_eq!(read_request(&mut stream), "");
    });
    let client = Client::new(&config).unwrap();
    for _ in 0..2 {
        assert_eq!(story(post(&client, &config)).await, ["sent", "200", "end"]);
    }
}

#[tokio::test]
async fn the_connection_of_a_dropped_exchange_is_not_used_again() {
    let config = serve(|number, mut stream| {
        read_request(&mut stream);
        if number == 1 {
            // All of it is with the client, and it may have read all of it.
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf").unwrap();
        } else {
            reply(&mut stream, "other");
        }
        let _ = stream.read(&mut [0]);
    });
    let client = Client::new(&config).unwrap();
    let mut dropped = post(&client, &config);
    while !matches!(dropped.next().await, Some(Input::Chunk(..))) {}
    drop(dropped);
    assert_eq!(story(post(&client, &config)).await, ["sent", "200", "other", "end"]);
}

#[tokio::test]
async fn an_answer_without_more_to_come_leaves_its_connection_even_if_dropped() {
    let config = serve(|number, mut stream| {
        while !read_request(&mut stream).is_empty() {
            let head = "HTTP/1.1 307 Temporary Redirect\r\nlocation: /\r\ncontent-length: 0";
            write!(stream, "{head}\r\nx-connection: {number}\r\n\r\n").unwrap();
        }
    });
    let client = Client::new(&config).unwrap();
    for _ in 0..2 {
        let mut dropped = post(&client, &config);
        assert!(matches!(dropped.next().await, Some(Input::Sent(_))));
        let Some(Input::Head(_, head)) = dropped.next().await else { panic!() };
        assert_eq!(head.headers["x-connection"], "1");
    }
}

#[test]
fn an_exchange_may_outlive_its_runtime() {
    let config = serve(|number, mut stream| answer_all(number, &mut stream));
    let client = Client::new(&config).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut exchange = post(&client, &config);
    runtime.block_on(async { while !matches!(exchange.next().await, Some(Input::Head(..))) {} });
    drop(runtime);
    drop(exchange);
}

#[tokio::test]
async fn an_idle_connection_is_closed_before_the_server_does() {
    let (tell, told) = channel();
    let config = serve(move |number, mut stream| {
        answer_all(number, &mut stream);
        tell.send(number).unwrap();
    });
    let client = Client::new(&config).unwrap();
    assert_eq!(story(post(&client, &config)).await, ["sent", "200", "1", "end"]);
    for _ in 0..2 {
        pass(Duration::from_secs(3)).await;
        assert_eq!(story(post(&client, &config)).await, ["sent", "200", "1", "end"]);
    }
    pass(Duration::from_secs(5)).await;
    assert_eq!(word(told).await, 1, "the server sees the end");
    assert_eq!(story(post(&client, &config)).await, ["sent", "200", "2", "end"]);
}

#[tokio::test]
async fn the_end_of_the_client_is_that_of_its_connections() {
    let (tell, told) = channel();
    let config = serve(move |number, mut stream| {
        answer_all(number, &mut stream);
        tell.send(()).unwrap();
    });
    let client = Client::new(&config).unwrap();
    story(post(&client, &config)).await;
    drop(client);
    word(told).await;
}

#[tokio::test]
async fn a_connection_leads_to_one_server_only() {
    let config = serve(|number, mut stream| answer_all(number, &mut stream));
    let elsewhere = serve(|_, mut stream| {
        read_request(&mut stream);
        reply(&mut stream, "elsewhere");
    });
    let client = Client::new(&config).unwrap();
    assert_eq!(story(post(&client, &config)).await, ["sent", "200", "1", "end"]);
    assert_eq!(story(post(&client, &elsewhere)).await, ["sent", "200", "elsewhere", "end"]);
    assert_eq!(story(post(&client, &config)).await, ["sent", "200", "1", "end"]);
}

#[tokio::test]
async fn an_answer_before_its_time_does_not_cut_the_request_short() {
    const SIZE: usize = 16 << 20;
    let (tell, told) = channel();
    let (go, wait) = channel();
    let config = serve(move |_, mut stream| {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        reply(&mut stream, "early");
        wait.recv().unwrap();
        let mut body = vec![0; SIZE];
        stream.read_exact(&mut body).unwrap();
        tell.send(()).unwrap();
        let _ = stream.shutdown(Shutdown::Both);
    });
    let client = Client::new(&config).unwrap();
    let mut large = request(&config, "");
    large.body = Bytes::from(vec![b'x'; SIZE]);
    let exchange = client.open(ExchangeId { number: 1, attempt: 1 }, large);
    assert_eq!(story(exchange).await, ["sent", "200", "early", "end"]);
    go.send(()).unwrap();
    word(told).await;
}
