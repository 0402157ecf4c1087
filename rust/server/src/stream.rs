//! The body of a response: a message that is ready, or a stream of events.

use std::convert::Infallible;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

use crate::message::Payload;
use crate::session::{Session, Version};

/// The end of an event.
const EVENT_END: &str = "\n\n";

/// What follows the head of a response.
#[derive(Default)]
pub(crate) struct Answer {
    /// What is to be sent next.
    ready: Payload,
    /// What brings more, if anything does.
    events: Option<Events>,
}

impl From<Payload> for Answer {
    fn from(ready: Payload) -> Self {
        Self { ready, events: None }
    }
}

impl Answer {
    /// An event stream of one message that is there already.
    pub(crate) fn event(session: &Session, reply: Payload) -> Self {
        let mut names = EventIds::new(session);
        let mut prefix = names.priming(session.version()).unwrap_or_default();
        prefix.push_str(&names.opening());
        reply.enclosed(&prefix, EVENT_END).into()
    }

    /// The event stream of a POST: what `messages` brings, until all its senders are gone.
    pub(crate) fn stream(session: &Session, messages: mpsc::Receiver<Payload>) -> Self {
        let mut ids = EventIds::new(session);
        let ready = ids.priming(session.version()).unwrap_or_default().into();
        Self { ready, events: Some(Events { ids, messages: Some(messages), home: None }) }
    }

    /// The session's listener stream. The receiver goes back to the session when the stream ends.
    pub(crate) fn listener(session: Arc<Session>, messages: mpsc::Receiver<Payload>) -> Self {
        let ids = EventIds::new(&session);
        let events = Events { ids, messages: Some(messages), home: Some(session) };
        Self { ready: Payload::default(), events: Some(events) }
    }

    /// The next piece of what is ready; empty if there is none.
    fn next_piece(&mut self) -> Bytes {
        let Payload { head, middle, tail } = &mut self.ready;
        [head, middle, tail]
            .into_iter()
            .find(|piece| !piece.is_empty())
            .map(mem::take)
            .unwrap_or_default()
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        loop {
            let piece = self.next_piece();
            if !piece.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            let Some(events) = &mut self.events else {
                return Poll::Ready(None);
            };
            match ready!(events.poll_next(context)) {
                Some(event) => self.ready = event,
                None => self.events = None,
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.events.is_none() && self.ready.len() == 0
    }

    fn size_hint(&self) -> SizeHint {
        if self.events.is_some() {
            return SizeHint::default();
        }
        SizeHint::with_exact(self.ready.len() as u64)
    }
}

/// Messages, framed as events as they are read.
struct Events {
    ids: EventIds,
    /// Always there until the stream is dropped.
    messages: Option<mpsc::Receiver<Payload>>,
    /// Where `messages` is given back to.
    home: Option<Arc<Session>>,
}

impl Events {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Payload>> {
        let Some(messages) = &mut self.messages else {
            return Poll::Ready(None);
        };
        let message = ready!(messages.poll_recv(context));
        Poll::Ready(message.map(|message| message.enclosed(&self.ids.opening(), EVENT_END)))
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        if let (Some(session), Some(messages)) = (self.home.take(), self.messages.take()) {
            session.give_listener_back(messages);
        }
    }
}

/// Names the events of one stream, uniquely in the session: the stream's number, then the event's.
struct EventIds {
    stream: u64,
    next: u64,
}

impl EventIds {
    fn new(session: &Session) -> Self {
        Self { stream: session.next_stream(), next: 0 }
    }

    fn next(&mut self) -> String {
        let id = format!("id: {}-{}\n", self.stream, self.next);
        self.next += 1;
        id
    }

    /// An event without content, which gives the client an id to resume from; since 2025-11-25.
    fn priming(&mut self, version: Version) -> Option<String> {
        (version >= Version::V2025_11_25).then(|| self.next() + "data: " + EVENT_END)
    }

    /// All of a message's event that stands before the message.
    fn opening(&mut self) -> String {
        self.next() + "event: message\ndata: "
    }
}
