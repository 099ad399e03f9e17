//! Frames, and what goes on between them.

use std::collections::HashSet;

use firewall_common::abi::{Stop, Timeouts};
use firewall_common::quota::Limits;
use firewall_common::tables::Way;
use firewall_common::{NodeSlot, PassReason, Port, SubnetworkSlot, Ticks};
use firewall_policy::explain::{Memory, Sizes};
use firewall_policy::{Capacity, Image, Policy, Ports, SequentialSlots, Sources, compile, resolve};

use crate::oracle::{self, Exit, Judgement, Level, Mode, Oracle, Standing};
use crate::packet::hex;

/// What everything is tried under.
const POLICY: &str = include_str!("hospital.toml");
/// Room for so many established flows.
const FLOWS: u32 = 6;
/// More are not looked at.
const FRAMES: usize = 64;
const SECOND: u64 = 1000;
/// Of either kind one flow comes back every two seconds, and all waits are whole numbers of these.
const LIMITS: Limits = Limits { half_open: 15, new_flows: 20, second: 40_000 };
const PROMISED: oracle::Limits = oracle::Limits { unanswered: 15, opened: 20, period: 40 };

/// A session: each frame behind a byte that says what happens before it (the upper six bits) and on
/// which port it comes in (the lower two), and its length in two bytes, the lower first.
///
/// Panics unless the decision is what the [oracle](crate::oracle) says, and unless flows come only
/// from frames that pass.
pub fn frame(bytes: &[u8]) {
    thread_local! {
        static SURROUNDINGS: (Policy, Image) = surroundings();
    }
    SURROUNDINGS.with(|(policy, image)| session(policy, image, bytes));
}

fn surroundings() -> (Policy, Image) {
    let pairs = [("inside", 1), ("outside", 0), ("left", 3), ("right", 2)];
    let ports = pairs.map(|(name, peer)| (name.to_owned(), Some(Port(peer))));
    let sources = Sources::from_texts([("hospital.toml", POLICY)]);
    let policy = resolve(&sources, &Ports::paired(ports)).expect("a valid policy").policy;
    let mut slots = SequentialSlots::new();
    let image = compile(&policy, &mut slots, 0x5eed, &Capacity::default()).expect("an image");
    (policy, image)
}

fn session(policy: &Policy, image: &Image, bytes: &[u8]) {
    let timeouts = Timeouts::defaults(u32::try_from(SECOND).unwrap());
    let mut memory = Memory::new(&Sizes { flows: FLOWS, timeouts, limits: LIMITS });
    memory.publish(image);
    let oracle = Oracle::new(Mode::Bridge, policy, Standing::default(), FLOWS as usize);
    let oracle = oracle.limited(PROMISED);
    let mut pair = Pair { memory, oracle, image };
    let mut rest = bytes;
    for _ in 0..FRAMES {
        let [first, low, high, after @ ..] = rest else { break };
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(after.len());
        let (frame, after) = after.split_at(length);
        rest = after;
        pair.act(first >> 2);
        pair.send(first & 3, frame);
    }
}

/// The decision, and what it must agree with.
struct Pair<'i> {
    memory: Memory,
    oracle: Oracle,
    image: &'i Image,
}

impl Pair<'_> {
    fn act(&mut self, before: u8) {
        match before {
            1..=6 => {
                let seconds = [2, 12, 32, 182, 3602, 86402];
                self.oracle.wait(seconds[usize::from(before - 1)]);
            }
            7..=9 => {
                let (stop, level) = stop(before - 7);
                self.memory.stop(stop);
                self.oracle.stop(level);
            }
            10..=12 => self.stop_subnetwork("radiology", before - 10),
            13..=15 => self.stop_subnetwork("hospital", before - 13),
            16 | 17 => self.isolate("ct", before == 16),
            18 | 19 => self.isolate("pacs", before == 18),
            20 => {
                let name = "workstation";
                self.oracle.grant(name, self.oracle.now() + 65);
                let end = self.oracle.standing().leases[name] - self.oracle.now();
                self.memory.grant(self.node(name), Ticks(self.now().0 + SECOND * end));
            }
            21 => {
                self.memory.revoke(self.node("workstation"));
                self.oracle.change(|standing| standing.leases.clear());
            }
            22 => {
                self.memory.bump();
                self.oracle.change(|_| {});
            }
            _ => {}
        }
    }

    fn stop_subnetwork(&mut self, name: &str, how: u8) {
        let (stop, level) = stop(how);
        self.memory.stop_subnetwork(self.subnetwork(name), stop);
        self.oracle.change(|standing| {
            standing.subnetworks.insert(name.to_owned(), level);
        });
    }

    fn isolate(&mut self, name: &str, isolated: bool) {
        self.memory.isolate(self.node(name), isolated);
        self.oracle.change(|standing| {
            standing.isolated.remove(name);
            standing.isolated.extend(isolated.then(|| name.to_owned()));
        });
    }

    fn node(&self, name: &str) -> NodeSlot {
        let mut nodes = self.image.names.nodes().iter();
        nodes.find(|node| &*node.name == name).expect("a node").slot
    }

    fn subnetwork(&self, name: &str) -> SubnetworkSlot {
        let mut subnetworks = self.image.names.subnetworks().iter();
        subnetworks.find(|subnetwork| &*subnetwork.name == name).expect("a subnetwork").slot
    }

    fn send(&mut self, port: u8, frame: &[u8]) {
        let port = u16::from(port);
        let expected = self.oracle.judge(port, frame);
        let flows = || self.memory.flows().into_iter().map(|(key, _)| key).collect::<HashSet<_>>();
        let before = flows();
        let decided =
            self.memory.decide(frame, Port(port), Way::Bridge { peer: Port(port ^ 1) }, self.now());
        let agrees = match (expected, &decided) {
            (Judgement::Passes(reason, exit), Ok(passage)) => {
                let vlan = passage.exit.vlan.0;
                (reason, exit) == (passage.reason, Exit::Across { vlan })
            }
            (Judgement::Drops, Err(_)) | (Judgement::Either, _) => true,
            (Judgement::Passes(..), Err(_)) | (Judgement::Drops, Ok(_)) => false,
        };
        assert!(agrees, "port {port}: {decided:?}, not {expected:?}: {}", hex(frame));
        let opens = decided.is_ok_and(|passage| match passage.reason {
            PassReason::Opened | PassReason::Arp | PassReason::NeighbourDiscovery => true,
            PassReason::Established
            | PassReason::Related
            | PassReason::Kernel
            | PassReason::Eapol => false,
        });
        assert!(opens || flows().is_subset(&before), "{decided:?} remembers {}", hex(frame));
    }

    fn now(&self) -> Ticks {
        Ticks(1_000_000 + SECOND * self.oracle.now())
    }
}

const fn stop(how: u8) -> (Stop, Level) {
    match how {
        0 => (Stop::None, Level::Running),
        1 => (Stop::Ordinary, Level::Ordinary),
        _ => (Stop::Hard, Level::Hard),
    }
}
