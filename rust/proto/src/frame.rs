//! Lines of the stdio transport: bytes in, frames out.
//!
//! The stdio binding says that a message is one line of UTF-8 JSON and that messages are delimited
//! by newlines (2025-11-25, basic/transports, "stdio"). Clients also send a CR before the LF, blank
//! lines, a BOM, and a last line that no LF ends; all of that is understood here.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;

use crate::outline::{Outline, Outliner};

/// Lines shorter than this are copied out of the read buffer, so that a frame that waits in some
/// queue does not keep a whole read buffer alive, and the buffer can be used again. Longer ones are
/// cut off without a copy. 16 KiB is a quarter of the usual read.
const COPIED: usize = 16 * 1024;

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// One line from the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A line without its line end; never blank.
    Line(Bytes),
    /// A line over the limit, of which no more than this was kept.
    TooLong(Outline),
}

/// Cuts a stream of bytes into [`Frame`]s, and never holds more of them than the limit.
#[derive(Debug)]
pub struct Framer {
    buffer: BytesMut,
    /// How far the buffer has been searched for a line end: a long line that arrives in many pieces
    /// must not be searched from its start each time.
    searched: usize,
    limit: usize,
    /// True until the first byte was judged: a BOM may stand there and nowhere else.
    at_start: bool,
    /// The line being read is over the limit: its bytes go here and nowhere else.
    dropping: Option<Outliner>,
}

impl Framer {
    /// A framer for lines of at most `limit` bytes, line end not counted.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), searched: 0, limit, at_start: true, dropping: None }
    }

    /// Where to append what was read. Call [`Self::next_frame`] until it has no more after each append.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next whole line, if there is one.
    pub fn next_frame(&mut self) -> Option<Frame> {
        loop {
            let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
            let Some(found) = memchr(b'\n', unsearched) else {
                self.searched = self.buffer.len();
                self.drop_overlong();
                return None;
            };
            let end = self.searched + found;
            let frame = self.take(end);
            self.buffer.advance(1);
            if self.buffer.is_empty() {
                self.release();
            }
            if frame.is_some() {
                return frame;
            }
        }
    }

    /// How many bytes of an unfinished line are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.buffer.len()
    }

    /// The last line, if the input ended without a line end.
    pub fn finish(&mut self) -> Option<Frame> {
        let end = self.buffer.len();
        if end == 0 && self.dropping.is_none() { None } else { self.take(end) }
    }

    /// Takes the line that ends before `end` out of the buffer; `None` if it is blank.
    fn take(&mut self, end: usize) -> Option<Frame> {
        self.searched = 0;
        if let Some(mut outliner) = self.dropping.take() {
            outliner.push(self.buffer.get(..end).unwrap_or_default());
            self.buffer.advance(end);
            return Some(Frame::TooLong(outliner.finish()));
        }
        let mut start = 0;
        if std::mem::take(&mut self.at_start) && self.buffer.starts_with(BOM) {
            start = BOM.len();
        }
        let line = self.buffer.get(start..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let length = line.len();
        if line.iter().all(u8::is_ascii_whitespace) {
            self.buffer.advance(end);
            return None;
        }
        if length > self.limit {
            let mut outliner = Outliner::default();
            outliner.push(line);
            self.buffer.advance(end);
            return Some(Frame::TooLong(outliner.finish()));
        }
        if length <= COPIED {
            let copy = Bytes::copy_from_slice(line);
            self.buffer.advance(end);
            return Some(Frame::Line(copy));
        }
        let mut whole = self.buffer.split_to(end);
        whole.advance(start);
        whole.truncate(length);
        Some(Frame::Line(whole.freeze()))
    }

    /// Lets go of a line that can only end over the limit, keeping its outline.
    fn drop_overlong(&mut self) {
        // A BOM and a CR do not count as parts of the line, so they may stand above the limit.
        let allowance = BOM.len() + 1;
        if self.dropping.is_none() && self.buffer.len() <= self.limit.saturating_add(allowance) {
            return;
        }
        let outliner = self.dropping.get_or_insert_with(Outliner::default);
        if std::mem::take(&mut self.at_start) && self.buffer.starts_with(BOM) {
            self.buffer.advance(BOM.len());
        }
        outliner.push(&self.buffer);
        self.release();
    }

    /// Empties the buffer, and gives the memory of a long line back.
    fn release(&mut self) {
        self.searched = 0;
        if self.buffer.capacity() > 4 * COPIED {
            self.buffer = BytesMut::new();
        } else {
            self.buffer.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every frame of `input`, fed in pieces of `step` bytes.
    fn frames(input: &[u8], limit: usize, step: usize) -> Vec<Frame> {
        let mut framer = Framer::new(limit);
        let mut out = Vec::new();
        for piece in input.chunks(step.max(1)) {
            framer.buffer().extend_from_slice(piece);
            while let Some(frame) = framer.next_frame() {
                out.push(frame);
            }
        }
        out.extend(framer.finish());
        out
    }

    fn lines(input: &[u8]) -> Vec<String> {
        let whole = frames(input, 1000, input.len());
        for step in 1..input.len() {
            assert_eq!(whole, frames(input, 1000, step), "step {step}");
        }
        whole
            .into_iter()
            .map(|frame| match frame {
                Frame::Line(line) => String::from_utf8(line.to_vec()).unwrap(),
                Frame::TooLong(_) => "too long".to_owned(),
            })
            .collect()
    }

    #[test]
    fn line_ends_blanks_and_the_bom() {
        for (input, expected) in [
            (&b""[..], &[][..]),
            (b"\n\r\n  \n", &[]),
            (b"{}\n[]\n", &["{}", "[]"]),
            (b"{}\r\n[]\r\n", &["{}", "[]"]),
            (b"{}\n[]", &["{}", "[]"]),
            (b"\xEF\xBB\xBF{}\n", &["{}"]),
            (b"\n{}\n\n\n1\n", &["{}", "1"]),
        ] {
            assert_eq!(lines(input), expected, "{input:?}");
        }
        assert_eq!(lines(b"{}\n\xEF\xBB\xBF{}\n"), ["{}", "\u{feff}{}"], "a BOM only at the start");
    }

    #[test]
    fn a_long_line_is_cut_off_without_a_copy_and_whole() {
        let mut input = vec![b'x'; 3 * COPIED];
        input.extend_from_slice(b"\ny\n");
        for step in [1, 1000, input.len()] {
            let got = frames(&input, 1 << 20, step);
            assert_eq!(got.len(), 2);
            assert_eq!(got[0], Frame::Line(Bytes::from(vec![b'x'; 3 * COPIED])));
            assert_eq!(got[1], Frame::Line(Bytes::from_static(b"y")));
        }
    }

    #[test]
    fn the_limit_is_exact_and_what_follows_is_read() {
        let input = b"12345\r\n123456\n1234\n";
        for step in 1..input.len() {
            let got = frames(input, 5, step);
            assert!(
                matches!(&got[..], [Frame::Line(_), Frame::TooLong(_), Frame::Line(_)]),
                "{got:?}"
            );
        }
    }

    #[test]
    fn an_overlong_line_leaves_its_outline_and_no_memory() {
        let mut input = br#"{"params":{"id":1,"x":""#.to_vec();
        input.resize(200_000, b'x');
        input.extend_from_slice(br#""},"method":"tools/call","id":"seven"}"#);
        input.extend_from_slice(b"\n{}\n");
        let mut framer = Framer::new(1000);
        let mut got = Vec::new();
        for piece in input.chunks(777) {
            framer.buffer().extend_from_slice(piece);
            while let Some(frame) = framer.next_frame() {
                got.push(frame);
            }
            assert!(framer.buffer.capacity() < 10_000);
        }
        let [Frame::TooLong(outline), Frame::Line(_)] = &got[..] else { panic!("{got:?}") };
        assert_eq!(outline.id.as_deref(), Some(&b"\"seven\""[..]));
        assert!(outline.has_method);
    }
}
