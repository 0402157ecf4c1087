//! What the HTTP side tells the rules about servers that behave, and about those that do not.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::sync::mpsc::channel;
use std::time::Duration;

use crate::support::{config, once, post, read_request, reply, story};
use ferry_io::Settings;
use ferry_proto::Input;
use futures_util::StreamExt;

#[tokio::test]
async fn an_answer_is_told_in_order() {
    let url = once(|mut stream| {
        read_request(&mut stream);
        reply(&mut stream, "{}");
    });
    assert_eq!(story(post(&config(&url), "ping")).await, ["sent", "200", "{}", "end"]);
}

#[tokio::test]
async fn a_request_has_its_length_and_nothing_made_up() {
    let (tell, told) = channel();
    let url = once(move |mut stream| {
        tell.send(read_request(&mut stream)).unwrap();
        reply(&mut stream, "");
    });
    story(post(&config(&url), "ping")).await;
    let request = told.recv().unwrap().to_lowercase();
    assert!(request.starts_with("post /mcp http/1.1\r\n") && request.ends_with("\r\n\r\nping"));
    assert!(request.contains("content-length: 4\r\n"), "{request}");
    for absent in ["transfer-encoding", "accept-encoding", "referer", "user-agent"] {
        assert!(!request.contains(absent), "{absent} in {request}");
    }
}

#[tokio::test]
async fn sent_is_told_before_the_server_says_anything() {
    let (go, wait) = channel();
    let url = once(move |mut stream| {
        read_request(&mut stream);
        wait.recv().unwrap();
        reply(&mut stream, "");
    });
    let mut exchange = post(&config(&url), "ping");
    assert!(matches!(exchange.next().await, Some(Input::Sent(_))));
    go.send(()).unwrap();
    assert!(matches!(exchange.next().await, Some(Input::Head(..))));
}

#[tokio::test]
async fn a_piece_is_told_while_the_stream_goes_on() {
    let (go, wait) = channel();
    let url = once(move |mut stream| {
        read_request(&mut stream);
        write!(stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
            .unwrap();
        wait.recv().unwrap();
        write!(stream, "3\r\ntwo\r\n0\r\n\r\n").unwrap();
    });
    let mut exchange = post(&config(&url), "ping");
    let first = loop {
        if let Some(Input::Chunk(_, bytes)) = exchange.next().await {
            break bytes;
        }
    };
    assert_eq!(first, "one");
    go.send(()).unwrap();
    assert_eq!(story(exchange).await, ["two", "end"]);
}

#[tokio::test]
async fn nobody_listening_is_no_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let mut exchange = post(&config(&url), "ping");
    let Some(Input::Finished(_, Err(fault))) = exchange.next().await else { panic!() };
    assert_eq!(fault.detail, "connection refused");
    assert_eq!(story(post(&config(&url), "ping")).await, ["connect"]);
}

#[tokio::test]
async fn a_name_that_nobody_has_does_not_resolve() {
    // RFC 6761 keeps this name from ever being given.
    assert_eq!(story(post(&config("http://ferry.invalid/"), "ping")).await, ["resolve"]);
}

#[tokio::test]
async fn a_connection_closed_after_the_request_is_cut() {
    let url = once(|mut stream| {
        read_request(&mut stream);
    });
    assert_eq!(story(post(&config(&url), "ping")).await.last().unwrap(), "cut");
}

#[cfg(unix)]
#[tokio::test]
async fn a_reset_after_the_request_is_cut() {
    let url = once(|mut stream| {
        read_request(&mut stream);
        // Closing without lingering sends a reset.
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    });
    assert_eq!(story(post(&config(&url), "ping")).await.last().unwrap(), "cut");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_cut() {
    let url = once(|mut stream| {
        read_request(&mut stream);
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").unwrap();
    });
    assert_eq!(story(post(&config(&url), "ping")).await, ["sent", "200", "half", "cut"]);
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_cut() {
    let url = once(|mut stream| {
        read_request(&mut stream);
        write!(stream, "SSH-2.0-OpenSSH_9.6\r\n").unwrap();
    });
    assert_eq!(story(post(&config(&url), "ping")).await.last().unwrap(), "cut");
}

#[tokio::test]
async fn a_redirect_is_for_the_rules_to_judge() {
    let url = once(|mut stream| {
        read_request(&mut stream);
        let head =
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n";
        write!(stream, "{head}").unwrap();
    });
    assert_eq!(story(post(&config(&url), "ping")).await, ["sent", "307", "end"]);
}

#[tokio::test]
async fn dropping_an_exchange_closes_its_connection() {
    let (tell, told) = channel();
    let url = once(move |mut stream| {
        read_request(&mut stream);
        write!(stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
        tell.send(stream.read(&mut [0]).unwrap_or(0)).unwrap();
    });
    let mut exchange = post(&config(&url), "ping");
    while !matches!(exchange.next().await, Some(Input::Head(..))) {}
    drop(exchange);
    let left = tokio::task::spawn_blocking(move || told.recv().unwrap()).await.unwrap();
    assert_eq!(left, 0, "the server sees the end");
}

#[tokio::test]
async fn a_handshake_without_end_is_a_connect_timeout() {
    let url = once(|mut stream| {
        // Takes the greeting, and whatever comes after, and never answers.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let settings = Settings {
        url: url.replace("http:", "https:"),
        connect_timeout: Some(0.05),
        ..Settings::default()
    };
    assert_eq!(story(post(&settings.check().unwrap(), "ping")).await, ["connect timeout"]);
}

#[tokio::test]
async fn https_to_a_plain_server_is_a_tls_fault() {
    let url = once(|mut stream| {
        let _ = stream.read(&mut [0; 512]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let url = url.replace("http:", "https:");
    assert_eq!(story(post(&config(&url), "ping")).await, ["tls"]);
}

#[tokio::test]
async fn a_head_may_be_long_but_not_endless() {
    for (fields, outcome) in [(60, "end"), (70, "cut")] {
        let url = once(move |mut stream| {
            read_request(&mut stream);
            let field = format!("x-filler: {}\r\n", "x".repeat(1000));
            let head = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n";
            // The client may hang up before it has all.
            let _ = write!(stream, "{head}{}\r\n", field.repeat(fields));
            let _ = stream.read(&mut [0]);
        });
        assert_eq!(story(post(&config(&url), "ping")).await.last().unwrap(), outcome);
    }
}

#[tokio::test]
async fn a_piece_of_a_large_answer_is_small() {
    const SIZE: usize = 4 << 20;
    let url = once(|mut stream| {
        read_request(&mut stream);
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n").unwrap();
        stream.write_all(&vec![b'x'; SIZE]).unwrap();
    });
    let mut exchange = post(&config(&url), "ping");
    let mut size = 0;
    while let Some(input) = exchange.next().await {
        if let Input::Chunk(_, bytes) = input {
            // A full read, and at most as much again that was left of the one before.
            assert!(bytes.len() <= 2 * 65536, "{}", bytes.len());
            size += bytes.len();
        }
    }
    assert_eq!(size, SIZE);
}
