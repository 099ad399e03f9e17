//! The program against the oracle: whole conversations, in order, out of order, repeated and broken,
//! while policies, stops, isolations, leases and time go on.

use firewall_common::{PassReason, Port, Ticks, Verdict};
use firewall_policy::explain::Memory;
use firewall_policy::{Capacity, Image, Policy, SequentialSlots, compile};
use firewall_tests::oracle::{Exit, Judgement, Level, Limits, Mode, Oracle, Origin, Standing};
use firewall_tests::packet::hex;
use firewall_tests::runner::action;

use crate::fixture::{forwarded, retagged};
use crate::gateway::{AUTHENTICATOR, Gateway, Ran, TURN, limits};
use crate::mutate::mutate;
use crate::play::Play;
use crate::policies::{policy, routed};
use crate::random::{Random, Tally, is_thorough, sessions};
use crate::stateless::stop;
use crate::talk::{Sent, Talk};
use crate::{authenticator, router, routes};

/// So few that there is no room for another now and then.
const FLOWS: u32 = 6;
/// The index of every namespace's own interface, which is no port.
const LOOPBACK: u32 = 1;
/// So few frames that no question to a neighbour has to give way.
pub(crate) const SESSION: usize = 400;

#[test]
fn every_frame_of_a_conversation_passes_if_and_only_if_it_was_promised() {
    let start = || Gateway::with_flows(FLOWS);
    let tally = sessions("the oracle, a bridge's conversations", SESSION, start, session);
    // A bridge leaves nothing to the kernel.
    assert_varied(&tally, |reason| reason != PassReason::Kernel);
}

#[test]
fn every_frame_of_a_conversation_passes_a_router_if_and_only_if_it_was_promised() {
    let start = || routes::gateway(FLOWS);
    let tally = sessions("the oracle, a router's conversations", SESSION, start, session);
    assert_varied(&tally, |_| true);
}

#[test]
fn a_router_lets_a_node_open_as_much_as_it_may_and_what_it_has_opened_goes_on() {
    let start = || routes::limited(FLOWS);
    let tally = sessions("the oracle, a router's floods", SESSION, start, session);
    assert!(!is_thorough() || tally.told.contains_key("flow_limit"), "{tally:?}");
}

fn assert_varied(tally: &Tally, wanted: impl Fn(PassReason) -> bool) {
    let told = |reason: PassReason| tally.told.get(reason.name()).copied().unwrap_or_default();
    let reasons = PassReason::ALL.iter().copied().filter(|reason| wanted(*reason));
    let rare = reasons.filter(|reason| told(*reason) < tally.frames / 1000);
    let rare: Vec<_> = rare.map(|reason| (reason, told(reason))).collect();
    assert!(!is_thorough() || rare.is_empty(), "the frames are not varied enough: {rare:?}");
}

/// Whether the program did what was promised, what leaves included.
pub(crate) fn agree(expected: Judgement, ran: &Ran, frame: &[u8]) -> bool {
    let Ran { verdict, action, output } = ran;
    let (reason, exit) = match expected {
        Judgement::Passes(reason, exit) => (reason, exit),
        Judgement::Drops => return matches!(verdict, Verdict::Drop(_)),
        Judgement::Either => return true,
    };
    let left = match exit {
        Exit::Across { vlan } => (action::REDIRECT, retagged(frame, vlan)),
        Exit::Forwarded { vlan, source, destination } => {
            (action::REDIRECT, forwarded(frame, [source, destination], vlan))
        }
        Exit::Kernel => (action::PASS, frame.to_vec()),
        Exit::Kept => panic!("nothing that comes in leaves like that"),
    };
    *verdict == Verdict::Pass(reason) && (*action, output) == (left.0, &left.1)
}

/// The MAC of the port with an authenticator.
fn own(gateway: &Gateway) -> [u8; 6] {
    if gateway.is_routing() { routes::mac(AUTHENTICATOR).0 } else { Memory::MAC.0 }
}

/// The program, and what it must agree with.
pub(crate) struct Pair<'g> {
    gateway: &'g Gateway,
    pub(crate) oracle: Oracle,
    images: Vec<Image>,
    policies: Vec<Policy>,
    /// The one in force.
    current: usize,
    waits: u32,
    turn: u64,
}

fn session(gateway: &mut Gateway, seed: u64, tally: &mut Tally) {
    let gateway = &*gateway;
    let random = &mut Random::new(seed ^ 0x7a1c);
    let mut pair = Pair::any(random, gateway);
    let play = |random: &mut Random, policy: &Policy| {
        let mut talk = Talk::any(random, policy);
        if gateway.is_routing() {
            router::turn(random, &mut talk);
        }
        Play::of(random, policy, talk)
    };
    let mut plays: Vec<_> = (0..6).map(|_| play(random, &pair.policies[0])).collect();
    for _ in 0..SESSION {
        if random.once_in(40) {
            pair.act(random);
        }
        let place = random.below(plays.len());
        if plays[place].is_over() || random.once_in(60) {
            let policy = pair.policy(random);
            plays[place] = play(random, policy);
        }
        let mut sent = plays[place].next(random);
        if gateway.is_routing() {
            router::address(random, &mut sent.1, routes::mac(sent.0));
        }
        if random.once_in(8) {
            mutate(random, &mut sent);
        }
        if random.once_in(20) {
            sent = authenticator::asked(random, own(gateway));
        }
        if pair.is_overtaken() {
            return;
        }
        pair.send(seed, &sent, tally);
        if random.once_in(20) {
            let sent = authenticator::answered(random, own(gateway));
            pair.leave(seed, Origin::Gateway, &sent, tally);
        }
    }
    pair.settle(seed);
}

/// In seconds.
const WHOLE_TURNS: [u32; 6] = [TURN, 2 * TURN, 6 * TURN, 31 * TURN, 601 * TURN, 14_401 * TURN];

/// [`limits`] as the oracle reckons.
pub(crate) fn quotas(hz: u32) -> Limits {
    let firewall_common::quota::Limits { half_open, new_flows, second } = limits(hz);
    let [unanswered, opened, period] = [half_open, new_flows, second / hz].map(u64::from);
    Limits { unanswered, opened, period }
}

/// How it stands, under the first policy.
pub(crate) fn mode(random: &mut Random, gateway: &Gateway, policy: &Policy) -> Mode {
    if !gateway.is_routing() {
        return Mode::Bridge;
    }
    let surroundings = routes::surroundings(random, policy);
    routes::impose(gateway, &surroundings);
    Mode::Router(surroundings)
}

impl<'g> Pair<'g> {
    /// Under one of two policies, most of whose nodes are authenticated.
    pub(crate) fn any(random: &mut Random, gateway: &'g Gateway) -> Self {
        let any_policy = if gateway.is_routing() { routed } else { policy };
        let policies: Vec<_> = (0..2).map(|_| any_policy(random)).collect();
        let mut slots = SequentialSlots::new();
        let mut compiled = |policy: &Policy, seed: u64| {
            compile(policy, &mut slots, seed, &Capacity::default()).unwrap()
        };
        let images: Vec<_> =
            policies.iter().map(|policy| compiled(policy, random.word())).collect();
        gateway.reset(&images[0]);
        let mode = mode(random, gateway, &policies[0]);
        let mut oracle = Oracle::new(mode, &policies[0], Standing::default(), FLOWS as usize);
        if gateway.is_limited() {
            oracle = oracle.limited(quotas(gateway.hz()));
        }
        oracle.authenticate_on(AUTHENTICATOR, own(gateway));
        gateway.await_turn();
        let (current, waits, turn) = (0, 0, gateway.turn());
        let mut pair = Self { gateway, oracle, images, policies, current, waits, turn };
        for place in 0..pair.policies[0].nodes().len() {
            if !random.once_in(4) {
                pair.grant(0, place, 100_005);
            }
        }
        pair
    }

    /// The policy in force, now and then another one.
    pub(crate) fn policy(&self, random: &mut Random) -> &Policy {
        let other = random.once_in(4).then(|| random.below(self.policies.len()));
        &self.policies[other.unwrap_or(self.current)]
    }

    /// Whether so much time has passed that the program may know of it.
    pub(crate) fn is_overtaken(&self) -> bool {
        self.gateway.turn() != self.turn
    }

    /// Both remember as many flows.
    pub(crate) fn settle(&self, seed: u64) {
        assert_eq!(self.gateway.flow_counts(), self.oracle.flow_counts(), "seed {seed}");
        self.gateway.settle();
    }

    /// What was promised of the next frame, and kept.
    pub(crate) fn send(&mut self, seed: u64, (port, frame): &Sent, tally: &mut Tally) -> Judgement {
        let expected = self.oracle.judge(*port, frame);
        let ran = self.gateway.ran(Port(*port), frame);
        assert!(
            agree(expected, &ran, frame),
            "seed {seed}, {ran:x?} on port {port}, not {expected:x?}: {}\n{:#?}",
            hex(frame),
            self.oracle,
        );
        let verdict = ran.verdict.name();
        tally.count(if expected == Judgement::Either { "left open" } else { verdict });
        expected
    }

    /// The same of one that the gateway's kernel sends.
    pub(crate) fn leave(
        &mut self,
        seed: u64,
        origin: Origin,
        (port, frame): &Sent,
        tally: &mut Tally,
    ) {
        let stand_in = |port| routes::interface(self.oracle.surroundings()?, port);
        let (origin, interface) = match origin {
            Origin::Gateway => (origin, 0),
            Origin::Port(port) => {
                stand_in(port).map_or((Origin::Elsewhere, LOOPBACK), |index| (origin, index))
            }
            Origin::Elsewhere => (origin, LOOPBACK),
        };
        let expected = self.oracle.judge_leaving(origin, *port, frame);
        let verdict = self.gateway.let_out(Port(*port), interface, frame);
        let agrees = match expected {
            Judgement::Passes(reason, exit) => {
                exit == Exit::Kept && verdict == Verdict::Pass(reason)
            }
            Judgement::Drops => matches!(verdict, Verdict::Drop(_)),
            Judgement::Either => true,
        };
        assert!(
            agrees,
            "seed {seed}, {verdict:?} of {origin:?} out of port {port}, not {expected:x?}: {}\n{:#?}",
            hex(frame),
            self.oracle,
        );
        tally.count(if expected == Judgement::Either { "left open" } else { verdict.name() });
    }

    /// Changes something between frames.
    pub(crate) fn act(&mut self, random: &mut Random) {
        let chosen = random.below(self.images.len());
        let trial = &self.gateway.trial;
        match random.below(9) {
            0 | 1 => {
                trial.install(&self.images[chosen]);
                self.oracle.reload(&self.policies[chosen]);
                self.current = chosen;
            }
            8 if self.gateway.is_routing() => {
                let surroundings = routes::surroundings(random, &self.policies[self.current]);
                routes::impose(self.gateway, &surroundings);
                self.oracle.surround(surroundings);
            }
            2 => {
                let level = level(random);
                trial.stop(stop(level));
                self.oracle.stop(level);
            }
            3 => {
                let subnetwork = random.pick(self.images[chosen].names.subnetworks());
                let level = level(random);
                trial.stop_subnetwork(subnetwork.slot, stop(level));
                let name = subnetwork.name.to_string();
                self.oracle.change(|standing| {
                    standing.subnetworks.insert(name, level);
                });
            }
            4 => {
                let node = random.pick(self.images[chosen].names.nodes());
                let (name, isolated) = (node.name.to_string(), random.once_in(3));
                trial.isolate(node.slot, isolated);
                self.oracle.change(|standing| {
                    if isolated {
                        standing.isolated.insert(name);
                    } else {
                        standing.isolated.remove(&name);
                    }
                });
            }
            5 => {
                let node = random.pick(self.images[chosen].names.nodes());
                trial.grant(node.slot, Ticks(0));
                self.oracle.change(|standing| {
                    standing.leases.remove(&*node.name);
                });
            }
            6 => {
                let place = random.below(self.policies[chosen].nodes().len());
                let seconds = *random.pick(&[5, 65, 3605, 100_005]);
                self.grant(chosen, place, seconds);
            }
            _ => self.wait(random),
        }
    }

    /// Leases end on odd seconds, waits are of even ones and timeouts of tens: nothing ends in the
    /// milliseconds that a session takes.
    fn grant(&mut self, policy: usize, place: usize, seconds: u64) {
        let node = &self.policies[policy].nodes()[place];
        self.oracle.grant(&node.name, self.oracle.now() + seconds);
        let left = self.oracle.standing().leases[&*node.name] - self.oracle.now();
        let id = self.policies[policy].node_named(&node.name).unwrap();
        let slot = self.images[policy].names.node_slot(id);
        let end = self.gateway.now().0 + left * u64::from(self.gateway.hz());
        self.gateway.trial.grant(slot, Ticks(end));
    }

    fn wait(&mut self, random: &mut Random) {
        if self.waits == 4 {
            return;
        }
        self.waits += 1;
        let waits =
            if self.gateway.is_limited() { &WHOLE_TURNS } else { &[2, 12, 32, 182, 3602, 86402] };
        let seconds = *random.pick(waits);
        self.gateway.trial.age(seconds * self.gateway.hz()).unwrap();
        self.oracle.wait(u64::from(seconds));
    }
}

fn level(random: &mut Random) -> Level {
    match random.below(6) {
        0 => Level::Hard,
        1 => Level::Ordinary,
        _ => Level::Running,
    }
}
