//! Any bytes in any pieces give the lines that a simple reader of the whole finds.

use ferry_proto::{Frame, Framer};

use super::pieces::Cut;

/// Head: the limit, the cuts. Rest: what the client writes.
pub(crate) fn run(data: &[u8]) {
    let Some(Cut { size: limit, input, pieces }) = Cut::read(data) else { return };
    if has_long_blank(input, limit) {
        // Skipped if it comes at once, reported if it comes in pieces: nobody can tell it is blank
        // while it is being dropped.
        return;
    }
    let mut framer = Framer::new(limit);
    let mut got = Vec::new();
    for piece in pieces {
        framer.buffer().extend_from_slice(piece);
        while let Some(frame) = framer.next_frame() {
            got.push(line(frame));
        }
        // A BOM and a CR do not count as parts of the line.
        let held = framer.buffer().len();
        assert!(held <= limit + 4, "{held} bytes are held under a limit of {limit}");
    }
    got.extend(framer.finish().map(line));
    assert_eq!(got, naive(input, limit));
}

/// A line; `None` for one over the limit.
fn line(frame: Frame) -> Option<Vec<u8>> {
    match frame {
        Frame::Line(line) => Some(line.to_vec()),
        Frame::TooLong(_) => None,
    }
}

fn naive(input: &[u8], limit: usize) -> Vec<Option<Vec<u8>>> {
    lines(input)
        .filter(|line| !is_blank(line))
        .map(|line| (line.len() <= limit).then(|| line.to_vec()))
        .collect()
}

fn has_long_blank(input: &[u8], limit: usize) -> bool {
    lines(input).any(|line| line.len() > limit && is_blank(line))
}

/// Every line, without the BOM before the first and without line ends.
fn lines(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    let input = input.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(input);
    input.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}
