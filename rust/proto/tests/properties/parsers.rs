//! The parsers against slow and simple ones, over any bytes and any cuts.

use bytes::Bytes;
use ferry_proto::message::{self, Id, Shape};
use ferry_proto::sse::Decoder;
use ferry_proto::{Frame, Framer};
use proptest::prelude::*;
use serde_json::Value;

/// Bytes that are likely to be interesting to a parser of lines, events and JSON.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"\n".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\xEF\xBB\xBF".to_vec()),
        Just(b"data: ".to_vec()),
        Just(b"data:x".to_vec()),
        Just(b"id: 1".to_vec()),
        Just(b"id".to_vec()),
        Just(b"retry: 12".to_vec()),
        Just(b"event: endpoint".to_vec()),
        Just(b": c".to_vec()),
        Just("\u{1f600}".as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 0..4),
    ];
    proptest::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

/// `input` cut at the given places.
fn cut<'a>(input: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut % (input.len() + 1)).collect();
    places.sort_unstable();
    places.push(input.len());
    let mut start = 0;
    let mut pieces = Vec::new();
    for place in places {
        pieces.push(&input[start..place]);
        start = place;
    }
    pieces
}

fn frames(pieces: &[&[u8]], limit: usize) -> Vec<Frame> {
    let mut framer = Framer::new(limit);
    let mut out = Vec::new();
    for piece in pieces {
        framer.buffer().extend_from_slice(piece);
        out.extend(std::iter::from_fn(|| framer.next_frame()));
    }
    out.extend(framer.finish());
    out
}

/// The rules of a line in ten of code; none for one over the limit.
fn naive_frames(input: &[u8], limit: usize) -> Vec<Option<Vec<u8>>> {
    let input = input.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(input);
    input
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .filter(|line| !line.iter().all(u8::is_ascii_whitespace))
        .map(|line| (line.len() <= limit).then(|| line.to_vec()))
        .collect()
}

/// The data of every event, the last id and the retry.
type Stream = (Vec<Vec<u8>>, Option<Vec<u8>>, Option<u64>);

fn events(pieces: &[&[u8]]) -> Stream {
    let mut decoder = Decoder::new(1 << 20);
    let mut data = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        while let Some(event) = decoder.next_event().unwrap() {
            data.push(event.data.to_vec());
        }
    }
    (data, decoder.last_id().map(|id| id.to_vec()), decoder.retry())
}

/// The processing model of WHATWG, word by word.
fn naive_events(input: &[u8]) -> Stream {
    let input = input.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(input);
    let mut lines: Vec<Vec<u8>> = vec![Vec::new()];
    let mut bytes = input.iter().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\r' => {
                if bytes.peek() == Some(&&b'\n') {
                    bytes.next();
                }
                lines.push(Vec::new());
            }
            b'\n' => lines.push(Vec::new()),
            other => lines.last_mut().unwrap().push(*other),
        }
    }
    lines.pop();
    let (mut out, mut data, mut id, mut last, mut retry) =
        (Vec::new(), Vec::new(), None, None, None);
    for line in lines {
        if line.is_empty() {
            if let Some(id) = id.take() {
                last = Some(id).filter(|id: &Vec<u8>| !id.is_empty());
            }
            let event: Vec<u8> = data.join(&b'\n');
            data.clear();
            if !event.trim_ascii().is_empty() {
                out.push(event);
            }
            continue;
        }
        let (name, value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (&line[..], &b""[..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value).to_vec();
        match name {
            b"data" => data.push(value),
            b"id" if http::HeaderValue::from_bytes(&value).is_ok() => id = Some(value),
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                retry = String::from_utf8(value).unwrap().parse().ok();
            }
            _ => {}
        }
    }
    (out, last, retry)
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        let key = prop_oneof![
            Just("id".to_owned()),
            Just("method".to_owned()),
            Just("params".to_owned()),
            Just("result".to_owned()),
            Just("error".to_owned()),
            Just("_meta".to_owned()),
            "\\PC{0,4}",
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(key, inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn frames_are_those_of_the_simple_reader(input in soup(), cuts in proptest::collection::vec(any::<usize>(), 0..6)) {
        let got = frames(&cut(&input, &cuts), 8);
        let got: Vec<_> = got.into_iter().map(|frame| match frame {
            Frame::Line(line) => Some(line.to_vec()),
            Frame::TooLong(_) => None,
        }).collect();
        prop_assert_eq!(got, naive_frames(&input, 8));
    }

    #[test]
    fn events_are_those_of_the_simple_decoder(input in soup(), cuts in proptest::collection::vec(any::<usize>(), 0..6)) {
        prop_assert_eq!(events(&cut(&input, &cuts)), naive_events(&input));
    }

    #[test]
    fn the_envelope_is_that_of_a_full_parse(value in json()) {
        let text = value.to_string();
        let peeked = message::peek(&text);
        let Some(object) = value.as_object() else {
            prop_assert!(peeked.is_err());
            return Ok(());
        };
        let id = object.get("id");
        let answerable = id.is_some_and(|id| id.is_string() || id.is_number());
        let method = object.get("method").filter(|method| !method.is_null());
        let answer = object.contains_key("result") || object.get("error").is_some_and(|error| !error.is_null());
        let expected = match (method, id) {
            (Some(method), _) if !method.is_string() => None,
            (Some(_), None) => Some("notification"),
            (Some(_), Some(_)) => answerable.then_some("request"),
            (None, _) => answer.then_some("response"),
        };
        let got = peeked.as_ref().ok().map(|message| match message.shape {
            Shape::Request(_) => "request",
            Shape::Notification => "notification",
            Shape::Response(_) => "response",
        });
        prop_assert_eq!(got, expected);
        if let Ok(message) = peeked {
            prop_assert_eq!(Some(&*message.method), method.map_or(Some(""), Value::as_str));
        }
    }

    #[test]
    fn a_readdressed_message_differs_in_its_id_alone(value in json()) {
        let text = value.to_string();
        if let Ok(message::Message { shape: Shape::Response(id), .. }) = message::peek(&text) {
            let own = Id::new(Bytes::from_static(b"\"own\""));
            let out = message::readdressed(&text, id, &own);
            // The text is the reference: floats may change when they are parsed.
            let mut expected: Value = serde_json::from_str(&text).unwrap();
            expected["id"] = Value::from("own");
            prop_assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), expected);
        }
    }

    #[test]
    fn no_bytes_crash_a_parser(input in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut outliner = ferry_proto::outline::Outliner::default();
        outliner.push(&input);
        let _ = outliner.finish();
        let mut decoder = Decoder::new(16);
        decoder.push(&input);
        while let Ok(Some(_)) = decoder.next_event() {}
        if let Ok(text) = std::str::from_utf8(&input) {
            let _ = message::peek(text);
            let _ = message::split_batch(text);
        }
    }
}
