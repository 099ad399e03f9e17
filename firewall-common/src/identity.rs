//! Who is who: from an address, a MAC, a VLAN and a port to a node that may speak.

mod speaker;

pub use self::speaker::Speaker;
use crate::abi::Stop;
use crate::decide::Note;
use crate::flow::Signature;
use crate::image::{
    self, Allowed, Header, Line, MacBinding, Party, RuleEntry, Selector, Subnetwork, Tolerance,
};
use crate::tables::Way;
use crate::{Addr, DropReason, Mac, Port, Service, SubnetworkSlot, Tables, Ticks, Vlan};

/// Which end of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// The one that sent it.
    Source = 0,
    /// The one that would receive it.
    Destination = 1,
}

/// Which end of a frame opens the flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Direction {
    /// Its source does.
    Forward = 0,
    /// Its destination did: the frame is an answer.
    Backward = 1,
}

/// Finds out who is at `note.query`: as a source, provided that the frame looks as it must; as a
/// destination, provided that it lies where this frame can get.
///
/// Two calls and not one within the other: the kernel adds up the stacks of calls.
#[inline(always)]
pub(crate) fn recognise<T: Tables + ?Sized>(
    tables: &T,
    note: &mut Note,
    role: Role,
) -> Result<(), DropReason> {
    match tables.identify(note, role) {
        Err(DropReason::UnknownSource | DropReason::UnknownDestination) => {
            tables.search(note, role)
        }
        known => known,
    }
}

/// Looks for `note.query` among the declared nodes' addresses and the gateway's own. Called through
/// [`Tables::identify`].
#[inline(always)]
pub fn identify<T: Tables + ?Sized>(
    tables: &T,
    note: &mut Note,
    role: Role,
) -> Result<(), DropReason> {
    let Some(view) = View::new(tables, note) else {
        return Err(DropReason::NotArmed);
    };
    match view.node(note.query) {
        Some(party) => view.found(note, role, party),
        None => match tables.way() {
            Way::Router if tables.is_local(&note.query) => gateway(note, role),
            Way::Router | Way::Bridge { .. } => Err(unknown(role)),
        },
    }
}

#[inline(always)]
const fn unknown(role: Role) -> DropReason {
    match role {
        Role::Source => DropReason::UnknownSource,
        Role::Destination => DropReason::UnknownDestination,
    }
}

/// The gateway itself: nobody speaks in its name but its own kernel.
#[inline(always)]
fn gateway(note: &mut Note, role: Role) -> Result<(), DropReason> {
    match role {
        Role::Source => {
            note.source = Speaker::gateway();
            if note.signature.port() == Port::GATEWAY {
                Ok(())
            } else {
                Err(DropReason::BindingPort)
            }
        }
        Role::Destination => {
            note.destination = Speaker::gateway();
            Ok(())
        }
    }
}

/// Looks for `note.query`, which is no node's address, in the networks behind that role's port that
/// some rule selects with `any`. Called through [`Tables::search`].
#[inline(always)]
pub fn search<T: Tables + ?Sized>(
    tables: &T,
    note: &mut Note,
    role: Role,
) -> Result<(), DropReason> {
    let port = match (role, tables.way()) {
        (Role::Source, Way::Bridge { .. }) => note.signature.port(),
        (Role::Destination, Way::Bridge { peer }) => peer,
        (Role::Source | Role::Destination, Way::Router) => Port::ANYWHERE,
    };
    let Some(view) = View::new(tables, note) else {
        return Err(DropReason::NotArmed);
    };
    match view.network(note.query, port) {
        Some(party) => view.found(note, role, party),
        None => Err(unknown(role)),
    }
}

/// Whether some rule lets the one end open `note.service` to the other, stops considered; the answer
/// is left in `note.allowed`. Called through [`Tables::permit`].
#[inline(always)]
pub fn permit<T: Tables + ?Sized>(
    tables: &T,
    note: &mut Note,
    direction: Direction,
) -> Result<(), DropReason> {
    let Some(view) = View::new(tables, note) else {
        return Err(DropReason::NotArmed);
    };
    let local = local_stop(tables, &note.source).max(local_stop(tables, &note.destination));
    note.stop.store(note.moment.stop.max(local).encode());
    note.stopped.store(0);
    if let Some(allowed) = view.allowed(note, direction) {
        note.allowed = allowed;
        return Ok(());
    }
    Err(match (note.stopped.load(), note.moment.stop) {
        (0, _) => DropReason::NoRule,
        (_, Stop::None) => DropReason::StoppedSubnetwork,
        (_, Stop::Ordinary | Stop::Hard) => DropReason::Stopped,
    })
}

#[inline(always)]
pub(crate) fn local_stop<T: Tables + ?Sized>(tables: &T, speaker: &Speaker) -> Stop {
    match tables.subnetwork(speaker.subnetwork) {
        Some(state) => Stop::decode(state.stop.load()),
        None => Stop::Hard,
    }
}

/// One half of the image, and the tables beside it.
pub(crate) struct View<'t, T: ?Sized> {
    tables: &'t T,
    half: u32,
    header: &'t Line,
}

impl<'t, T: Tables + ?Sized> View<'t, T> {
    /// The half that the decision is taken under.
    #[inline(always)]
    pub(crate) fn new(tables: &'t T, note: &Note) -> Option<Self> {
        let half = note.moment.half;
        let header = tables.line(half, 0)?;
        Some(Self { tables, half, header })
    }

    /// What line 0 says. Decoded where it is needed, so that it takes no stack.
    #[inline(always)]
    pub(crate) fn header(&self) -> Header {
        Header::decode(self.header)
    }

    #[inline(always)]
    fn found(&self, note: &mut Note, role: Role, party: Party) -> Result<(), DropReason> {
        match role {
            Role::Source => {
                note.source.party = party;
                self.bound_source(note)
            }
            Role::Destination => {
                note.destination.party = party;
                self.reachable_destination(note)
            }
        }
    }

    #[inline(always)]
    fn bound_source(&self, note: &mut Note) -> Result<(), DropReason> {
        let frame = note.signature;
        let Some(line) = self.place(&mut note.source) else {
            return Err(DropReason::UnknownSource);
        };
        if note.source.port != frame.port() {
            return Err(DropReason::BindingPort);
        }
        if note.source.vlan != frame.vlan() {
            // A tag beyond an untagged binding is no other VLAN of ours: it is a tag too many.
            let extra = note.source.vlan == Vlan::UNTAGGED;
            return Err(if extra { DropReason::Vlan } else { DropReason::BindingVlan });
        }
        if !carries(note.source.party, line, frame.source()) {
            return Err(DropReason::BindingMac);
        }
        Ok(())
    }

    #[inline(always)]
    fn reachable_destination(&self, note: &mut Note) -> Result<(), DropReason> {
        if self.place(&mut note.destination).is_none() {
            return Err(DropReason::UnknownDestination);
        }
        match self.tables.way() {
            Way::Bridge { peer } if note.destination.port == peer => Ok(()),
            // Flooded by a switch: both live on this side, nothing crosses the gateway.
            Way::Bridge { .. } if note.destination.port == self.tables.port() => {
                Err(DropReason::NoRule)
            }
            Way::Bridge { .. } => Err(DropReason::NoRoute),
            Way::Router if note.destination.subnetwork == note.source.subnetwork => {
                Err(DropReason::NoRule)
            }
            Way::Router => Ok(()),
        }
    }

    /// Whether frames to that speaker may be addressed to that MAC: the mirror of what its own
    /// frames must carry.
    #[inline(always)]
    pub(crate) fn is_addressed(&self, speaker: &Speaker, mac: Mac) -> bool {
        match self.subnetwork(speaker.subnetwork) {
            Some(line) => carries(speaker.party, line, mac),
            None => false,
        }
    }

    /// Whether that MAC is a router of that subnetwork.
    #[inline(always)]
    pub(crate) fn is_router(&self, subnetwork: SubnetworkSlot, mac: Mac) -> bool {
        self.subnetwork(subnetwork).is_some_and(|line| Subnetwork::has_router(line, mac))
    }

    /// What a speaker's subnetwork lets by beside plain packets; the gateway has none.
    #[inline(always)]
    pub(crate) fn tolerance(&self, speaker: &Speaker) -> Tolerance {
        match self.subnetwork(speaker.subnetwork) {
            Some(line) => Subnetwork::decode(line).tolerance,
            None => Tolerance::default(),
        }
    }

    /// The routers that the sender of this frame is one of, as a speaker; `false` if it is none.
    #[inline(always)]
    pub(crate) fn router(&self, frame: Signature, router: &mut Speaker) -> bool {
        let Header { seed, identity_base, identity_buckets, .. } = self.header();
        let (vlan, port) = (frame.vlan(), frame.port());
        let address = image::router_address(frame.source(), port, vlan);
        let hash = image::node_hash(address, seed);
        let [first, second] = image::buckets(hash, identity_buckets);
        let find = |bucket| {
            Party::find_router(self.tables.line(self.half, identity_base + bucket)?, address)
        };
        match find(first).or_else(|| find(second)) {
            Some(party) => {
                *router = Speaker::router(party.subnetwork(), vlan, port);
                true
            }
            None => false,
        }
    }

    /// The routers of the subnetwork that a node's subnetwork uses as its gateway, as a speaker;
    /// `false` if there are none.
    #[inline(always)]
    pub(crate) fn gateway_of(&self, speaker: &Speaker, router: &mut Speaker) -> bool {
        let Some(line) = self.subnetwork(speaker.subnetwork) else {
            return false;
        };
        let slot = Subnetwork::decode(line).gateway;
        let Some(line) = self.subnetwork(slot) else {
            return false;
        };
        let Subnetwork { port, vlan, .. } = Subnetwork::decode(line);
        *router = Speaker::router(slot, vlan, port);
        true
    }

    /// Whether the node may speak at all, and until when: the lease end, 0 if it needs none.
    #[inline(always)]
    pub(crate) fn standing(&self, speaker: &Speaker, now: Ticks) -> Result<u64, DropReason> {
        if !speaker.party.is_node() {
            return Ok(0);
        }
        let Some(state) = self.tables.node(speaker.party.node()) else {
            return Err(DropReason::NoLease);
        };
        if state.is_isolated() {
            return Err(DropReason::Isolated);
        }
        if !speaker.party.needs_lease() {
            return Ok(0);
        }
        let end = state.lease_end().0;
        if end == 0 {
            Err(DropReason::NoLease)
        } else if end <= now.0 {
            Err(DropReason::LeaseExpired)
        } else {
            Ok(end)
        }
    }

    /// The service of a transport port; `protocol` is 0 for TCP, 1 for UDP.
    #[inline(always)]
    pub(crate) fn service(&self, protocol: u32, port: u16) -> Service {
        let port = port as u32;
        let line = self.header().service_base
            + protocol * image::SERVICE_LINES_PER_PROTOCOL
            + port / image::SERVICES_PER_LINE;
        let Some(line) = self.tables.line(self.half, line) else {
            return Service::NONE;
        };
        let word = line.0[(port / 4 % 8) as usize];
        Service((word >> (16 * (port % 4)) & 0xffff) as u16)
    }

    /// Shapes are tried from the narrowest (node to node) on. What else it depends on and what it
    /// finds lies in the note: known in registers, it would double the ways through every turn
    /// that the verifier walks.
    #[inline(always)]
    fn allowed(&self, note: &Note, direction: Direction) -> Option<Allowed> {
        let (from, to) = match direction {
            Direction::Forward => (&note.source, &note.destination),
            Direction::Backward => (&note.destination, &note.source),
        };
        let service = note.service;
        if service == Service::NONE {
            return None;
        }
        // Shifted rather than counted: LLVM would unroll sixteen copies of the body.
        let mut shapes = self.header().shapes;
        let mut shape = 0;
        while shapes != 0 {
            let used = shapes & 1 != 0;
            let (from, to) = (from.selectors[shape >> 2 & 3], to.selectors[shape & 3]);
            shapes >>= 1;
            shape += 1;
            if !used || from == Selector::NOBODY || to == Selector::NOBODY {
                continue;
            }
            if let Some(allowed) = self.entry(from, to, service) {
                // Nothing is asked for, or to be essential, or what nothing is.
                if allowed.essential as u64 >= note.stop.load() {
                    return Some(allowed);
                }
                note.stopped.store(1);
            }
        }
        None
    }

    #[inline(always)]
    fn entry(&self, from: Selector, to: Selector, service: Service) -> Option<Allowed> {
        let Header { seed, rule_base, rule_buckets, .. } = self.header();
        let hash = image::rule_hash(from, to, service, seed);
        let [first, second] = image::buckets(hash, rule_buckets);
        let find = |bucket| {
            let line = self.tables.line(self.half, rule_base + bucket)?;
            RuleEntry::find(line, from, to, service)
        };
        find(first).or_else(|| find(second))
    }

    /// The declared node with that address.
    #[inline(always)]
    fn node(&self, address: Addr) -> Option<Party> {
        let Header { seed, identity_base, identity_buckets, .. } = self.header();
        let hash = image::node_hash(address, seed);
        let [first, second] = image::buckets(hash, identity_buckets);
        let find = |bucket| {
            Party::find_node(self.tables.line(self.half, identity_base + bucket)?, address)
        };
        find(first).or_else(|| find(second))
    }

    /// The network behind that port that holds an address.
    #[inline(always)]
    fn network(&self, address: Addr, port: Port) -> Option<Party> {
        let Header { seed, identity_base, identity_buckets, any_prefix_lengths, .. } =
            self.header();
        let mut lengths = u64::from_le_bytes(any_prefix_lengths);
        while lengths != 0 {
            let length = (lengths & 0xff) as u8;
            lengths >>= 8;
            let network = address.masked(length);
            let hash = image::network_hash(network, length, port, seed);
            let [first, second] = image::buckets(hash, identity_buckets);
            let find = |bucket| {
                let line = self.tables.line(self.half, identity_base + bucket)?;
                Party::find_network(line, network, length, port)
            };
            if let Some(party) = find(first).or_else(|| find(second)) {
                // The network's own address and its directed broadcast are nobody's (RFC 1122,
                // 3.2.1.3); /31 and /32 have none (RFC 3021).
                let reserved = address.is_v4()
                    && length < 127
                    && (address == network || address.is_last_of(length));
                return if reserved { None } else { Some(party) };
            }
        }
        None
    }

    /// Fills in where a speaker's subnetwork lies.
    #[inline(always)]
    fn place(&self, speaker: &mut Speaker) -> Option<&'t Line> {
        let subnetwork = speaker.party.subnetwork();
        let line = self.subnetwork(subnetwork)?;
        let Subnetwork { port, vlan, .. } = Subnetwork::decode(line);
        *speaker = Speaker::new(speaker.party, subnetwork, vlan, port);
        Some(line)
    }

    #[inline(always)]
    fn subnetwork(&self, slot: SubnetworkSlot) -> Option<&'t Line> {
        if slot.0 == 0 {
            return None;
        }
        self.tables.line(self.half, self.header().subnetwork_base + slot.0 as u32 - 1)
    }
}

#[inline(always)]
fn carries(party: Party, subnetwork: &Line, mac: Mac) -> bool {
    match party.mac() {
        MacBinding::Exact(bound) => bound == mac,
        MacBinding::Router => Subnetwork::has_router(subnetwork, mac),
        MacBinding::Any => true,
    }
}
