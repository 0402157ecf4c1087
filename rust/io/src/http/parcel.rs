//! A request's body, which leaves word when it is taken.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http_body::{Body, Frame, SizeHint};

/// Where a request's body leaves word that a connection has taken it.
#[derive(Debug, Default)]
pub(super) struct Taken {
    flag: AtomicBool,
    waker: AtomicWaker,
}

impl Taken {
    pub(super) fn is_set(&self) -> bool {
        self.flag.load(Ordering::Acquire)
    }

    /// Wakes the task of `cx` when it is set: the connection may be in another one.
    pub(super) fn watch(&self, cx: &Context<'_>) {
        self.waker.register(cx.waker());
    }
}

/// A body of known length in one piece, handed over without a copy.
pub(super) struct Parcel {
    bytes: Option<Bytes>,
    taken: Arc<Taken>,
}

impl Parcel {
    pub(super) fn new(bytes: Bytes, taken: &Arc<Taken>) -> Self {
        Self { bytes: Some(bytes).filter(|bytes| !bytes.is_empty()), taken: Arc::clone(taken) }
    }
}

impl Body for Parcel {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(bytes) = self.bytes.take() else { return Poll::Ready(None) };
        self.taken.flag.store(true, Ordering::Release);
        self.taken.waker.wake();
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
