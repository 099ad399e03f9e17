//! The gateway's ports, as far as a policy is concerned.

use std::collections::HashMap;

use firewall_common::Port;

/// The ports of the gateway that a policy is written for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports {
    names: Vec<String>,
    ways: Ways,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Ways {
    /// No gateway is at hand: any name may be a port's.
    Unknown,
    /// From any port to any other.
    Routed,
    /// Each port's peer.
    Paired(Vec<Option<Port>>),
}

impl Ports {
    /// No gateway is at hand: ports are known by their appearance in the policy, and nothing is
    /// said about the ways between them.
    pub fn unknown() -> Self {
        Self { names: Vec::new(), ways: Ways::Unknown }
    }

    /// A bridge: port names in the order of the configuration, each with its peer. A peer beyond
    /// the list counts as none.
    pub fn paired(ports: impl IntoIterator<Item = (String, Option<Port>)>) -> Self {
        let (names, peers): (Vec<_>, Vec<_>) = ports.into_iter().unzip();
        Self { names, ways: Ways::Paired(peers) }
    }

    /// A router: port names in the order of the configuration, with ways between all of them.
    pub fn routed(names: impl IntoIterator<Item = String>) -> Self {
        Self { names: names.into_iter().collect(), ways: Ways::Routed }
    }
}

/// A port that no gateway has; the complaint is made where it is named.
pub(super) const NO_PORT: Port = Port(u16::MAX);

/// Port names while a policy is resolved.
pub(super) struct PortNames<'s> {
    ways: &'s Ways,
    names: Vec<&'s str>,
    indices: HashMap<&'s str, Port>,
}

impl<'s> PortNames<'s> {
    pub(super) fn new(ports: &'s Ports) -> Self {
        let mut table = Self { ways: &ports.ways, names: Vec::new(), indices: HashMap::new() };
        for name in &ports.names {
            table.insert(name);
        }
        table
    }

    pub(super) fn find(&mut self, name: &'s str) -> Option<Port> {
        match (self.indices.get(name), self.ways) {
            (Some(&port), Ways::Unknown | Ways::Routed | Ways::Paired(_)) => Some(port),
            (None, Ways::Unknown) => Some(self.insert(name)),
            (None, Ways::Routed | Ways::Paired(_)) => None,
        }
    }

    /// Whether a frame can come in on the one and go out of the other.
    pub(super) fn connects(&self, one: Port, other: Port) -> bool {
        match self.ways {
            Ways::Unknown | Ways::Routed => true,
            Ways::Paired(_) if one == NO_PORT || other == NO_PORT => true,
            Ways::Paired(peers) => peers.get(usize::from(one.0)) == Some(&Some(other)),
        }
    }

    /// Whether the gateway may be a router, with addresses of its own.
    pub(super) fn may_be_routed(&self) -> bool {
        match self.ways {
            Ways::Unknown | Ways::Routed => true,
            Ways::Paired(_) => false,
        }
    }

    /// Whether it is one; where that is not known, what only a router can do tells.
    pub(super) fn is_routed(&self, does_what_routers_do: bool) -> bool {
        match self.ways {
            Ways::Unknown => does_what_routers_do,
            Ways::Routed => true,
            Ways::Paired(_) => false,
        }
    }

    pub(super) fn names(&self) -> &[&'s str] {
        &self.names
    }

    pub(super) fn name(&self, port: Port) -> &'s str {
        self.names.get(usize::from(port.0)).copied().unwrap_or_default()
    }

    pub(super) fn into_names(self) -> Vec<String> {
        self.names.into_iter().map(str::to_owned).collect()
    }

    fn insert(&mut self, name: &'s str) -> Port {
        let port = u16::try_from(self.names.len()).map_or(NO_PORT, Port);
        self.names.push(name);
        *self.indices.entry(name).or_insert(port)
    }
}
