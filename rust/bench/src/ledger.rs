//! What was asked and what is owed: every reply is checked, none is taken on trust.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::report::Counts;

/// A reply, as far as it is checked. `id` stays raw, since a bridge may not change its type.
#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ToolResult<'a> {
    #[serde(borrow)]
    content: Vec<Text<'a>>,
}

#[derive(Deserialize)]
struct Text<'a> {
    #[serde(borrow)]
    text: Cow<'a, str>,
}

/// The calls that are owed a reply.
#[derive(Default)]
pub struct Ledger {
    open: HashMap<u64, (Instant, String)>,
    last: u64,
    /// What became of the calls so far.
    pub counts: Counts,
}

impl Ledger {
    /// Enters a call whose answer has to be `text`, and writes it as one line to `out`.
    pub fn call(&mut self, tool: &str, arguments: &str, text: String, out: &mut Vec<u8>) {
        self.last += 1;
        let id = self.last;
        let head = r#"{"jsonrpc":"2.0","id":"#;
        let method = r#","method":"tools/call","params":{"name":""#;
        let parts = [head, &id.to_string(), method, tool, r#"","arguments":"#, arguments, "}}\n"];
        out.extend(parts.into_iter().flat_map(str::as_bytes));
        self.counts.sent += 1;
        self.open.insert(id, (Instant::now(), text));
    }

    /// Enters an `echo` of a short text that no other call has.
    pub fn echo(&mut self, out: &mut Vec<u8>) {
        let text = format!("The ferry crosses, trip {}.", self.last + 1);
        self.call("echo", &format!(r#"{{"text":"{text}"}}"#), text, out);
    }

    /// How many calls are owed a reply.
    #[must_use]
    pub fn owed(&self) -> usize {
        self.open.len()
    }

    /// Takes a line of the bridge. Returns how long the call took if it was the reply to one, right or wrong.
    pub fn settle(&mut self, line: &[u8], at: Instant) -> Option<Duration> {
        let Ok(reply) = serde_json::from_slice::<Reply<'_>>(line) else {
            self.counts.noise += 1;
            return None;
        };
        if reply.method.is_some() {
            self.counts.other += 1; // a notification or a request of the server
            return None;
        }
        let id = reply.id.and_then(|id| id.get().parse::<u64>().ok());
        let Some((sent, expected)) = id.and_then(|id| self.open.remove(&id)) else {
            match id {
                Some(id) if id <= self.last => self.counts.doubled += 1,
                _ => self.counts.wrong += 1,
            }
            return None;
        };
        match reply.result {
            None => self.counts.errors += 1,
            Some(result) if is_text(result, &expected) => self.counts.answered += 1,
            Some(_) => self.counts.wrong += 1,
        }
        Some(at.saturating_duration_since(sent))
    }

    /// Closes the books: what is still owed is lost.
    pub fn close(&mut self) {
        self.counts.lost += self.open.len() as u64;
        self.open.clear();
    }
}

/// Whether a result is one text of exactly this content. An empty expectation takes any.
fn is_text(result: &RawValue, expected: &str) -> bool {
    let Ok(result) = serde_json::from_str::<ToolResult<'_>>(result.get()) else { return false };
    matches!(&*result.content, [one] if expected.is_empty() || one.text == expected)
}

/// The number in `params.message` of a progress notification: when the server sent it, in nanoseconds of the
/// system's clock.
#[must_use]
pub fn departure(line: &[u8]) -> Option<u64> {
    let message: Value = serde_json::from_slice(line).ok()?;
    message.pointer("/params/message")?.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(id: &str, text: &str) -> String {
        format!(
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":"{text}"}}]}}}}"#
        )
    }

    fn settled(lines: &[String]) -> Counts {
        let mut ledger = Ledger::default();
        ledger.echo(&mut Vec::new());
        for line in lines {
            ledger.settle(line.as_bytes(), Instant::now());
        }
        ledger.close();
        ledger.counts
    }

    #[test]
    fn a_right_reply_counts_once_and_its_double_is_seen() {
        let right = reply("1", "The ferry crosses, trip 1.");
        let counts = settled(&[right.clone(), right]);
        assert_eq!((counts.answered, counts.doubled, counts.lost), (1, 1, 0));
    }

    #[test]
    fn another_text_is_wrong_and_no_reply_is_lost() {
        assert_eq!(settled(&[reply("1", "Something else.")]).wrong, 1);
        assert_eq!(settled(&[]).lost, 1);
    }

    #[test]
    fn an_id_of_another_type_is_not_a_reply() {
        let counts = settled(&[reply("\"1\"", "The ferry crosses, trip 1.")]);
        assert_eq!((counts.wrong, counts.lost), (1, 1));
    }
}
