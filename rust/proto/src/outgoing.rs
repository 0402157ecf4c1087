//! A message of the client's on its way to the server.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use crate::load::Weight;
use crate::message::{Id, Message, Shape, peek, shared, split_batch, string};
use crate::retry::is_harmless;
use crate::seam::Terms;

/// One body to POST, and what the rules have to know of it.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "four answers to four questions")]
pub struct Outgoing {
    /// The message as the client wrote it.
    pub body: Bytes,
    /// What it does to the session and to the order of things.
    pub what: What,
    /// Who is owed an answer.
    pub owed: Owed,
    /// Whether doing it twice harms nobody.
    pub harmless: bool,
    /// Under which token, raw, the server reports progress of it.
    pub progress_token: Option<Bytes>,
    /// What the client asks for it alone.
    pub terms: Option<Arc<Terms>>,
    /// What its headers say, if it is modern.
    pub modern: Option<Modern>,
    /// What of it outlasts it: a new session would have to be told.
    pub lasting: Option<Lasting>,
    /// Whether it answers what the server asked.
    pub is_response: bool,
    /// Whether a batch goes member by member, whatever the revision: it mixes responses with requests
    /// (2025-03-26, basic/transports: one or the other).
    pub in_parts: bool,
    /// The client cancelled it under this id, raw.
    pub cancelled: Option<Bytes>,
    /// The server did not know its session once: a second time is final.
    pub reopened: bool,
    /// Its share of the bridge's load; none for a message of the ferry's own.
    pub weight: Option<Weight>,
}

/// What a message does to the session and to the order of things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A request that runs beside others.
    Request,
    /// An array of messages.
    Batch,
    /// A notification or response: sent in the order written, and owed nothing.
    Note,
    /// `notifications/cancelled` for the request with this id.
    Cancelled(Bytes),
    /// `initialize`: opens the gate.
    Initialize,
    /// `notifications/initialized`: what follows waits until it is taken.
    Initialized,
    /// `subscriptions/listen`: a stream for as long as the client wants.
    Listen,
}

/// What outlasts the request that asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// `logging/setLevel`.
    LogLevel,
    /// `resources/subscribe` to the resource with this URI, raw.
    Subscribed(Bytes),
    /// `resources/unsubscribe`, likewise.
    Unsubscribed(Bytes),
}

/// What the headers of a modern message say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modern {
    /// The protocol version.
    pub version: String,
    /// The method; empty for a response, which has none.
    pub method: String,
    /// The name or URI of what is called, got or read.
    pub name: Option<String>,
}

impl Outgoing {
    /// A single message; `version` is that of a modern one.
    #[must_use]
    pub fn single(body: Bytes, message: &Message<'_>, version: Option<&str>) -> Self {
        let method = &*message.method;
        let raw = |value: Option<&serde_json::value::RawValue>| {
            value.map(|value| shared(&body, value.get().as_bytes()))
        };
        let what = match (&message.shape, method) {
            (Shape::Request(_), "initialize") if version.is_none() => What::Initialize,
            (Shape::Request(_), "subscriptions/listen") => What::Listen,
            (Shape::Request(_), _) => What::Request,
            (_, "notifications/initialized") => What::Initialized,
            (_, "notifications/cancelled") => match raw(message.params.request_id) {
                Some(id) => What::Cancelled(id),
                None => What::Note,
            },
            _ => What::Note,
        };
        let (owed, progress_token) = match message.shape {
            Shape::Request(id) => {
                (Owed::One(Id::within(&body, id)), raw(message.meta.progress_token))
            }
            _ => (Owed::Nothing, None),
        };
        let modern = version.map(|version| Modern {
            version: version.to_owned(),
            method: method.to_owned(),
            name: match method {
                "tools/call" | "prompts/get" => message.params.name,
                "resources/read" => message.params.uri,
                _ => None,
            }
            .and_then(string)
            .map(std::borrow::Cow::into_owned),
        });
        let lasting = match (method, raw(message.params.uri)) {
            _ if version.is_some() || owed.is_empty() => None,
            ("logging/setLevel", _) => Some(Lasting::LogLevel),
            ("resources/subscribe", Some(uri)) => Some(Lasting::Subscribed(uri)),
            ("resources/unsubscribe", Some(uri)) => Some(Lasting::Unsubscribed(uri)),
            _ => None,
        };
        let harmless = is_harmless(method);
        let is_response = matches!(message.shape, Shape::Response(_));
        Self {
            harmless,
            progress_token,
            modern,
            lasting,
            is_response,
            ..Self::plain(body, what, owed)
        }
    }

    /// An array that goes through as one POST, and the ids that are owed for it.
    #[must_use]
    pub fn batch(body: Bytes, ids: Vec<Id>) -> Self {
        Self::plain(body, What::Batch, Owed::Many(ids))
    }

    /// The ferry's own `notifications/cancelled` for a request of a legacy session that it gave up.
    #[must_use]
    pub fn cancellation(id: &Id, reason: &str) -> Self {
        let mut body =
            br#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"#
                .to_vec();
        body.extend_from_slice(id.as_bytes());
        body.extend_from_slice(format!(r#","reason":"{reason}"}}}}"#).as_bytes());
        let what = What::Cancelled(Bytes::copy_from_slice(id.as_bytes()));
        Self::plain(body.into(), what, Owed::Nothing)
    }

    fn plain(body: Bytes, what: What, owed: Owed) -> Self {
        Self {
            body,
            what,
            owed,
            harmless: false,
            progress_token: None,
            terms: None,
            modern: None,
            lasting: None,
            is_response: false,
            in_parts: false,
            cancelled: None,
            reopened: false,
            weight: None,
        }
    }

    /// Takes out of a batch the requests that are owed nothing any more, because they were cancelled
    /// or have been answered: they are not sent with the rest. Whether anything is left to send.
    pub fn drop_settled(&mut self) -> bool {
        if self.what != What::Batch {
            return self.is_note() || !self.owed.is_empty();
        }
        let Owed::Many(ids) = &self.owed else { return false };
        let owed: BTreeSet<&[u8]> = ids.iter().map(Id::as_bytes).collect();
        let is_wanted = |member: &&str| match peek(member).map(|message| message.shape) {
            Ok(Shape::Request(id)) => owed.contains(id.as_bytes()),
            _ => true,
        };
        let text = std::str::from_utf8(&self.body).unwrap_or_default();
        let members = split_batch(text).unwrap_or_default();
        let wanted: Vec<&str> = members.iter().copied().filter(is_wanted).collect();
        let is_left = !wanted.is_empty();
        if wanted.len() < members.len() {
            self.body = Bytes::from(format!("[{}]", wanted.join(",")));
        }
        is_left
    }

    /// Whether it goes through the lane, which keeps the order written.
    #[must_use]
    pub fn is_note(&self) -> bool {
        match self.what {
            What::Note | What::Cancelled(_) | What::Initialized => true,
            What::Batch => self.owed.is_empty(),
            What::Request | What::Initialize | What::Listen => false,
        }
    }
}

/// The ids under which answers are still owed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Owed {
    /// None, or no longer.
    #[default]
    Nothing,
    /// One.
    One(Id),
    /// Those of a batch.
    Many(Vec<Id>),
}

impl Owed {
    /// Whether nothing is owed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::One(_) => false,
            Self::Many(ids) => ids.is_empty(),
        }
    }

    /// Whether an answer under this id, as the server wrote it, is owed; by its bytes, or by its value.
    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::One(own) => own.means(id),
            Self::Many(ids) => ids.iter().any(|own| own.means(id)),
        }
    }

    /// Whether an id with exactly these bytes is owed an answer.
    #[must_use]
    pub fn has_exactly(&self, id: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::One(own) => own.as_bytes() == id.as_bytes(),
            Self::Many(ids) => ids.iter().any(|own| own.as_bytes() == id.as_bytes()),
        }
    }

    /// Takes off the id that this answer is owed under, if one is: the one with the same bytes
    /// before one with the same value.
    pub fn take(&mut self, id: &str) -> Option<Id> {
        match self {
            Self::One(own) if own.means(id) => self.take_only(),
            Self::Many(ids) => {
                let same = ids.iter().position(|own| own.as_bytes() == id.as_bytes());
                let at = same.or_else(|| ids.iter().position(|own| own.means(id)))?;
                Some(ids.swap_remove(at))
            }
            _ => None,
        }
    }

    /// Takes off the id of a message that owes exactly one.
    pub fn take_only(&mut self) -> Option<Id> {
        match std::mem::take(self) {
            Self::One(id) => Some(id),
            Self::Many(mut ids) if ids.len() == 1 => ids.pop(),
            other => {
                *self = other;
                None
            }
        }
    }

    /// Takes off all.
    pub fn take_all(&mut self) -> Vec<Id> {
        match std::mem::take(self) {
            Self::Nothing => Vec::new(),
            Self::One(id) => vec![id],
            Self::Many(ids) => ids,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn single(text: &'static str, version: Option<&str>) -> Outgoing {
        Outgoing::single(Bytes::from_static(text.as_bytes()), &peek(text).unwrap(), version)
    }

    #[test]
    fn what_messages_do() {
        for (text, what, is_note) in [
            (r#"{"id":1,"method":"initialize"}"#, What::Initialize, false),
            (r#"{"id":1,"method":"tools/call"}"#, What::Request, false),
            (r#"{"method":"notifications/initialized"}"#, What::Initialized, true),
            (
                r#"{"method":"notifications/cancelled","params":{"requestId":"a"}}"#,
                What::Cancelled(Bytes::from_static(b"\"a\"")),
                true,
            ),
            (r#"{"method":"notifications/cancelled"}"#, What::Note, true),
            (r#"{"id":1,"result":{}}"#, What::Note, true),
            (r#"{"id":1,"method":"subscriptions/listen"}"#, What::Listen, false),
        ] {
            let outgoing = single(text, None);
            assert_eq!((&outgoing.what, outgoing.is_note()), (&what, is_note), "{text}");
        }
    }

    #[test]
    fn modern_names() {
        let name = |text| single(text, Some("2026-07-28")).modern.unwrap().name;
        assert_eq!(
            name(r#"{"id":1,"method":"tools/call","params":{"name":"e"}}"#).as_deref(),
            Some("e")
        );
        assert_eq!(
            name(r#"{"id":1,"method":"resources/read","params":{"uri":"u"}}"#).as_deref(),
            Some("u")
        );
        assert_eq!(name(r#"{"id":1,"method":"tools/list","params":{"name":"e"}}"#), None);
        assert_eq!(name(r#"{"id":1,"method":"tools/call","params":{"name":7}}"#), None);
    }

    #[test]
    fn what_lasts() {
        let lasting = |text| single(text, None).lasting;
        let uri = Bytes::from_static(b"\"u\"");
        assert_eq!(lasting(r#"{"id":1,"method":"logging/setLevel"}"#), Some(Lasting::LogLevel));
        assert_eq!(
            lasting(r#"{"id":1,"method":"resources/subscribe","params":{"uri":"u"}}"#),
            Some(Lasting::Subscribed(uri))
        );
        assert_eq!(lasting(r#"{"method":"logging/setLevel"}"#), None);
        assert_eq!(single(r#"{"id":1,"method":"logging/setLevel"}"#, Some("v")).lasting, None);
    }

    #[test]
    fn a_batch_without_what_is_settled() {
        let batch = |body: &'static str, ids: &[&'static str]| {
            let id = |text: &&'static str| Id::new(Bytes::from_static(text.as_bytes()));
            Outgoing::batch(Bytes::from_static(body.as_bytes()), ids.iter().map(id).collect())
        };
        let body = r#"[{"id":1,"method":"a"}, {"method":"b"},{"id":2,"method":"c","x":1.0}]"#;
        let mut some = batch(body, &["1", "2"]);
        assert!(some.drop_settled());
        assert_eq!(some.body, body);
        some.owed.take("1");
        assert!(some.drop_settled());
        assert_eq!(some.body, r#"[{"method":"b"},{"id":2,"method":"c","x":1.0}]"#);
        some.owed.take("2");
        assert!(some.drop_settled() && some.is_note());
        assert_eq!(some.body, r#"[{"method":"b"}]"#);
        assert!(!batch(r#"[{"id":1,"method":"a"}]"#, &[]).drop_settled());
    }

    #[test]
    fn owed_ids_are_taken_once_and_exact_ones_first() {
        let id = |text: &'static str| Id::new(Bytes::from_static(text.as_bytes()));
        let mut owed = Owed::Many(vec![id("1.0"), id("1")]);
        assert_eq!(owed.take("1"), Some(id("1")));
        assert_eq!(owed.take("1"), Some(id("1.0")));
        assert_eq!(owed.take("1"), None);
        let mut owed = Owed::One(id("\"x\""));
        assert_eq!(owed.take("1"), None);
        assert_eq!(owed.take_only(), Some(id("\"x\"")));
        assert!(owed.is_empty());
    }
}
