//! From a valid policy to the image that the kernel reads.
//!
//! The same policy, slots and seed always yield the same bytes.

mod capacity;
mod classes;
mod cuckoo;
mod entries;
mod names;
mod services;
mod slots;

use std::collections::{BTreeMap, HashSet};

use firewall_common::image::{
    ANY_PREFIX_LENGTHS, Header, IDENTITIES_PER_LINE, Identity, Kind, Line, MacBinding,
    ROUTERS_PER_SUBNETWORK, RULES_PER_LINE, RuleEntry, SERVICE_LINES, Subnetwork, Tolerance,
    buckets, router_address,
};
use firewall_common::{Addr, Mac, NodeSlot, Port, Service, SubnetworkSlot};
use ipnet::IpNet;

use crate::model::{self, Authentication, Gateway, Policy, Selector};
use crate::resolve::{lies_within, mapped_length};
use capacity::{ATTEMPTS, IDENTITY_LOAD, RULE_LOAD, bucket_count};
pub use capacity::{Capacity, CompileError, lines_for};
use classes::Classes;
pub use names::{NamedNode, NamedRule, NamedSubnetwork, Names};
use services::Services;
pub use slots::{Kept, SequentialSlots, SlotSource};

/// A compiled policy.
#[derive(Clone, Debug)]
pub struct Image {
    /// What is copied into the kernel; line 0 is the header.
    pub lines: Vec<Line>,
    /// Line 0, decoded.
    pub header: Header,
    /// Who has which slot.
    pub names: Names,
}

impl Image {
    /// The image that allows nothing to anybody.
    pub fn closed(seed: u64) -> Self {
        let header = Header { seed, ..Header::default() };
        let parts = ImageParts {
            header,
            subnetworks: Vec::new(),
            services: Vec::new(),
            identities: vec![Line::default()],
            rules: vec![Line::default()],
        };
        let (lines, header) = parts.assemble();
        Self { lines, header, names: Names::default() }
    }
}

/// Compiles a policy. `seed` should be a secret and another each time; if the tables cannot be
/// placed with it, one of the next few seeds is used and stands in the header.
///
/// # Errors
/// When the policy needs more of anything than the capacity allows. Nothing but slots has been
/// taken then.
pub fn compile<S: SlotSource + ?Sized>(
    policy: &Policy,
    slots: &mut S,
    seed: u64,
    capacity: &Capacity,
) -> Result<Image, CompileError> {
    let networks = any_networks(policy);
    capacity::check_counts(policy, networks.len(), capacity)?;
    let names = Names::assign(policy, slots)?;
    let classes = Classes::of(policy)?;
    let services = Services::of(policy)?;
    let identities = identities(policy, &names, &classes, &networks);
    let entries = entries::expand(policy, &names, &classes, &services, capacity)?;

    let mut header = Header {
        echo: services.echo,
        shapes: entries.iter().fold(0, |shapes, entry| {
            let shape =
                firewall_common::image::Shape { from: entry.from.kind(), to: entry.to.kind() };
            shapes | 1 << shape.index()
        }),
        any_prefix_lengths: any_prefix_lengths(&networks),
        policy: policy.fingerprint(),
        tolerance: policy
            .subnetworks()
            .iter()
            .fold(Tolerance::default(), |all, subnetwork| all.or(subnetwork.tolerance)),
        ..Header::default()
    };
    for attempt in 0..ATTEMPTS {
        header.seed = seed.wrapping_add(u64::from(attempt));
        let Some(identities) = place_identities(&identities, header.seed, attempt) else {
            continue;
        };
        let Some(rules) = place_rules(&entries, header.seed, attempt) else { continue };
        let parts = ImageParts {
            header,
            subnetworks: subnetwork_lines(policy, &names),
            services: services.lines(),
            identities,
            rules,
        };
        let (lines, header) = parts.assemble();
        if header.lines > capacity.lines {
            return Err(CompileError::Lines { needed: header.lines, capacity: capacity.lines });
        }
        return Ok(Image { lines, header, names });
    }
    Err(CompileError::Placement)
}

/// The regions of an image before they are given their places.
struct ImageParts {
    header: Header,
    subnetworks: Vec<Line>,
    services: Vec<Line>,
    identities: Vec<Line>,
    rules: Vec<Line>,
}

impl ImageParts {
    fn assemble(self) -> (Vec<Line>, Header) {
        let Self { mut header, subnetworks, mut services, identities, rules } = self;
        services.resize(SERVICE_LINES as usize, Line::default());
        header.identity_buckets = length(&identities);
        header.rule_buckets = length(&rules);
        let mut lines = vec![Line::default()];
        let regions = [
            (subnetworks, &mut header.subnetwork_base),
            (services, &mut header.service_base),
            (identities, &mut header.identity_base),
            (rules, &mut header.rule_base),
        ];
        lines.reserve(regions.iter().map(|(region, _)| region.len()).sum());
        for (region, base) in regions {
            *base = length(&lines);
            lines.extend(region);
        }
        header.lines = length(&lines);
        if let Some(first) = lines.first_mut() {
            *first = header.encode();
        }
        (lines, header)
    }
}

/// Regions are bounded by the capacity, which is counted in 32 bits.
fn length(lines: &[Line]) -> u32 {
    u32::try_from(lines.len()).unwrap_or(u32::MAX)
}

/// A network that `SUBNETWORK/any` selects, or one that lies in such a network and is another
/// subnetwork's: a router tells whose an address is by the longest prefix, and without it a stranger
/// in the wider network could speak in the name of one in the narrower.
#[derive(Clone, Copy, PartialEq, Eq)]
struct AnyNetwork {
    subnetwork: usize,
    address: Addr,
    length: u8,
}

fn any_networks(policy: &Policy) -> Vec<AnyNetwork> {
    let mut is_selected = vec![false; policy.subnetworks().len()];
    for selector in policy.rules().iter().flat_map(|rule| rule.from.iter().chain(&rule.to)) {
        match selector {
            Selector::Any(id) => is_selected[id.index()] = true,
            Selector::Node(_) | Selector::Role(..) | Selector::Declared(_) | Selector::Gateway => {}
        }
    }
    let written = |index: usize| policy.subnetworks()[index].networks.iter().copied();
    let selected: HashSet<IpNet> =
        (0..is_selected.len()).filter(|&index| is_selected[index]).flat_map(written).collect();
    let is_looked_up = |index: usize, network: IpNet| {
        is_selected[index] || policy.is_routed() && lies_within(network, &selected)
    };
    let networks = (0..is_selected.len()).flat_map(|subnetwork| {
        let networks = written(subnetwork);
        networks.filter(move |&network| is_looked_up(subnetwork, network)).map(move |network| {
            let (address, length) = (network.network().into(), mapped_length(network));
            AnyNetwork { subnetwork, address, length }
        })
    });
    networks.collect()
}

/// Longest first; the resolver has made sure that they fit.
fn any_prefix_lengths(networks: &[AnyNetwork]) -> [u8; ANY_PREFIX_LENGTHS] {
    let mut distinct: Vec<u8> = networks.iter().map(|network| network.length).collect();
    distinct.sort_unstable_by(|one, other| other.cmp(one));
    distinct.dedup();
    let mut lengths = [0; ANY_PREFIX_LENGTHS];
    for (place, length) in lengths.iter_mut().zip(distinct) {
        *place = length;
    }
    lengths
}

fn identities(
    policy: &Policy,
    names: &Names,
    classes: &Classes<'_>,
    networks: &[AnyNetwork],
) -> Vec<Identity> {
    let mut identities = Vec::with_capacity(policy.nodes().len() + networks.len());
    for (index, node) in policy.nodes().iter().enumerate() {
        let identity = Identity {
            kind: Kind::Node,
            address: Addr::UNSPECIFIED,
            mac: node.mac,
            subnetwork: names.subnetwork_slot(node.subnetwork),
            node: names.node_slots[index],
            class: classes.of_node[index],
            lease: node.authentication.needs_lease(),
            enrols: node.authentication == Authentication::Lease,
        };
        identities.extend(node.addresses.iter().map(|&address| Identity { address, ..identity }));
    }
    identities.extend(networks.iter().map(|network| Identity {
        kind: Kind::Network {
            length: network.length,
            port: if policy.is_routed() {
                Port::ANYWHERE
            } else {
                policy.subnetworks()[network.subnetwork].port
            },
        },
        address: network.address,
        mac: MacBinding::Any,
        subnetwork: names.subnetwork_slots[network.subnetwork],
        node: NodeSlot(0),
        class: 0,
        lease: false,
        enrols: false,
    }));
    if policy.is_routed() {
        identities.extend(routers(policy, names));
    }
    identities
}

/// The routers that a router has for neighbours, each once on each port and VLAN.
fn routers(policy: &Policy, names: &Names) -> impl Iterator<Item = Identity> {
    let mut known = BTreeMap::new();
    for (subnetwork, &slot) in policy.subnetworks().iter().zip(&names.subnetwork_slots) {
        for &router in &subnetwork.routers {
            known.entry((router, subnetwork.port, subnetwork.vlan)).or_insert(slot);
        }
    }
    known.into_iter().map(|((mac, port, vlan), subnetwork)| Identity {
        kind: Kind::Router,
        address: router_address(mac, port, vlan),
        mac: MacBinding::Any,
        subnetwork,
        node: NodeSlot(0),
        class: 0,
        lease: false,
        enrols: false,
    })
}

fn subnetwork_lines(policy: &Policy, names: &Names) -> Vec<Line> {
    let slots = &names.subnetwork_slots;
    let last = slots.iter().map(|slot| slot.0).max().unwrap_or(0);
    let mut lines = vec![Line::default(); usize::from(last)];
    let subnetworks = policy.subnetworks().iter().zip(&policy.parts.gateways).zip(slots);
    for ((subnetwork, gateway), slot) in subnetworks {
        let mut routers = [Mac::default(); ROUTERS_PER_SUBNETWORK];
        for (place, &router) in routers.iter_mut().zip(&subnetwork.routers) {
            *place = router;
        }
        let gateway = match gateway {
            Gateway::One(id) => names.subnetwork_slot(*id),
            Gateway::None | Gateway::Several(_) => SubnetworkSlot(0),
        };
        let model::Subnetwork { port, vlan, tolerance, .. } = *subnetwork;
        let line = Subnetwork { port, vlan, gateway, tolerance, routers };
        lines[usize::from(slot.0) - 1] = line.encode();
    }
    lines
}

fn place_identities(identities: &[Identity], seed: u64, attempt: u32) -> Option<Vec<Line>> {
    let count = bucket_count(identities.len(), IDENTITIES_PER_LINE, IDENTITY_LOAD, attempt);
    let choices = identities.iter().map(|identity| buckets(identity.hash(seed), count)).collect();
    let places = cuckoo::place::<IDENTITIES_PER_LINE>(choices, count)?;
    let mut lines = vec![Line::default(); count as usize];
    for (line, place) in lines.iter_mut().zip(places) {
        for (words, index) in line.0.chunks_exact_mut(8 / IDENTITIES_PER_LINE).zip(place) {
            if let Some(identity) = identities.get(index as usize) {
                words.copy_from_slice(&identity.encode());
            }
        }
    }
    Some(lines)
}

fn place_rules(entries: &[RuleEntry], seed: u64, attempt: u32) -> Option<Vec<Line>> {
    let count = bucket_count(entries.len(), RULES_PER_LINE, RULE_LOAD, attempt);
    let choices = entries.iter().map(|entry| buckets(entry.hash(seed), count)).collect();
    let places = cuckoo::place::<RULES_PER_LINE>(choices, count)?;
    let mut lines = vec![Line::default(); count as usize];
    for (line, place) in lines.iter_mut().zip(places) {
        for (words, index) in line.0.chunks_exact_mut(8 / RULES_PER_LINE).zip(place) {
            if let Some(entry) = entries.get(index as usize) {
                words.copy_from_slice(&entry.encode());
            }
        }
    }
    Some(lines)
}

/// Whether a service number is one that applications may have.
const fn is_free(service: u16) -> bool {
    service != Service::NONE.0 && service != Service::CONNECTED.0
}
