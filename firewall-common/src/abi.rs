//! The kernel maps: what lies in each, and how large it is.
//!
//! [`LAYOUT`] goes into the name of the directory the maps are pinned in; change any layout here or
//! in [`crate::image`] and it must change too, so that a daemon never adopts maps that mean
//! something else.

#[cfg(not(target_arch = "bpf"))]
use core::sync::atomic::Ordering::SeqCst;

use crate::quota::Quota;
use crate::word::Word64;
use crate::{Generation, Ticks};

/// The version of every layout in this module, in [`crate::image`], [`crate::event`] and of
/// [`crate::flow::Flow`]; the counters' order (the verdicts) included.
pub const LAYOUT: u32 = 6;

/// The names of the maps, the same on both sides.
pub mod map {
    /// One [`super::Control`]; mmapable.
    pub const CONTROL: &str = "CONTROL";
    /// Both image halves, one [`crate::image::Line`] a slot; mmapable.
    pub const IMAGE: &str = "IMAGE";
    /// One [`super::NodeState`] a node slot; mmapable.
    pub const NODES: &str = "NODES";
    /// One [`super::SubnetworkState`] a subnetwork slot; mmapable.
    pub const SUBNETWORKS: &str = "SUBNETWORKS";
    /// What was asked of neighbours: LRU hash, [`crate::flow::FlowKey`] to [`crate::flow::Flow`].
    pub const ASKED: &str = "ASKED";
    /// Flows, a [`crate::flow::table::Slot`] each; mmapable.
    pub const FLOWS: &str = "FLOWS";
    /// Whose those slots are, a [`crate::flow::table::Bucket`] for six; mmapable.
    pub const FLOW_BUCKETS: &str = "FLOW_BUCKETS";
    /// Datagrams that come in fragments: LRU hash, [`crate::fragment::FragmentKey`] to
    /// [`crate::fragment::Datagram`].
    pub const FRAGMENTS: &str = "FRAGMENTS";
    /// Per-CPU [`super::Count`]: [`super::counter`] of port and verdict.
    pub const COUNTERS: &str = "COUNTERS";
    /// Per-CPU [`super::Count`] a rule slot.
    pub const RULE_COUNTERS: &str = "RULE_COUNTERS";
    /// Per-CPU [`super::Count`] a pair of subnetworks.
    pub const PAIR_COUNTERS: &str = "PAIR_COUNTERS";
    /// Ring buffer of [`crate::event::Event`].
    pub const EVENTS: &str = "EVENTS";
    /// Per-CPU [`super::EventState`].
    pub const EVENT_STATE: &str = "EVENT_STATE";
    /// Per-CPU working memory of the program; never read from outside.
    pub const SCRATCH: &str = "SCRATCH";
    /// Port index to interface index, for programs that take whole frames.
    pub const PORTS: &str = "PORTS";
    /// The same for programs that take frames in pieces: a map of devices belongs to either kind.
    pub const PORTS_JUMBO: &str = "PORTS_JUMBO";
    /// One [`super::PortState`] a port; mmapable.
    pub const PORT_STATES: &str = "PORT_STATES";
    /// The gateway's own addresses: [`crate::Addr`] to a word that means nothing; router mode.
    pub const LOCAL: &str = "LOCAL";
    /// Interface index to [`super::Attachment`]; router mode.
    pub const INTERFACES: &str = "INTERFACES";
    /// [`super::Attachment`] to interface index; router mode.
    pub const ATTACHMENTS: &str = "ATTACHMENTS";
    /// Which names own the node slots, the rule slots and the subnetwork slots: the first 8 bytes
    /// of the name's hash, 0 where the slot is free; mmapable.
    pub const NAMES: &str = "NAMES";
}

/// The most ports a gateway has.
pub const PORTS: u32 = 64;

/// The word that everything hangs on: read once per packet, first of all.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Control {
    /// A [`Stop`] of everything.
    pub stop: Word64,
    /// A [`Publication`].
    pub publication: Word64,
    /// What the keys of established flows are hashed with; zero until the daemon has set it.
    pub seed: crate::flow::table::Seed,
    /// Not used yet.
    pub reserved: u64,
}

/// How far a stop goes, of everything or of one subnetwork.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stop {
    /// Traffic flows as the policy says.
    #[default]
    None,
    /// Only essential rules are in force.
    Ordinary,
    /// Nothing passes.
    Hard,
}

impl Stop {
    /// As it lies in the map.
    pub const fn encode(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Ordinary => 1,
            Self::Hard => 2,
        }
    }

    /// From the map; a value that nobody writes is the hardest stop.
    #[inline(always)]
    pub const fn decode(word: u64) -> Self {
        if word == 0 {
            Self::None
        } else if word == 1 {
            Self::Ordinary
        } else {
            Self::Hard
        }
    }
}

/// Which image half is active, whether any is, and the generation: published by one store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Publication {
    /// The active half, 0 or 1.
    pub half: u32,
    /// An image was ever published; until then nothing passes.
    pub armed: bool,
    /// What flows are allowed under from now on.
    pub generation: Generation,
}

impl Publication {
    /// As it lies in the map.
    pub const fn encode(self) -> u64 {
        (self.half & 1) as u64 | (self.armed as u64) << 1 | (self.generation.0 as u64) << 32
    }

    /// From the map.
    #[inline(always)]
    pub const fn decode(word: u64) -> Self {
        Self {
            half: (word & 1) as u32,
            armed: word & 2 != 0,
            generation: Generation((word >> 32) as u32),
        }
    }
}

/// A node's standing, independent of the policy, and what it has opened.
#[derive(Debug, Default)]
#[repr(C)]
pub struct NodeState {
    standing: Word64,
    /// The flows that it has opened lately.
    pub quota: Quota,
}

const ISOLATED: u64 = 1 << 63;

impl NodeState {
    /// A node with that lease end (0: none) that may be isolated.
    pub const fn new(lease_end: Ticks, isolated: bool) -> Self {
        let standing = Word64::new(Self::encode(lease_end, isolated));
        Self { standing, quota: Quota::full() }
    }

    /// As it lies in the map.
    pub const fn encode(lease_end: Ticks, isolated: bool) -> u64 {
        lease_end.0 & !ISOLATED | if isolated { ISOLATED } else { 0 }
    }

    /// The first tick at which the lease is no longer valid; 0 if it never had one.
    #[inline(always)]
    pub fn lease_end(&self) -> Ticks {
        Ticks(self.standing.load() & !ISOLATED)
    }

    /// Whether it is cut off.
    #[inline(always)]
    pub fn is_isolated(&self) -> bool {
        self.standing.load() & ISOLATED != 0
    }

    /// Cuts it off, or lets it back; the lease stays.
    #[cfg(not(target_arch = "bpf"))]
    pub fn set_isolated(&self, isolated: bool) {
        if isolated {
            self.standing.atomic().fetch_or(ISOLATED, SeqCst);
        } else {
            self.standing.atomic().fetch_and(!ISOLATED, SeqCst);
        }
    }

    /// Grants, renews or (0) ends the lease; the isolation stays.
    #[cfg(not(target_arch = "bpf"))]
    pub fn set_lease_end(&self, end: Ticks) {
        let renew = |word| Some(end.0 & !ISOLATED | word & ISOLATED);
        let renewed = self.standing.atomic().fetch_update(SeqCst, SeqCst, renew);
        debug_assert!(renewed.is_ok(), "the closure never refuses");
    }
}

/// A subnetwork's standing, independent of the policy.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct SubnetworkState {
    /// A [`Stop`] of this subnetwork.
    pub stop: Word64,
    /// The flows that its undeclared addresses together have opened lately; those of the gateway
    /// itself in slot 0.
    pub quota: Quota,
    /// Not used yet.
    pub reserved: [u64; 6],
}

impl SubnetworkState {
    /// Not stopped.
    pub const fn running() -> Self {
        Self { stop: Word64::new(0), quota: Quota::full(), reserved: [0; 6] }
    }
}

/// What the kernel says of a port, for a router.
#[derive(Debug, Default)]
#[repr(C)]
pub struct PortState {
    /// The port's own MAC, in [`crate::Mac::word`]'s form.
    pub mac: Word64,
    /// The longest IP packet that may leave by it, in bytes.
    pub mtu: Word64,
}

/// Where the gateway has an interface: on a port, under a tag or none. One word, so that it serves
/// as key and as value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Attachment(u32);

impl Attachment {
    /// On that port, under that tag.
    #[inline(always)]
    pub const fn new(port: crate::Port, vlan: crate::Vlan) -> Self {
        Self((port.0 as u32) << 16 | vlan.0 as u32)
    }

    /// The port.
    #[inline(always)]
    pub const fn port(self) -> crate::Port {
        crate::Port((self.0 >> 16) as u16)
    }

    /// The tag.
    #[inline(always)]
    pub const fn vlan(self) -> crate::Vlan {
        crate::Vlan((self.0 & 0xffff) as u16)
    }
}

/// The most datagrams whose fragments are awaited; beyond that the oldest gives way.
pub const DATAGRAMS: u32 = 4096;
/// The most questions to neighbours whose answers are awaited; beyond that the oldest gives way.
pub const QUESTIONS: u32 = 16_384;
/// The most addresses that a router has of its own.
pub const LOCAL_ADDRESSES: u32 = 4096;
/// The most interfaces that a router has on its ports, tagged ones included.
pub const ATTACHMENTS: u32 = 4096;

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Count {
    /// Frames.
    pub packets: u64,
    /// Bytes on the wire without the frame check sequence.
    pub bytes: u64,
}

/// Counters of one port: first what was received, then one per verdict.
pub const COUNTERS_PER_PORT: u32 = 1 + crate::verdict::VERDICTS;

/// The index of a port's counter: of what it received, or of one verdict.
#[inline(always)]
pub const fn counter(port: u16, verdict: Option<crate::Verdict>) -> u32 {
    port as u32 * COUNTERS_PER_PORT
        + match verdict {
            None => 0,
            Some(verdict) => 1 + verdict.index(),
        }
}

/// The index of a pair of subnetworks in its counters, sender first.
#[inline(always)]
pub const fn pair_counter(from: u16, to: u16) -> u32 {
    (from as u32 & 0xff) << 8 | to as u32 & 0xff
}

/// The token bucket of the events of one CPU, and what it did not let through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct EventState {
    /// Events that may still be written in this tick.
    pub tokens: u64,
    /// The tick of the last refill.
    pub refilled: u64,
    /// Events written to the ring.
    pub emitted: u64,
    /// Events held back by the bucket.
    pub suppressed: u64,
    /// Events that found the ring full.
    pub overflowed: u64,
}

/// How long flows live without a segment, in ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Timeouts {
    /// Before the responder has answered, and for ARP and neighbour discovery.
    pub half_open: u32,
    /// An established TCP connection.
    pub tcp: u32,
    /// A TCP connection that one side has closed.
    pub tcp_closing: u32,
    /// A TCP connection that both sides have closed.
    pub tcp_closed: u32,
    /// UDP and ICMP echo that were answered.
    pub datagram: u32,
    /// From the first fragment of a datagram to its last.
    pub fragment: u32,
}

impl Timeouts {
    /// The defaults, for a kernel of that many ticks a second.
    ///
    /// TCP lives 24 h: HL7 and DICOM connections are idle overnight, and RFC 5382 (REQ-5) asks for
    /// at least 2 h 4 min. UDP lives 180 s (RFC 4787, REQ-5: at least 2 min).
    pub const fn defaults(hz: u32) -> Self {
        Self {
            half_open: 30 * hz,
            tcp: 24 * 3600 * hz,
            tcp_closing: 3600 * hz,
            tcp_closed: 10 * hz,
            datagram: 180 * hz,
            fragment: 5 * hz,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publication_survives_its_word() {
        let publication = Publication { half: 1, armed: true, generation: Generation(u32::MAX) };
        assert_eq!(Publication::decode(publication.encode()), publication);
        assert!(!Publication::decode(0).armed, "fresh maps are not armed");
    }

    #[test]
    fn an_unknown_stop_is_the_hardest() {
        for stop in [Stop::None, Stop::Ordinary, Stop::Hard] {
            assert_eq!(Stop::decode(stop.encode()), stop);
        }
        assert_eq!(Stop::decode(77), Stop::Hard);
    }

    #[test]
    fn isolation_and_lease_do_not_touch_each_other() {
        let state = NodeState::default();
        state.set_lease_end(Ticks(5000));
        state.set_isolated(true);
        assert!(state.is_isolated());
        assert_eq!(state.lease_end(), Ticks(5000));
        state.set_lease_end(Ticks(0));
        assert!(state.is_isolated());
        state.set_isolated(false);
        assert_eq!(state.lease_end(), Ticks(0));
    }

    #[test]
    fn maps_are_as_large_as_they_should_be() {
        assert_eq!(size_of::<Control>(), 64);
        assert_eq!(size_of::<NodeState>(), 16);
        assert_eq!(size_of::<SubnetworkState>(), 64);
        assert_eq!(size_of::<crate::flow::Flow>(), 72);
        assert_eq!(size_of::<crate::flow::FlowKey>(), 40);
    }
}
