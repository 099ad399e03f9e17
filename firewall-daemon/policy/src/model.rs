//! A policy that is valid: every name resolved, every value in its type.
//!
//! Only [`resolve`](crate::resolve::resolve) makes one.

mod few;
mod interpret;
mod words;

use std::fmt;
use std::sync::Arc;

use firewall_common::image::{MacBinding, Tolerance};
use firewall_common::{Addr, Mac, Port, Vlan};
use ipnet::IpNet;
use serde::Serialize;

use crate::diagnostic::Span;
pub use few::Few;
pub use interpret::Protocol;
pub use words::{Authentication, Criticality, Expected};

macro_rules! indices {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
            pub struct $name(pub(crate) u32);

            impl $name {
                /// The position in the policy's list.
                pub const fn index(self) -> usize {
                    self.0 as usize
                }
            }
        )+
    };
}

indices! {
    /// A subnetwork of one policy.
    SubnetworkId,
    /// A node of one policy.
    NodeId,
    /// An application of one policy.
    ApplicationId,
    /// A rule of one policy.
    RuleId,
}

/// For people: what an asset is and whose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Inventory {
    /// A sentence.
    pub description: Option<String>,
    /// The department it belongs to.
    pub organisation: Option<String>,
    /// Whom to call.
    pub responsible: Option<String>,
}

/// A secure medical subnetwork, or the network it is separated from.
#[derive(Clone, Debug)]
pub struct Subnetwork {
    /// Unique among subnetworks.
    pub name: Arc<str>,
    /// What it is and whose.
    pub inventory: Inventory,
    /// How much harm an outage does.
    pub criticality: Criticality,
    /// The gateway port its frames come in on.
    pub port: Port,
    /// The only tag its frames carry.
    pub vlan: Vlan,
    /// The networks its addresses lie in.
    pub networks: Vec<IpNet>,
    /// MACs of the routers that its nodes may be behind.
    pub routers: Vec<Mac>,
    /// What else than plain packets it lets by, between it and others that do.
    pub tolerance: Tolerance,
    /// Where its name stands.
    pub span: Span,
}

/// A declared device or server.
#[derive(Clone, Debug)]
pub struct Node {
    /// Unique among nodes.
    pub name: Arc<str>,
    /// What it is and whose, if the policy says any of it.
    pub inventory: Option<Box<Inventory>>,
    /// Where it is.
    pub subnetwork: SubnetworkId,
    /// A free word: modality, workstation, server.
    pub kind: Option<Arc<str>>,
    /// At least one; no other node has them.
    pub addresses: Few<Addr>,
    /// Which source MACs its frames may carry.
    pub mac: MacBinding,
    /// In alphabetical order.
    pub roles: Arc<[Arc<str>]>,
    /// How it proves what it is.
    pub authentication: Authentication,
    /// As whom: what the source of its lease must say of it. Some for a node that needs a lease, and
    /// no other node of the same authentication has it.
    pub identity: Option<Arc<str>>,
    /// Where its name stands.
    pub span: Span,
}

/// A range of ports, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortRange {
    /// At least 1.
    pub first: u16,
    /// At least `first`.
    pub last: u16,
}

impl PortRange {
    /// Whether it names that port.
    pub const fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }
}

/// A named set of protocols and ports.
#[derive(Clone, Debug)]
pub struct Application {
    /// Unique among applications.
    pub name: Arc<str>,
    /// A sentence.
    pub description: Option<String>,
    /// TCP ports, in ascending order, without overlaps.
    pub tcp: Vec<PortRange>,
    /// UDP ports, in ascending order, without overlaps.
    pub udp: Vec<PortRange>,
    /// ICMP and ICMPv6 echo.
    pub echo: bool,
    /// Where its name stands.
    pub span: Span,
}

/// One end of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Selector {
    /// `NODE`
    Node(NodeId),
    /// `SUBNETWORK/ROLE`: its nodes with that role.
    Role(SubnetworkId, Arc<str>),
    /// `SUBNETWORK/*`: its declared nodes.
    Declared(SubnetworkId),
    /// `SUBNETWORK/any`: every address in its networks, declared or not.
    Any(SubnetworkId),
    /// `gateway`: the gateway itself, whatever addresses it has. Only a router has any.
    Gateway,
}

/// How the name of the gateway itself is written in rules.
pub const GATEWAY: &str = "gateway";

/// Who may open which application to whom.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Unique among rules.
    pub name: Arc<str>,
    /// A sentence.
    pub description: Option<String>,
    /// Who may open.
    pub from: Vec<Selector>,
    /// To whom.
    pub to: Vec<Selector>,
    /// What.
    pub applications: Vec<ApplicationId>,
    /// It survives an ordinary stop-all.
    pub essential: bool,
    /// Where its name stands.
    pub span: Span,
}

/// A test of the policy.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// Who opens.
    pub from: NodeId,
    /// To whom.
    pub to: NodeId,
    /// What.
    pub application: ApplicationId,
    /// With which end.
    pub verdict: Expected,
    /// Where it stands.
    pub span: Span,
}

/// The routers that a subnetwork's nodes use across the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gateway {
    /// No subnetwork with routers is connected to it.
    None,
    /// Those of that subnetwork.
    One(SubnetworkId),
    /// Several subnetworks with routers are connected to it; in the order of the policy.
    Several(Vec<SubnetworkId>),
}

/// A valid policy.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(crate) parts: Parts,
}

/// What a policy is made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parts {
    pub(crate) digest: [u8; 32],
    pub(crate) ports: Vec<String>,
    pub(crate) subnetworks: Vec<Subnetwork>,
    pub(crate) nodes: Vec<Node>,
    /// Where each node is, once more: rules name nodes in no order, and of a million of them these
    /// fit into the processor's caches.
    pub(crate) homes: Vec<SubnetworkId>,
    pub(crate) applications: Vec<Application>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) expectations: Vec<Expectation>,
    /// One for each subnetwork.
    pub(crate) gateways: Vec<Gateway>,
    pub(crate) is_routed: bool,
}

impl Policy {
    /// SHA-256 over the files it was read from.
    pub fn digest(&self) -> [u8; 32] {
        self.parts.digest
    }

    /// The digest in lower-case hexadecimal.
    pub fn hash(&self) -> String {
        crate::source::hex(&self.parts.digest)
    }

    /// What the image says of it: the first 8 bytes of the digest, little-endian.
    pub fn fingerprint(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.parts.digest;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    /// The names of the gateway's ports; the index is the [`Port`].
    pub fn ports(&self) -> &[String] {
        &self.parts.ports
    }

    /// Whether the gateway is a router: its subnetworks reach each other through addresses of its
    /// own, whatever ports they are behind. Otherwise it is a bridge.
    pub fn is_routed(&self) -> bool {
        self.parts.is_routed
    }

    /// In the order of the text.
    pub fn subnetworks(&self) -> &[Subnetwork] {
        &self.parts.subnetworks
    }

    /// In the order of the text.
    pub fn nodes(&self) -> &[Node] {
        &self.parts.nodes
    }

    /// In the order of the text.
    pub fn applications(&self) -> &[Application] {
        &self.parts.applications
    }

    /// In the order of the text.
    pub fn rules(&self) -> &[Rule] {
        &self.parts.rules
    }

    /// In the order of the text.
    pub fn expectations(&self) -> &[Expectation] {
        &self.parts.expectations
    }

    /// One of [`Policy::subnetworks`]. Ids of another policy may panic.
    pub fn subnetwork(&self, id: SubnetworkId) -> &Subnetwork {
        &self.parts.subnetworks[id.index()]
    }

    /// One of [`Policy::nodes`]. Ids of another policy may panic.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.parts.nodes[id.index()]
    }

    /// One of [`Policy::applications`]. Ids of another policy may panic.
    pub fn application(&self, id: ApplicationId) -> &Application {
        &self.parts.applications[id.index()]
    }

    /// The routers that its nodes use across the gateway. Ids of another policy may panic.
    pub fn gateway(&self, id: SubnetworkId) -> &Gateway {
        &self.parts.gateways[id.index()]
    }

    /// The subnetwork of that name.
    pub fn subnetwork_named(&self, name: &str) -> Option<SubnetworkId> {
        position(&self.parts.subnetworks, |subnetwork| &*subnetwork.name == name).map(SubnetworkId)
    }

    /// The node of that name.
    pub fn node_named(&self, name: &str) -> Option<NodeId> {
        position(&self.parts.nodes, |node| &*node.name == name).map(NodeId)
    }

    /// The application of that name.
    pub fn application_named(&self, name: &str) -> Option<ApplicationId> {
        position(&self.parts.applications, |one| &*one.name == name).map(ApplicationId)
    }

    /// Where the nodes of a selector are; `None` for the gateway, which is everywhere.
    pub fn subnetwork_of(&self, selector: &Selector) -> Option<SubnetworkId> {
        match selector {
            Selector::Node(node) => Some(self.parts.homes[node.index()]),
            Selector::Role(subnetwork, _)
            | Selector::Declared(subnetwork)
            | Selector::Any(subnetwork) => Some(*subnetwork),
            Selector::Gateway => None,
        }
    }

    /// A selector as policies write it.
    pub fn display<'p>(&'p self, selector: &'p Selector) -> impl fmt::Display + 'p {
        struct Written<'p>(&'p Policy, &'p Selector);
        impl fmt::Display for Written<'_> {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                let Self(policy, selector) = self;
                let name = |id: &SubnetworkId| &policy.subnetwork(*id).name;
                match selector {
                    Selector::Node(node) => formatter.write_str(&policy.node(*node).name),
                    Selector::Role(subnetwork, role) => {
                        write!(formatter, "{}/{role}", name(subnetwork))
                    }
                    Selector::Declared(subnetwork) => write!(formatter, "{}/*", name(subnetwork)),
                    Selector::Any(subnetwork) => write!(formatter, "{}/any", name(subnetwork)),
                    Selector::Gateway => formatter.write_str(GATEWAY),
                }
            }
        }
        Written(self, selector)
    }
}

fn position<T>(list: &[T], is_wanted: impl Fn(&T) -> bool) -> Option<u32> {
    list.iter().position(is_wanted).and_then(|index| u32::try_from(index).ok())
}
