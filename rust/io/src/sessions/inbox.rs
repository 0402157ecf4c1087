//! What has come for the clients of this process, until they take it.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use ferry_proto::ExitReason;
use ferry_proto::message::{Shape, peek};

use super::Key;

/// How many bytes of messages may wait here before the sessions keep theirs, and so in the end the
/// servers are not read. One message may be larger.
const MOST: usize = 8 * 1024 * 1024;

/// What the least arrival counts for whoever takes it, in bytes: to see to it costs as much as to copy and
/// parse that many.
const LEAST: usize = 4 * 1024;

/// Something for the client of a session.
#[derive(Debug)]
pub struct Arrival {
    /// Whose.
    pub session: Key,
    /// What.
    pub event: Event,
}

/// What can come for the client of a session.
#[derive(Debug)]
pub enum Event {
    /// A message, and the number of the request that it answers: `None` if it is no answer, or one
    /// to an id that is no number.
    Message(Option<u64>, Bytes),
    /// The session has ended. The last of it.
    Ended(ExitReason),
    /// The session could not begin; why, for a person. The last of it.
    Failed(String),
}

impl Arrival {
    pub(super) fn new(session: Key, event: Event) -> Self {
        Self { session, event }
    }

    fn bytes(&self) -> usize {
        if let Event::Message(_, message) = &self.event { message.len() } else { 0 }
    }
}

/// The queue, and a descriptor that is readable while there is something in it.
pub(super) struct Inbox {
    state: Mutex<State>,
    reader: UnixStream,
    writer: UnixStream,
}

#[derive(Default)]
struct State {
    arrivals: VecDeque<Arrival>,
    /// Bytes of the messages in there.
    bytes: usize,
    /// Sessions that wait for room, each once.
    blocked: Vec<Waker>,
    /// How often those who waited were told to try again.
    rounds: u64,
}

impl Inbox {
    pub(super) fn new() -> io::Result<Self> {
        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        Ok(Self { state: Mutex::default(), reader, writer })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what must not wait for room.
    pub(super) fn put(&self, arrivals: impl IntoIterator<Item = Arrival>) {
        let mut state = self.state();
        for arrival in arrivals {
            self.push(&mut state, arrival);
        }
    }

    fn push(&self, state: &mut State, arrival: Arrival) {
        if state.arrivals.is_empty() {
            // It holds one byte at most, so it is never full.
            let _ = (&self.writer).write(&[0]);
        }
        state.bytes += arrival.bytes();
        state.arrivals.push_back(arrival);
    }

    /// Moves messages of a session in here, as far as there is room; tells how many bytes. `waiting`
    /// is what this session keeps between two calls.
    pub(super) fn poll_put(
        &self,
        session: Key,
        messages: &mut VecDeque<Bytes>,
        waiting: &mut Option<u64>,
        cx: &mut Context<'_>,
    ) -> Poll<usize> {
        let mut moved = 0;
        let mut state = self.state();
        while state.bytes < MOST {
            let Some(message) = messages.pop_front() else { break };
            moved += message.len();
            let event = Event::Message(reply_to(&message), message);
            self.push(&mut state, Arrival::new(session, event));
        }
        if moved > 0 {
            return Poll::Ready(moved);
        }
        // It is polled for other reasons too, and its waker is always the same.
        if !messages.is_empty() && waiting.replace(state.rounds) != Some(state.rounds) {
            state.blocked.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// See [`super::Sessions::take`].
    pub(super) fn take(&self, most: usize) -> Vec<Arrival> {
        let mut taken = Vec::new();
        let (mut weight, mut bytes) = (0, 0);
        let mut state = self.state();
        if state.arrivals.is_empty() {
            return taken;
        }
        while weight < most
            && let Some(arrival) = state.arrivals.pop_front()
        {
            bytes += arrival.bytes();
            weight += arrival.bytes().max(LEAST);
            taken.push(arrival);
        }
        state.bytes -= bytes;
        if state.arrivals.is_empty() {
            let _ = (&self.reader).read(&mut [0]);
        }
        if state.bytes < MOST && !state.blocked.is_empty() {
            state.rounds += 1;
            state.blocked.drain(..).for_each(Waker::wake);
        }
        taken
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}

/// The number of the request that a message answers, if it answers one that has a number.
fn reply_to(message: &Bytes) -> Option<u64> {
    let text = std::str::from_utf8(message).ok()?;
    match peek(text).ok()?.shape {
        Shape::Response(id) => id?.parse().ok(),
        _ => None,
    }
}
