//! Any order of what a client writes, a server does and the clock says: each request is answered once,
//! nothing that may have run is sent again unless that is harmless, and the bridge comes to an end.
//!
//! The bytes are a script: four of them choose the settings and the end, then each step takes three.

mod client;
mod server;
mod shores;

use std::time::Duration;

use ferry_proto::Transport;
use ferry_proto::seam::{ExitReason, Input};

use self::shores::{Settings, Shores};

/// So many steps are played; what a longer input has beyond them is left out.
const MOST_STEPS: usize = 200;

const SPANS: [Duration; 8] = [
    Duration::ZERO,
    Duration::from_millis(20),
    Duration::from_millis(150),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(6),
    Duration::from_secs(61),
    Duration::from_secs(4000),
];

/// Plays the script, lets everybody come to an end, and looks at what became of each request.
pub(crate) fn run(data: &[u8]) {
    let [transport, credential, slots, end, script @ ..] = data else { return };
    let mut shores = Shores::new(Settings {
        transport: [Transport::Auto, Transport::Http, Transport::Sse][usize::from(*transport) % 3],
        renewable: credential % 2 == 1,
        concurrency: usize::from(*slots) % 4 + 1,
    });
    for step in script.chunks_exact(3).take(MOST_STEPS) {
        match step[0] % 16 {
            0..=5 => client::say(&mut shores, step[1], step[2]),
            6..=12 => server::act(&mut shores, step[0] % 16, step[1], step[2]),
            13 => shores.give_token(step[1] % 4 != 0),
            _ => shores.pass(SPANS[usize::from(step[1]) % SPANS.len()]),
        }
    }
    let (input, reason) = match end % 4 {
        0 | 1 => (Input::ClientClosed, ExitReason::ClientClosed),
        2 => (Input::Shutdown, ExitReason::Shutdown),
        _ => (Input::ClientGone, ExitReason::ClientGone),
    };
    shores.input(input);
    wind_up(&mut shores);
    assert_eq!(shores.exit, Some(reason));
    for (id, fate) in &shores.fates {
        let may_lack = fate.cancelled || fate.endless || reason == ExitReason::ClientGone;
        assert!(fate.replies == 1 || (may_lack && fate.replies == 0), "request {id}: {fate:?}");
    }
}

/// Lets the rest of the conversation end, with a server that answers well from now on.
fn wind_up(shores: &mut Shores) {
    for _ in 0..2000 {
        if shores.exit.is_some() {
            return;
        }
        shores.give_token(true);
        match shores.open.keys().next().copied() {
            Some(id) => server::answer_well(shores, id),
            None => shores.pass(Duration::from_secs(1)),
        }
    }
    panic!("the bridge does not end");
}
