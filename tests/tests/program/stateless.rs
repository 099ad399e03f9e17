//! The program against the oracle: first frames of random conversations, whole and broken, under
//! random policies, stops, isolations and leases.

use firewall_common::abi::Stop;
use firewall_common::{Port, Ticks};
use firewall_policy::{Capacity, Image, Policy, SequentialSlots, compile};
use firewall_tests::oracle::{Judgement, Level, Oracle, Standing};
use firewall_tests::packet::hex;

use crate::conversations::{agree, mode};
use crate::gateway::{FLOWS, Gateway};
use crate::mutate::mutate;
use crate::policies::{policy, routed};
use crate::random::{Random, Tally, is_thorough, sessions};
use crate::talk::Talk;
use crate::{router, routes};

/// Frames under one policy.
const FRAMES: usize = 100;

#[test]
fn a_first_frame_passes_if_and_only_if_the_policy_says_so() {
    let start = || Gateway::with_flows(FLOWS);
    assert_varied(&sessions("the oracle, a bridge's first frames", FRAMES, start, session));
}

#[test]
fn a_first_frame_passes_a_router_if_and_only_if_policy_and_routes_say_so() {
    let start = || routes::gateway(FLOWS);
    assert_varied(&sessions("the oracle, a router's first frames", FRAMES, start, session));
}

fn assert_varied(tally: &Tally) {
    let passed = tally.told.get("opened").copied().unwrap_or_default();
    assert!(!is_thorough() || passed > tally.frames / 12, "{passed} of {}", tally.frames);
}

fn session(gateway: &mut Gateway, seed: u64, tally: &mut Tally) {
    let gateway = &*gateway;
    let random = &mut Random::new(seed);
    let policy = if gateway.is_routing() { routed(random) } else { policy(random) };
    let mut slots = SequentialSlots::new();
    let image = compile(&policy, &mut slots, random.word(), &Capacity::default()).unwrap();
    gateway.reset(&image);
    let standing = standing(random, &policy);
    impose(gateway, &policy, &image, &standing);
    let mode = mode(random, gateway, &policy);
    for _ in 0..FRAMES {
        let mut talk = Talk::any(random, &policy);
        if gateway.is_routing() {
            router::turn(random, &mut talk);
        }
        let mut sent = talk.opening();
        if gateway.is_routing() {
            router::address(random, &mut sent.1, routes::mac(sent.0));
        }
        if random.once_in(3) {
            mutate(random, &mut sent);
        }
        if random.once_in(100) {
            let length = 14 + random.below(100);
            sent.1 = random.bytes(length);
        }
        let (port, frame) = sent;
        // One that has seen nothing yet.
        let mut oracle = Oracle::new(mode.clone(), &policy, standing.clone(), FLOWS as usize);
        let expected = oracle.judge(port, &frame);
        let ran = gateway.ran(Port(port), &frame);
        assert!(
            agree(expected, &ran, &frame),
            "seed {seed}, {ran:x?} on port {port}, not {expected:x?}: {}\n{standing:?}\n{policy:#?}",
            hex(&frame)
        );
        if matches!(expected, Judgement::Passes(..)) {
            gateway.trial.forget_flows().unwrap();
        }
        tally.count(ran.verdict.name());
    }
}

fn standing(random: &mut Random, policy: &Policy) -> Standing {
    let mut level = |times| match random.below(times) {
        0 => Level::Hard,
        1 | 2 => Level::Ordinary,
        _ => Level::Running,
    };
    let stop = level(20);
    let subnetworks = policy.subnetworks().iter();
    let subnetworks =
        subnetworks.map(|subnetwork| (subnetwork.name.to_string(), level(15))).collect();
    let names = || policy.nodes().iter().map(|node| node.name.to_string());
    let isolated = names().filter(|_| random.once_in(12)).collect();
    let leases = names().filter(|_| !random.once_in(3)).map(|name| (name, u64::MAX)).collect();
    Standing { stop, subnetworks, isolated, leases }
}

/// Tells the program.
fn impose(gateway: &Gateway, policy: &Policy, image: &Image, standing: &Standing) {
    let trial = &gateway.trial;
    trial.stop(stop(standing.stop));
    for (subnetwork, level) in &standing.subnetworks {
        let id = policy.subnetwork_named(subnetwork).unwrap();
        trial.stop_subnetwork(image.names.subnetwork_slot(id), stop(*level));
    }
    for node in policy.nodes() {
        let slot = image.names.node_slot(policy.node_named(&node.name).unwrap());
        trial.isolate(slot, standing.isolated.contains(&*node.name));
        let end = if standing.leases.contains_key(&*node.name) { u64::MAX >> 2 } else { 0 };
        trial.grant(slot, Ticks(end));
    }
}

/// As the control word says it.
pub(crate) const fn stop(level: Level) -> Stop {
    match level {
        Level::Running => Stop::None,
        Level::Ordinary => Stop::Ordinary,
        Level::Hard => Stop::Hard,
    }
}
