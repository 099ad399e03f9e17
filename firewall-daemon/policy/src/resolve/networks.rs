//! Networks that have addresses in common.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::iter::successors;
use std::net::IpAddr;

use firewall_common::image::ANY_PREFIX_LENGTHS;
use firewall_common::{Port, Vlan};
use ipnet::IpNet;

use super::Resolver;
use super::ports::NO_PORT;
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::model::SubnetworkId;

/// A network and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Written {
    pub(super) subnetwork: SubnetworkId,
    pub(super) port: Port,
    pub(super) vlan: Vlan,
    pub(super) network: IpNet,
    pub(super) span: Span,
}

impl Resolver<'_> {
    /// On one port and VLAN an address belongs to one subnetwork.
    pub(super) fn check_overlaps(&mut self) {
        let networks = self.networks.iter().filter(|written| written.port != NO_PORT);
        let networks: Vec<Written> = networks.copied().collect();
        for (outer, inner) in nested(networks, |written| (written.port, written.vlan)) {
            let [one, other] = [inner, outer].map(|written| written.network);
            if outer.subnetwork == inner.subnetwork {
                let message = format!("{one} lies in {other} already");
                self.report(
                    Diagnostic::at(Code::Repeated, inner.span, message)
                        .related(outer.span, "it lies in this one"),
                );
                continue;
            }
            let [inside, outside] = [inner, outer]
                .map(|written| self.subnetworks[written.subnetwork.index()].name.clone());
            let message = format!("{one} of `{inside}` lies in {other} of `{outside}`");
            self.report(
                Diagnostic::at(Code::OverlappingSubnetworks, inner.span, message)
                    .label("on the same port and VLAN")
                    .related(outer.span, "it lies in this one")
                    .help("give one of them another VLAN or port, or networks of its own"),
            );
        }
    }

    /// A router knows a network once; one within another is told from it by its longer prefix.
    pub(super) fn check_repeats(&mut self) {
        let mut known: HashMap<IpNet, Written> = HashMap::new();
        for written in self.networks.clone() {
            let Some(first) = known.insert(written.network, written) else { continue };
            if first.subnetwork == written.subnetwork
                || (first.port, first.vlan) == (written.port, written.vlan)
            {
                continue;
            }
            let name = &self.subnetworks[first.subnetwork.index()].name;
            let message = format!("{} is a network of `{name}` already", written.network);
            self.report(
                Diagnostic::at(Code::OverlappingSubnetworks, written.span, message)
                    .related(first.span, "here")
                    .help("a router has one way to a network: give one of them another"),
            );
        }
    }

    /// An undeclared address is known by its port and network alone.
    pub(super) fn check_any(&mut self) {
        let is_selected = |written: &&Written| {
            written.port != NO_PORT && self.any.contains_key(&written.subnetwork.0)
        };
        let networks: Vec<Written> = self.networks.iter().filter(is_selected).copied().collect();
        let selected: HashSet<IpNet> = networks.iter().map(|written| written.network).collect();
        let is_routed = self.ports.is_routed(self.is_gateway_named || self.is_turning);
        let looked_up = self.networks.iter().map(|written| written.network).filter(|network| {
            selected.contains(network) || is_routed && lies_within(*network, &selected)
        });
        let mut lengths: Vec<u8> = looked_up.map(mapped_length).collect();
        lengths.sort_unstable();
        lengths.dedup();
        if lengths.len() > ANY_PREFIX_LENGTHS
            && let Some(&last) = self.any.values().max()
        {
            let message = format!(
                "the networks selected with `/any` have {} different prefix lengths",
                lengths.len()
            );
            let help = format!("a lookup tries at most {ANY_PREFIX_LENGTHS}: name nodes instead");
            self.report(Diagnostic::at(Code::TooManyPrefixLengths, last, message).help(help));
        }
        if self.ports.is_routed(false) {
            return;
        }
        for (outer, inner) in nested(networks, |written| written.port) {
            // On one VLAN they overlap anyway, and that has been said.
            if outer.subnetwork == inner.subnetwork || outer.vlan == inner.vlan {
                continue;
            }
            let [inside, outside] =
                [inner, outer].map(|written| &self.subnetworks[written.subnetwork.index()].name);
            let message = format!(
                "`{inside}/any` and `{outside}/any` have addresses in common behind one port"
            );
            self.report(
                Diagnostic::at(Code::OverlappingAny, inner.span, message)
                    .related(outer.span, "it lies in this one")
                    .help("select declared nodes in one of them: `/*`, a role, or a node"),
            );
        }
    }
}

/// Each network that lies in another of the same key, with the widest that it lies in. Prefixes
/// either contain one another or have nothing in common, so one pass over the sorted list is enough.
fn nested<K: Ord>(
    mut networks: Vec<Written>,
    key: impl Fn(&Written) -> K,
) -> Vec<(Written, Written)> {
    networks.sort_by_key(|written| {
        let network = written.network;
        (key(written), network.network(), Reverse(network.broadcast()), written.span)
    });
    let mut found = Vec::new();
    let mut outer: Option<Written> = None;
    for inner in networks {
        match outer {
            Some(outer) if key(&outer) == key(&inner) && outer.network.contains(&inner.network) => {
                found.push((outer, inner));
            }
            Some(_) | None => outer = Some(inner),
        }
    }
    found
}

/// The prefix length of the network's v4-mapped form.
pub(crate) fn mapped_length(network: IpNet) -> u8 {
    match network.network() {
        IpAddr::V4(_) => 96 + network.prefix_len(),
        IpAddr::V6(_) => network.prefix_len(),
    }
}

/// Whether the network lies in a wider one of these.
pub(crate) fn lies_within(network: IpNet, others: &HashSet<IpNet>) -> bool {
    successors(network.supernet(), IpNet::supernet).any(|wider| others.contains(&wider))
}
