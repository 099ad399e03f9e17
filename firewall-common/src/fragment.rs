//! Datagrams that come in fragments: what is remembered of one until its last fragment has come.

use crate::decide::{Exit, Passage};
use crate::flow::{Grant, Signature};
use crate::id::is_past;
use crate::word::{Word32, Word64};
use crate::{
    Addr, Generation, Hop, PassReason, Port, RuleSlot, SubnetworkSlot, Ticks, Vlan, image,
};

/// What names a datagram: its ends, its identification, and where its fragments come from. What comes
/// in and what the gateway's kernel sends have keys of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct FragmentKey {
    source: Addr,
    destination: Addr,
    place: u64,
    kind: u64,
}

impl FragmentKey {
    /// The key of a fragment. `protocol` is 0 in IPv6, whose receivers do not look at it (RFC 8200,
    /// 4.5); `leaves` if the gateway's kernel sends it.
    #[inline(always)]
    pub const fn new(
        source: Addr,
        destination: Addr,
        protocol: u8,
        identification: u32,
        place: (Vlan, Port),
        leaves: bool,
    ) -> Self {
        let (vlan, port) = place;
        let place = identification as u64 | (vlan.0 as u64) << 32 | (port.0 as u64) << 48;
        Self { source, destination, place, kind: protocol as u64 | (leaves as u64) << 8 }
    }

    /// Tells it from others, should its entry become another's while it is looked at.
    #[inline(always)]
    const fn cookie(&self) -> u64 {
        let seed = image::node_hash(self.destination, self.place ^ self.kind << 32);
        image::node_hash(self.source, seed) & COOKIE
    }
}

const COOKIE: u64 = 0xffff_ffff << 32;
/// No fragment of it passes any more.
const BROKEN: u64 = 1 << 31;
const OFFSET: u64 = 0x1_ffff;

/// What a datagram's first fragment was allowed as, and how far the others have come. 72 bytes.
///
/// All that changes is one word, by exchanges: of two fragments on two CPUs one is out of order.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Datagram {
    progress: Word64,
    signature: [Word64; 2],
    hop: Word64,
    exit: Word32,
    generation: Word32,
    lease_end: Word32,
    rule: Word32,
    subnetworks: Word32,
    deadline: Word32,
    end: Word32,
    sequence: Word32,
    ports: Word32,
    facts: Word32,
}

const ESSENTIAL: u32 = 1;
const KERNEL: u32 = 1 << 1;
const NEXT: u32 = 8;
const PROTOCOL: u32 = 16;

/// What the first fragment says of all of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct First {
    /// What its frame looked like.
    pub signature: Signature,
    /// Where the datagram's data must end, if its first fragment says so: 0 if not.
    pub end: u32,
    /// The sequence number behind what it has, of TCP.
    pub sequence: u32,
    /// The transport ports of sender and receiver.
    pub ports: (u16, u16),
    /// What follows the IP header, or the fragment header in IPv6.
    pub next: u8,
    /// The transport protocol.
    pub protocol: u8,
}

/// How far a datagram has come, as it was when it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress(u64);

impl Progress {
    /// Where the next fragment must begin; `None` if none may come.
    #[inline(always)]
    pub const fn next(self) -> Option<u32> {
        if self.0 & BROKEN == 0 { Some((self.0 & OFFSET) as u32) } else { None }
    }
}

impl Datagram {
    /// Writes a whole new one in place, whose first fragment ended at `next`.
    #[inline(always)]
    pub fn begin(
        &self,
        key: &FragmentKey,
        first: &First,
        next: u32,
        grant: &Grant,
        passage: &Passage,
        deadline: u32,
    ) {
        let Exit { port, vlan, hop } = passage.exit;
        let [one, two] = first.signature.words();
        self.progress.store(key.cookie() | next as u64 & OFFSET);
        self.signature[0].store(one);
        self.signature[1].store(two);
        self.hop.store(hop.word());
        self.exit.store((port.0 as u32) << 16 | vlan.0 as u32);
        self.generation.store(grant.generation.0);
        self.lease_end.store(grant.lease_end);
        self.rule.store(passage.rule.0);
        self.subnetworks.store((passage.from.0 as u32) << 16 | passage.to.0 as u32);
        self.deadline.store(deadline);
        self.end.store(first.end);
        self.sequence.store(first.sequence);
        self.ports.store((first.ports.0 as u32) << 16 | first.ports.1 as u32);
        // The first packet of a flow says that it opened it, wherever it goes.
        let kernel =
            matches!(passage.reason, PassReason::Kernel) || passage.exit.port == Port::GATEWAY;
        self.facts.store(
            if grant.essential { ESSENTIAL } else { 0 }
                | if kernel { KERNEL } else { 0 }
                | (first.next as u32) << NEXT
                | (first.protocol as u32) << PROTOCOL,
        );
    }

    /// Writes a copy of another in place.
    pub fn copy(&self, other: &Self) {
        let words = [(&self.progress, &other.progress), (&self.hop, &other.hop)];
        let signature = self.signature.iter().zip(&other.signature);
        for (to, from) in words.into_iter().chain(signature) {
            to.store(from.load());
        }
        for (to, from) in self.halves().into_iter().zip(other.halves()) {
            to.store(from.load());
        }
    }

    const fn halves(&self) -> [&Word32; 10] {
        let Self {
            progress: _,
            signature: _,
            hop: _,
            exit,
            generation,
            lease_end,
            rule,
            subnetworks,
            deadline,
            end,
            sequence,
            ports,
            facts,
        } = self;
        [exit, generation, lease_end, rule, subnetworks, deadline, end, sequence, ports, facts]
    }

    /// How far it has come; `None` if this is another datagram's.
    #[inline(always)]
    pub fn progress(&self, key: &FragmentKey) -> Option<Progress> {
        let progress = self.progress.load();
        if progress & COOKIE == key.cookie() { Some(Progress(progress)) } else { None }
    }

    /// A fragment has come in its turn; `false` if another CPU has seen another one meanwhile, and
    /// then none passes any more.
    #[inline(always)]
    pub fn advance(&self, seen: Progress, next: u32) -> bool {
        let Progress(seen) = seen;
        let found = self.progress.exchange(seen, seen & COOKIE | next as u64 & OFFSET);
        if found == seen {
            return true;
        }
        if (found ^ seen) & COOKIE == 0 {
            self.spoil(Progress(found));
        }
        false
    }

    /// No fragment of it passes any more.
    #[inline(always)]
    pub fn spoil(&self, seen: Progress) {
        let Progress(seen) = seen;
        self.progress.exchange(seen, seen | BROKEN);
    }

    /// What its frames look like.
    #[inline(always)]
    pub fn signature(&self) -> Signature {
        Signature::from_words([self.signature[0].load(), self.signature[1].load()])
    }

    /// What it was allowed under.
    #[inline(always)]
    pub fn generation(&self) -> Generation {
        Generation(self.generation.load())
    }

    /// Whether an essential rule allows it.
    #[inline(always)]
    pub fn is_essential(&self) -> bool {
        self.facts.load() & ESSENTIAL != 0
    }

    /// Whether a lease it depends on has ended.
    #[inline(always)]
    pub fn is_unleased(&self, now: Ticks) -> bool {
        let end = self.lease_end.load();
        end != 0 && is_past(end, now.low())
    }

    /// Whether it is too late for a fragment, by so many ticks, of one that may take `reassembly`.
    ///
    /// Nobody sweeps what was not completed: by the sign alone, as [`is_past`] goes, it would be in
    /// time again after half a wrap, for weeks. Another CPU's clock may be one tick behind.
    #[inline(always)]
    pub fn is_late(&self, now: Ticks, by: u32, reassembly: u32) -> bool {
        let left = self.deadline.load().wrapping_add(by).wrapping_sub(now.low());
        left.wrapping_sub(1) > by.wrapping_add(reassembly)
    }

    /// What follows the IP header, or the fragment header in IPv6.
    #[inline(always)]
    pub fn next(&self) -> u8 {
        (self.facts.load() >> NEXT & 0xff) as u8
    }

    /// The transport protocol.
    #[inline(always)]
    pub fn protocol(&self) -> u8 {
        (self.facts.load() >> PROTOCOL & 0xff) as u8
    }

    /// The transport ports of sender and receiver.
    #[inline(always)]
    pub fn ports(&self) -> (u16, u16) {
        let ports = self.ports.load();
        ((ports >> 16) as u16, (ports & 0xffff) as u16)
    }

    /// [`First::end`].
    #[inline(always)]
    pub fn end(&self) -> u32 {
        self.end.load()
    }

    /// [`First::sequence`].
    #[inline(always)]
    pub fn sequence(&self) -> u32 {
        self.sequence.load()
    }

    /// Where its fragments go, and as what.
    #[inline(always)]
    pub fn passage(&self) -> Passage {
        let (exit, subnetworks) = (self.exit.load(), self.subnetworks.load());
        let kernel = self.facts.load() & KERNEL != 0;
        Passage {
            reason: if kernel { PassReason::Kernel } else { PassReason::Established },
            exit: Exit {
                port: Port((exit >> 16) as u16),
                vlan: Vlan((exit & 0xffff) as u16),
                hop: Hop::from_word(self.hop.load()),
            },
            rule: RuleSlot(self.rule.load()),
            from: SubnetworkSlot((subnetworks >> 16) as u16),
            to: SubnetworkSlot((subnetworks & 0xffff) as u16),
        }
    }

    /// Moves its ends so many ticks nearer: for trials, which cannot wait.
    pub fn age(&self, ticks: u32) {
        self.deadline.store(self.deadline.load().wrapping_sub(ticks));
        let lease_end = self.lease_end.load();
        if lease_end != 0 {
            self.lease_end.store(lease_end.wrapping_sub(ticks).max(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun() -> (FragmentKey, Datagram) {
        let (one, other) = (Addr::from_v4([10, 0, 0, 1]), Addr::from_v4([10, 0, 0, 2]));
        let key = FragmentKey::new(one, other, 17, 7, (Vlan(3), Port(1)), false);
        let datagram = Datagram::default();
        let (first, grant) = (First::default(), Grant::default());
        datagram.begin(&key, &first, 1480, &grant, &Passage::default(), 100);
        (key, datagram)
    }

    #[test]
    fn of_two_cpus_with_one_fragment_only_one_lets_it_by_and_then_none_does() {
        let (key, datagram) = begun();
        let seen = datagram.progress(&key).unwrap();
        assert_eq!(seen.next(), Some(1480));
        assert!(datagram.advance(seen, 2960));
        assert!(!datagram.advance(seen, 2960));
        assert_eq!(datagram.progress(&key).unwrap().next(), None);
    }

    #[test]
    fn an_entry_that_has_become_another_datagrams_is_left_alone() {
        let (key, datagram) = begun();
        let seen = datagram.progress(&key).unwrap();
        let (one, other) = (Addr::from_v4([10, 0, 0, 3]), Addr::from_v4([10, 0, 0, 2]));
        let another = FragmentKey::new(one, other, 17, 7, (Vlan(3), Port(1)), false);
        let (first, grant) = (First::default(), Grant::default());
        datagram.begin(&another, &first, 1480, &grant, &Passage::default(), 100);
        assert_eq!(datagram.progress(&key), None);
        assert!(!datagram.advance(seen, 2960));
        datagram.spoil(seen);
        assert_eq!(datagram.progress(&another).unwrap().next(), Some(1480));
    }

    #[test]
    fn what_was_not_completed_stays_late_when_the_ticks_wrap() {
        let (_, datagram) = begun();
        let is_late = |now, by| datagram.is_late(Ticks(now), by, 50);
        assert!(!is_late(49, 0) && !is_late(50, 0) && !is_late(99, 0));
        assert!(is_late(100, 0) && is_late(200 + (1 << 31), 0));
        assert!(!is_late(50, 60) && !is_late(159, 60));
        assert!(is_late(160, 60) && is_late(200 + (1 << 31), 60));
    }

    #[test]
    fn what_comes_in_does_not_explain_what_leaves() {
        let (one, other) = (Addr::from_v4([10, 0, 0, 1]), Addr::from_v4([10, 0, 0, 2]));
        let key = |leaves| FragmentKey::new(one, other, 17, 7, (Vlan(3), Port(1)), leaves);
        assert_ne!(key(false), key(true));
        assert_eq!(size_of::<FragmentKey>(), 48);
        assert_eq!(size_of::<Datagram>(), 72);
    }
}
