//! Event streams, by the rules of WHATWG HTML section 9.2 ("server-sent events").
//!
//! Bytes in, events out; any cut of the bytes gives the same events. Limits are inside: a stream
//! can make the decoder hold no more than one event of the permitted size.

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderValue;
use memchr::memchr2;

/// An event id longer than this is not kept, and the stream then resumes from the one before:
/// it has to fit a request header, and servers refuse header blocks of 8 KiB (Apache, nginx).
const LONGEST_ID: usize = 4096;

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// One dispatched event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The event's type; `message` where the stream names none.
    pub kind: Kind,
    /// The lines of `data`, joined with LF.
    pub data: Bytes,
}

/// The types of event that some rule knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// `message`, or no type.
    #[default]
    Message,
    /// `endpoint`, the first event of the HTTP+SSE transport (2024-11-05, basic/transports).
    Endpoint,
    /// Any other.
    Other,
}

/// An event, or a line that never ends, went over the limit. Nothing more can be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

/// Decodes one event stream.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    /// How far the buffer has been searched for a line end.
    searched: usize,
    limit: usize,
    at_start: bool,
    /// The last line ended with a CR: a LF that comes next belongs to it.
    after_cr: bool,
    data: Data,
    kind: Kind,
    /// The id of the event being read, which counts once the event is complete.
    next_id: Option<Bytes>,
    last_id: Option<Bytes>,
    retry: Option<u64>,
}

/// The `data` lines of the event being read. One line, by far the usual case, is not copied.
#[derive(Debug, Default)]
enum Data {
    #[default]
    None,
    One(Bytes),
    Many(BytesMut),
}

impl Data {
    fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(line) => line.len(),
            Self::Many(lines) => lines.len(),
        }
    }

    fn push(self, line: Bytes) -> Self {
        let mut lines = match self {
            Self::None => return Self::One(line),
            Self::One(first) => BytesMut::from(first),
            Self::Many(lines) => lines,
        };
        lines.extend_from_slice(b"\n");
        lines.extend_from_slice(&line);
        Self::Many(lines)
    }

    fn finish(self) -> Bytes {
        match self {
            Self::None => Bytes::new(),
            Self::One(line) => line,
            Self::Many(lines) => lines.freeze(),
        }
    }
}

impl Decoder {
    /// A decoder for events of at most `limit` bytes of data.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            searched: 0,
            limit,
            at_start: true,
            after_cr: false,
            data: Data::None,
            kind: Kind::Message,
            next_id: None,
            last_id: None,
            retry: None,
        }
    }

    /// Takes in the next piece of the stream. Call [`Self::next_event`] until it has no more.
    pub fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// The next event with data, if one is complete. An event without data dispatches nothing, but
    /// its id counts.
    pub fn next_event(&mut self) -> Result<Option<Event>, TooLarge> {
        if !self.past_start() {
            return Ok(None);
        }
        loop {
            if self.after_cr && !self.buffer.is_empty() {
                self.after_cr = false;
                if self.buffer.starts_with(b"\n") {
                    self.buffer.advance(1);
                }
            }
            let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
            let Some(found) = memchr2(b'\n', b'\r', unsearched) else {
                self.searched = self.buffer.len();
                // The longest field name that counts, its colon and space stand above the limit.
                if self.held() > self.limit.saturating_add("event: ".len()) {
                    return Err(TooLarge);
                }
                return Ok(None);
            };
            let end = self.searched + found;
            self.searched = 0;
            let mut line = self.buffer.split_to(end + 1);
            self.after_cr = line.ends_with(b"\r");
            line.truncate(end);
            if line.is_empty() {
                if let Some(event) = self.dispatch() {
                    return Ok(Some(event));
                }
            } else {
                self.field(&line.freeze());
                if self.data.len() > self.limit {
                    return Err(TooLarge);
                }
            }
        }
    }

    /// The id of the last complete event that had one: where a resumed stream goes on.
    #[must_use]
    pub fn last_id(&self) -> Option<&Bytes> {
        self.last_id.as_ref()
    }

    /// How long the server asks its clients to wait before they connect again, in milliseconds.
    #[must_use]
    pub fn retry(&self) -> Option<u64> {
        self.retry
    }

    /// How many bytes of an unfinished event are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.buffer.len() + self.data.len()
    }

    /// Skips a BOM; false while it is not yet certain whether there is one.
    fn past_start(&mut self) -> bool {
        if self.at_start {
            if self.buffer.len() < BOM.len() && BOM.starts_with(&self.buffer) {
                return false;
            }
            if self.buffer.starts_with(BOM) {
                self.buffer.advance(BOM.len());
            }
            self.at_start = false;
        }
        true
    }

    fn field(&mut self, line: &Bytes) {
        let colon = memchr::memchr(b':', line);
        let name = line.slice(..colon.unwrap_or(line.len()));
        let mut value = colon.map_or_else(Bytes::new, |at| line.slice(at + 1..));
        if value.starts_with(b" ") {
            value.advance(1);
        }
        match &*name {
            b"data" => self.data = std::mem::take(&mut self.data).push(value),
            b"event" => {
                self.kind = match &*value {
                    b"" | b"message" => Kind::Message,
                    b"endpoint" => Kind::Endpoint,
                    _ => Kind::Other,
                }
            }
            // An id is copied, so that it does not keep the whole piece of the stream alive.
            // Nor one that no header can bear.
            b"id" if value.len() <= LONGEST_ID && HeaderValue::from_bytes(&value).is_ok() => {
                self.next_id = Some(Bytes::copy_from_slice(&value));
            }
            b"retry" => {
                let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
                let number = std::str::from_utf8(&value).ok().filter(|_| digits);
                self.retry = number.map_or(self.retry, |text| text.parse().ok().or(Some(u64::MAX)));
            }
            _ => {}
        }
    }

    fn dispatch(&mut self) -> Option<Event> {
        if let Some(id) = self.next_id.take() {
            // "If the field value is empty, the last event ID is reset": there is nothing to resume.
            self.last_id = (!id.is_empty()).then_some(id);
        }
        let kind = std::mem::take(&mut self.kind);
        let data = std::mem::take(&mut self.data).finish();
        // Data of nothing but white space can be no message: it primes the resume (2025-11-25).
        (!data.trim_ascii().is_empty()).then_some(Event { kind, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(input: &[u8], step: usize) -> (Vec<Event>, Option<Bytes>, Option<u64>) {
        let mut decoder = Decoder::new(1000);
        let mut events = Vec::new();
        for piece in input.chunks(step.max(1)) {
            decoder.push(piece);
            while let Some(event) = decoder.next_event().unwrap() {
                events.push(event);
            }
        }
        (events, decoder.last_id.clone(), decoder.retry)
    }

    /// The data of every event, the last id and the retry, the same for every cut.
    fn stream(input: &str) -> (Vec<String>, Option<String>, Option<u64>) {
        let whole = decode(input.as_bytes(), input.len());
        for step in 1..input.len() {
            assert_eq!(whole, decode(input.as_bytes(), step), "step {step} of {input:?}");
        }
        let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        (whole.0.into_iter().map(|event| text(event.data)).collect(), whole.1.map(text), whole.2)
    }

    #[test]
    fn the_rules_of_whatwg() {
        for (input, events) in [
            ("data: a\n\n", &["a"][..]),
            ("data: a\r\n\r\ndata: b\r\n\r\n", &["a", "b"]),
            ("data: a\r\rdata: b\r\r", &["a", "b"]),
            ("data: a\r\n\rdata:b\n\r\n", &["a", "b"]),
            ("\u{feff}data: a\n\n", &["a"]),
            (": ping\n\ndata: a\n: comment\ndata: b\n\n", &["a\nb"]),
            ("data: a\ndata\ndata:\ndata: b\n\n", &["a\n\n\nb"]),
            ("data:  a\n\n", &[" a"]),
            ("data: unfinished\n", &[]),
            ("data: unfinished", &[]),
            ("event: message\nid: 1\ndata: a\n\n", &["a"]),
            ("foo: bar\ndata: \u{e4}\u{1f600}\n\n", &["\u{e4}\u{1f600}"]),
            ("data: {\"a\":\n data\n\n", &["{\"a\":"]),
        ] {
            assert_eq!(stream(input).0, events, "{input:?}");
        }
    }

    #[test]
    fn ids_and_retry() {
        for (input, id, retry) in [
            ("id: 1\ndata: a\n\nid: 2\ndata: unfinished\n", Some("1"), None),
            ("id: 1\n\n", Some("1"), None),
            ("id: 1\ndata: \n\n", Some("1"), None),
            ("id: 1\ndata: a\n\ndata: b\n\n", Some("1"), None),
            ("id: 1\n\nid\n\n", None, None),
            ("id: 1\n\nid: a\0b\n\n", Some("1"), None),
            ("retry: 10\n\n", None, Some(10)),
            ("retry: 10\nretry: x\nretry: -1\nretry:\n\n", None, Some(10)),
            ("retry: 99999999999999999999999\n\n", None, Some(u64::MAX)),
        ] {
            let (_, got_id, got_retry) = stream(input);
            assert_eq!((got_id.as_deref(), got_retry), (id, retry), "{input:?}");
        }
    }

    #[test]
    fn types_of_events() {
        let kinds = |input: &[u8]| -> Vec<Kind> {
            decode(input, 3).0.into_iter().map(|event| event.kind).collect()
        };
        let input =
            b"event: endpoint\ndata: /m\n\ndata: a\n\nevent: x\ndata: b\n\nevent: x\n\ndata: c\n\n";
        assert_eq!(kinds(input), [Kind::Endpoint, Kind::Message, Kind::Other, Kind::Message]);
    }

    #[test]
    fn the_limit() {
        for input in ["data: 123456\n\n", "data: 123\ndata: 45\n\n", "data: 1234567"] {
            let mut decoder = Decoder::new(5);
            decoder.push(b"data: 12345\n\n");
            assert_eq!(decoder.next_event().unwrap().unwrap().data, "12345");
            decoder.push(input.as_bytes());
            decoder.push(b"aaaaaaaaa");
            assert_eq!(decoder.next_event(), Err(TooLarge), "{input:?}");
        }
    }
}
