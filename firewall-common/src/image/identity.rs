//! Who owns which address.

use super::Line;
use super::hash::{half, low, network_hash, node_hash};
use crate::{Addr, Mac, NodeSlot, Port, SubnetworkSlot, Vlan};

pub(super) const MAC: u64 = 0xffff_ffff_ffff;

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
        /// [`Port::ANYWHERE`] in a router's image.
        port: Port,
    },
    /// A router beside a router; `address` is its [`router_address`]. A bridge's image has none.
    Router,
}

/// What a router's MAC, and where it is seen, are looked up as: a group, which no node's address is.
#[inline(always)]
pub const fn router_address(mac: Mac, port: Port, vlan: Vlan) -> Addr {
    Addr::from_words([0xff | (port.0 as u64) << 16 | (vlan.0 as u64) << 32, mac.word()])
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
    /// It gets one from the gateway itself, which it may reach for that without one.
    pub enrols: bool,
}

const IDENTITY_NODE: u16 = 1;
const IDENTITY_NETWORK: u16 = 2;
const IDENTITY_MAC_EXACT: u16 = 1 << 2;
const IDENTITY_MAC_ROUTER: u16 = 1 << 3;
const IDENTITY_LEASE: u16 = 1 << 4;
const IDENTITY_ROUTER: u16 = 1 << 5;
const IDENTITY_ENROLS: u16 = 1 << 6;

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
            Kind::Router => (0, IDENTITY_ROUTER, 0),
        };
        let lease = if self.lease { IDENTITY_LEASE } else { 0 };
        let flags = kind | lease | if self.enrols { IDENTITY_ENROLS } else { 0 };
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
            Kind::Node | Kind::Router => node_hash(self.address, seed),
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

    /// Whether it gets its lease from the gateway.
    #[inline(always)]
    pub const fn enrols(self) -> bool {
        half(self.rest, 3) & IDENTITY_ENROLS != 0
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
        Self::find(line, address, KIND_NODE)
    }

    /// The router with that [`router_address`], if this bucket holds it.
    #[inline(always)]
    pub const fn find_router(line: &Line, address: Addr) -> Option<Self> {
        Self::find(line, address, KIND_ROUTER)
    }

    #[inline(always)]
    const fn find(line: &Line, address: Addr, kind: u64) -> Option<Self> {
        let [first, second] = address.words();
        let Line([a, b, mac, rest, c, d, other_mac, other_rest]) = *line;
        if a ^ first | b ^ second | rest & KIND ^ kind == 0 {
            return Some(Self { mac, rest });
        }
        if c ^ first | d ^ second | other_rest & KIND ^ kind == 0 {
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

const KIND: u64 = KIND_NODE | KIND_NETWORK | KIND_ROUTER;
const KIND_NODE: u64 = (IDENTITY_NODE as u64) << 48;
const KIND_NETWORK: u64 = (IDENTITY_NETWORK as u64) << 48;
const KIND_ROUTER: u64 = (IDENTITY_ROUTER as u64) << 48;

#[inline(always)]
pub(super) const fn network_key(length: u8, port: Port) -> u64 {
    length as u64 | (port.0 as u64) << 8
}
