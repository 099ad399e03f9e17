//! The program against the same decision in host memory: every verdict, every frame that leaves and
//! every flow that is remembered must be the same.

use std::collections::BTreeSet;

use firewall_common::abi::{Stop, Timeouts};
use firewall_common::decide::Exit;
use firewall_common::tables::{Route, Way};
use firewall_common::{Addr, DropReason, NodeSlot, PassReason, Port, Ticks, Verdict};
use firewall_policy::explain::{Memory, Sizes};
use firewall_policy::{Capacity, Image, Policy, SequentialSlots, compile};
use firewall_tests::packet::hex;

use crate::authenticator;
use crate::fixture::{POLICY, compiled, retagged};
use crate::gateway::{AUTHENTICATOR, Gateway};
use crate::mutate::mutate;
use crate::policies::policy;
use crate::random::{Random, Tally, is_thorough, sessions};
use crate::router;
use crate::talk::{Sent, Talk};

/// So few that the table of flows fills up now and then.
const FLOWS: u32 = 6;
/// So few frames that no question to a neighbour gives way: which one an LRU of the kernel's gives
/// up depends on the CPUs.
pub(crate) const SESSION: usize = 400;

/// The program, and what it must agree with. Both see the same time: it stands still but for
/// [`Pair::wait`]; a session is over long before a tick could matter.
pub(crate) struct Pair {
    gateway: Gateway,
    memory: Memory,
    is_router: bool,
    now: Ticks,
    waits: u32,
}

impl Pair {
    fn new() -> Self {
        let gateway = Gateway::with_flows(FLOWS);
        let memory = Memory::new(&Sizes::default());
        Self { gateway, memory, is_router: false, now: Ticks(0), waits: 0 }
    }

    /// A router that knows no route, and leaves what may pass to the kernel.
    pub(crate) fn router() -> Self {
        let gateway = Gateway::router(FLOWS);
        for address in router::own_addresses() {
            gateway.trial.add_local(address.into()).unwrap();
        }
        Self { gateway, is_router: true, ..Self::new() }
    }

    /// Both forget everything and come into force anew.
    fn begin(&mut self, images: &[Image]) {
        let timeouts = Timeouts::defaults(self.gateway.hz());
        let flows = FLOWS;
        self.memory = Memory::new(&Sizes { flows, timeouts, ..Sizes::default() });
        if self.is_router {
            self.memory.set_route(Addr::UNSPECIFIED, Route::Unresolved);
            for address in router::own_addresses() {
                self.memory.add_local(address.into());
            }
        }
        self.memory.authenticate_on(Port(AUTHENTICATOR));
        // Host memory has room for the nodes that it has heard of.
        images.iter().rev().for_each(|image| self.memory.publish(image));
        self.gateway.reset(&images[0]);
        self.now = self.gateway.now();
        self.waits = 0;
    }

    /// Panics where the two differ.
    fn send(&self, seed: u64, (port, frame): &Sent, tally: &mut Tally) {
        let way = if self.is_router { Way::Router } else { Way::Bridge { peer: Port(port ^ 1) } };
        let port = Port(*port);
        let decided = self.memory.decide(frame, port, way, self.now);
        let (verdict, output) = self.gateway.run(port, frame);
        let expected = match &decided {
            Ok(passage) => Verdict::Pass(passage.reason),
            Err(reason) => Verdict::Drop(*reason),
        };
        assert_eq!(verdict, expected, "seed {seed}, port {}: {}", port.0, hex(frame));
        if let Ok(passage) = decided {
            let left = if self.is_router {
                assert_eq!(passage.exit, Exit::GATEWAY, "seed {seed}, port {}", port.0);
                frame.clone()
            } else {
                retagged(frame, passage.exit.vlan.0)
            };
            assert_eq!(hex(&output), hex(&left), "seed {seed}, port {}: {}", port.0, hex(frame));
        }
        tally.count(verdict.name());
    }

    /// Changes something between frames.
    fn act(&mut self, random: &mut Random, images: &[Image]) {
        let image = random.pick(images);
        match random.below(7) {
            // The same policy again is a new generation and nothing else.
            0 | 1 => {
                self.gateway.trial.install(image);
                self.memory.publish(image);
            }
            2 => {
                let stop = stop(random);
                self.gateway.trial.stop(stop);
                self.memory.stop(stop);
            }
            3 => {
                let slot = random.pick(image.names.subnetworks()).slot;
                let stop = stop(random);
                self.gateway.trial.stop_subnetwork(slot, stop);
                self.memory.stop_subnetwork(slot, stop);
            }
            4 => {
                let (slot, isolated) = (node(random, image), random.once_in(4));
                self.gateway.trial.isolate(slot, isolated);
                self.memory.isolate(slot, isolated);
            }
            5 => {
                let node = node(random, image);
                self.grant(random, node);
            }
            _ => self.wait(random),
        }
    }

    /// Leases end on odd seconds, waits are of even ones and timeouts of tens: nothing ends in the
    /// few milliseconds that the two clocks may be apart.
    fn grant(&mut self, random: &mut Random, node: NodeSlot) {
        let second = u64::from(self.gateway.hz());
        let ends = [0, 5, 65, 3605, 1 << 40].map(|seconds| match seconds {
            0 => Ticks(0),
            seconds => Ticks(self.now.0 + seconds * second),
        });
        let end = *random.pick(&ends);
        let end = if end.0 == 0 { end } else { Ticks(end.0.min(u64::MAX >> 2)) };
        self.gateway.trial.grant(node, self.aged(end));
        if end.0 == 0 {
            self.memory.revoke(node);
        } else {
            self.memory.grant(node, end);
        }
    }

    fn wait(&mut self, random: &mut Random) {
        if self.waits == 4 {
            return;
        }
        self.waits += 1;
        let seconds = *random.pick(&[2, 12, 32, 182, 3602, 86402]);
        self.gateway.trial.age(seconds * self.gateway.hz()).unwrap();
        self.now = Ticks(self.now.0 + u64::from(seconds * self.gateway.hz()));
    }

    /// A tick of ours as the kernel counts, for which no wait has passed.
    fn aged(&self, tick: Ticks) -> Ticks {
        let waited = self.now.0.saturating_sub(self.gateway.now().0);
        if tick.0 == 0 { tick } else { Ticks(tick.0 - waited) }
    }

    /// The two remember as many flows.
    fn compare_flows(&self, seed: u64) {
        assert_eq!(self.gateway.flow_counts(), self.memory.flow_counts(), "seed {seed}");
    }
}

fn stop(random: &mut Random) -> Stop {
    *random.pick(&[Stop::None, Stop::None, Stop::None, Stop::None, Stop::Ordinary, Stop::Hard])
}

fn node(random: &mut Random, image: &Image) -> NodeSlot {
    random.pick(image.names.nodes()).slot
}

/// One policy and what it becomes, and frames of a few conversations.
pub(crate) fn session(pair: &mut Pair, seed: u64, policies: &[Policy], tally: &mut Tally) {
    let mut random = Random::new(seed);
    let mut slots = SequentialSlots::new();
    let images: Vec<_> = policies
        .iter()
        .map(|policy| compile(policy, &mut slots, random.word(), &Capacity::default()).unwrap())
        .collect();
    pair.begin(&images);
    for node in images[0].names.nodes() {
        if !random.once_in(4) {
            let end = Ticks(pair.now.0 + 100_005 * u64::from(pair.gateway.hz()));
            pair.gateway.trial.grant(node.slot, end);
            pair.memory.grant(node.slot, end);
        }
    }
    let is_router = pair.is_router;
    let any = |random: &mut Random, policy| {
        let mut talk = Talk::any(random, policy);
        if is_router {
            router::turn(random, &mut talk);
        }
        talk
    };
    let mut talks: Vec<_> = (0..8).map(|_| any(&mut random, &policies[0])).collect();
    let mut last = talks[0].opening();
    for _ in 0..SESSION {
        if random.once_in(40) {
            pair.act(&mut random, &images);
        }
        if random.once_in(10) {
            let place = random.below(talks.len());
            let policy = random.pick(policies);
            talks[place] = any(&mut random, policy);
        }
        let talk = &talks[random.below(talks.len())];
        let mut sent = match random.below(8) {
            0 => last.clone(),
            1 | 2 => talk.opening(),
            _ => talk.frame(&mut random),
        };
        last = sent.clone();
        if pair.is_router {
            router::address(&mut random, &mut sent.1, Memory::MAC);
        }
        if random.once_in(3) {
            mutate(&mut random, &mut sent);
            if random.once_in(3) {
                mutate(&mut random, &mut sent);
            }
        }
        if random.once_in(30) {
            sent = authenticator::asked(&mut random, Memory::MAC.0);
        }
        pair.send(seed, &sent, tally);
    }
    pair.compare_flows(seed);
    pair.gateway.settle();
}

#[test]
fn the_program_decides_as_the_same_decision_does_in_host_memory() {
    let tally =
        sessions("the same decision of a bridge", SESSION, Pair::new, |pair, seed, tally| {
            let mut random = Random::new(!seed);
            let policies: Vec<_> = if random.once_in(5) {
                let other = POLICY.replace("vlan = 120", "vlan = 220").replace("443", "80");
                let texts = [POLICY, &other];
                texts.map(|text| compiled(text, &mut SequentialSlots::new()).0).into()
            } else {
                (0..2).map(|_| policy(&mut random)).collect()
            };
            session(pair, seed, &policies, tally);
        });
    let told: BTreeSet<_> = tally.told.keys().copied().collect();
    // Nothing can give the first two yet; the others have tests of their own.
    let elsewhere = [
        DropReason::Application,
        DropReason::FlowLimit,
        DropReason::RedirectFailed,
        DropReason::NotArmed,
        DropReason::Egress,
    ];
    let drops = DropReason::ALL.iter().filter(|reason| !elsewhere.contains(reason));
    let all = PassReason::ALL.iter().filter(|reason| **reason != PassReason::Kernel);
    let all = all.map(|reason| reason.name());
    let all: BTreeSet<_> = all.chain(drops.map(|reason| reason.name())).collect();
    if is_thorough() {
        assert_eq!(told, all, "the frames are not varied enough");
    }
}
