//! Any bytes in any pieces give the events that the processing model of WHATWG (HTML, 9.2.6) finds.

use ferry_proto::sse::{Decoder, Kind};

use super::pieces::Cut;

/// An id longer than this does not count.
const LONGEST_ID: usize = 4096;

/// What stands before the data of a line at most, and above the limit.
const FIELD: usize = "event: ".len();

#[derive(Debug, Default, PartialEq)]
struct Stream {
    events: Vec<(Kind, Vec<u8>)>,
    last_id: Option<Vec<u8>>,
    retry: Option<u64>,
}

/// Head: the limit, the cuts. Rest: what the server sends.
pub(crate) fn run(data: &[u8]) {
    let Some(Cut { size: limit, input, pieces }) = Cut::read(data) else { return };
    let mut decoder = Decoder::new(limit);
    let mut got = Stream::default();
    let (expected, largest) = naive(input);
    for piece in pieces {
        decoder.push(piece);
        loop {
            match decoder.next_event() {
                Ok(Some(event)) => got.events.push((event.kind, event.data.to_vec())),
                Ok(None) => break,
                Err(_) => {
                    assert!(largest > limit, "refused {largest} bytes under a limit of {limit}");
                    assert!(expected.events.starts_with(&got.events), "{got:?} {expected:?}");
                    return;
                }
            }
        }
        assert!(decoder.held() <= limit + FIELD);
    }
    got.last_id = decoder.last_id().map(|id| id.to_vec());
    got.retry = decoder.retry();
    assert_eq!(got, expected);
    assert!(expected.events.iter().all(|(_, data)| data.len() <= limit), "over the limit");
}

/// The stream, and the most that has to be held at once to read it: data so far and the line that is
/// being read, without its field name.
fn naive(input: &[u8]) -> (Stream, usize) {
    let input = input.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(input);
    let (mut out, mut largest) = (Stream::default(), 0);
    let (mut data, mut kind, mut id) = (None::<Vec<u8>>, Kind::Message, None);
    for (line, ended) in lines(input) {
        let held = data.as_ref().map_or(0, |data| data.len() + 1);
        largest = largest.max(held + line.len().saturating_sub("data:".len()));
        if !ended {
            break;
        }
        if line.is_empty() {
            if let Some(id) = id.take() {
                out.last_id = Some(id).filter(|id: &Vec<u8>| !id.is_empty());
            }
            let (event, kind) = (data.take().unwrap_or_default(), std::mem::take(&mut kind));
            if !event.trim_ascii().is_empty() {
                out.events.push((kind, event));
            }
            continue;
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let (name, value) = colon.map_or((line, &b""[..]), |at| (&line[..at], &line[at + 1..]));
        let value = value.strip_prefix(b" ").unwrap_or(value).to_vec();
        match name {
            b"data" => {
                data = Some(match data {
                    None => value,
                    Some(before) => [before, value].join(&b'\n'),
                });
            }
            b"event" => {
                kind = match &value[..] {
                    b"" | b"message" => Kind::Message,
                    b"endpoint" => Kind::Endpoint,
                    _ => Kind::Other,
                }
            }
            b"id" if value.len() <= LONGEST_ID && http::HeaderValue::from_bytes(&value).is_ok() => {
                id = Some(value);
            }
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                let digits = String::from_utf8(value).unwrap_or_default();
                out.retry = Some(digits.parse().unwrap_or(u64::MAX));
            }
            _ => {}
        }
    }
    (out, largest)
}

/// Every line, and whether it has an end.
fn lines(input: &[u8]) -> Vec<(&[u8], bool)> {
    let (mut out, mut start, mut at) = (Vec::new(), 0, 0);
    while at < input.len() {
        let ends = matches!(input[at], b'\r' | b'\n');
        if ends {
            out.push((&input[start..at], true));
            at += usize::from(input[at..].starts_with(b"\r\n"));
            start = at + 1;
        }
        at += 1;
    }
    out.push((&input[start..], false));
    out
}
