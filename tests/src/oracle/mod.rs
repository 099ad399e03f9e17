//! What Cordon promises, read slowly from the policy itself: may this frame pass, after all those
//! before it? Written from the contract, the README and the RFCs; it knows no image, no tables and
//! none of the decision's code. It asks everything again for every frame and remembers only who
//! talks with whom.

mod authenticator;
mod error;
mod flow;
mod leaving;
mod neighbour;
mod party;
mod quota;
mod route;
mod tcp;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use firewall_common::PassReason;
use firewall_policy::Policy;

use self::flow::Flow;
pub use self::leaving::Origin;
use self::neighbour::Question;
use self::party::{Party, Who};
pub use self::quota::Limits;
use self::quota::Quotas;
pub use self::route::{Port, Route, Surroundings};
use self::wire::{Content, Frame};

/// How the gateway stands between its ports.
#[derive(Clone, Debug)]
pub enum Mode {
    /// What comes in on one port of a pair leaves by the other.
    Bridge,
    /// What comes in anywhere leaves by where its receiver lives, as the kernel's routes say.
    Router(Surroundings),
}

impl Mode {
    /// Flows of different pairs have nothing to do with each other. A router knows every address once.
    const fn pair(&self, port: u16) -> u16 {
        match self {
            Self::Bridge => port / 2,
            Self::Router(_) => 0,
        }
    }
}

/// How far something is stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Not at all.
    #[default]
    Running,
    /// Rules marked `essential` are the only exception.
    Ordinary,
    /// Spares nothing.
    Hard,
}

/// What operators and authentication have said, by the names of the policy.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// How far everything is stopped.
    pub stop: Level,
    /// How far subnetworks are.
    pub subnetworks: BTreeMap<String, Level>,
    /// Nodes that are cut off.
    pub isolated: BTreeSet<String>,
    /// Until which second nodes are authenticated.
    pub leases: BTreeMap<String, u64>,
}

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It passes, for that reason, and leaves like that.
    Passes(PassReason, Exit),
    /// It does not, whatever the reason.
    Drops,
    /// The promises leave it open.
    Either,
}

/// How a frame leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By the other port of the pair, as it came but for its tag.
    Across {
        /// The tag of the receiver's subnetwork.
        vlan: u16,
    },
    /// From the gateway's MAC to the next hop's, with one hop less.
    Forwarded {
        /// The tag of the receiver's subnetwork.
        vlan: u16,
        /// The MAC of the port that it leaves by.
        source: [u8; 6],
        /// The MAC of the next hop.
        destination: [u8; 6],
    },
    /// To the gateway's own kernel, as it came.
    Kernel,
    /// By the port that the gateway's kernel has chosen, as that wrote it.
    Kept,
}

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Oracle {
    mode: Mode,
    policy: Policy,
    standing: Standing,
    /// The ports where 802.1X is spoken, and their MACs.
    authenticators: BTreeMap<u16, [u8; 6]>,
    /// How many flows the table is made for.
    capacity: usize,
    /// How many have been entered in it.
    entered: usize,
    /// In seconds.
    now: u64,
    /// Grows with every change after which all flows must prove themselves again.
    epoch: u64,
    flows: Vec<Flow>,
    questions: Vec<Question>,
    quotas: Quotas,
}

impl Oracle {
    /// One that has seen nothing yet, at second 0.
    pub fn new(mode: Mode, policy: &Policy, standing: Standing, capacity: usize) -> Self {
        let (policy, flows, questions) = (policy.clone(), Vec::new(), Vec::new());
        Self {
            mode,
            policy,
            standing,
            authenticators: BTreeMap::new(),
            capacity,
            entered: 0,
            now: 0,
            epoch: 0,
            flows,
            questions,
            quotas: Quotas::default(),
        }
    }

    /// What it has been told.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// What a router's kernel knows.
    pub fn surroundings(&self) -> Option<&Surroundings> {
        match &self.mode {
            Mode::Bridge => None,
            Mode::Router(surroundings) => Some(surroundings),
        }
    }

    /// Nodes on a port are authenticated there, by an authenticator with the port's MAC.
    pub fn authenticate_on(&mut self, port: u16, mac: [u8; 6]) {
        self.authenticators.insert(port, mac);
    }

    /// In seconds.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// A policy comes into force.
    pub fn reload(&mut self, policy: &Policy) {
        self.policy = policy.clone();
        self.epoch += 1;
    }

    /// Something changes but for the stop of everything and the renewal of leases.
    pub fn change(&mut self, change: impl FnOnce(&mut Standing)) {
        change(&mut self.standing);
        self.epoch += 1;
    }

    /// Everything is stopped so far.
    pub fn stop(&mut self, level: Level) {
        self.standing.stop = level;
    }

    /// Leases only become longer; to end one is a [change](Self::change).
    pub fn grant(&mut self, node: &str, until: u64) {
        let end = self.standing.leases.entry(node.to_owned()).or_default();
        *end = until.max(*end);
    }

    /// The kernel's routes, interfaces or neighbours change. A bridge has none.
    pub fn surround(&mut self, surroundings: Surroundings) {
        self.mode = Mode::Router(surroundings);
        self.epoch += 1;
    }

    /// Time passes.
    pub fn wait(&mut self, seconds: u64) {
        self.now += seconds;
    }

    /// Flows that have been answered, and those that have not; what is over counts until somebody
    /// notices.
    pub fn flow_counts(&self) -> (usize, usize) {
        let established = self.established();
        (self.flows.len() - established + self.questions.len(), established)
    }

    fn established(&self) -> usize {
        self.flows.iter().filter(|flow| flow.is_established()).count()
    }

    /// Judges the next frame.
    pub fn judge(&mut self, port: u16, frame: &[u8]) -> Judgement {
        if self.standing.stop == Level::Hard {
            return Judgement::Drops;
        }
        if self.is_for_authenticator(port, frame) {
            return Judgement::Passes(PassReason::Eapol, Exit::Kernel);
        }
        let Some(frame) = wire::read(frame) else { return Judgement::Drops };
        let is_message = matches!(frame.content, Content::Neighbour(_));
        if !is_message && !self.is_for_us(port, &frame) {
            return Judgement::Drops;
        }
        match &frame.content {
            Content::Neighbour(message) => self.message(port, &frame, message),
            Content::Error(error) => self.error(port, &frame, error),
            Content::Packet(packet) => self.packet(Some(port), &frame, packet),
        }
    }

    /// Of a router, packets for other MACs are none of its business.
    fn is_for_us(&self, port: u16, frame: &Frame) -> bool {
        match &self.mode {
            Mode::Bridge => true,
            Mode::Router(surroundings) => {
                surroundings.ports[usize::from(port)].mac == frame.destination_mac
            }
        }
    }

    /// Who has an address that frames come from, seen from the port that they come in on.
    fn sender(&self, port: u16, address: IpAddr) -> Who {
        match &self.mode {
            Mode::Bridge => Who::is_behind(&self.policy, port, address),
            Mode::Router(surroundings) => {
                let who = Who::is_anywhere(&self.policy, surroundings, address);
                match who {
                    Who::Here(party) if self.port(&party) != Some(port) => Who::Elsewhere(party),
                    Who::Here(_) | Who::Elsewhere(_) | Who::Nobody => who,
                }
            }
        }
    }

    /// Who has an address that a frame is sent to which came in on that port.
    fn receiver(&self, port: u16, address: IpAddr) -> Who {
        match &self.mode {
            Mode::Bridge => Who::is_behind(&self.policy, port ^ 1, address),
            Mode::Router(surroundings) => Who::is_anywhere(&self.policy, surroundings, address),
        }
    }

    /// Flows of the gateway's own are among all others.
    fn pair(&self, from: Option<u16>) -> u16 {
        from.map_or(0, |port| self.mode.pair(port))
    }

    /// Who sends from that address: behind that port, or `None` the gateway itself.
    fn speaker(&self, from: Option<u16>, address: IpAddr) -> Option<Party> {
        match from {
            Some(port) => self.sender(port, address).here(),
            None => self.own(address),
        }
    }

    /// Whether a frame looks as the frames of that party must: VLAN and MAC, as declared.
    fn is_bound(&self, party: &Party, frame: &Frame) -> bool {
        self.vlan(party) == Some(frame.vlan) && party.carries(&self.policy, frame.source_mac)
    }

    /// Until when it may speak; `None` if it may not.
    fn may_speak(&self, party: &Party) -> Option<u64> {
        let Some(node) = party.node else { return Some(u64::MAX) };
        let node = &self.policy.nodes()[node];
        if self.standing.isolated.contains(&*node.name) {
            return None;
        }
        if !node.authentication.needs_lease() {
            return Some(u64::MAX);
        }
        let end = self.standing.leases.get(&*node.name).copied();
        end.filter(|end| *end > self.now)
    }

    /// How far what is between these two is stopped. The gateway itself is in no subnetwork.
    fn level(&self, one: Option<usize>, other: Option<usize>) -> Level {
        let local = |subnetwork: Option<usize>| {
            let name = subnetwork.map(|subnetwork| &*self.policy.subnetworks()[subnetwork].name);
            name.and_then(|name| self.standing.subnetworks.get(name)).copied().unwrap_or_default()
        };
        self.standing.stop.max(local(one)).max(local(other))
    }

    /// The tag that its frames carry; `None` of the gateway itself.
    fn vlan(&self, party: &Party) -> Option<u16> {
        Some(self.policy.subnetworks()[party.subnetwork?].vlan.0)
    }

    /// The port it lives behind; `None` of the gateway itself.
    fn port(&self, party: &Party) -> Option<u16> {
        Some(self.policy.subnetworks()[party.subnetwork?].port.0)
    }
}

impl Level {
    const fn spares(self, essential: bool) -> bool {
        match self {
            Self::Running => true,
            Self::Ordinary => essential,
            Self::Hard => false,
        }
    }
}
