//! The program against the oracle: first frames of random conversations, whole and broken, under
//! random policies, stops, isolations and leases.

use firewall_common::abi::Stop;
use firewall_common::{Port, Ticks, Verdict};
use firewall_policy::{Capacity, Image, Policy, SequentialSlots, compile};
use firewall_tests::packet::hex;

use crate::gateway::{FLOWS, Gateway};
use crate::mutate::mutate;
use crate::oracle::{Level, Standing, may_pass};
use crate::policies::policy;
use crate::random::{Random, frames};
use crate::talk::{Kind, Talk};

/// Frames under one policy.
const FRAMES: usize = 100;

#[test]
fn a_first_frame_passes_if_and_only_if_the_policy_says_so() {
    let gateway = Gateway::with_flows(FLOWS);
    let (mut passed, mut dropped) = (0, 0);
    let only = std::env::var("CORDON_SEED").ok().map(|seed| seed.parse().unwrap());
    let rounds = frames().div_ceil(FRAMES) as u64;
    for seed in only.map_or(0..rounds, |seed: u64| seed..seed + 1) {
        let random = &mut Random::new(seed);
        let policy = policy(random);
        let mut slots = SequentialSlots::new();
        let image = compile(&policy, &mut slots, random.word(), &Capacity::default()).unwrap();
        gateway.reset(&image);
        let standing = standing(random, &policy);
        impose(&gateway, &policy, &image, &standing);
        for _ in 0..FRAMES {
            let talk = Talk::any(random, &policy);
            if talk.kind == Kind::Neighbour {
                continue;
            }
            let mut sent = talk.opening();
            if random.once_in(3) {
                mutate(random, &mut sent);
            }
            if random.once_in(100) {
                let length = 14 + random.below(100);
                sent.1 = random.bytes(length);
            }
            let (port, frame) = sent;
            let expected = may_pass(&policy, &standing, port, &frame);
            let (verdict, _) = gateway.run(Port(port), &frame);
            let passes = matches!(verdict, Verdict::Pass(_));
            assert_eq!(
                passes,
                expected,
                "seed {seed}, {verdict:?} on port {port}: {}\n{standing:?}\n{policy:#?}",
                hex(&frame)
            );
            if passes {
                gateway.trial.forget_flows().unwrap();
                passed += 1;
            } else {
                dropped += 1;
            }
        }
    }
    println!("{} first frames: {passed} passed, {dropped} dropped", passed + dropped);
    assert!(only.is_some() || passed > dropped / 10, "{passed} of {}", passed + dropped);
}

fn standing(random: &mut Random, policy: &Policy) -> Standing {
    let mut level = |times| match random.below(times) {
        0 => Level::Hard,
        1 | 2 => Level::Ordinary,
        _ => Level::Running,
    };
    let (stop, subnetworks) = (level(20), policy.subnetworks().iter().map(|_| level(15)).collect());
    let nodes = 0..policy.nodes().len();
    let isolated = nodes.clone().filter(|_| random.once_in(12)).collect();
    let authenticated = nodes.filter(|_| !random.once_in(3)).collect();
    Standing { stop, subnetworks, isolated, authenticated }
}

/// Tells the program.
fn impose(gateway: &Gateway, policy: &Policy, image: &Image, standing: &Standing) {
    let stop = |level: Level| match level {
        Level::Running => Stop::None,
        Level::Ordinary => Stop::Ordinary,
        Level::Hard => Stop::Hard,
    };
    let trial = &gateway.trial;
    trial.stop(stop(standing.stop));
    for (subnetwork, level) in policy.subnetworks().iter().zip(&standing.subnetworks) {
        let id = policy.subnetwork_named(&subnetwork.name).unwrap();
        trial.stop_subnetwork(image.names.subnetwork_slot(id), stop(*level));
    }
    for (index, node) in policy.nodes().iter().enumerate() {
        let slot = image.names.node_slot(policy.node_named(&node.name).unwrap());
        trial.isolate(slot, standing.isolated.contains(&index));
        let end = if standing.authenticated.contains(&index) { u64::MAX >> 2 } else { 0 };
        trial.grant(slot, Ticks(end));
    }
}
