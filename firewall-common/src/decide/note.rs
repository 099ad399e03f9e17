//! What a decision is taken under, what it learns on its way, and what it grants.

use crate::abi::Stop;
use crate::flow::{End, Flow, FlowKey, Grant, Sender, Signature, Tcp};
use crate::fragment::{Datagram, First, FragmentKey};
use crate::guard::Claim;
use crate::identity::{Direction, Speaker};
use crate::image::Allowed;
use crate::parse::{Link, Network, Piece};
use crate::tables::Lookup;
use crate::word::Word64;
use crate::{
    Addr, DropReason, Generation, Hop, PassReason, Port, RuleSlot, Service, SubnetworkSlot, Ticks,
    Vlan,
};

/// What a decision is taken under; read once per frame.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moment {
    /// How far everything is stopped; never [`Stop::Hard`] here.
    pub stop: Stop,
    /// The active half of the image.
    pub half: u32,
    /// The generation in force.
    pub generation: Generation,
    /// The time.
    pub now: Ticks,
}

/// Where a frame goes that may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The port it leaves by; [`Port::GATEWAY`] if the gateway's kernel takes it.
    pub port: Port,
    /// The tag it must carry when it leaves.
    pub vlan: Vlan,
    /// The MAC it is sent to; zero where it stays as it is.
    pub hop: Hop,
}

impl Exit {
    /// To the gateway's own kernel.
    pub const GATEWAY: Self = Self::unchanged(Port::GATEWAY, Vlan::UNTAGGED);

    /// As it is, but for its tag.
    #[inline(always)]
    pub(crate) const fn unchanged(port: Port, vlan: Vlan) -> Self {
        Self { port, vlan, hop: Hop::NONE }
    }
}

/// Leave to pass, and what the recorder needs to know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passage {
    /// Why.
    pub reason: PassReason,
    /// Where it goes.
    pub exit: Exit,
    /// The rule that allowed it.
    pub rule: RuleSlot,
    /// The sender's subnetwork.
    pub from: SubnetworkSlot,
    /// The receiver's subnetwork.
    pub to: SubnetworkSlot,
}

impl Default for Passage {
    fn default() -> Self {
        Self {
            reason: PassReason::Established,
            exit: Exit::GATEWAY,
            rule: RuleSlot::default(),
            from: SubnetworkSlot::default(),
            to: SubnetworkSlot::default(),
        }
    }
}

/// What the decision learned of the frame so far; zero where it did not get that far.
#[derive(Debug)]
#[repr(C)]
pub struct Note {
    /// The flow's key; its addresses are the frame's.
    pub key: FlowKey,
    /// A flow being written before it enters a table.
    pub flow: Flow,
    /// MACs, VLAN and port; the last frame's while [`Note::ethertype`] is zero.
    pub signature: Signature,
    /// Which end of `key` sent the frame.
    pub sender: Sender,
    /// What its TCP header says, if it has one: here, and not in registers that every other frame
    /// would have to do without (4 ns).
    pub segment: Tcp,
    /// Who sent it; working memory like the three that follow: BPF's stack has 512 bytes.
    pub source: Speaker,
    /// Who would receive it.
    pub destination: Speaker,
    /// Whose address is asked for.
    pub query: Addr,
    /// The service that is asked for.
    pub service: Service,
    /// The stricter of the stops that the two are under, as [`Stop::encode`].
    pub stop: Word64,
    /// Whether a rule would allow it but for that stop.
    pub stopped: Word64,
    /// What the rule table said.
    pub allowed: Allowed,
    /// What a flow is allowed under.
    pub grant: Grant,
    /// What an ARP or neighbour discovery message says.
    pub claim: Claim,
    /// What the decision is taken under.
    pub moment: Moment,
    /// Working memory of a route look-up.
    pub lookup: Lookup,
    /// Where the flow of `key` was found.
    pub slot: Word64,
    /// How far a walk over options has come.
    pub walk: Word64,
    /// Why a question was answered with no, across a call of the kernel's.
    pub refusal: DropReason,
    /// Sender's node slot, receiver's in the upper half. Words that are stored one by one: LLVM
    /// would make a call of memset for anything wider.
    pub nodes: Word64,
    /// EtherType, both subnetworks, `NAMED`, `ABSENT`.
    pub about: Word64,
    /// The packet's length, its TTL or hop limit in the upper half.
    pub travel: Word64,
    /// The headers of a packet that is not plain.
    pub network: Network,
    /// Where it lies in its datagram, if it is a fragment.
    pub piece: Piece,
    /// What all fragments of that datagram have in common.
    pub first: First,
    /// The datagram's key.
    pub fragment: FragmentKey,
    /// A datagram being written before it enters its table.
    pub datagram: Datagram,
    /// The port that the packet came in by, be it that it is about to leave.
    pub came_in: Port,
    /// What became of a packet that was decided over in a function of the kernel's.
    pub passage: Passage,
}

const NAMED: u64 = 1 << 48;
const ABSENT: u64 = 1 << 49;

impl Default for Note {
    fn default() -> Self {
        Self {
            key: FlowKey::default(),
            flow: Flow::default(),
            signature: Signature::default(),
            sender: Sender::Low,
            segment: Tcp::default(),
            source: Speaker::default(),
            destination: Speaker::default(),
            query: Addr::UNSPECIFIED,
            service: Service::NONE,
            stop: Word64::default(),
            stopped: Word64::default(),
            allowed: Allowed::default(),
            grant: Grant::default(),
            claim: Claim::default(),
            moment: Moment::default(),
            lookup: Lookup::default(),
            slot: Word64::default(),
            walk: Word64::default(),
            refusal: DropReason::NotArmed,
            nodes: Word64::default(),
            about: Word64::default(),
            travel: Word64::default(),
            network: Network::default(),
            piece: Piece::default(),
            first: First::default(),
            fragment: FragmentKey::default(),
            datagram: Datagram::default(),
            came_in: Port::default(),
            passage: Passage::default(),
        }
    }
}

impl Note {
    #[inline(always)]
    pub(super) fn forget(&self) {
        self.nodes.store(0);
        self.about.store(0);
    }

    #[inline(always)]
    pub(super) fn link(&mut self, link: &Link) {
        self.signature = link.signature;
        self.about.store(link.ethertype as u64);
    }

    #[inline(always)]
    pub(super) fn packet(&self, network: &Network) {
        self.travel.store(network.length as u64 | (network.hops as u64) << 32);
    }

    /// Bytes of the IP packet.
    #[inline(always)]
    pub(super) fn length(&self) -> u32 {
        (self.travel.load() & 0xffff_ffff) as u32
    }

    /// Its TTL or hop limit.
    #[inline(always)]
    pub(super) fn hops(&self) -> u32 {
        (self.travel.load() >> 32) as u32
    }

    /// Keeps the flow key of the frame.
    #[inline(always)]
    pub fn name(&mut self, source: End, destination: End, protocol: u8, pair: Port) -> Sender {
        let (key, sender) = FlowKey::of(source, destination, protocol, pair);
        self.key.become_key(&key);
        self.sender = sender;
        self.about.store(self.about.load() | NAMED);
        sender
    }

    /// No flow has the key of the frame, a plain packet of TCP or UDP: it need not be looked for again.
    /// In memory, so that the verifier walks the stages once for both.
    #[inline(always)]
    pub(super) fn set_absent(&self) {
        self.about.store(self.about.load() | ABSENT);
    }

    #[inline(always)]
    pub(super) fn is_absent(&self) -> bool {
        self.about.load() & ABSENT != 0
    }

    #[inline(always)]
    pub(super) fn unname(&self) {
        self.about.store(self.about.load() & !NAMED);
    }

    /// Keeps what the flow is allowed under.
    #[inline(always)]
    pub(crate) fn granted(&mut self, direction: Direction, lease_end: u32) {
        let (from, to) = match direction {
            Direction::Forward => (self.source.subnetwork, self.destination.subnetwork),
            Direction::Backward => (self.destination.subnetwork, self.source.subnetwork),
        };
        let Allowed { rule, essential } = self.allowed;
        self.grant =
            Grant { generation: self.moment.generation, lease_end, rule, essential, from, to };
    }

    /// `source` is known.
    #[inline(always)]
    pub fn sent_by(&self) {
        self.nodes.store(self.source.party.node().0 as u64);
        self.about.store(self.about.load() | (self.source.subnetwork.0 as u64) << 16);
    }

    /// `destination` is known, too.
    #[inline(always)]
    pub fn sent_to(&self) {
        let Speaker { party, subnetwork, .. } = self.destination;
        self.nodes.store(self.nodes.load() | (party.node().0 as u64) << 32);
        self.about.store(self.about.load() | (subnetwork.0 as u64) << 32);
    }

    /// The frame's EtherType behind the tag; 0 if it was refused before.
    #[inline(always)]
    pub fn ethertype(&self) -> u16 {
        (self.about.load() & 0xffff) as u16
    }

    /// Whether `key` and `sender` are this frame's.
    #[inline(always)]
    pub fn is_named(&self) -> bool {
        self.about.load() & NAMED != 0
    }

    /// The slots of the sending and the receiving node.
    #[inline(always)]
    pub fn nodes(&self) -> (u32, u32) {
        let nodes = self.nodes.load();
        ((nodes & 0xffff_ffff) as u32, (nodes >> 32) as u32)
    }

    /// The subnetworks of the sender and of the receiver.
    #[inline(always)]
    pub fn subnetworks(&self) -> (u16, u16) {
        let about = self.about.load();
        ((about >> 16 & 0xffff) as u16, (about >> 32 & 0xffff) as u16)
    }
}
