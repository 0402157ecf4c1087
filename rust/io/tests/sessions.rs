//! Many clients in one process, each with a session of its own at the strict server.
#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails here is the test")]
#![cfg(unix)]

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;
use std::sync::Arc;

use bytes::Bytes;
use ferry_io::sessions::{Arrival, Ending, Event, Key, Sessions};
use ferry_io::{Config, Settings};
use ferry_proto::ExitReason;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::net::TcpListener;

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-03-26","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}"#;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// The strict server, in a thread that lives as long as the process.
fn server() -> Arc<Config> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}{}", listener.local_addr().unwrap(), ferry_server::ENDPOINT);
    std::thread::spawn(move || {
        let settings = ferry_server::Settings::default();
        runtime.block_on(ferry_server::serve(listener, settings, None, std::future::pending()))
    });
    let config = Settings { url, ..Settings::default() }.check().unwrap();
    Arc::new(config.listening(false))
}

fn echo(id: u64, size: usize) -> Bytes {
    let text = "x".repeat(size);
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"echo","arguments":{{"text":"{id} {text}"}}}}}}"#
    )
    .into()
}

fn greet(sessions: &Sessions, config: &Arc<Config>) -> Key {
    let key = sessions.open(Arc::clone(config));
    for line in [INITIALIZE, INITIALIZED] {
        sessions.send(key, Bytes::from_static(line.as_bytes()), None);
    }
    key
}

/// Whether the descriptor is readable, or becomes so in this time.
fn ready(sessions: &Sessions, patience: Option<&Timespec>) -> usize {
    let descriptor = sessions.as_fd();
    poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], patience).unwrap()
}

/// Waits for the descriptor, then takes what there is.
fn wait(sessions: &Sessions, most: usize) -> Vec<Arrival> {
    ready(sessions, None);
    let arrivals = sessions.take(most);
    assert!(!arrivals.is_empty(), "it was said that there is something");
    arrivals
}

#[test]
fn each_of_many_sessions_gets_its_own_answers_and_ends() {
    let config = server();
    let sessions = Sessions::start().unwrap();
    let keys: BTreeSet<Key> = (0..50).map(|_| greet(&sessions, &config)).collect();
    for id in 2..12 {
        for key in &keys {
            sessions.send(*key, echo(id + 100 * key, 10), None);
        }
    }
    sessions.flush();
    let mut answered: BTreeMap<Key, BTreeSet<u64>> = BTreeMap::new();
    while answered.values().map(BTreeSet::len).sum::<usize>() < 50 * 11 {
        for Arrival { session, event } in wait(&sessions, 10_000) {
            let Event::Message(Some(id), message) = event else { panic!("{event:?}") };
            let text = std::str::from_utf8(&message).unwrap();
            assert!(id == 1 || text.contains(&format!("{id} x")), "{text}");
            assert!(id == 1 || id / 100 == session, "{id} came to {session}");
            assert!(answered.entry(session).or_default().insert(id), "{id} came twice");
        }
    }
    for key in &keys {
        sessions.end(*key, Ending::Drained);
        // Once is enough; what comes after the end finds nobody.
        sessions.end(*key, Ending::AtOnce);
    }
    sessions.flush();
    let mut ended = BTreeSet::new();
    while ended.len() < keys.len() {
        let some = wait(&sessions, 10_000);
        assert!(some.len() <= 3, "small ones count too");
        for Arrival { session, event } in some {
            assert!(matches!(event, Event::Ended(_)), "{event:?}");
            assert!(ended.insert(session));
        }
    }
    assert!(sessions.take(1).is_empty());
    assert_eq!(ready(&sessions, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), 0);
}

#[test]
fn what_nobody_takes_stays_bounded_and_all_of_it_comes() {
    let config = server();
    let sessions = Sessions::start().unwrap();
    let key = greet(&sessions, &config);
    let calls = 40;
    for id in 2..2 + calls {
        sessions.send(key, echo(id, 1 << 20), None);
    }
    sessions.flush();
    let mut answers = 0;
    while answers < 1 + calls {
        let arrivals = wait(&sessions, 1);
        assert_eq!(arrivals.len(), 1, "one large message at a time");
        answers += u64::try_from(arrivals.len()).unwrap();
    }
}

#[test]
fn to_stop_ends_every_session_at_once() {
    // Connections are taken by the system and never answered.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", silent.local_addr().unwrap());
    let config = Arc::new(Settings { url, ..Settings::default() }.check().unwrap());
    let sessions = Sessions::start().unwrap();
    let keys: BTreeSet<Key> = (0..3).map(|_| greet(&sessions, &config)).collect();
    sessions.stop();
    let arrivals = sessions.take(usize::MAX);
    let ended = arrivals.iter().filter_map(|arrival| match arrival.event {
        Event::Ended(ExitReason::Shutdown) => Some(arrival.session),
        _ => None,
    });
    assert_eq!(ended.collect::<BTreeSet<_>>(), keys);
    let errors = arrivals.iter().filter(|it| matches!(it.event, Event::Message(Some(1), _)));
    assert_eq!(errors.count(), 3, "each of them is told");
    sessions.open(config);
    sessions.stop();
    assert!(sessions.take(1).is_empty(), "nothing begins after the end");
}
