//! The walks through the image.

use super::{Direction, Speaker, View};
use crate::decide::Note;
use crate::flow::Signature;
use crate::image::{self, Allowed, Header, Line, Party, RuleEntry, Selector};
use crate::{Addr, Port, Service, SubnetworkSlot, Tables};

impl<'t, T: Tables + ?Sized> View<'t, T> {
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
    pub(super) fn allowed(&self, note: &Note, direction: Direction) -> Option<Allowed> {
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
    pub(crate) fn node(&self, address: Addr) -> Option<Party> {
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
    pub(super) fn network(&self, address: Addr, port: Port) -> Option<Party> {
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

    #[inline(always)]
    pub(super) fn subnetwork(&self, slot: SubnetworkSlot) -> Option<&'t Line> {
        if slot.0 == 0 {
            return None;
        }
        self.tables.line(self.half, self.header().subnetwork_base + slot.0 as u32 - 1)
    }
}
