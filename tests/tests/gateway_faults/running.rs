//! A daemon that runs dies or fails at each step of a reload, of a stop, of arming a port again, and
//! of taking enforcement away.

use std::fs;

use firewall_control::StopLevel;
use firewall_daemon::fault::Step;
use firewall_tests::gateway::{
    Act, Fault, eventually,
    policy::{NODES, allow, expect},
};

use crate::starts::{BOTH, KILL};
use crate::world::{LONG, Mode, Stopped, World, tried};

/// Steps of a reload, the times that they come, and what can go wrong at them.
const RELOADS: [(Step, u32, &[Act]); 8] = [
    (Step::TakeSlot, 1, KILL),
    (Step::AwaitReaders, 1, BOTH),
    (Step::FillLine, 1, KILL),
    (Step::FillLine, 60, KILL),
    (Step::ReadBackImage, 1, BOTH),
    (Step::EnforceStops, 1, KILL),
    (Step::Publish, 1, KILL),
    (Step::Published, 1, KILL),
];

/// Steps of a stop, what can go wrong at them, and how it is then.
const STOPS: [(Step, &[Act], Stopped); 6] = [
    (Step::StoreStop, KILL, Stopped::No),
    (Step::CreateLatch, BOTH, Stopped::Yes),
    (Step::WriteLatch, BOTH, Stopped::Yes),
    (Step::SyncLatch, BOTH, Stopped::Yes),
    (Step::RenameLatch, BOTH, Stopped::Yes),
    (Step::SyncDirectory, BOTH, Stopped::Yes),
];

/// Steps of arming a port again.
const PORTS: [(Step, u32); 7] = [
    (Step::AttachGuard, 1),
    (Step::PinLink, 1),
    (Step::AttachProgram, 1),
    (Step::PinLink, 2),
    (Step::ReadBackLink, 2),
    (Step::BringUp, 1),
    (Step::Redirect, 1),
];

/// Steps of taking enforcement away.
const DETACHMENTS: [(Step, u32); 8] = [
    (Step::StopForwarding, 1),
    (Step::StopForwarding, 2),
    (Step::Detach, 1),
    (Step::Detach, 2),
    (Step::Detach, 3),
    (Step::Unpin, 1),
    (Step::Unpin, 2),
    (Step::Unpin, 4),
];

/// The steps that a daemon that runs goes wrong at.
pub(crate) fn steps() -> impl Iterator<Item = Step> {
    let reloads = RELOADS.into_iter().map(|(step, _, _)| step);
    let stops = STOPS.into_iter().map(|(step, _, _)| step);
    let others = PORTS.into_iter().chain(DETACHMENTS).map(|(step, _)| step);
    reloads.chain(stops).chain(others)
}

/// A policy that permits what is sent no more.
fn stricter() -> String {
    let log = expect("log", "drop");
    format!("{NODES}{}{log}", allow("alarms", &["alarm"], true))
}

#[test]
fn a_reload_that_goes_wrong_anywhere_leaves_the_old_policy_or_the_new_one() {
    let mut world = World::new(Mode::Bridge);
    let file = world.gateway.lab().directory().join("policies/policy.toml");
    let images = fs::read_to_string(file).unwrap();
    for (turn, (step, count, acts)) in RELOADS.into_iter().enumerate() {
        for act in tried(turn, acts) {
            let case = format!("{act:?} {}, time {count}", step.name());
            let fault = Fault::later(&world.gateway);
            // A name that has no slot yet, each time.
            let strict = format!(
                "{}[node.new-{}]\nsubnetwork = \"radiology\"\naddresses = [\"10.20.0.77\"]\n\
                 mac = \"02:00:00:00:01:77\"\n",
                stricter(),
                world.cases
            );
            world.gateway.restart_faulty(&fault);
            world.assert_flows(&case);
            world.gateway.policy(&strict);
            fault.arm(step, *act, count);
            let ended = world.gateway.cordon(&["reload"]);
            assert!(fault.has_struck(), "{case}: it never comes to that: {}", ended.errors);
            let is_new = step == Step::Published;
            match act {
                Act::Kill => world.gateway.dies(),
                Act::Error => {
                    ended.refused(1, "");
                    world.assert_flows(&case);
                    world.gateway.kill();
                }
            }
            world.assert_closed(if is_new { Stopped::Yes } else { Stopped::No }, &case);
            if !is_new {
                world.assert_flows(&case);
            }
            world.gateway.restart();
            world.assert_closed(Stopped::Yes, &case);
            world.gateway.kill();
            world.gateway.policy(&images);
            world.cases += 1;
        }
    }
    world.end("reloads");
}

#[test]
fn a_stop_that_goes_wrong_anywhere_is_in_force_or_was_never_answered() {
    let mut world = World::new(Mode::Bridge);
    for (turn, (step, acts, stopped)) in STOPS.into_iter().enumerate() {
        for &act in tried(turn, acts) {
            let case = format!("{act:?} {}", step.name());
            let fault = Fault::later(&world.gateway);
            world.gateway.restart_faulty(&fault);
            world.assert_flows(&case);
            fault.arm(step, act, 1);
            let ended = world.gateway.cordon(&["stop-all", "--reason", "x"]);
            assert!(fault.has_struck(), "{case}: it never comes to that: {}", ended.errors);
            match act {
                Act::Kill => {
                    assert_ne!(ended.code, Some(0), "{case}: {}", ended.out);
                    world.gateway.dies();
                }
                Act::Error => {
                    ended.refused(1, "stopped, but not latched");
                    world.gateway.kill();
                }
            }
            world.assert_closed(stopped, &case);
            world.gateway.restart();
            world.assert_closed(stopped, &case);
            // Nor does a resume that dies leave a latch that nobody can read.
            world.gateway.kill();
            let fault = Fault::later(&world.gateway);
            world.gateway.restart_faulty(&fault);
            if step != Step::StoreStop {
                fault.arm(step, Act::Kill, 1);
                assert_ne!(world.gateway.cordon(&["resume", "--reason", "x"]).code, Some(0));
                world.gateway.dies();
                world.assert_closed(Stopped::Yes, &case);
                world.gateway.restart();
            }
            world.gateway.resume(None);
            assert_eq!(world.gateway.status().stop.level, StopLevel::None);
            world.assert_flows(&case);
            world.gateway.kill();
            world.cases += 1;
        }
    }
    world.end("stops");
}

#[test]
fn a_port_that_is_made_again_and_cannot_be_armed_stays_closed_until_it_is() {
    for mode in [Mode::Bridge, Mode::Router] {
        let mut world = World::new(mode);
        for (turn, (step, count)) in PORTS.into_iter().enumerate() {
            for &act in tried(turn, BOTH) {
                let case = format!("{mode:?}: {act:?} {}, time {count}", step.name());
                let fault = Fault::later(&world.gateway);
                world.gateway.restart_faulty(&fault);
                world.assert_flows(&case);
                fault.arm(step, act, count);
                match mode {
                    Mode::Bridge => drop(world.gateway.lab().replug("inside")),
                    Mode::Router => world.gateway.rewire_near(),
                }
                assert!(eventually(LONG, || fault.has_struck()), "{case}: it never comes to that");
                match act {
                    Act::Kill => {
                        world.gateway.dies();
                        world.assert_closed(Stopped::No, &case);
                        world.gateway.restart();
                    }
                    // The next look makes up for it.
                    Act::Error => {}
                }
                world.assert_flows(&case);
                world.assert_closed(Stopped::No, &case);
                world.gateway.kill();
                world.cases += 1;
            }
        }
        world.end("ports made again");
    }
}

#[test]
fn taking_enforcement_away_that_goes_wrong_anywhere_opens_nothing_and_can_be_repeated() {
    let mut world = World::new(Mode::Router);
    for (turn, (step, count)) in DETACHMENTS.into_iter().enumerate() {
        for &act in tried(turn, BOTH) {
            let case = format!("{act:?} {}, time {count}", step.name());
            world.gateway.restart();
            world.assert_flows(&case);
            world.gateway.kill();
            let fault = Fault::arrange(&world.gateway, step, act, count);
            let ended = world.gateway.detach_all_faulty(&fault);
            assert!(fault.has_struck(), "{case}: it never comes to that: {}", ended.errors);
            match act {
                Act::Kill => assert_eq!(ended.code, None, "{case}"),
                Act::Error => ended.refused(1, "Cannot allocate memory"),
            }
            world.assert_closed(Stopped::No, &case);
            // Of what is left, either is made whole.
            if world.cases.is_multiple_of(2) {
                world.gateway.detach_all().done();
                world.assert_closed(Stopped::Yes, &case);
                assert!(!world.gateway.pins().exists(), "{case}");
            }
            world.cases += 1;
        }
    }
    world.gateway.restart();
    world.assert_flows("at last");
    world.end("enforcement taken away");
}
