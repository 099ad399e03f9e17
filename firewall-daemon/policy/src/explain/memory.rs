//! The kernel's tables in host memory: the same bytes, asked by the same decision.

mod hash;

use std::collections::{HashMap, HashSet};

use firewall_common::abi::{
    Attachment, Control, NodeState, PortState, Publication, Stop, SubnetworkState, Timeouts,
};
use firewall_common::decide::{Leaving, Passage, leave};
use firewall_common::flow::table::{self, Bucket, FlowTable, Found, Look, Seed, Slot};
use firewall_common::flow::{Flow, FlowKey, Phase, Sender};
use firewall_common::fragment::{Datagram, FragmentKey};
use firewall_common::image::{Line, SUBNETWORKS};
use firewall_common::quota::Limits;
use firewall_common::tables::{Full, Route, Way};
use firewall_common::word::Word64;
use firewall_common::{
    Addr, DropReason, Generation, Mac, NodeSlot, Note, Port, SubnetworkSlot, Tables, Ticks, Vlan,
    decide,
};

use crate::compile::Image;
use hash::Table;

/// How much a [`Memory`] holds, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Established flows: what the table of flows is made for. With 0 none fits.
    pub flows: u32,
    /// How long flows live.
    pub timeouts: Timeouts,
    /// How many flows one node may open.
    pub limits: Limits,
}

impl Default for Sizes {
    /// A thousand flows, the default timeouts at 1000 ticks a second, and no limits.
    fn default() -> Self {
        let timeouts = Timeouts::defaults(1000);
        Self { flows: 1024, timeouts, limits: Limits::NONE }
    }
}

/// Everything that the kernel holds between two frames.
///
/// Whatever changes who may speak makes a new generation, as the daemon does; granting a lease does
/// not need one.
#[derive(Debug)]
pub struct Memory {
    halves: [Vec<Line>; 2],
    control: Control,
    nodes: Vec<NodeState>,
    subnetworks: Vec<SubnetworkState>,
    flows: Vec<Slot>,
    buckets: Vec<Bucket>,
    asked: Table<FlowKey, Flow>,
    fragments: Table<FragmentKey, Datagram>,
    timeouts: Timeouts,
    limits: Limits,
    surroundings: Surroundings,
}

/// What a router's kernel knows of its surroundings.
#[derive(Debug, Default)]
struct Surroundings {
    local: HashSet<Addr>,
    ports: HashMap<Port, PortState>,
    authenticators: HashSet<Port>,
    enrolment: u16,
    routes: HashMap<Addr, Route>,
}

/// A gateway's own are more.
const DATAGRAMS: usize = 256;
const QUESTIONS: usize = 1024;
/// Odd, with as many bits set as not.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

impl Memory {
    /// The MAC of a port and of a next hop, unless it is told another.
    pub const MAC: Mac = Mac([2, 0, 0, 0, 0, 0xfe]);
    const MTU: u64 = 1500;

    /// As after loading: not armed, nothing known.
    pub fn new(sizes: &Sizes) -> Self {
        let Sizes { flows, timeouts, limits } = *sizes;
        let buckets = if flows == 0 { 0 } else { table::buckets_for(flows) };
        let control = Control::default();
        // Nobody attacks it.
        (1..).zip(&control.seed).for_each(|(word, seed)| seed.store(SEED.wrapping_mul(word)));
        Self {
            halves: [Vec::new(), Vec::new()],
            control,
            nodes: Vec::new(),
            subnetworks: (0..SUBNETWORKS).map(|_| SubnetworkState::default()).collect(),
            flows: (0..buckets * table::WAYS).map(|_| Slot::default()).collect(),
            buckets: (0..buckets).map(|_| Bucket::default()).collect(),
            asked: Table::new(QUESTIONS),
            fragments: Table::new(DATAGRAMS),
            timeouts,
            limits,
            surroundings: Surroundings::default(),
        }
    }

    /// Gives the gateway an address of its own.
    pub fn add_local(&mut self, address: Addr) {
        self.surroundings.local.insert(address);
    }

    /// Says what a port's MAC and MTU are.
    pub fn set_port(&mut self, port: Port, mac: Mac, mtu: u64) {
        let state = PortState { mac: Word64::new(mac.word()), mtu: Word64::new(mtu) };
        self.surroundings.ports.insert(port, state);
    }

    /// Has an authenticator speak IEEE 802.1X with the nodes on a port.
    pub fn authenticate_on(&mut self, port: Port) {
        self.surroundings.authenticators.insert(port);
    }

    /// Grants leases at that TCP port of the gateway's.
    pub fn enrol_at(&mut self, port: u16) {
        self.surroundings.enrolment = port;
    }

    /// Says what the kernel's routes say of a destination, or with [`Addr::UNSPECIFIED`] of all others.
    pub fn set_route(&mut self, destination: Addr, route: Route) {
        self.surroundings.routes.insert(destination, route);
    }

    /// With an image published.
    pub fn running(image: &Image) -> Self {
        let mut memory = Self::new(&Sizes::default());
        memory.publish(image);
        memory
    }

    /// Fills the idle half and makes it the active one, in a new generation.
    pub fn publish(&mut self, image: &Image) {
        let Publication { half, generation, .. } = self.publication();
        let half = 1 - half;
        self.halves[half as usize].clone_from(&image.lines);
        let last = image.names.nodes().last().map_or(0, |node| node.slot.0) as usize;
        if self.nodes.len() <= last {
            self.nodes.resize_with(last + 1, NodeState::default);
        }
        self.set_publication(Publication { half, armed: true, generation: next(generation) });
    }

    /// Makes a new generation: every flow is asked again.
    pub fn bump(&self) {
        let publication = self.publication();
        let generation = next(publication.generation);
        self.set_publication(Publication { generation, ..publication });
    }

    /// Stops everything, or (with [`Stop::None`]) lets it go on.
    pub fn stop(&self, stop: Stop) {
        self.control.stop.store(stop.encode());
    }

    /// Stops one subnetwork, or lets it go on.
    pub fn stop_subnetwork(&self, subnetwork: SubnetworkSlot, stop: Stop) {
        if let Some(state) = self.subnetworks.get(usize::from(subnetwork.0)) {
            state.stop.store(stop.encode());
        }
        self.bump();
    }

    /// Cuts a node off, or lets it back.
    pub fn isolate(&self, node: NodeSlot, isolated: bool) {
        if let Some(state) = self.nodes.get(node.0 as usize) {
            state.set_isolated(isolated);
        }
        self.bump();
    }

    /// Grants or renews a node's lease.
    pub fn grant(&self, node: NodeSlot, end: Ticks) {
        if let Some(state) = self.nodes.get(node.0 as usize) {
            state.set_lease_end(end);
        }
    }

    /// Takes a node's lease away.
    pub fn revoke(&self, node: NodeSlot) {
        self.grant(node, Ticks(0));
        self.bump();
    }

    /// Forgets every flow, and every datagram that has begun.
    pub fn forget_flows(&self) {
        self.buckets.iter().for_each(|bucket| bucket.store(0));
        self.asked.clear();
        self.fragments.clear();
    }

    /// The flows, half-open ones included, with how far they have come.
    pub fn flows(&self) -> Vec<(FlowKey, Phase)> {
        let list = table::flows(self).map(|(key, flow, _)| (key, flow.state().phase()));
        let mut flows: Vec<_> = list.collect();
        flows.extend(self.asked.list(|question| question.state().phase()));
        flows
    }

    /// How many flows are half-open, questions to neighbours included, and how many established.
    pub fn flow_counts(&self) -> (usize, usize) {
        let established = table::flows(self).filter(|(.., established)| *established).count();
        let half_open = table::flows(self).count() - established;
        (half_open + self.asked.len(), established)
    }

    /// The half in force and its generation.
    pub fn publication(&self) -> Publication {
        Publication::decode(self.control.publication.load())
    }

    /// The tables as the program of one port sees them.
    pub const fn behind(&self, port: Port, way: Way) -> Behind<'_> {
        Behind { memory: self, port, way }
    }

    /// Decides over a frame that comes in on `port`.
    ///
    /// # Errors
    /// Why it is dropped.
    pub fn decide(
        &self,
        frame: &[u8],
        port: Port,
        way: Way,
        now: Ticks,
    ) -> Result<Passage, DropReason> {
        decide(frame, &self.behind(port, way), now, &mut Note::default())
    }

    /// Decides over a frame that the gateway's kernel sends.
    ///
    /// # Errors
    /// Why it is dropped.
    pub fn leave(
        &self,
        frame: &[u8],
        leaving: Leaving,
        way: Way,
        now: Ticks,
    ) -> Result<Passage, DropReason> {
        leave(frame, &self.behind(Port::GATEWAY, way), now, &mut Note::default(), leaving)
    }

    fn set_publication(&self, publication: Publication) {
        self.control.publication.store(publication.encode());
    }
}

const fn next(generation: Generation) -> Generation {
    Generation(generation.0.wrapping_add(1))
}

impl FlowTable for Memory {
    fn count(&self) -> u32 {
        u32::try_from(self.buckets.len()).unwrap_or(u32::MAX)
    }

    fn bucket(&self, index: u32) -> Option<&Bucket> {
        self.buckets.get(index as usize)
    }

    fn slot(&self, index: u32) -> Option<&Slot> {
        self.flows.get(index as usize)
    }

    fn seed(&self) -> Option<&Seed> {
        Some(&self.control.seed)
    }
}

fn slot(note: &Note) -> u32 {
    u32::try_from(note.slot.load()).unwrap_or(u32::MAX)
}

/// See [`Memory::behind`].
#[derive(Clone, Copy, Debug)]
pub struct Behind<'m> {
    memory: &'m Memory,
    port: Port,
    way: Way,
}

impl Tables for Behind<'_> {
    fn port(&self) -> Port {
        self.port
    }

    fn way(&self) -> Way {
        self.way
    }

    fn authenticates(&self, port: Port) -> bool {
        self.memory.surroundings.authenticators.contains(&port)
    }

    fn enrolment(&self) -> u16 {
        self.memory.surroundings.enrolment
    }

    fn port_state(&self, port: Port) -> Option<&PortState> {
        static DEFAULT: PortState =
            PortState { mac: Word64::new(Memory::MAC.word()), mtu: Word64::new(Memory::MTU) };
        Some(self.memory.surroundings.ports.get(&port).unwrap_or(&DEFAULT))
    }

    fn is_local(&self, address: &Addr) -> bool {
        self.memory.surroundings.local.contains(address)
    }

    fn route(&self, note: &Note, sender: Sender, _from: Vlan, _to: Attachment) -> Route {
        let destination = match sender {
            Sender::Low => note.key.high,
            Sender::High => note.key.low,
        };
        let routes = &self.memory.surroundings.routes;
        let known = routes.get(&destination).or_else(|| routes.get(&Addr::UNSPECIFIED));
        known.copied().unwrap_or(Route::Hop(Memory::MAC.into()))
    }

    fn timeout(&self, phase: Phase) -> u32 {
        phase.timeout(&self.memory.timeouts)
    }

    fn limits(&self) -> Limits {
        self.memory.limits
    }

    fn reassembly(&self) -> u32 {
        self.memory.timeouts.fragment
    }

    fn control(&self) -> Option<(Stop, Publication)> {
        let stop = Stop::decode(self.memory.control.stop.load());
        Some((stop, self.memory.publication()))
    }

    fn line(&self, half: u32, line: u32) -> Option<&Line> {
        self.memory.halves.get(half as usize)?.get(line as usize)
    }

    fn node(&self, node: NodeSlot) -> Option<&NodeState> {
        self.memory.nodes.get(node.0 as usize)
    }

    fn subnetwork(&self, subnetwork: SubnetworkSlot) -> Option<&SubnetworkState> {
        self.memory.subnetworks.get(usize::from(subnetwork.0))
    }

    fn look(&self, key: &FlowKey) -> Look<'_> {
        table::look(self.memory, key)
    }

    fn find(&self, note: &mut Note) -> Option<(&Flow, bool)> {
        let Found { slot, established } = table::find(self.memory, &note.key)?;
        note.slot.store(slot.into());
        Some((self.memory.slot(slot)?.flow(), established))
    }

    fn open(&self, note: &mut Note) -> Result<(), Full> {
        table::open(self.memory, &note.key, &note.flow)
    }

    fn establish(&self, note: &mut Note) -> Result<(), Full> {
        table::establish(self.memory, &note.key, slot(note))
    }

    fn remove(&self, note: &mut Note) {
        table::remove(self.memory, &note.key, slot(note));
    }

    fn asked(&self, key: &FlowKey) -> Option<&Flow> {
        self.memory.asked.find(key)
    }

    fn ask(&self, key: &FlowKey, question: &Flow) -> Result<(), Full> {
        self.memory.asked.insert(key, question)
    }

    fn datagram(&self, key: &FragmentKey) -> Option<&Datagram> {
        self.memory.fragments.find(key)
    }

    fn begin_datagram(&self, key: &FragmentKey, datagram: &Datagram) -> Result<(), Full> {
        if self.datagram(key).is_some() {
            return Err(Full);
        }
        self.memory.fragments.insert(key, datagram)
    }

    fn forget_datagram(&self, key: &FragmentKey) {
        self.memory.fragments.remove(key);
    }
}
