//! The client's shore, whoever it is: where its messages come from, and where those for it go.
//!
//! [`crate::stdio`] has one behind two descriptors, [`crate::sessions`] many in the same process.

use std::io;
use std::task::{Context, Poll};

use bytes::Bytes;
use ferry_proto::Input;

/// Where the client's messages come from.
pub trait ClientInput {
    /// What the client does next; [`Input::ClientClosed`] is the last.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<Input>;
}

/// Messages on their way to the client.
pub trait ClientOutput {
    /// Adds one message, without a line end.
    fn push(&mut self, message: Bytes);

    /// Whether everything has left.
    fn is_empty(&self) -> bool;

    /// Whether waiting for more to join would gain nothing.
    fn is_worth_a_call(&self) -> bool;

    /// Drops everything: nobody reads any more.
    fn clear(&mut self);

    /// Lets some of it leave, and yields how many bytes of messages did. Pending while there is
    /// nothing, or while the client takes nothing.
    ///
    /// # Errors
    /// Whatever the way to the client says; nothing can be delivered after that.
    fn poll_progress(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>>;
}
