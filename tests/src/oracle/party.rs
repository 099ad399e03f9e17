//! Who is who, and what rules call them.

use std::net::IpAddr;

use firewall_common::image::MacBinding;
use firewall_policy::Policy;
use firewall_policy::model::{Node, Selector};
use ipnet::IpNet;

use super::Surroundings;

/// Whose an address is: a declared node's, nobody's in a subnetwork, or the gateway's own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Party {
    pub(super) node: Option<usize>,
    /// `None` of the gateway itself.
    pub(super) subnetwork: Option<usize>,
}

/// Whose an address is, seen from one port.
#[derive(Clone, Copy, Debug)]
pub(super) enum Who {
    /// That party's, which lives behind the port, or wherever frames from there may go.
    Here(Party),
    /// Somebody's who lives behind another port, or the gateway's own. On a bridge declared nodes'
    /// only.
    Elsewhere(Party),
    /// Nobody's that the policy knows.
    Nobody,
}

impl Who {
    pub(super) fn is_behind(policy: &Policy, port: u16, address: IpAddr) -> Self {
        if let Some(party) = Party::declared(policy, address) {
            let lives_there =
                party.subnetwork.is_some_and(|own| policy.subnetworks()[own].port.0 == port);
            return if lives_there { Self::Here(party) } else { Self::Elsewhere(party) };
        }
        let subnetwork = policy.subnetworks().iter().position(|subnetwork| {
            let mut networks = subnetwork.networks.iter();
            subnetwork.port.0 == port && networks.any(|network| has_host(network, address))
        });
        // An undeclared address is known only where some rule says `any`.
        match subnetwork.filter(|&subnetwork| is_selected(policy, subnetwork)) {
            Some(subnetwork) => Self::Here(Party { node: None, subnetwork: Some(subnetwork) }),
            None => Self::Nobody,
        }
    }

    /// A router knows each address once: the longest prefix says whose it is, among the networks
    /// that `any` selects and those within them.
    pub(super) fn is_anywhere(
        policy: &Policy,
        surroundings: &Surroundings,
        address: IpAddr,
    ) -> Self {
        if let Some(party) = Party::declared(policy, address) {
            return Self::Here(party);
        }
        if surroundings.own.contains(&address) {
            return Self::Here(Party::GATEWAY);
        }
        let all = || {
            let subnetworks = policy.subnetworks().iter().enumerate();
            subnetworks.flat_map(|(index, subnetwork)| {
                subnetwork.networks.iter().map(move |network| (index, network))
            })
        };
        let is_known = |network: &IpNet| {
            all().any(|(index, outer)| is_selected(policy, index) && outer.contains(network))
        };
        let holders = all().filter(|(_, network)| network.contains(&address) && is_known(network));
        match holders.max_by_key(|(_, network)| network.prefix_len()) {
            Some((index, network)) if has_host(network, address) => {
                Self::Here(Party { node: None, subnetwork: Some(index) })
            }
            Some(_) | None => Self::Nobody,
        }
    }

    pub(super) const fn here(self) -> Option<Party> {
        match self {
            Self::Here(party) => Some(party),
            Self::Elsewhere(_) | Self::Nobody => None,
        }
    }
}

impl Party {
    pub(super) const GATEWAY: Self = Self { node: None, subnetwork: None };

    fn declared(policy: &Policy, address: IpAddr) -> Option<Self> {
        let has = |node: &Node| node.addresses.iter().any(|own| IpAddr::from(*own) == address);
        let node = policy.nodes().iter().position(has)?;
        let subnetwork = Some(policy.nodes()[node].subnetwork.index());
        Some(Self { node: Some(node), subnetwork })
    }

    pub(super) const fn is_gateway(&self) -> bool {
        self.subnetwork.is_none()
    }

    pub(super) fn carries(&self, policy: &Policy, mac: [u8; 6]) -> bool {
        // Any address in a network: nothing is known of its MAC.
        let Some(node) = self.node else { return true };
        match policy.nodes()[node].mac {
            MacBinding::Exact(own) => own.0 == mac,
            MacBinding::Router => {
                self.subnetwork.is_some_and(|subnetwork| is_router(policy, subnetwork, mac))
            }
            MacBinding::Any => true,
        }
    }

    pub(super) fn is(&self, policy: &Policy, selector: &Selector) -> bool {
        match selector {
            Selector::Node(id) => self.node == Some(id.index()),
            Selector::Role(id, role) => {
                let plays = |node: usize| policy.nodes()[node].roles.contains(role);
                self.subnetwork == Some(id.index()) && self.node.is_some_and(plays)
            }
            Selector::Declared(id) => self.subnetwork == Some(id.index()) && self.node.is_some(),
            Selector::Any(id) => self.subnetwork == Some(id.index()),
            Selector::Gateway => self.is_gateway(),
        }
    }
}

fn is_selected(policy: &Policy, subnetwork: usize) -> bool {
    let mut selectors = policy.rules().iter().flat_map(|rule| rule.from.iter().chain(&rule.to));
    selectors.any(|selector| matches!(selector, Selector::Any(id) if id.index() == subnetwork))
}

/// RFC 1122, 3.2.1.3, but for RFC 3021's two addresses of a /31.
fn has_host(network: &IpNet, address: IpAddr) -> bool {
    let nobodys = address.is_ipv4()
        && network.prefix_len() < 31
        && [network.network(), network.broadcast()].contains(&address);
    network.contains(&address) && !nobodys
}

pub(super) fn is_router(policy: &Policy, subnetwork: usize, mac: [u8; 6]) -> bool {
    policy.subnetworks()[subnetwork].routers.iter().any(|router| router.0 == mac)
}
