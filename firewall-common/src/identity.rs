//! Who is who: from an address, a MAC, a VLAN and a port to a node that may speak.

use crate::abi::Stop;
use crate::flow::Signature;
use crate::image::{
    self, Allowed, Header, Line, MacBinding, Party, RuleEntry, Selector, Subnetwork,
};
use crate::{Addr, DropReason, Mac, Port, Service, SubnetworkSlot, Tables, Ticks, Vlan};

/// One half of the image, and the tables beside it.
pub struct View<'t, T: ?Sized> {
    /// The tables.
    pub tables: &'t T,
    half: u32,
    header: &'t Line,
}

/// One end of a frame: an identity, and the binding of its subnetwork.
#[derive(Clone, Copy, Debug)]
pub struct Speaker {
    /// Its identity; the default for a router.
    pub party: Party,
    /// Its subnetwork.
    pub subnetwork: SubnetworkSlot,
    /// The only tag its frames carry.
    pub vlan: Vlan,
    /// The port it lives behind.
    pub port: Port,
    /// It is a router of its subnetwork, not a node in it.
    pub router: bool,
}

impl<'t, T: Tables + ?Sized> View<'t, T> {
    /// The half that is active.
    #[inline(always)]
    pub fn new(tables: &'t T, half: u32) -> Option<Self> {
        Some(Self { tables, half, header: tables.line(half, 0)? })
    }

    /// What line 0 says. Decoded where it is needed, so that it takes no stack.
    #[inline(always)]
    pub fn header(&self) -> Header {
        Header::decode(self.header)
    }

    /// Who sends from that address, provided that the frame looks as it must.
    #[inline(never)]
    pub fn source(&self, address: Addr, frame: Signature) -> Result<Speaker, DropReason> {
        let Some(party) = self.node(address) else {
            let party = self.network(address, frame.port()).ok_or(DropReason::UnknownSource)?;
            let (speaker, _) = self.speaker(party).ok_or(DropReason::UnknownSource)?;
            if speaker.vlan != frame.vlan() {
                return Err(DropReason::BindingVlan);
            }
            return Ok(speaker);
        };
        let (speaker, line) = self.speaker(party).ok_or(DropReason::UnknownSource)?;
        if speaker.port != frame.port() {
            return Err(DropReason::BindingPort);
        }
        if speaker.vlan != frame.vlan() {
            return Err(DropReason::BindingVlan);
        }
        if !carries(party, line, frame.source()) {
            return Err(DropReason::BindingMac);
        }
        Ok(speaker)
    }

    /// Who receives at that address, provided that it lies behind the peer port.
    #[inline(never)]
    pub fn destination(&self, address: Addr) -> Result<Speaker, DropReason> {
        let peer = self.tables.peer();
        let party = match self.node(address) {
            Some(party) => party,
            None => self.network(address, peer).ok_or(DropReason::UnknownDestination)?,
        };
        let (speaker, _) = self.speaker(party).ok_or(DropReason::UnknownDestination)?;
        if speaker.port == peer {
            Ok(speaker)
        } else if speaker.port == self.tables.port() {
            // Flooded by a switch: both live on this side, nothing crosses the gateway.
            Err(DropReason::NoRule)
        } else {
            Err(DropReason::NoRoute)
        }
    }

    /// Whether frames to that speaker may be addressed to that MAC: the mirror of what its own
    /// frames must carry.
    #[inline(always)]
    pub fn is_addressed(&self, speaker: &Speaker, mac: Mac) -> bool {
        match self.subnetwork(speaker.subnetwork) {
            Some(line) => carries(speaker.party, line, mac),
            None => false,
        }
    }

    /// Whether that MAC is a router of that subnetwork.
    #[inline(always)]
    pub fn is_router(&self, subnetwork: SubnetworkSlot, mac: Mac) -> bool {
        self.subnetwork(subnetwork).is_some_and(|line| Subnetwork::has_router(line, mac))
    }

    /// The router that a node's subnetwork uses as its gateway, as a speaker.
    #[inline(always)]
    pub fn gateway_of(&self, speaker: &Speaker) -> Option<Speaker> {
        let line = self.subnetwork(speaker.subnetwork)?;
        let slot = Subnetwork::decode(line).gateway;
        let line = self.subnetwork(slot)?;
        let Subnetwork { port, vlan, .. } = Subnetwork::decode(line);
        let party = Party::default();
        Some(Speaker { party, subnetwork: slot, vlan, port, router: true })
    }

    /// Whether the node may speak at all, and until when: the lease end, 0 if it needs none.
    #[inline(always)]
    pub fn standing(&self, speaker: &Speaker, now: Ticks) -> Result<u64, DropReason> {
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
    pub fn service(&self, protocol: u32, port: u16) -> Service {
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

    /// The rule under which `from` may open `service` to `to`, stops considered. Shapes are tried
    /// from the narrowest (node to node) on.
    #[inline(never)]
    pub fn allowed(
        &self,
        stop: Stop,
        from: &Speaker,
        to: &Speaker,
        service: Service,
    ) -> Result<Allowed, DropReason> {
        if service == Service::NONE {
            return Err(DropReason::NoRule);
        }
        let local = self.local_stop(from).max(self.local_stop(to));
        let spared = stop == Stop::None && local == Stop::None;
        let stopped = || {
            if stop == Stop::None { DropReason::StoppedSubnetwork } else { DropReason::Stopped }
        };
        let mut reason = DropReason::NoRule;
        // Shifted rather than counted: LLVM would unroll sixteen copies of the body.
        let mut shapes = self.header().shapes;
        let mut shape = 0;
        while shapes != 0 {
            let (used, from_kind, to_kind) = (shapes & 1 != 0, shape >> 2, shape & 3);
            shapes >>= 1;
            shape += 1;
            if !used {
                continue;
            }
            let (Some(from), Some(to)) = (from.selector(from_kind), to.selector(to_kind)) else {
                continue;
            };
            if let Some(allowed) = self.entry(from, to, service) {
                if spared || allowed.essential && stop != Stop::Hard && local != Stop::Hard {
                    return Ok(allowed);
                }
                reason = stopped();
            }
        }
        Err(reason)
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

    #[inline(always)]
    fn local_stop(&self, speaker: &Speaker) -> Stop {
        match self.tables.subnetwork(speaker.subnetwork) {
            Some(state) => Stop::decode(state.stop.load()),
            None => Stop::Hard,
        }
    }

    /// The declared node with that address.
    #[inline(always)]
    pub fn node(&self, address: Addr) -> Option<Party> {
        let Header { seed, identity_base, identity_buckets, .. } = self.header();
        let hash = image::node_hash(address, seed);
        let [first, second] = image::buckets(hash, identity_buckets);
        let find = |bucket| {
            Party::find_node(self.tables.line(self.half, identity_base + bucket)?, address)
        };
        find(first).or_else(|| find(second))
    }

    /// The network behind that port that holds an address and that some rule selects with `any`.
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
                // The network's own address and its directed broadcast are nobody's.
                let reserved = address.is_v4()
                    && length < 126
                    && (address == network || address.is_last_of(length));
                return if reserved { None } else { Some(party) };
            }
        }
        None
    }

    #[inline(always)]
    fn speaker(&self, party: Party) -> Option<(Speaker, &'t Line)> {
        let subnetwork = party.subnetwork();
        let line = self.subnetwork(subnetwork)?;
        let Subnetwork { port, vlan, .. } = Subnetwork::decode(line);
        Some((Speaker { party, subnetwork, vlan, port, router: false }, line))
    }

    #[inline(always)]
    fn subnetwork(&self, slot: SubnetworkSlot) -> Option<&'t Line> {
        if slot.0 == 0 {
            return None;
        }
        self.tables.line(self.half, self.header().subnetwork_base + slot.0 as u32 - 1)
    }
}

impl Speaker {
    #[inline(always)]
    fn selector(&self, kind: u32) -> Option<Selector> {
        match (self.router, kind) {
            (false, 0) if self.party.is_node() => Some(Selector::node(self.party.node())),
            (false, 1) if self.party.is_node() => Some(Selector::class(self.party.class())),
            (false, 2) => Some(Selector::any(self.subnetwork)),
            (true, 3) => Some(Selector::routers(self.subnetwork)),
            (true | false, _) => None,
        }
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
