//! The legacy session: all its phases, and every transition between them.
//!
//! Rule 1: a session begins with a *successful* answer to `initialize`, and with nothing else.
//! Rule 2: while the gate is closed, what the client writes waits, in order.
//! Rule 3: a server that forgets the session is asked for a new one once, however many requests
//! were told so.
//!
//! A transition takes the phase by value and gives the next one, so none can leave half of the old
//! behind. A step that means nothing in a phase leaves it as it is: answers may be late.

use std::time::Instant;

use bytes::Bytes;
use http::HeaderValue;

use crate::headers::SessionHeaders;

/// The one revision that has batches (2025-03-26, basic/index, "Batching"; gone in 2025-06-18).
const BATCHES: &[u8] = b"2025-03-26";

/// How many subscriptions are remembered for a new session. The largest honest client seen watches
/// some hundred files.
const MOST_SUBSCRIPTIONS: usize = 4096;

/// Where the session stands.
#[derive(Clone, Debug, Default)]
pub enum Phase {
    /// No session: frames go out as they come.
    #[default]
    Fresh,
    /// The client's `initialize` is out; the gate is closed.
    Opening,
    /// There is a session; the gate is open.
    Live(SessionHeaders),
    /// `notifications/initialized` is out; the gate is closed until the server has taken it.
    Announcing(SessionHeaders),
    /// The server forgot the session. The gate is closed; a new one is asked for, but not before
    /// `again`.
    Lost {
        /// Not before.
        again: Instant,
        /// How many attempts failed in a row.
        tries: u32,
    },
    /// The ferry's own `initialize` is out; the gate is closed.
    Reopening {
        /// How many attempts failed in a row before this one.
        tries: u32,
    },
}

/// What can happen to a session.
#[derive(Clone, Debug)]
pub enum Step {
    /// The client's `initialize` went out.
    InitializeSent,
    /// It was answered with a result.
    InitializeAnswered(SessionHeaders),
    /// It was answered with an error, or not at all.
    InitializeFailed,
    /// `notifications/initialized` went out, the client's or the ferry's own.
    InitializedSent,
    /// The server took it, or refused it for good.
    InitializedSettled,
    /// The server says that it does not know the session.
    Forgotten(Instant),
    /// The ferry's own `initialize` went out.
    ReopenSent,
    /// It was answered with a result.
    Reopened(SessionHeaders),
    /// It failed: not again before this instant.
    ReopenFailed(Instant),
}

impl Phase {
    /// The transitions.
    #[must_use]
    #[expect(clippy::match_same_arms, reason = "a line for each transition")]
    pub fn after(self, step: Step) -> Self {
        match (self, step) {
            // A second `initialize` starts afresh, whatever there was before.
            (_, Step::InitializeSent) => Self::Opening,
            (Self::Opening, Step::InitializeAnswered(headers)) => Self::Live(headers),
            (Self::Opening, Step::InitializeFailed) => Self::Fresh,
            (Self::Live(headers), Step::InitializedSent) => Self::Announcing(headers),
            (Self::Announcing(headers), Step::InitializedSettled) => Self::Live(headers),
            (Self::Live(_) | Self::Announcing(_), Step::Forgotten(now)) => {
                Self::Lost { again: now, tries: 0 }
            }
            (Self::Lost { tries, .. }, Step::ReopenSent) => Self::Reopening { tries },
            (Self::Reopening { .. }, Step::Reopened(headers)) => Self::Live(headers),
            (Self::Reopening { tries }, Step::ReopenFailed(again)) => {
                Self::Lost { again, tries: tries.saturating_add(1) }
            }
            (same, _) => same,
        }
    }
}

/// The session, and what a new one would have to be told.
#[derive(Debug, Default)]
pub struct Session {
    phase: Phase,
    /// Counts the sessions there have been: an answer of an older one says nothing of this one.
    generation: u32,
    /// The version that the client knows, from the answer to its own `initialize`.
    pub version: Option<HeaderValue>,
    /// The client's own `initialize`, sent again for a new session.
    pub initialize: Option<Bytes>,
    /// The client's own `notifications/initialized`, likewise.
    pub initialized: Option<Bytes>,
    /// The last `logging/setLevel`.
    pub log_level: Option<Bytes>,
    /// The live `resources/subscribe`s: the URI as written, and the request.
    subscriptions: Vec<(Bytes, Bytes)>,
}

impl Session {
    /// Takes a step.
    pub fn step(&mut self, step: Step) {
        if matches!(step, Step::InitializeAnswered(_) | Step::Reopened(_)) {
            self.generation = self.generation.wrapping_add(1);
        }
        if let Step::InitializeAnswered(headers) = &step {
            self.version.clone_from(&headers.version);
        }
        self.phase = std::mem::take(&mut self.phase).after(step);
    }

    /// Where it stands.
    #[must_use]
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// Whether legacy frames may go out.
    #[must_use]
    pub fn gate_is_open(&self) -> bool {
        matches!(self.phase, Phase::Fresh | Phase::Live(_))
    }

    /// What messages of this session bear; nothing where there is none.
    #[must_use]
    pub fn headers(&self) -> SessionHeaders {
        match &self.phase {
            Phase::Live(headers) | Phase::Announcing(headers) => headers.clone(),
            _ => SessionHeaders::default(),
        }
    }

    /// Which session this is; changes whenever a new one begins.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Whether the negotiated revision has batches.
    #[must_use]
    pub fn has_batches(&self) -> bool {
        self.headers().version.is_some_and(|version| version.as_bytes() == BATCHES)
    }

    /// Forgets what a session had: a new one of the client's own making begins.
    pub fn begin(&mut self, initialize: Bytes) {
        self.initialize = Some(initialize);
        self.initialized = None;
        self.log_level = None;
        self.subscriptions.clear();
    }

    /// Remembers a subscription that a new session would need.
    pub fn subscribe(&mut self, uri: Bytes, request: Bytes) {
        self.unsubscribe(&uri);
        if self.subscriptions.len() < MOST_SUBSCRIPTIONS {
            self.subscriptions.push((uri, request));
        }
    }

    /// Forgets it.
    pub fn unsubscribe(&mut self, uri: &[u8]) {
        self.subscriptions.retain(|(known, _)| known != uri);
    }

    /// The requests that give a new session what the old one had.
    pub fn restoring(&self) -> impl Iterator<Item = &Bytes> {
        let subscriptions = self.subscriptions.iter().map(|(_, request)| request);
        self.log_level.iter().chain(subscriptions)
    }
}

/// The version header of an answer to `initialize`; `None` if the result names none that can be one.
#[must_use]
pub fn version_header(version: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(version).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant will do")]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn live() -> SessionHeaders {
        SessionHeaders { id: Some(HeaderValue::from_static("s")), version: None }
    }

    fn name(phase: &Phase) -> &'static str {
        match phase {
            Phase::Fresh => "Fresh",
            Phase::Opening => "Opening",
            Phase::Live(_) => "Live",
            Phase::Announcing(_) => "Announcing",
            Phase::Lost { .. } => "Lost",
            Phase::Reopening { .. } => "Reopening",
        }
    }

    /// Every phase under every step, as the diagram in docs/states.md shows it.
    #[test]
    fn every_transition_stands_in_the_docs() {
        let now = Instant::now();
        let phases = [
            Phase::Fresh,
            Phase::Opening,
            Phase::Live(live()),
            Phase::Announcing(live()),
            Phase::Lost { again: now, tries: 0 },
            Phase::Reopening { tries: 0 },
        ];
        let steps = [
            ("initialize sent", Step::InitializeSent),
            ("initialize answered", Step::InitializeAnswered(live())),
            ("initialize failed", Step::InitializeFailed),
            ("initialized sent", Step::InitializedSent),
            ("initialized taken", Step::InitializedSettled),
            ("session forgotten", Step::Forgotten(now)),
            ("own initialize sent", Step::ReopenSent),
            ("own initialize answered", Step::Reopened(live())),
            ("own initialize failed", Step::ReopenFailed(now)),
        ];
        let mut diagram = String::from("```mermaid\nstateDiagram-v2\n    [*] --> Fresh\n");
        for phase in &phases {
            for (label, step) in &steps {
                let next = phase.clone().after(step.clone());
                if name(&next) != name(phase) {
                    let (from, to) = (name(phase), name(&next));
                    writeln!(diagram, "    {from} --> {to}: {label}").unwrap();
                }
            }
        }
        diagram += "```\n";
        let page = include_str!("../../../docs/states.md");
        assert!(page.contains(&diagram), "docs/states.md should hold:\n{diagram}");
    }

    #[test]
    fn only_a_successful_initialize_makes_a_session() {
        let mut session = Session::default();
        session.step(Step::InitializeAnswered(live()));
        assert!(session.headers().id.is_none());
        session.step(Step::InitializeSent);
        assert!(!session.gate_is_open());
        session.step(Step::InitializeFailed);
        assert!(session.gate_is_open() && session.headers().id.is_none());
        session.step(Step::InitializeSent);
        session.step(Step::InitializeAnswered(live()));
        assert!(session.gate_is_open() && session.headers().id.is_some());
    }

    #[test]
    fn failures_in_a_row_are_counted() {
        let now = Instant::now();
        let mut phase = Phase::Live(live()).after(Step::Forgotten(now));
        for expected in 1..4 {
            phase = phase.after(Step::ReopenSent).after(Step::ReopenFailed(now));
            assert!(matches!(phase, Phase::Lost { tries, .. } if tries == expected));
        }
        assert!(matches!(phase.after(Step::Forgotten(now)), Phase::Lost { tries: 3, .. }));
    }

    #[test]
    fn subscriptions_are_remembered_once() {
        let bytes = Bytes::from_static;
        let mut session = Session::default();
        session.subscribe(bytes(b"\"a\""), bytes(b"1"));
        session.subscribe(bytes(b"\"b\""), bytes(b"2"));
        session.subscribe(bytes(b"\"a\""), bytes(b"3"));
        session.unsubscribe(b"\"b\"");
        session.log_level = Some(bytes(b"0"));
        assert_eq!(session.restoring().collect::<Vec<_>>(), ["0", "3"]);
    }
}
