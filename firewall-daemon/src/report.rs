//! How the firewall stands, in the words of the control API.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use firewall_common::abi::Stop as KernelStop;
use firewall_common::flow::{Flow as KernelFlow, FlowKey, Phase, Sender};
use firewall_common::image::MacBinding;
use firewall_common::{NodeSlot, Port, SubnetworkSlot, Ticks};
use firewall_control::{
    Authentication, Counters, Criticality, EventCounters, Flow, FlowEnd, FlowState, Node,
    NodeCount, NodeState, PairCount, PortCounters, RuleCount, Stop, StopLevel, Subnetwork, Tally,
    VerdictCount,
};
use firewall_policy::compile::NamedNode;
use firewall_policy::{Names, Policy, model};
use foldhash::{HashMap, HashMapExt as _, HashSet};

use crate::auth::lease::Leases;
use crate::dataplane::clock::Clock;
use crate::dataplane::latch::{Latched, LatchedStop};
use crate::dataplane::maps::Maps;
use crate::dataplane::read::{self, Table};
use crate::events::protocol_name;

/// What was counted, by the names of the policy in force.
pub fn counters(maps: &Maps, names: &Names, ports: &[String]) -> io::Result<Counters> {
    let mut counters = Counters::default();
    for (index, port) in (0..).map(Port).zip(ports) {
        let counts = read::port(maps, index)?;
        let verdicts = counts.verdicts.iter().map(|(verdict, count)| VerdictCount {
            verdict: match verdict {
                firewall_common::Verdict::Pass(_) => firewall_control::Verdict::Pass,
                firewall_common::Verdict::Drop(_) => firewall_control::Verdict::Drop,
            },
            reason: verdict.name().to_owned(),
            count: tally(*count),
        });
        counters.ports.push(PortCounters {
            port: port.clone(),
            received: tally(counts.received),
            verdicts: verdicts.collect(),
        });
    }
    for rule in names.rules() {
        let count = tally(read::rule(maps, rule.slot)?);
        counters.rules.push(RuleCount { rule: rule.name.to_string(), count });
    }
    let ends = || {
        let named = names.subnetworks().iter().map(|named| (&*named.name, named.slot));
        named.chain([(model::GATEWAY, SubnetworkSlot(0))])
    };
    for (from, from_slot) in ends() {
        for (to, to_slot) in ends() {
            let count = tally(read::pair(maps, from_slot, to_slot)?);
            if count != Tally::default() {
                let (from, to) = (from.to_owned(), to.to_owned());
                counters.pairs.push(PairCount { from, to, count });
            }
        }
    }
    let state = read::events(maps)?;
    counters.events = EventCounters {
        emitted: state.emitted,
        suppressed: state.suppressed,
        lost: state.overflowed,
        kinds: Vec::new(),
    };
    Ok(counters)
}

fn tally(count: firewall_common::abi::Count) -> Tally {
    Tally { packets: count.packets, bytes: count.bytes }
}

/// How a node stands, as the kernel has it; only who has granted its lease knows of a grace.
pub fn node_state(
    maps: &Maps,
    slot: NodeSlot,
    needs_lease: bool,
    in_grace: bool,
    now: Ticks,
) -> NodeState {
    let Some(state) = read::node(maps, slot) else {
        return NodeState::NoLease;
    };
    let end = state.lease_end();
    if state.is_isolated() {
        NodeState::Isolated
    } else if !needs_lease {
        NodeState::Authenticated
    } else if end.0 == 0 {
        NodeState::NoLease
    } else if end <= now {
        NodeState::Expired
    } else if in_grace {
        NodeState::Grace
    } else {
        NodeState::Authenticated
    }
}

/// How many live flows an address is an end of.
pub type FlowCounts = HashMap<firewall_common::Addr, u64>;

/// How many live flows which address is an end of.
pub fn flow_counts(maps: &Maps, clock: Clock) -> io::Result<FlowCounts> {
    let (now, mut by_address) = (clock.now(), FlowCounts::new());
    read::flows(maps, Table::Established, |key, flow| {
        if !flow.is_expired(now) {
            *by_address.entry(key.low).or_default() += 1;
            *by_address.entry(key.high).or_default() += 1;
        }
    })?;
    Ok(by_address)
}

/// Some declared nodes and how they stand.
pub fn nodes(
    maps: &Maps,
    policy: &Policy,
    named: &[&NamedNode],
    leases: &Leases,
    flows: &FlowCounts,
    clock: Clock,
) -> Vec<Node> {
    let now = clock.now();
    let nodes = named.iter().map(|named| {
        let node = policy.node(named.id);
        let needs_lease = node.authentication.needs_lease();
        let lease = leases.of_node(&node.name);
        let in_grace = lease.is_some_and(|lease| lease.in_grace);
        let end = read::node(maps, named.slot).map_or(Ticks(0), |state| state.lease_end());
        let left = end.0.saturating_sub(now.0);
        Node {
            name: node.name.to_string(),
            subnetwork: policy.subnetwork(node.subnetwork).name.to_string(),
            kind: node.kind.as_deref().map(str::to_owned),
            addresses: node.addresses.iter().map(ToString::to_string).collect(),
            mac: match node.mac {
                MacBinding::Exact(mac) => Some(mac.to_string()),
                MacBinding::Router | MacBinding::Any => None,
            },
            authentication: authentication(node.authentication),
            state: node_state(maps, named.slot, needs_lease, in_grace, now),
            lease_seconds: Some(left / u64::from(clock.hz())).filter(|_| needs_lease && left > 0),
            lease_source: lease.map(|lease| lease.source.name().to_owned()),
            identity: lease.map(|lease| lease.identity.to_string()),
            in_grace,
            flows: node.addresses.iter().filter_map(|address| flows.get(address)).sum(),
        }
    });
    nodes.collect()
}

/// How many nodes stand how.
pub fn node_counts(
    maps: &Maps,
    policy: &Policy,
    names: &Names,
    in_grace: &HashSet<Arc<str>>,
    now: Ticks,
) -> Vec<NodeCount> {
    let mut counts: BTreeMap<(u32, Authentication, NodeState), u64> = BTreeMap::new();
    for named in names.nodes() {
        let node = policy.node(named.id);
        let needs_lease = node.authentication.needs_lease();
        let in_grace = needs_lease && in_grace.contains(&node.name);
        let state = node_state(maps, named.slot, needs_lease, in_grace, now);
        let subnetwork = u32::from(named.subnetwork.0);
        *counts.entry((subnetwork, authentication(node.authentication), state)).or_default() += 1;
    }
    let name = |slot: u32| {
        let slot = SubnetworkSlot(u16::try_from(slot).unwrap_or(0));
        names.subnetwork(slot).map(|named| named.name.to_string()).unwrap_or_default()
    };
    let counts = counts.into_iter().map(|((slot, authentication, state), count)| NodeCount {
        subnetwork: name(slot),
        authentication,
        state,
        count,
    });
    counts.collect()
}

fn authentication(authentication: model::Authentication) -> Authentication {
    match authentication {
        model::Authentication::Static => Authentication::Static,
        model::Authentication::Dot1x => Authentication::Dot1x,
        model::Authentication::Lease => Authentication::Lease,
    }
}

/// The subnetworks and their stops.
pub fn subnetworks(
    maps: &Maps,
    policy: &Policy,
    names: &Names,
    latched: &Latched,
) -> Vec<Subnetwork> {
    let everything = level(read::stop(maps));
    let mut nodes: HashMap<SubnetworkSlot, u32> = HashMap::new();
    for node in names.nodes() {
        *nodes.entry(node.subnetwork).or_default() += 1;
    }
    let subnetworks = names.subnetworks().iter().map(|named| {
        let subnetwork = policy.subnetwork(named.id);
        let level = level(read::subnetwork_stop(maps, named.slot));
        Subnetwork {
            name: named.name.to_string(),
            criticality: criticality(subnetwork.criticality),
            port: policy.ports().get(usize::from(subnetwork.port.0)).cloned().unwrap_or_default(),
            vlan: Some(subnetwork.vlan.0).filter(|vlan| *vlan != 0),
            nodes: nodes.get(&named.slot).copied().unwrap_or(0),
            stop: stop(level, latched.subnetworks.get(&*named.name)),
            effective: level.max(everything),
        }
    });
    let mut subnetworks: Vec<_> = subnetworks.collect();
    subnetworks.sort_by(|one, other| one.name.cmp(&other.name));
    subnetworks
}

/// The kernel's stop of everything, with what the latch knows of it.
pub fn stop_of_everything(maps: &Maps, latched: &Latched) -> Stop {
    stop(level(read::stop(maps)), latched.everything.as_ref())
}

fn stop(level: StopLevel, latched: Option<&LatchedStop>) -> Stop {
    let order = latched.map(|latched| latched.order.clone()).filter(|_| level != StopLevel::None);
    match order {
        Some(order) => {
            Stop { level, since: Some(order.since), by: Some(order.by), reason: Some(order.reason) }
        }
        None => Stop { level, ..Stop::default() },
    }
}

fn level(stop: KernelStop) -> StopLevel {
    match stop {
        KernelStop::None => StopLevel::None,
        KernelStop::Ordinary => StopLevel::Ordinary,
        KernelStop::Hard => StopLevel::Hard,
    }
}

fn criticality(criticality: model::Criticality) -> Criticality {
    match criticality {
        model::Criticality::Planned => Criticality::Planned,
        model::Criticality::TimeCritical => Criticality::TimeCritical,
        model::Criticality::RealTime => Criticality::RealTime,
    }
}

/// Nodes by their addresses.
pub type Owners<'a> = HashMap<firewall_common::Addr, &'a str>;

/// Who owns which address.
pub fn owners(policy: &Policy) -> Owners<'_> {
    let nodes = policy.nodes().iter();
    nodes.flat_map(|node| node.addresses.iter().map(|&address| (address, &*node.name))).collect()
}

/// A live flow, in the words of the control API.
pub fn flow(
    key: &FlowKey,
    flow: &KernelFlow,
    names: &Names,
    owners: &Owners<'_>,
    clock: Clock,
) -> Flow {
    let state = flow.state();
    let (low, high) = ((key.low, key.low_port), (key.high, key.high_port));
    let ((from, from_port), (to, to_port)) = match state.initiator() {
        Sender::Low => (low, high),
        Sender::High => (high, low),
    };
    let (from_subnetwork, to_subnetwork) = flow.subnetworks();
    let has_ports = matches!(
        key.protocol,
        firewall_common::parse::protocol::TCP | firewall_common::parse::protocol::UDP
    );
    let end = |address: firewall_common::Addr, port, subnetwork| FlowEnd {
        // What belongs to no subnetwork is the gateway itself.
        node: match owners.get(&address) {
            Some(name) => Some((*name).to_owned()),
            None if subnetwork == SubnetworkSlot(0) => Some(model::GATEWAY.to_owned()),
            None => None,
        },
        subnetwork: names.subnetwork(subnetwork).map(|named| named.name.to_string()),
        address: IpAddr::from(address).to_string(),
        port: Some(port).filter(|_| has_ports),
    };
    let left = flow.expires().wrapping_sub(clock.now().low());
    Flow {
        from: end(from, from_port, from_subnetwork),
        to: end(to, to_port, to_subnetwork),
        protocol: protocol_name(key.protocol),
        application_port: Some(to_port).filter(|_| has_ports),
        state: match state.phase() {
            Phase::Asked | Phase::SynSent | Phase::SynReceived => FlowState::HalfOpen,
            Phase::Established | Phase::Answered => FlowState::Established,
            Phase::Closing => FlowState::Closing,
            Phase::Closed => FlowState::Closed,
        },
        rule: names.rule(flow.rule()).map(|rule| rule.name.to_string()),
        essential: state.is_essential(),
        generation: flow.generation().0,
        expires_in_seconds: u64::from(left / clock.hz()),
    }
}
