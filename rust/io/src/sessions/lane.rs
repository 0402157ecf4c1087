//! The client's two ends in memory, and a third for what must not wait behind its messages.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use ferry_proto::Input;
use futures_util::Stream;

use super::Key;
use super::inbox::Inbox;
use crate::client::{ClientInput, ClientOutput};

/// What the client of a session does.
pub(super) enum Speech {
    /// Something that is heard in its order, once the bridge reads its client.
    Say(Input),
    /// It wants the end, whatever waits.
    Stop,
}

/// What one client has said and its bridge has not heard yet. All of it in one thread.
#[derive(Default)]
pub(super) struct Lane {
    said: RefCell<VecDeque<Input>>,
    stop: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Lane {
    pub(super) fn hear(&self, speech: Speech) {
        match speech {
            Speech::Say(input) => self.said.borrow_mut().push_back(input),
            Speech::Stop => self.stop.set(true),
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Both ends are polled by the same task, so the last waker is as good as any.
    fn wait(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }
}

impl ClientInput for Rc<Lane> {
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<Input> {
        let mut said = self.said.borrow_mut();
        if let Some(input) = said.pop_front() {
            if said.is_empty() {
                // A session at rest holds nothing.
                said.shrink_to_fit();
            }
            return Poll::Ready(input);
        }
        self.wait(cx);
        Poll::Pending
    }
}

/// The way for [`Speech::Stop`], and for all that was said before it: each request is owed an answer
/// even now. The loop asks here before it sends anything.
pub(super) struct Notices(pub(super) Rc<Lane>);

impl Stream for Notices {
    type Item = Input;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Input>> {
        if self.0.stop.get() {
            let said = self.0.said.borrow_mut().pop_front();
            return Poll::Ready(Some(said.unwrap_or_else(|| {
                self.0.stop.set(false);
                Input::Shutdown
            })));
        }
        self.0.wait(cx);
        Poll::Pending
    }
}

/// Messages on their way to the inbox.
pub(super) struct Mail {
    session: Key,
    queue: VecDeque<Bytes>,
    inbox: Arc<Inbox>,
    /// Since which round it waits for room there.
    waiting: Option<u64>,
}

impl Mail {
    pub(super) fn new(session: Key, inbox: Arc<Inbox>) -> Self {
        Self { session, queue: VecDeque::new(), inbox, waiting: None }
    }
}

impl ClientOutput for Mail {
    fn push(&mut self, message: Bytes) {
        self.queue.push_back(message);
    }

    fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    fn is_worth_a_call(&self) -> bool {
        // No system call is saved by waiting: whoever takes them takes all there are.
        !self.queue.is_empty()
    }

    fn clear(&mut self) {
        self.queue.clear();
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let moved = self.inbox.poll_put(self.session, &mut self.queue, &mut self.waiting, cx);
        if self.queue.is_empty() {
            self.queue.shrink_to_fit();
        }
        moved.map(Ok)
    }
}
