//! Who is who: from an address, a MAC, a VLAN and a port to a node that may speak.

mod lookup;
mod speaker;

pub use self::speaker::Speaker;
use crate::abi::Stop;
use crate::decide::Note;
use crate::image::{Header, Line, MacBinding, Party, Subnetwork, Tolerance};
use crate::tables::Way;
use crate::{Addr, DropReason, Mac, Port, SubnetworkSlot, Tables, Ticks, Vlan};

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

    /// The same, of an end that speaks with `other`: a node that gets its lease from the gateway may ask
    /// it for one, and nothing else.
    #[inline(always)]
    pub(crate) fn standing_before(
        &self,
        speaker: &Speaker,
        other: Addr,
        is_enrolment: bool,
        now: Ticks,
    ) -> Result<u64, DropReason> {
        match self.standing(speaker, now) {
            Err(DropReason::NoLease | DropReason::LeaseExpired)
                if is_enrolment && speaker.party.enrols() && self.tables.is_local(&other) =>
            {
                Ok(0)
            }
            standing => standing,
        }
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
}

#[inline(always)]
fn carries(party: Party, subnetwork: &Line, mac: Mac) -> bool {
    match party.mac() {
        MacBinding::Exact(bound) => bound == mac,
        MacBinding::Router => Subnetwork::has_router(subnetwork, mac),
        MacBinding::Any => true,
    }
}
