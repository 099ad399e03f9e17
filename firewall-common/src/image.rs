//! The policy image: a flat, immutable, seeded snapshot made of 64-byte lines.
//!
//! The compiler (crate `firewall-policy`) writes these formats, the decision reads them, in the
//! kernel and in host memory alike. Line 0 is the [`Header`]; the regions that it points to follow
//! in any order. Line numbers are relative to the image's first line; the kernel adds the base of
//! the active half. All words are little-endian.

use crate::{Addr, Mac, NodeSlot, Port, RuleSlot, Service, SubnetworkSlot, Vlan};

/// One line of the image: as large as a cache line, aligned to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Line(pub [u64; 8]);

/// Lines of the service table: 2 protocols x 65,536 ports x 2 bytes.
pub const SERVICE_LINES: u32 = 2 * SERVICE_LINES_PER_PROTOCOL;
/// Lines of the service table that one protocol takes; TCP's come first, then UDP's.
pub const SERVICE_LINES_PER_PROTOCOL: u32 = 65536 / SERVICES_PER_LINE;
/// Service numbers in one line, 16 bits each.
pub const SERVICES_PER_LINE: u32 = 32;
/// Identities in one line.
pub const IDENTITIES_PER_LINE: usize = 2;
/// Rule entries in one line.
pub const RULES_PER_LINE: usize = 4;
/// The longest list of router MACs of one subnetwork.
pub const ROUTERS_PER_SUBNETWORK: usize = 8;
/// The most distinct prefix lengths among networks that `SUBNETWORK/any` selects.
pub const ANY_PREFIX_LENGTHS: usize = 8;
/// Subnetworks an image can hold, the unused slot 0 included.
pub const SUBNETWORKS: u32 = 256;

/// Line 0 of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The secret that both hash functions start from: an attacker who knows the policy must not
    /// know which addresses share a bucket.
    pub seed: u64,
    /// First line of the identity buckets.
    pub identity_base: u32,
    /// Number of identity buckets (lines), at least 1.
    pub identity_buckets: u32,
    /// First line of the rule buckets.
    pub rule_base: u32,
    /// Number of rule buckets (lines), at least 1.
    pub rule_buckets: u32,
    /// First line of the service table.
    pub service_base: u32,
    /// First line of the subnetwork lines; the subnetwork with slot S is line S - 1 from there.
    pub subnetwork_base: u32,
    /// One bit per [`Shape::index`] that some rule uses; the others need no probe.
    pub shapes: u16,
    /// The service of ICMP and ICMPv6 echo.
    pub echo: Service,
    /// Prefix lengths of the networks that `SUBNETWORK/any` selects (IPv4 counts from 96), longest
    /// first, zero-terminated.
    pub any_prefix_lengths: [u8; ANY_PREFIX_LENGTHS],
    /// The lines of this image, this one included.
    pub lines: u32,
    /// Identifies the policy: the first 8 bytes of its hash.
    pub policy: u64,
}

impl Header {
    /// As it lies in the image.
    pub const fn encode(self) -> Line {
        Line([
            self.seed,
            pack(self.identity_base, self.identity_buckets),
            pack(self.rule_base, self.rule_buckets),
            pack(self.service_base, self.subnetwork_base),
            self.shapes as u64 | (self.echo.0 as u64) << 16 | (self.lines as u64) << 32,
            u64::from_le_bytes(self.any_prefix_lengths),
            self.policy,
            0,
        ])
    }

    /// From its line.
    #[inline(always)]
    pub const fn decode(line: &Line) -> Self {
        let Line([seed, identity, rule, service, shapes, lengths, policy, _]) = *line;
        Self {
            seed,
            identity_base: low(identity),
            identity_buckets: high(identity),
            rule_base: low(rule),
            rule_buckets: high(rule),
            service_base: low(service),
            subnetwork_base: high(service),
            shapes: half(shapes, 0),
            echo: Service(half(shapes, 1)),
            any_prefix_lengths: lengths.to_le_bytes(),
            lines: high(shapes),
            policy,
        }
    }
}

/// One subnetwork: its binding and its routers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subnetwork {
    /// The port its frames come in on.
    pub port: Port,
    /// The only tag its frames carry.
    pub vlan: Vlan,
    /// The subnetwork behind the peer port whose routers this one's nodes use as their gateway, if
    /// there is exactly one.
    pub gateway: SubnetworkSlot,
    /// MACs of the routers that its nodes may be behind; unused places are zero.
    pub routers: [Mac; ROUTERS_PER_SUBNETWORK],
}

impl Subnetwork {
    /// As it lies in the image.
    pub const fn encode(self) -> Line {
        let mut words = [0; 8];
        words[0] = self.port.0 as u64 | (self.vlan.0 as u64) << 16 | (self.gateway.0 as u64) << 32;
        // Six words hold eight MACs: word 2 + i carries router i, and its upper 16 bits carry a
        // third of router 6 (i < 3) or router 7.
        let mut index = 0;
        while index < 6 {
            let spare = self.routers[6 + index / 3].word() >> (16 * (index % 3)) & 0xffff;
            words[2 + index] = self.routers[index].word() | spare << 48;
            index += 1;
        }
        Line(words)
    }

    /// From its line, the routers left out.
    #[inline(always)]
    pub const fn decode(line: &Line) -> Self {
        let binding = line.0[0];
        Self {
            port: Port(half(binding, 0)),
            vlan: Vlan(half(binding, 1)),
            gateway: SubnetworkSlot(half(binding, 2)),
            routers: [Mac([0; 6]); ROUTERS_PER_SUBNETWORK],
        }
    }

    /// Whether that line lists this router.
    #[inline(always)]
    pub const fn has_router(line: &Line, router: Mac) -> bool {
        let Line([_, _, a, b, c, d, e, f]) = *line;
        let wanted = router.word();
        if wanted == 0 {
            return false;
        }
        let seventh = a >> 48 | (b >> 48) << 16 | (c >> 48) << 32;
        let eighth = d >> 48 | (e >> 48) << 16 | (f >> 48) << 32;
        a & MAC == wanted
            || b & MAC == wanted
            || c & MAC == wanted
            || d & MAC == wanted
            || e & MAC == wanted
            || f & MAC == wanted
            || seventh == wanted
            || eighth == wanted
    }
}

const MAC: u64 = 0xffff_ffff_ffff;

/// What an identity's address is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A declared node's address.
    Node,
    /// A network that `SUBNETWORK/any` selects; `address` is the masked network.
    Network {
        /// Bits of the prefix; IPv4 counts from 96.
        length: u8,
        /// The port behind which it lies: overlapping networks may exist behind different ports.
        port: Port,
    },
}

/// Which source MACs a node's frames may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacBinding {
    /// This one only.
    Exact(Mac),
    /// One of the subnetwork's routers: the node is behind them.
    Router,
    /// Any: the policy names none and the subnetwork has no routers.
    Any,
}

/// One address of a node, or one network: 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What the address means.
    pub kind: Kind,
    /// The node's address, or the masked network.
    pub address: Addr,
    /// The MAC its frames must carry. A network's is [`MacBinding::Any`].
    pub mac: MacBinding,
    /// The subnetwork it belongs to.
    pub subnetwork: SubnetworkSlot,
    /// The node; 0 for a network.
    pub node: NodeSlot,
    /// Nodes of one subnetwork with the same roles share a class; 0 for a network.
    pub class: u16,
    /// The node must hold a lease: its `authentication` is not `static`.
    pub lease: bool,
}

const IDENTITY_NODE: u16 = 1;
const IDENTITY_NETWORK: u16 = 2;
const IDENTITY_MAC_EXACT: u16 = 1 << 2;
const IDENTITY_MAC_ROUTER: u16 = 1 << 3;
const IDENTITY_LEASE: u16 = 1 << 4;

impl Identity {
    /// As it lies in half a line.
    pub const fn encode(self) -> [u64; 4] {
        let [first, second] = self.address.words();
        let (mac, kind, node) = match self.kind {
            Kind::Node => {
                let (mac, flag) = match self.mac {
                    MacBinding::Exact(mac) => (mac.word(), IDENTITY_MAC_EXACT),
                    MacBinding::Router => (0, IDENTITY_MAC_ROUTER),
                    MacBinding::Any => (0, 0),
                };
                (mac, IDENTITY_NODE | flag, self.node.0)
            }
            Kind::Network { length, port } => (network_key(length, port), IDENTITY_NETWORK, 0),
        };
        let flags = kind | if self.lease { IDENTITY_LEASE } else { 0 };
        [
            first,
            second,
            mac | (self.subnetwork.0 as u64) << 48,
            node as u64 | (self.class as u64) << 32 | (flags as u64) << 48,
        ]
    }

    /// The hash that places this identity in the image with that seed.
    pub const fn hash(self, seed: u64) -> u64 {
        match self.kind {
            Kind::Node => node_hash(self.address, seed),
            Kind::Network { length, port } => network_hash(self.address, length, port, seed),
        }
    }
}

/// An identity as the decision reads it: the two words that follow the address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Party {
    mac: u64,
    rest: u64,
}

impl Party {
    /// The subnetwork it belongs to.
    #[inline(always)]
    pub const fn subnetwork(self) -> SubnetworkSlot {
        SubnetworkSlot(half(self.mac, 3))
    }

    /// The node; slot 0 for an undeclared address in a network.
    #[inline(always)]
    pub const fn node(self) -> NodeSlot {
        NodeSlot(low(self.rest))
    }

    /// The class of nodes; 0 for an undeclared address.
    #[inline(always)]
    pub const fn class(self) -> u16 {
        half(self.rest, 2)
    }

    /// Whether this is a declared node.
    #[inline(always)]
    pub const fn is_node(self) -> bool {
        half(self.rest, 3) & IDENTITY_NODE != 0
    }

    /// Whether it must hold a lease.
    #[inline(always)]
    pub const fn needs_lease(self) -> bool {
        half(self.rest, 3) & IDENTITY_LEASE != 0
    }

    /// Which source MACs its frames may carry.
    #[inline(always)]
    pub const fn mac(self) -> MacBinding {
        let flags = half(self.rest, 3);
        if flags & IDENTITY_MAC_EXACT != 0 {
            MacBinding::Exact(Mac::from_word(self.mac))
        } else if flags & IDENTITY_MAC_ROUTER != 0 {
            MacBinding::Router
        } else {
            MacBinding::Any
        }
    }

    /// The node with that address, if this bucket holds it. The comparisons have one branch each:
    /// every branch doubles what the verifier must walk.
    #[inline(always)]
    pub const fn find_node(line: &Line, address: Addr) -> Option<Self> {
        let [first, second] = address.words();
        let Line([a, b, mac, rest, c, d, other_mac, other_rest]) = *line;
        if a ^ first | b ^ second | rest & KIND ^ KIND_NODE == 0 {
            return Some(Self { mac, rest });
        }
        if c ^ first | d ^ second | other_rest & KIND ^ KIND_NODE == 0 {
            return Some(Self { mac: other_mac, rest: other_rest });
        }
        None
    }

    /// The network with that masked address, length and port, if this bucket holds it.
    #[inline(always)]
    pub const fn find_network(line: &Line, network: Addr, length: u8, port: Port) -> Option<Self> {
        let [first, second] = network.words();
        let key = network_key(length, port);
        let Line([a, b, mac, rest, c, d, other_mac, other_rest]) = *line;
        if a ^ first | b ^ second | mac & MAC ^ key | rest & KIND ^ KIND_NETWORK == 0 {
            return Some(Self { mac, rest });
        }
        if c ^ first | d ^ second | other_mac & MAC ^ key | other_rest & KIND ^ KIND_NETWORK == 0 {
            return Some(Self { mac: other_mac, rest: other_rest });
        }
        None
    }
}

const KIND: u64 = KIND_NODE | KIND_NETWORK;
const KIND_NODE: u64 = (IDENTITY_NODE as u64) << 48;
const KIND_NETWORK: u64 = (IDENTITY_NETWORK as u64) << 48;

#[inline(always)]
const fn network_key(length: u8, port: Port) -> u64 {
    length as u64 | (port.0 as u64) << 8
}

/// What one end of a rule names: 2 bits of kind, 30 of number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Selector(pub u32);

impl Selector {
    /// One node.
    #[inline(always)]
    pub const fn node(node: NodeSlot) -> Self {
        Self(node.0 & NUMBER)
    }

    /// The nodes of one class.
    #[inline(always)]
    pub const fn class(class: u16) -> Self {
        Self(1 << 30 | class as u32)
    }

    /// Every address in the networks of a subnetwork, declared or not.
    #[inline(always)]
    pub const fn any(subnetwork: SubnetworkSlot) -> Self {
        Self(2 << 30 | subnetwork.0 as u32)
    }

    /// The routers of a subnetwork; only entries for [`Service::CONNECTED`] name them.
    #[inline(always)]
    pub const fn routers(subnetwork: SubnetworkSlot) -> Self {
        Self(3 << 30 | subnetwork.0 as u32)
    }

    /// Names nothing: no entry has it.
    pub const NOBODY: Self = Self(u32::MAX);

    /// The kind: 0 node, 1 class, 2 any, 3 routers.
    #[inline(always)]
    pub const fn kind(self) -> u32 {
        self.0 >> 30
    }
}

const NUMBER: u32 = (1 << 30) - 1;

/// Which kinds of selector the two ends of a rule entry have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The initiator's selector kind.
    pub from: u32,
    /// The responder's selector kind.
    pub to: u32,
}

impl Shape {
    /// The bit in [`Header::shapes`].
    #[inline(always)]
    pub const fn index(self) -> u32 {
        self.from << 2 | self.to
    }
}

/// One entry of the rule table: 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleEntry {
    /// Who may open.
    pub from: Selector,
    /// To whom.
    pub to: Selector,
    /// Which class of ports, or [`Service::CONNECTED`].
    pub service: Service,
    /// The rule that says so.
    pub rule: RuleSlot,
    /// It survives an ordinary stop.
    pub essential: bool,
}

const RULE_USED: u64 = 1 << 48;
const RULE_ESSENTIAL: u64 = 1 << 49;

/// What the rule table answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// The rule that says so.
    pub rule: RuleSlot,
    /// It survives an ordinary stop.
    pub essential: bool,
}

impl RuleEntry {
    /// As it lies in a quarter of a line.
    pub const fn encode(self) -> [u64; 2] {
        [
            rule_key(self.from, self.to),
            self.rule.0 as u64
                | (self.service.0 as u64) << 32
                | RULE_USED
                | if self.essential { RULE_ESSENTIAL } else { 0 },
        ]
    }

    /// The hash that places this entry in the image with that seed.
    pub const fn hash(self, seed: u64) -> u64 {
        rule_hash(self.from, self.to, self.service, seed)
    }

    /// The entry for that question, if this bucket holds it.
    #[inline(always)]
    pub const fn find(
        line: &Line,
        from: Selector,
        to: Selector,
        service: Service,
    ) -> Option<Allowed> {
        let key = rule_key(from, to);
        let wanted = (service.0 as u64) << 32 | RULE_USED;
        let Line([a, av, b, bv, c, cv, d, dv]) = *line;
        let value = if a ^ key | av & RULE_MATCH ^ wanted == 0 {
            av
        } else if b ^ key | bv & RULE_MATCH ^ wanted == 0 {
            bv
        } else if c ^ key | cv & RULE_MATCH ^ wanted == 0 {
            cv
        } else if d ^ key | dv & RULE_MATCH ^ wanted == 0 {
            dv
        } else {
            return None;
        };
        Some(Allowed { rule: RuleSlot(low(value)), essential: value & RULE_ESSENTIAL != 0 })
    }
}

const RULE_MATCH: u64 = 0xffff << 32 | RULE_USED;

#[inline(always)]
const fn rule_key(from: Selector, to: Selector) -> u64 {
    pack(from.0, to.0)
}

/// The hash of a node's address.
#[inline(always)]
pub const fn node_hash(address: Addr, seed: u64) -> u64 {
    let [first, second] = address.words();
    mix(first, second, seed)
}

/// The hash of a network of `SUBNETWORK/any`.
#[inline(always)]
pub const fn network_hash(network: Addr, length: u8, port: Port, seed: u64) -> u64 {
    node_hash(network, seed ^ (network_key(length, port) + 1))
}

/// The hash of a rule entry.
#[inline(always)]
pub const fn rule_hash(from: Selector, to: Selector, service: Service, seed: u64) -> u64 {
    mix(rule_key(from, to), service.0 as u64, seed)
}

/// The two lines, relative to a region of `buckets` lines, where an entry with that hash may lie.
#[inline(always)]
pub const fn buckets(hash: u64, buckets: u32) -> [u32; 2] {
    [reduce(low(hash), buckets), reduce(high(hash), buckets)]
}

/// Multiply and shift: a number below `buckets` without a division.
#[inline(always)]
const fn reduce(hash: u32, buckets: u32) -> u32 {
    high(hash as u64 * buckets as u64)
}

/// Two rounds of the murmur3 finaliser; the constants are those of its 64-bit variant.
#[inline(always)]
const fn mix(first: u64, second: u64, seed: u64) -> u64 {
    let mut hash = (first ^ seed).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = (hash ^ second).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ hash >> 33
}

#[inline(always)]
const fn pack(low: u32, high: u32) -> u64 {
    low as u64 | (high as u64) << 32
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "takes the low half")]
const fn low(word: u64) -> u32 {
    word as u32
}

#[inline(always)]
const fn high(word: u64) -> u32 {
    low(word >> 32)
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "takes one 16-bit lane")]
const fn half(word: u64, lane: u32) -> u16 {
    (word >> (16 * lane)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    #[test]
    fn a_header_survives_its_line() {
        let header = Header {
            seed: 0x0123_4567_89ab_cdef,
            identity_base: 1,
            identity_buckets: 2,
            rule_base: 3,
            rule_buckets: 4,
            service_base: 5,
            subnetwork_base: 6,
            shapes: 0x8421,
            echo: Service(9),
            any_prefix_lengths: [120, 112, 64, 0, 0, 0, 0, 0],
            lines: 70_000,
            policy: 42,
        };
        assert_eq!(Header::decode(&header.encode()), header);
    }

    #[test]
    fn a_subnetwork_keeps_all_eight_routers() {
        let mut routers = [Mac::default(); ROUTERS_PER_SUBNETWORK];
        for (index, router) in (0..).zip(routers.iter_mut()) {
            *router = Mac([2, 0, 0x5e, 0xa1, 0xb2, index]);
        }
        let subnetwork =
            Subnetwork { port: Port(1), vlan: Vlan(120), gateway: SubnetworkSlot(3), routers };
        let line = subnetwork.encode();
        let decoded = Subnetwork::decode(&line);
        assert_eq!(
            (decoded.port, decoded.vlan, decoded.gateway),
            (Port(1), Vlan(120), SubnetworkSlot(3))
        );
        assert!(routers.iter().all(|&router| Subnetwork::has_router(&line, router)));
        assert!(!Subnetwork::has_router(&line, Mac([2, 0, 0x5e, 0xa1, 0xb2, 9])));
        assert!(!Subnetwork::has_router(&Subnetwork::default().encode(), Mac::default()));
    }

    #[test]
    fn an_identity_is_found_in_either_place_of_its_bucket() {
        let node = Identity {
            kind: Kind::Node,
            address: Ipv4Addr::new(10, 20, 0, 11).into(),
            mac: MacBinding::Exact(Mac([2, 0, 0, 0x20, 0, 0x11])),
            subnetwork: SubnetworkSlot(7),
            node: NodeSlot(70_000),
            class: 5,
            lease: true,
        };
        let network = Identity {
            kind: Kind::Network { length: 120, port: Port(1) },
            address: Ipv4Addr::new(10, 20, 0, 0).into(),
            mac: MacBinding::Any,
            subnetwork: SubnetworkSlot(8),
            node: NodeSlot(0),
            class: 0,
            lease: false,
        };
        let mut line = Line::default();
        line.0[..4].copy_from_slice(&network.encode());
        line.0[4..].copy_from_slice(&node.encode());
        let party = Party::find_node(&line, node.address).unwrap();
        assert_eq!(
            (party.subnetwork(), party.node(), party.class()),
            (SubnetworkSlot(7), NodeSlot(70_000), 5)
        );
        assert_eq!(party.mac(), node.mac);
        assert!(party.needs_lease() && party.is_node());
        let party = Party::find_network(&line, network.address, 120, Port(1)).unwrap();
        assert_eq!(party.subnetwork(), SubnetworkSlot(8));
        assert!(!party.is_node());
        assert_eq!(Party::find_network(&line, network.address, 120, Port(0)), None);
        assert_eq!(Party::find_node(&line, network.address), None);
    }

    #[test]
    fn an_empty_bucket_answers_nobody() {
        let line = Line::default();
        assert_eq!(Party::find_node(&line, Addr::UNSPECIFIED), None);
        assert_eq!(Party::find_network(&line, Addr::UNSPECIFIED, 0, Port(0)), None);
        let nobody = Selector::node(NodeSlot(0));
        assert_eq!(RuleEntry::find(&line, nobody, nobody, Service::NONE), None);
    }

    #[test]
    fn a_rule_entry_answers_its_own_question_only() {
        let entry = RuleEntry {
            from: Selector::class(3),
            to: Selector::node(NodeSlot(9)),
            service: Service(4),
            rule: RuleSlot(77),
            essential: true,
        };
        let mut line = Line::default();
        line.0[6..].copy_from_slice(&entry.encode());
        let allowed = Some(Allowed { rule: RuleSlot(77), essential: true });
        assert_eq!(RuleEntry::find(&line, entry.from, entry.to, entry.service), allowed);
        assert_eq!(RuleEntry::find(&line, entry.to, entry.from, entry.service), None);
        assert_eq!(RuleEntry::find(&line, entry.from, entry.to, Service(5)), None);
    }
}
