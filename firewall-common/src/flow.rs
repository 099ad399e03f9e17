//! Flows: what is talking, why it may, and how far its connection has come.

mod connection;
mod signature;
mod state;
pub mod table;
mod window;

pub use self::signature::Signature;
pub use self::state::{Advance, Phase, Segment, State};
pub use self::window::{Scale, Tcp};
use crate::DropReason;
use crate::id::is_past;
use crate::word::{Word32, Word64};
use crate::{Addr, Generation, Port, RuleSlot, SubnetworkSlot, Ticks};

/// What names a flow, the same for both directions: the two ends in [`Addr::precedes`] order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct FlowKey {
    /// The end whose address precedes the other's.
    pub low: Addr,
    /// The other end.
    pub high: Addr,
    /// The transport port of `low`, host order.
    pub low_port: u16,
    /// The transport port of `high`, host order.
    pub high_port: u16,
    /// IP protocol; 0 for ARP and neighbour discovery.
    pub protocol: u8,
    /// Always zero: the kernel hashes every byte.
    pub reserved: u8,
    /// The lower port of the pair it crosses: pairs may have overlapping networks.
    pub pair: Port,
}

impl FlowKey {
    /// As words, read natively.
    #[inline(always)]
    pub const fn words(&self) -> [u64; 5] {
        let Self { low, high, low_port, high_port, protocol, reserved, pair } = *self;
        let ([a, b], [c, d]) = (low.words(), high.words());
        let ports = low_port as u64 | (high_port as u64) << 16;
        let rest = (protocol as u64) | (reserved as u64) << 8 | (pair.0 as u64) << 16;
        [a, b, c, d, ports | rest << 32]
    }

    /// One of those words, read from where it lies each time it is asked for: LLVM would rather keep
    /// all five on BPF's stack.
    #[inline(always)]
    pub(crate) fn word(&self, number: usize) -> u64 {
        // SAFETY: the key is five aligned words, without padding.
        unsafe { (&raw const *self).cast::<u64>().add(number).read_volatile() }
    }

    /// Becomes that one, word by word: what is read soon after in words should be written in words.
    #[inline(always)]
    pub(crate) fn become_key(&mut self, key: &Self) {
        let words = (&raw mut *self).cast::<u64>();
        for (number, word) in key.words().into_iter().enumerate() {
            // SAFETY: as in `word`.
            unsafe { words.add(number).write_volatile(word) };
        }
    }

    /// From [`FlowKey::words`].
    pub const fn from_words([a, b, c, d, e]: [u64; 5]) -> Self {
        Self {
            low: Addr::from_words([a, b]),
            high: Addr::from_words([c, d]),
            low_port: (e & 0xffff) as u16,
            high_port: (e >> 16 & 0xffff) as u16,
            protocol: (e >> 32 & 0xff) as u8,
            reserved: (e >> 40 & 0xff) as u8,
            pair: Port((e >> 48) as u16),
        }
    }

    /// The key of a frame, and which end sent it.
    #[inline(always)]
    pub fn of(source: End, destination: End, protocol: u8, pair: Port) -> (Self, Sender) {
        let (low, high, sender) = if source.address.precedes(destination.address) {
            (source, destination, Sender::Low)
        } else {
            (destination, source, Sender::High)
        };
        let key = Self {
            low: low.address,
            high: high.address,
            low_port: low.port,
            high_port: high.port,
            protocol,
            reserved: 0,
            pair,
        };
        (key, sender)
    }
}

/// One end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Its address.
    pub address: Addr,
    /// Its transport port, host order.
    pub port: u16,
}

/// Which end of a [`FlowKey`] sent a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// `low` did.
    Low,
    /// `high` did.
    High,
}

/// A flow: why it may talk, and what its frames must look like. 72 bytes,
/// 112 with its key.
///
/// Several CPUs may write one at once. Every field is valid on its own and [`Flow::authorise`]
/// writes the generation last, so a reader that sees the new generation sees what it stands for.
///
/// A router's frames all carry its own MAC as their destination. There the side of an end keeps in
/// that place the next hop towards this end: zero while it must still be looked up.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Flow {
    generation: Word32,
    expires: Word32,
    lease_end: Word32,
    rule: Word32,
    sides: [[Word64; 2]; 2],
    subnetworks: Word32,
    state: Word32,
    marks: [Word64; 2],
}

/// What authorises a flow.
#[derive(Clone, Copy, Debug, Default)]
pub struct Grant {
    /// What it is allowed under.
    pub generation: Generation,
    /// The earlier of both nodes' lease ends, low 32 bits; 0 if neither needs one.
    pub lease_end: u32,
    /// The rule that allows it.
    pub rule: RuleSlot,
    /// That rule survives an ordinary stop.
    pub essential: bool,
    /// The initiator's subnetwork.
    pub from: SubnetworkSlot,
    /// The responder's subnetwork.
    pub to: SubnetworkSlot,
}

impl Flow {
    /// Writes a whole new flow in place.
    #[inline(always)]
    pub fn open(&self, grant: &Grant, state: State, sender: Sender, sides: [Signature; 2]) {
        self.state.store(state.0);
        self.set_side(sender, sides[0]);
        self.set_side(other(sender), sides[1]);
        self.expires.store(0);
        self.marks[0].store(0);
        self.marks[1].store(0);
        self.authorise(grant);
    }

    /// Sets the windows from the segment that opens it.
    #[inline(always)]
    pub fn begin_with(&self, sender: Sender, segment: Segment, tcp: &Tcp) {
        if segment == Segment::Tcp {
            self.begin(sender, tcp);
            self.set_state(self.state().asked(tcp.scale));
        }
    }

    /// What a segment of that end does to it in that state, or why it cannot belong to it.
    #[inline(always)]
    pub fn follow(
        &self,
        state: State,
        sender: Sender,
        segment: Segment,
        tcp: &Tcp,
    ) -> Result<Advance, DropReason> {
        let initiator = state.initiator() == sender;
        match segment {
            Segment::Tcp => connection::follow(self, state, sender, tcp),
            Segment::Datagram => Ok(state::answered(state, initiator)),
            Segment::Echo { request } if request == initiator => {
                Ok(state::answered(state, initiator))
            }
            Segment::Echo { .. } => Err(DropReason::NoRule),
        }
    }

    /// Lets by data or an acknowledgement that an established connection expects, and moves its windows
    /// on: the state that it is in now. `None` leaves the flow as it is.
    #[inline(always)]
    pub fn carry(&self, state: State, sender: Sender, tcp: &Tcp) -> Option<State> {
        let windows = self.windows(state, sender);
        if !windows.hold(tcp) {
            return None;
        }
        self.advance(sender, &windows, tcp);
        Some(if state.initiator() == sender { state.undisputed() } else { state })
    }

    /// Writes a copy of another flow in place.
    #[inline(always)]
    pub fn copy(&self, flow: &Self) {
        let Self { generation, expires, lease_end, rule, sides, subnetworks, state, marks } = flow;
        self.state.store(state.load());
        // No iterators: the verifier cannot follow where they end.
        self.sides[0][0].store(sides[0][0].load());
        self.sides[0][1].store(sides[0][1].load());
        self.sides[1][0].store(sides[1][0].load());
        self.sides[1][1].store(sides[1][1].load());
        self.expires.store(expires.load());
        self.marks[0].store(marks[0].load());
        self.marks[1].store(marks[1].load());
        self.lease_end.store(lease_end.load());
        self.rule.store(rule.load());
        self.subnetworks.store(subnetworks.load());
        self.generation.store(generation.load());
    }

    /// Writes why it may talk; the generation last.
    #[inline(always)]
    pub fn authorise(&self, grant: &Grant) {
        self.lease_end.store(grant.lease_end);
        self.rule.store(grant.rule.0);
        self.subnetworks.store((grant.from.0 as u32) << 16 | grant.to.0 as u32);
        self.state.store(self.state().with_essential(grant.essential).0);
        self.generation.store(grant.generation.0);
    }

    /// What it was allowed under.
    #[inline(always)]
    pub fn generation(&self) -> Generation {
        Generation(self.generation.load())
    }

    /// The rule that allowed it.
    #[inline(always)]
    pub fn rule(&self) -> RuleSlot {
        RuleSlot(self.rule.load())
    }

    /// The subnetworks of the initiator and of the responder.
    #[inline(always)]
    pub fn subnetworks(&self) -> (SubnetworkSlot, SubnetworkSlot) {
        let word = self.subnetworks.load();
        (SubnetworkSlot((word >> 16) as u16), SubnetworkSlot((word & 0xffff) as u16))
    }

    /// How far it has come.
    #[inline(always)]
    pub fn state(&self) -> State {
        State(self.state.load())
    }

    /// Moves it on.
    #[inline(always)]
    pub fn set_state(&self, state: State) {
        if self.state() != state {
            self.state.store(state.0);
        }
    }

    /// What frames from that end must look like.
    #[inline(always)]
    pub fn side(&self, sender: Sender) -> Signature {
        let words = &self.sides[index(sender)];
        Signature::from_words([words[0].load(), words[1].load()])
    }

    /// Sets what frames from that end must look like.
    #[inline(always)]
    pub fn set_side(&self, sender: Sender, signature: Signature) {
        let words = &self.sides[index(sender)];
        let [first, second] = signature.words();
        words[0].store(first);
        words[1].store(second);
    }

    /// The instant it dies unless it talks, low 32 bits of ticks.
    #[inline(always)]
    pub fn expires(&self) -> u32 {
        self.expires.load()
    }

    /// Whether it has been silent for too long.
    #[inline(always)]
    pub fn is_expired(&self, now: Ticks) -> bool {
        is_past(self.expires(), now.low())
    }

    /// Whether a lease it depends on has ended.
    #[inline(always)]
    pub fn is_unleased(&self, now: Ticks) -> bool {
        let end = self.lease_end.load();
        end != 0 && is_past(end, now.low())
    }

    /// It has talked. Writes only when the tick has changed: the line stays clean otherwise.
    #[inline(always)]
    pub fn touch(&self, now: Ticks, timeout: u32) {
        let expires = now.low().wrapping_add(timeout);
        if self.expires() != expires {
            self.expires.store(expires);
        }
    }

    /// Moves both its ends so many ticks nearer: for trials, which cannot wait for days.
    pub fn age(&self, ticks: u32) {
        self.expires.store(self.expires().wrapping_sub(ticks));
        let lease_end = self.lease_end.load();
        if lease_end != 0 {
            // 0 says that there is no lease.
            self.lease_end.store(lease_end.wrapping_sub(ticks).max(1));
        }
    }
}

/// The end that did not send.
#[inline(always)]
pub const fn other(sender: Sender) -> Sender {
    match sender {
        Sender::Low => Sender::High,
        Sender::High => Sender::Low,
    }
}

#[inline(always)]
const fn index(sender: Sender) -> usize {
    match sender {
        Sender::Low => 0,
        Sender::High => 1,
    }
}
