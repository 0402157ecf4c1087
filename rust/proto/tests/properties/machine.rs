//! The machine under any order of what its client says, its server does, and the clock.

use std::time::Duration;

use ferry_proto::ExitReason;
use proptest::prelude::*;

use crate::model::{Does, Says, World};

#[derive(Clone, Copy, Debug)]
enum Op {
    Say(Says),
    Serve(u8, Does),
    Pass(u16),
    Restart,
}

fn says() -> impl Strategy<Value = Says> {
    prop_oneof![
        2 => Just(Says::Initialize),
        2 => Just(Says::Initialized),
        8 => Just(Says::Call),
        3 => Just(Says::List),
        2 => Just(Says::Note),
        1 => any::<u8>().prop_map(Says::Cancel),
        1 => Just(Says::Nonsense),
    ]
}

fn does() -> impl Strategy<Value = Does> {
    let status = prop_oneof![Just(400), Just(401), Just(404), Just(500), Just(502), Just(503)];
    prop_oneof![
        12 => Just(Does::Answer),
        6 => Just(Does::Stream),
        1 => Just(Does::CutAfterId),
        1 => Just(Does::Cut),
        1 => Just(Does::Reset),
        1 => Just(Does::Refuse),
        2 => status.prop_map(Does::Status),
        1 => Just(Does::Later),
        1 => Just(Does::Accept),
        1 => Just(Does::Misaddress),
        1 => Just(Does::Babble),
        1 => Just(Does::EndUnanswered),
    ]
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        6 => says().prop_map(Op::Say),
        10 => (any::<u8>(), does()).prop_map(|(which, does)| Op::Serve(which, does)),
        3 => (0_u16..20_000).prop_map(Op::Pass),
        1 => Just(Op::Restart),
    ];
    proptest::collection::vec(op, 0..60)
}

/// Lets the rest of the conversation end, with a server that answers from now on.
fn wind_up(world: &mut World) {
    world.close();
    for _ in 0..1000 {
        if world.exit.is_some() {
            return;
        }
        if world.is_idle() {
            world.pass(Duration::from_secs(1));
        } else {
            world.serve(0, Does::Answer);
        }
    }
    panic!("the bridge does not end");
}

proptest! {
    #[test]
    fn every_request_is_answered_once_and_nothing_runs_twice(ops in ops(), seed in any::<u64>()) {
        let mut world = World::new(seed);
        for op in ops {
            match op {
                Op::Say(says) => world.say(says),
                Op::Serve(which, does) => world.serve(which, does),
                Op::Pass(millis) => world.pass(Duration::from_millis(millis.into())),
                Op::Restart => world.restart(),
            }
        }
        wind_up(&mut world);
        prop_assert!(world.broken.is_empty(), "{:?}", world.broken);
        prop_assert_eq!(world.exit, Some(ExitReason::ClientClosed));
        for (id, fate) in &world.fates {
            let right = if fate.cancelled { fate.replies <= 1 } else { fate.replies == 1 };
            prop_assert!(right, "request {id}: {fate:?}");
            prop_assert!(fate.harmless || fate.reruns == 0, "request {id} ran again: {fate:?}");
            prop_assert!(fate.posts <= 20, "request {id}: {fate:?}");
        }
    }
}
