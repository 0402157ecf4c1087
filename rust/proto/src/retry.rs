//! Judging a failure, apart from acting on it: what may be sent again, and when.
//!
//! One rule stands above all: what may have run is never sent again unless doing it twice is
//! harmless.

use std::time::Duration;

use http::StatusCode;

use crate::seam::FaultKind;

/// The shortest and the longest pause between two tries, and the floor of what a server may ask.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// The longest pause that a server may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(3600);

/// How often a harmless request that may have run is sent again. Two more tries get past a load
/// balancer that sends one of two to a host that is just going down.
pub const HARMLESS_TRIES: u32 = 2;

/// What a failure says about the request it befell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The server cannot have seen it, and may be there in a moment.
    Unsent,
    /// The server said that it did not process it, and when to come again, if it said so.
    Refused,
    /// It may have been processed.
    Unknown,
    /// Trying again would give the same.
    Final,
}

/// Judges a failure below HTTP.
#[must_use]
pub fn judge_fault(kind: FaultKind) -> Verdict {
    match kind {
        FaultKind::Resolve | FaultKind::Connect | FaultKind::ConnectTimeout | FaultKind::Unsent => {
            Verdict::Unsent
        }
        FaultKind::Tls => Verdict::Final,
        FaultKind::Cut => Verdict::Unknown,
    }
}

/// Judges a status that is no success.
#[must_use]
pub fn judge_status(status: StatusCode) -> Verdict {
    match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Verdict::Refused,
        // A gateway gave up on the server behind it, which may go on working.
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => Verdict::Unknown,
        _ => Verdict::Final,
    }
}

/// Whether doing this twice harms nobody: it only reads, or the second does what the first did.
#[must_use]
pub fn is_harmless(method: &str) -> bool {
    matches!(
        method,
        "initialize"
            | "ping"
            | "tools/list"
            | "prompts/list"
            | "resources/list"
            | "resources/templates/list"
            | "tasks/list"
            | "resources/read"
            | "prompts/get"
            | "completion/complete"
            | "server/discover"
    )
}

/// Pauses that double up to a cap, each between half and the whole of its length: without the
/// jitter, all bridges of a server that restarts would come back in step.
#[derive(Clone, Debug)]
pub struct Backoff {
    state: u64,
}

impl Backoff {
    /// A source of pauses whose jitter follows from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The pause after so many failed tries, the first being 1.
    pub fn pause(&mut self, tries: u32) -> Duration {
        let whole = FIRST.saturating_mul(1 << tries.saturating_sub(1).min(10)).min(LONGEST);
        let half = whole / 2;
        let span = u64::try_from(half.as_micros()).unwrap_or(u64::MAX).max(1);
        half + Duration::from_micros(self.random() % span)
    }

    /// The pause before a stream is opened again: what the server asked for, but a server that
    /// asks for none must not make us spin.
    pub fn pause_as_asked(&mut self, tries: u32, asked: Option<u64>) -> Duration {
        match asked {
            Some(millis) if millis >= 100 => Duration::from_millis(millis).min(LONGEST_ASKED),
            _ => self.pause(tries),
        }
    }

    /// `SplitMix64` (Steele, Lea, Flood 2014): enough for jitter.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_call_is_never_harmless() {
        for method in ["tools/call", "resources/subscribe", "logging/setLevel", "x/list", ""] {
            assert!(!is_harmless(method), "{method}");
        }
        for method in ["ping", "tools/list", "resources/read", "server/discover"] {
            assert!(is_harmless(method), "{method}");
        }
    }

    #[test]
    fn verdicts() {
        for (status, verdict) in [
            (400, Verdict::Final),
            (401, Verdict::Final),
            (429, Verdict::Refused),
            (500, Verdict::Final),
            (502, Verdict::Unknown),
            (503, Verdict::Refused),
            (504, Verdict::Unknown),
        ] {
            assert_eq!(judge_status(StatusCode::from_u16(status).unwrap()), verdict, "{status}");
        }
        assert_eq!(judge_fault(FaultKind::Cut), Verdict::Unknown);
        assert_eq!(judge_fault(FaultKind::Connect), Verdict::Unsent);
        assert_eq!(judge_fault(FaultKind::Tls), Verdict::Final);
    }

    #[test]
    fn pauses_grow_up_to_the_cap_and_are_never_nothing() {
        let mut backoff = Backoff::new(7);
        for tries in 1..40 {
            let pause = backoff.pause(tries);
            assert!(pause >= FIRST / 2 && pause <= LONGEST, "{tries}: {pause:?}");
        }
        assert!(backoff.pause(10) >= LONGEST / 2);
        assert_ne!(backoff.pause(10), backoff.pause(10), "jitter");
    }

    #[test]
    fn a_server_that_asks_for_no_pause_does_not_make_us_spin() {
        let mut backoff = Backoff::new(7);
        assert!(backoff.pause_as_asked(1, Some(0)) >= FIRST / 2);
        assert!(backoff.pause_as_asked(4, Some(0)) >= 4 * FIRST);
        assert_eq!(backoff.pause_as_asked(1, Some(3000)), Duration::from_secs(3));
        assert!(backoff.pause_as_asked(1, Some(u64::MAX)) <= Duration::from_secs(3600));
    }
}
