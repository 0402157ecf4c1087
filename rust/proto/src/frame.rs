//! Lines of the stdio transport.

use bytes::{Bytes, BytesMut};

/// One line from the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A line without its line end; never empty.
    Line(Bytes),
}

/// Cuts a stream of bytes into lines.
#[derive(Debug)]
pub struct Framer {
    buffer: BytesMut,
}

impl Framer {
    /// A framer for lines of at most `limit` bytes.
    #[must_use]
    pub fn new(_limit: usize) -> Self {
        Self { buffer: BytesMut::new() }
    }

    /// Where to append what was read. Call [`Self::next_frame`] until it has no more after each append.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next whole line, if there is one.
    pub fn next_frame(&mut self) -> Option<Frame> {
        None
    }

    /// The last line, if the input ended without a line end.
    pub fn finish(&mut self) -> Option<Frame> {
        None
    }
}
