//! How a bridge ends: what is owed is delivered or answered for, the session is told, then Exit.

use crate::bridge::Bridge;
use crate::exchange::{Role, Stage};
use crate::outgoing::What;
use crate::reply::{Failure, Kind};
use crate::seam::{Action, ExitReason};

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The client may still write.
    Open,
    /// It will not; what is owed is still delivered.
    Draining,
    /// Nothing is owed any more; the DELETE is out.
    Leaving(ExitReason),
    /// `Exit` was said.
    Over,
}

impl Ending {
    /// Whether nothing new may begin.
    pub(crate) fn is_leaving(self) -> bool {
        matches!(self, Self::Leaving(_) | Self::Over)
    }

    /// Whether nobody reads what would be written.
    pub(crate) fn is_deaf(self) -> bool {
        matches!(self, Self::Leaving(ExitReason::ClientGone) | Self::Over)
    }
}

impl Bridge {
    pub(crate) fn on_client_closed(&mut self) {
        if self.ending == Ending::Open {
            self.ending = Ending::Draining;
        }
    }

    pub(crate) fn on_client_gone(&mut self) {
        if !matches!(self.ending, Ending::Leaving(_)) {
            self.leave(ExitReason::ClientGone);
        }
    }

    pub(crate) fn on_shutdown(&mut self) {
        if matches!(self.ending, Ending::Leaving(_)) {
            return;
        }
        // Said first: what fails below must not begin anything anew.
        self.ending = Ending::Leaving(ExitReason::Shutdown);
        let failure = told_to_end();
        let unsent = [std::mem::take(&mut self.gate), std::mem::take(&mut self.waiting)];
        for outgoing in unsent.into_iter().flatten() {
            self.refuse_unsent(outgoing, &failure);
        }
        for number in self.numbers(|_| true) {
            let Some(mut exchange) = self.remove(number) else { continue };
            let failure = Failure { maybe_processed: exchange.left(), ..failure.clone() };
            self.abort(number, &mut exchange);
            self.fail(number, exchange, failure);
        }
        self.leave(ExitReason::Shutdown);
    }

    /// Lets go of everything, ends the session, and then the bridge.
    fn leave(&mut self, reason: ExitReason) {
        self.ending = Ending::Leaving(reason);
        self.gate.clear();
        self.waiting.clear();
        self.lane.queue.clear();
        self.wants_session = false;
        self.restoring.clear();
        self.drop_exchanges(|_| true);
        self.leave_session();
    }

    /// Goes on to the next step of the end, if this one is done.
    pub(crate) fn end_if_done(&mut self) {
        if self.ending == Ending::Draining && !self.is_wanted() {
            self.leave(ExitReason::ClientClosed);
        }
        if let Ending::Leaving(reason) = self.ending
            && self.exchanges.is_empty()
        {
            self.ending = Ending::Over;
            self.act(Action::Exit(reason));
        }
    }

    /// Whether there is something that the client wrote and that is not settled. A subscription has
    /// no end of its own: the end of input does not wait for it.
    fn is_wanted(&self) -> bool {
        let waiting = !self.gate.is_empty() || !self.waiting.is_empty() || !self.lane.is_idle();
        waiting
            || self.exchanges.values().any(|exchange| match &exchange.role {
                Role::Client(outgoing) => {
                    outgoing.what != What::Listen && !matches!(exchange.stage, Stage::Linger(_))
                }
                Role::Reopen(_) | Role::Announce(_) | Role::Refresh(..) => true,
                Role::Own(_) | Role::Listener | Role::Stream | Role::Farewell(_) => false,
            })
    }
}

/// The failure of what a signal ends.
pub(crate) fn told_to_end() -> Failure {
    Failure::new(Kind::Shutdown, "the ferry was told to end")
}
