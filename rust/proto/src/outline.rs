//! What can be known of a message that is too large to keep.
//!
//! A request over the size limit still gets its answer, and under its own id. The id may stand
//! behind the part that made it too large (the Python SDK writes it last), so the line is scanned
//! while it is dropped, in constant memory.

use bytes::Bytes;

/// An id longer than this is not kept; its request is answered under `null`. The longest ids seen
/// in the field are URNs and JWT-like strings of some hundred bytes.
const LONGEST_ID: usize = 4096;

/// The members of a message's top level that say who is owed what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// The raw JSON of `id`, if there is one that is a string or a number.
    pub id: Option<Bytes>,
    /// Whether there is a `method`: with an id, that makes it a request.
    pub has_method: bool,
}

/// Scans one JSON text in pieces for the [`Outline`] of its top-level object.
///
/// It trusts the text to be JSON: of one that is not, it may report anything, but in bounds.
#[derive(Debug, Default)]
pub struct Outliner {
    outline: Outline,
    depth: u32,
    /// Inside a string; true in `escaped` if the last byte was a backslash that counts.
    in_string: bool,
    escaped: bool,
    /// At depth 1: what the next token is.
    place: Place,
    /// The key or the id being read, raw.
    token: Vec<u8>,
    key: Key,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Key,
    Value,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Key {
    #[default]
    Other,
    Id,
}

impl Outliner {
    /// Takes in the next piece.
    pub fn push(&mut self, piece: &[u8]) {
        for &byte in piece {
            self.step(byte);
        }
    }

    /// What was seen.
    #[must_use]
    pub fn finish(self) -> Outline {
        self.outline
    }

    fn step(&mut self, byte: u8) {
        if self.in_string {
            self.keep(byte);
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => {
                    self.in_string = false;
                    if self.depth == 1 && self.place == Place::Key {
                        self.end_key();
                    }
                }
                _ => {}
            }
            return;
        }
        match byte {
            b'"' => {
                self.in_string = true;
                self.keep(byte);
            }
            b'{' | b'[' => {
                // An id is never an object or an array; and an array at the top is a batch, whose
                // members stand at depth 2 and are not looked at.
                self.key = Key::Other;
                self.depth =
                    self.depth.saturating_add(if byte == b'[' && self.depth == 0 { 2 } else { 1 });
            }
            b'}' | b']' => {
                if self.depth == 1 {
                    self.end_value();
                }
                self.depth = self.depth.saturating_sub(1);
            }
            b':' if self.depth == 1 => {
                self.place = Place::Value;
                self.token.clear();
            }
            b',' if self.depth == 1 => {
                self.end_value();
                self.place = Place::Key;
            }
            b' ' | b'\t' | b'\r' | b'\n' => {}
            _ => self.keep(byte),
        }
    }

    /// Keeps a byte of a key, or of the id's value.
    fn keep(&mut self, byte: u8) {
        let wanted = self.depth == 1 && (self.place == Place::Key || self.key == Key::Id);
        if wanted && self.token.len() <= LONGEST_ID {
            self.token.push(byte);
        }
    }

    fn end_key(&mut self) {
        self.key = match self.token.as_slice() {
            b"\"id\"" => Key::Id,
            b"\"method\"" => {
                self.outline.has_method = true;
                Key::Other
            }
            _ => Key::Other,
        };
        self.token.clear();
    }

    fn end_value(&mut self) {
        let is_id = self.key == Key::Id && self.place == Place::Value;
        let plausible = matches!(
            serde_json::from_slice(&self.token),
            Ok(serde_json::Value::String(_) | serde_json::Value::Number(_))
        );
        if is_id && plausible && self.token.len() <= LONGEST_ID {
            self.outline.id = Some(Bytes::copy_from_slice(&self.token));
        }
        self.key = Key::Other;
        self.token.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(text: &str) -> (Option<String>, bool) {
        let mut whole = Outliner::default();
        whole.push(text.as_bytes());
        let whole = whole.finish();
        let mut bytewise = Outliner::default();
        text.bytes().for_each(|byte| bytewise.push(&[byte]));
        assert_eq!(whole, bytewise.finish());
        (whole.id.map(|id| String::from_utf8(id.to_vec()).unwrap()), whole.has_method)
    }

    #[test]
    fn finds_the_top_level_id_and_nothing_else() {
        for (text, id, has_method) in [
            (r#"{"id":1,"method":"m"}"#, Some("1"), true),
            (
                r#"{"method":"m","params":{"id":2,"a":[{"id":3}]},"id":"x\"y"}"#,
                Some(r#""x\"y""#),
                true,
            ),
            (r#"{ "id" : -1.0 , "result":{}}"#, Some("-1.0"), false),
            (r#"{"id":null,"method":"m"}"#, None, true),
            (r#"{"id":{"a":1},"method":"m"}"#, None, true),
            (r#"{"id":[1],"method":"m"}"#, None, true),
            (r#"{"a":"\"id\":5","method":"m"}"#, None, true),
            (r#"{"a":"id","b":"method"}"#, None, false),
            (r#"[{"id":1,"method":"m"}]"#, None, false),
            ("", None, false),
            ("}}}{\"id\":1}", Some("1"), false),
            ("{\"id\":1x\u{1b},\"method\":\"m\"}", None, true),
        ] {
            assert_eq!(outline(text), (id.map(str::to_owned), has_method), "{text}");
        }
    }

    #[test]
    fn an_endless_id_costs_no_memory() {
        let mut outliner = Outliner::default();
        outliner.push(br#"{"id":""#);
        for _ in 0..100 {
            outliner.push(&[b'x'; 1000]);
        }
        outliner.push(br#"","method":"m"}"#);
        assert!(outliner.token.capacity() < 3 * LONGEST_ID);
        assert_eq!(outliner.finish(), Outline { id: None, has_method: true });
    }
}
