//! The client's two ends.
//!
//! A pipe or a socket is read and written by the event loop itself: a thread between would cost two
//! hand-offs a message. Files and terminals cannot be waited for, so those do get a thread.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use ferry_proto::{Frame, Framer, Input};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use crate::client::{ClientInput, ClientOutput};

#[cfg(not(unix))]
mod elsewhere;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
pub use elsewhere::{input, output};
#[cfg(target_os = "linux")]
pub(crate) use unix::watch;
#[cfg(unix)]
pub use unix::{direct_input, direct_output, input, output};

/// Anything the client's frames can be read from.
pub type Reader = Pin<Box<dyn AsyncRead>>;
/// Anything the client's frames can be written to.
pub type Writer = Pin<Box<dyn AsyncWrite>>;
/// Resolves once nobody can read any more what is written; perhaps never, where that cannot be seen.
pub type Closed = Pin<Box<dyn Future<Output = ()>>>;

/// How much is asked for at once: what a pipe holds.
const READ_SIZE: usize = 64 * 1024;
/// Room under which more is reserved, so that reads do not become tiny.
const LEAST_ROOM: usize = 8 * 1024;
/// Messages that leave in one system call.
const BATCH: usize = 32;
/// Bytes that are worth a system call even if more could join them.
const ENOUGH: usize = 128 * 1024;

/// Cuts what the client writes into frames.
#[derive(Debug)]
pub struct Source<R> {
    reader: R,
    framer: Framer,
    ended: bool,
}

impl<R: AsyncRead + Unpin> Source<R> {
    /// Frames of at most `limit` bytes from `reader`.
    pub fn new(reader: R, limit: usize) -> Self {
        Self { reader, framer: Framer::new(limit), ended: false }
    }

    /// The next frame, or `None` once at the end of the input. Not to be polled after that.
    ///
    /// An input that fails has ended: there is nobody left to tell.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Frame>> {
        loop {
            if let Some(frame) = self.framer.next_frame() {
                return Poll::Ready(Some(frame));
            }
            if self.ended {
                return Poll::Ready(self.framer.finish());
            }
            let buffer = self.framer.buffer();
            if buffer.capacity() - buffer.len() < LEAST_ROOM {
                buffer.reserve(READ_SIZE);
            }
            // The future keeps nothing between polls, so a new one may take its place.
            let read = ready!(pin!(self.reader.read_buf(buffer)).poll(cx));
            self.ended = !matches!(read, Ok(1..));
        }
    }
}

impl<R: AsyncRead + Unpin> ClientInput for Source<R> {
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<Input> {
        self.poll_frame(cx).map(|frame| frame.map_or(Input::ClientClosed, Input::ClientFrame))
    }
}

/// Messages on their way to the client, each of which leaves with one LF after it.
#[derive(Debug)]
pub struct Outbox<W> {
    writer: W,
    queue: VecDeque<Bytes>,
    /// Bytes in `queue`.
    waiting: usize,
    /// Bytes of messages that the writer took and may still hold.
    unflushed: usize,
    /// The writer took something since it was last flushed.
    dirty: bool,
}

impl<W: AsyncWrite + Unpin> Outbox<W> {
    /// An empty outbox.
    pub fn new(writer: W) -> Self {
        Self { writer, queue: VecDeque::new(), waiting: 0, unflushed: 0, dirty: false }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut pieces = [IoSlice::new(&[]); 2 * BATCH];
        let slots = pieces.chunks_exact_mut(2);
        for (slot, message) in slots.zip(&self.queue) {
            if let [body, line_end] = slot {
                *body = IoSlice::new(message);
                *line_end = IoSlice::new(b"\n");
            }
        }
        let used = self.queue.len().min(BATCH) * 2;
        let pieces = pieces.get(..used).unwrap_or_default();
        match ready!(Pin::new(&mut self.writer).poll_write_vectored(cx, pieces)) {
            Ok(0) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            outcome => Poll::Ready(outcome),
        }
    }

    /// Takes `count` written bytes off the queue; the answer leaves the line ends out.
    ///
    /// A first message of which nothing is left but its line end stays as an empty one.
    fn settle(&mut self, mut count: usize) -> usize {
        let mut of_messages = 0;
        while let Some(first) = self.queue.front_mut() {
            let part = count.min(first.len());
            first.advance(part);
            of_messages += part;
            count -= part;
            if !first.is_empty() || count == 0 {
                break;
            }
            count -= 1;
            self.queue.pop_front();
        }
        self.waiting -= of_messages;
        of_messages
    }
}

impl<W: AsyncWrite + Unpin> ClientOutput for Outbox<W> {
    fn push(&mut self, message: Bytes) {
        self.waiting += message.len();
        self.queue.push_back(message);
    }

    fn is_empty(&self) -> bool {
        self.queue.is_empty() && !self.dirty
    }

    fn is_worth_a_call(&self) -> bool {
        self.queue.len() >= BATCH || self.waiting >= ENOUGH
    }

    fn clear(&mut self) {
        self.queue.clear();
        self.waiting = 0;
        self.unflushed = 0;
        self.dirty = false;
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if !self.queue.is_empty()
            && let Poll::Ready(taken) = self.poll_write(cx)?
        {
            self.unflushed += self.settle(taken);
            self.dirty = true;
        }
        if !self.dirty {
            return Poll::Pending;
        }
        ready!(Pin::new(&mut self.writer).poll_flush(cx))?;
        self.dirty = false;
        Poll::Ready(Ok(std::mem::take(&mut self.unflushed)))
    }
}
