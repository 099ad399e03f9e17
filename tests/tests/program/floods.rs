//! Nodes that open more than they may: the program against the same decision in host memory and
//! against the oracle, whole conversations among them.

use std::collections::BTreeSet;

use firewall_common::abi::Timeouts;
use firewall_common::tables::Way;
use firewall_common::{Port, Ticks, Verdict};
use firewall_policy::explain::{Memory, Sizes};
use firewall_policy::{Capacity, Image, Policy, SequentialSlots, compile};
use firewall_tests::oracle::{Mode, Oracle, Standing};
use firewall_tests::packet::hex;

use crate::conversations::{SESSION, agree, quotas};
use crate::gateway::{Gateway, TURN, limits};
use crate::mutate::mutate;
use crate::play::Play;
use crate::policies::policy;
use crate::random::{Random, Tally, is_thorough, sessions};
use crate::talk::{Sent, Talk};

/// So few that there is no room for another now and then.
const FLOWS: u32 = 6;

#[test]
fn a_node_opens_as_much_as_it_may_and_what_it_has_opened_goes_on() {
    let start = || Gateway::limited(FLOWS);
    let tally = sessions("the oracle and the same decision, of floods", SESSION, start, session);
    let told: BTreeSet<_> = tally.told.keys().copied().collect();
    let wanted = ["opened", "established", "flow_limit", "flow_table_full"];
    let missing: Vec<_> = wanted.iter().filter(|reason| !told.contains(*reason)).collect();
    assert!(!is_thorough() || missing.is_empty(), "the frames are not varied enough: {missing:?}");
}

/// The three that must agree. Time passes for all of them when they wait, and for the program by
/// itself: never so much that a flow comes back.
struct Three<'g> {
    gateway: &'g Gateway,
    memory: Memory,
    oracle: Oracle,
    now: Ticks,
}

fn session(gateway: &mut Gateway, seed: u64, tally: &mut Tally) {
    let gateway = &*gateway;
    gateway.await_turn();
    let turn = gateway.turn();
    let random = &mut Random::new(seed ^ 0xf100d);
    let policies = [policy(random), policy(random)];
    let mut slots = SequentialSlots::new();
    let images = policies
        .each_ref()
        .map(|policy| compile(policy, &mut slots, random.word(), &Capacity::default()).unwrap());
    let mut three = Three::new(gateway, &policies, &images);
    let mut current = 0;
    let play = |random: &mut Random, current: usize| {
        let talk = Talk::any(random, &policies[current]);
        Play::of(random, &policies[current], talk)
    };
    let mut plays: Vec<_> = (0..4).map(|_| play(random, current)).collect();
    for _ in 0..SESSION {
        if random.once_in(80) {
            current = random.below(images.len());
            three.reload(&policies[current], &images[current]);
        }
        if random.once_in(40) {
            three.wait(TURN * *random.pick(&[1, 1, 2, 6, 31]));
        }
        let place = random.below(plays.len());
        if plays[place].is_over() || random.once_in(6) {
            plays[place] = play(random, current);
        }
        let mut sent = plays[place].next(random);
        if random.once_in(16) {
            mutate(random, &mut sent);
        }
        if gateway.turn() != turn {
            return;
        }
        three.send(seed, &sent, tally);
    }
    assert_eq!(gateway.flow_counts(), three.oracle.flow_counts(), "seed {seed}");
    gateway.settle();
}

impl<'g> Three<'g> {
    /// Under the first policy, everybody authenticated.
    fn new(gateway: &'g Gateway, policies: &[Policy; 2], images: &[Image; 2]) -> Self {
        gateway.reset(&images[0]);
        let hz = gateway.hz();
        let (flows, timeouts, limits) = (FLOWS, Timeouts::defaults(hz), limits(hz));
        let mut memory = Memory::new(&Sizes { flows, timeouts, limits });
        images.iter().rev().for_each(|image| memory.publish(image));
        let oracle = Oracle::new(Mode::Bridge, &policies[0], Standing::default(), flows as usize);
        let now = gateway.now();
        let mut three = Self { gateway, memory, oracle: oracle.limited(quotas(hz)), now };
        for (policy, image) in policies.iter().zip(images) {
            three.authenticate(policy, image);
        }
        three
    }

    fn authenticate(&mut self, policy: &Policy, image: &Image) {
        const LONG: u64 = 100_005;
        let end = Ticks(self.now.0 + LONG * u64::from(self.gateway.hz()));
        for node in policy.nodes() {
            let slot = image.names.node_slot(policy.node_named(&node.name).unwrap());
            self.gateway.trial.grant(slot, end);
            self.memory.grant(slot, end);
            self.oracle.grant(&node.name, LONG);
        }
    }

    fn reload(&mut self, policy: &Policy, image: &Image) {
        self.gateway.trial.install(image);
        self.memory.publish(image);
        self.oracle.reload(policy);
    }

    fn wait(&mut self, seconds: u32) {
        let ticks = seconds * self.gateway.hz();
        self.gateway.trial.age(ticks).unwrap();
        self.now = Ticks(self.now.0 + u64::from(ticks));
        self.oracle.wait(seconds.into());
    }

    fn send(&mut self, seed: u64, (port, frame): &Sent, tally: &mut Tally) {
        let promised = self.oracle.judge(*port, frame);
        let way = Way::Bridge { peer: Port(port ^ 1) };
        let decided = match self.memory.decide(frame, Port(*port), way, self.now) {
            Ok(passage) => Verdict::Pass(passage.reason),
            Err(reason) => Verdict::Drop(reason),
        };
        let ran = self.gateway.ran(Port(*port), frame);
        assert_eq!(ran.verdict, decided, "seed {seed}, port {port}: {}", hex(frame));
        assert!(
            agree(promised, &ran, frame),
            "seed {seed}, {ran:x?} on port {port}, not {promised:x?}: {}\n{:#?}",
            hex(frame),
            self.oracle,
        );
        tally.count(ran.verdict.name());
    }
}
