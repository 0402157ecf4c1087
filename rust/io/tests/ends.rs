//! The client's two ends, over real pipes and sockets.
#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails here is the test")]
#![cfg(unix)]

use std::fs::File;
use std::future::poll_fn;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::thread;

use bytes::Bytes;
use ferry_io::client::ClientOutput;
use ferry_io::stdio::{Outbox, Reader, Source, Writer, direct_input, direct_output};
use ferry_proto::Frame;
use futures_util::future::poll_immediate;
use rustix::fs::OFlags;

fn pipe() -> (OwnedFd, OwnedFd) {
    rustix::pipe::pipe().unwrap()
}

fn sockets() -> (OwnedFd, OwnedFd) {
    let (one, other) = UnixStream::pair().unwrap();
    (one.into(), other.into())
}

fn reader(fd: &OwnedFd) -> Source<Reader> {
    Source::new(direct_input(fd.as_fd()).unwrap().unwrap(), 1 << 20)
}

fn writer(fd: &OwnedFd) -> Outbox<Writer> {
    Outbox::new(direct_output(fd.as_fd()).unwrap().unwrap().0)
}

async fn next(source: &mut Source<Reader>) -> Option<Frame> {
    poll_fn(|cx| source.poll_frame(cx)).await
}

fn line(text: &'static str) -> Frame {
    Frame::Line(Bytes::from_static(text.as_bytes()))
}

#[tokio::test]
async fn frames_come_from_pipes_and_sockets() {
    for (end, other) in [pipe(), sockets()] {
        let mut source = reader(&end);
        let mut client = File::from(other);
        client.write_all(b"{\"id\":1}\n{\"id\"").unwrap();
        assert_eq!(next(&mut source).await, Some(line("{\"id\":1}")));
        client.write_all(b":2}\nlast").unwrap();
        assert_eq!(next(&mut source).await, Some(line("{\"id\":2}")));
        drop(client);
        assert_eq!(next(&mut source).await, Some(line("last")));
        assert_eq!(next(&mut source).await, None);
    }
}

#[tokio::test]
async fn a_pipe_shared_with_others_is_left_as_it_was() {
    let (read, write) = pipe();
    let _ends = (reader(&read), writer(&write));
    for end in [read, write] {
        assert!(!rustix::fs::fcntl_getfl(&end).unwrap().contains(OFlags::NONBLOCK));
    }
}

#[test]
fn a_file_is_not_waited_for() {
    let null = File::open("/dev/null").unwrap();
    assert!(direct_input(null.as_fd()).unwrap().is_none());
}

#[tokio::test]
async fn messages_larger_than_a_pipe_arrive_whole_and_are_counted() {
    for (other, end) in [pipe(), sockets()] {
        let mut outbox = writer(&end);
        let sizes = [0, 1, 3_000_000, 7, 65_536, 65_535];
        let mut expected = Vec::new();
        for size in sizes {
            let message = vec![b'x'; size];
            expected.extend(&message);
            expected.push(b'\n');
            outbox.push(Bytes::from(message));
        }
        let client = thread::spawn(move || {
            let mut all = Vec::new();
            File::from(other).read_to_end(&mut all).unwrap();
            all
        });
        let mut left = 0;
        while !outbox.is_empty() {
            left += poll_fn(|cx| outbox.poll_progress(cx)).await.unwrap();
        }
        assert_eq!(left, sizes.iter().sum::<usize>());
        drop((outbox, end));
        assert!(client.join().unwrap() == expected);
    }
}

#[tokio::test]
async fn writing_to_nobody_is_an_error() {
    for (other, end) in [pipe(), sockets()] {
        let mut outbox = writer(&end);
        drop(other);
        outbox.push(Bytes::from_static(b"{}"));
        assert!(poll_fn(|cx| outbox.poll_progress(cx)).await.is_err());
    }
}

#[tokio::test]
async fn a_reader_that_closes_is_noticed_without_a_write() {
    for (other, end) in [pipe(), sockets()] {
        let (_writer, mut closed) = direct_output(end.as_fd()).unwrap().unwrap();
        assert_eq!(poll_immediate(&mut closed).await, None);
        drop(other);
        closed.await;
    }
}
