//! Who is who, and what rules call them.

use std::net::IpAddr;

use firewall_common::image::MacBinding;
use firewall_policy::Policy;
use firewall_policy::model::{Node, Selector};

/// Whose an address is: a declared node's, or nobody's in a subnetwork.
#[derive(Clone, Copy, Debug)]
pub(super) struct Party {
    pub(super) node: Option<usize>,
    pub(super) subnetwork: usize,
}

/// Whose an address is, seen from one port.
#[derive(Clone, Copy, Debug)]
pub(super) enum Who {
    /// That party's, which lives behind the port.
    Here(Party),
    /// A declared node's, which lives behind another port.
    Elsewhere(Party),
    /// Nobody's that the policy knows.
    Nobody,
}

impl Who {
    pub(super) fn is_at(policy: &Policy, port: u16, address: IpAddr) -> Self {
        let has = |node: &Node| node.addresses.iter().any(|own| IpAddr::from(*own) == address);
        if let Some(node) = policy.nodes().iter().position(has) {
            let subnetwork = policy.nodes()[node].subnetwork.index();
            let party = Party { node: Some(node), subnetwork };
            return if policy.subnetworks()[subnetwork].port.0 == port {
                Self::Here(party)
            } else {
                Self::Elsewhere(party)
            };
        }
        let subnetwork = policy.subnetworks().iter().position(|subnetwork| {
            let mut networks = subnetwork.networks.iter();
            subnetwork.port.0 == port
                && networks.any(|network| {
                    // RFC 1122, 3.2.1.3, but for RFC 3021's two addresses of a /31.
                    let nobodys = address.is_ipv4()
                        && network.prefix_len() < 31
                        && [network.network(), network.broadcast()].contains(&address);
                    network.contains(&address) && !nobodys
                })
        });
        // An undeclared address is known only where some rule says `any`.
        let subnetwork = subnetwork.filter(|&subnetwork| {
            let mut selectors =
                policy.rules().iter().flat_map(|rule| rule.from.iter().chain(&rule.to));
            selectors
                .any(|selector| matches!(selector, Selector::Any(id) if id.index() == subnetwork))
        });
        match subnetwork {
            Some(subnetwork) => Self::Here(Party { node: None, subnetwork }),
            None => Self::Nobody,
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
    pub(super) fn carries(&self, policy: &Policy, mac: [u8; 6]) -> bool {
        // Any address in a network: nothing is known of its MAC.
        let Some(node) = self.node else { return true };
        match policy.nodes()[node].mac {
            MacBinding::Exact(own) => own.0 == mac,
            MacBinding::Router => is_router(policy, self.subnetwork, mac),
            MacBinding::Any => true,
        }
    }

    pub(super) fn is(&self, policy: &Policy, selector: &Selector) -> bool {
        match selector {
            Selector::Node(id) => self.node == Some(id.index()),
            Selector::Role(id, role) => {
                let plays = |node: usize| policy.nodes()[node].roles.contains(role);
                self.subnetwork == id.index() && self.node.is_some_and(plays)
            }
            Selector::Declared(id) => self.subnetwork == id.index() && self.node.is_some(),
            Selector::Any(id) => self.subnetwork == id.index(),
            // A bridge says nothing itself.
            Selector::Gateway => false,
        }
    }
}

pub(super) fn is_router(policy: &Policy, subnetwork: usize, mac: [u8; 6]) -> bool {
    policy.subnetworks()[subnetwork].routers.iter().any(|router| router.0 == mac)
}
