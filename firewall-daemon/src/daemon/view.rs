//! What the daemon tells of itself and the kernel.

use std::io;
use std::time::Instant;

use firewall_common::SubnetworkSlot;
use firewall_common::abi::Publication;
use firewall_control::{
    Check, Counters, FlowQuery, FlowTable, Flows, Health, Mode, NodeQuery, Nodes, Status,
    VlanOffload, XdpMode,
};
use firewall_policy::{Names, Policy};

use super::Daemon;
use crate::config::{self, Xdp};
use crate::control::Failure;
use crate::dataplane;
use crate::dataplane::interface::{Interface, VlanStripping};
use crate::dataplane::latch::Latched;
use crate::dataplane::neighbourhood;
use crate::dataplane::read::{self, Table};
use crate::report;

/// How many live flows a listing shows at most.
const LISTED_FLOWS: usize = 10_000;
/// How many nodes an answer lists at most: the rest is for further pages.
const LISTED_NODES: usize = 10_000;

impl Daemon {
    pub(super) fn live_flows(&self, query: &FlowQuery) -> Result<Flows, Failure> {
        let active = self.active();
        let owners = active.policy.as_ref().map(report::owners).unwrap_or_default();
        if let Some(node) = &query.node {
            self.node(node)?;
        }
        let ends = query.subnetwork.as_ref().map(|name| self.subnetwork(name)).transpose()?;
        let limit = query.limit.map_or(LISTED_FLOWS, |limit| limit as usize).min(LISTED_FLOWS);
        let wanted = |address: &firewall_common::Addr| match &query.node {
            Some(node) => owners.get(address) == Some(&node.as_str()),
            None => true,
        };
        let now = self.clock.now();
        let mut flows = Flows::default();
        for table in [Table::Established, Table::HalfOpen] {
            read::flows(&self.maps, table, |key, flow| {
                // Protocol 0 is a question of ARP or neighbour discovery, not a flow.
                let (from, to) = flow.subnetworks();
                let is_live = !flow.is_expired(now) && key.protocol != 0;
                let is_live = is_live && ends.is_none_or(|slot| slot == from || slot == to);
                if is_live && (wanted(&key.low) || wanted(&key.high)) {
                    flows.total += 1;
                    if flows.flows.len() < limit {
                        let flow = report::flow(key, flow, &active.names, &owners, self.clock);
                        flows.flows.push(flow);
                    }
                }
            })
            .map_err(Failure::internal)?;
        }
        Ok(flows)
    }

    pub(super) fn nodes_now(&self, query: &NodeQuery) -> Result<Nodes, Failure> {
        let NodeQuery { subnetwork, name, after, limit } = query;
        let active = self.active();
        let Some(policy) = &active.policy else { return Ok(Nodes::default()) };
        let subnetwork = subnetwork.as_ref().map(|name| self.subnetwork(name)).transpose()?;
        let mut named: Vec<_> = active
            .names
            .nodes()
            .iter()
            .filter(|node| subnetwork.is_none_or(|slot| slot == node.subnetwork))
            .filter(|node| name.as_ref().is_none_or(|part| node.name.contains(part.as_str())))
            .filter(|node| after.as_ref().is_none_or(|after| *node.name > **after))
            .collect();
        let total = named.len() as u64;
        let limit = limit.map_or(LISTED_NODES, |limit| limit as usize).min(LISTED_NODES);
        if named.len() > limit {
            named.select_nth_unstable_by(limit, |one, other| one.name.cmp(&other.name));
            named.truncate(limit);
        }
        named.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        let flows = report::flow_counts(&self.maps, self.clock).map_err(Failure::internal)?;
        let keeper = self.keeper();
        let nodes = report::nodes(&self.maps, policy, &named, &keeper.leases, &flows, self.clock);
        drop(keeper);
        Ok(Nodes { nodes, total })
    }

    fn subnetwork(&self, name: &str) -> Result<SubnetworkSlot, Failure> {
        let active = self.active();
        let mut named = active.names.subnetworks().iter();
        let named = named.find(|named| *named.name == *name);
        named
            .map(|named| named.slot)
            .ok_or_else(|| Failure::UnknownSubnetwork { name: name.to_owned() })
    }

    fn flow_table(&self) -> io::Result<FlowTable> {
        let now = self.clock.now();
        let count = |table| {
            let mut count = 0;
            let counted = read::flows(&self.maps, table, |key, flow| {
                count += u64::from(!flow.is_expired(now) && key.protocol != 0);
            });
            counted.map(|()| count)
        };
        Ok(FlowTable {
            count: count(Table::Established)?,
            capacity: u64::from(self.config.capacity.flows),
            half_open: count(Table::HalfOpen)?,
            half_open_capacity: u64::from(dataplane::sizes(&self.config).half_open()),
        })
    }

    pub(super) fn status_now(&self) -> Result<Status, Failure> {
        let active = self.active();
        let latched = self.stopper.latched();
        let publication = dataplane::stop::publication(&self.maps);
        let Publication { armed, generation, .. } = publication;
        let ports = self.ports(armed);
        let flows = self.flow_table().map_err(Failure::internal)?;
        let mut health = self.health(&ports, &flows);
        health.push(latch_check(&latched, &active.names));
        health.extend(self.forwarding_check());
        health.extend(self.sources_check());
        health.extend(self.revocation_check());
        let sources = self.sources_now();
        let in_grace = self.keeper().leases.in_grace();
        let (policy, names) = (active.policy.as_ref(), &active.names);
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let (started, instant) = &self.started;
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: started.to_string(),
            uptime_seconds: instant.elapsed().as_secs(),
            mode: match self.config.gateway.mode() {
                config::Mode::Bridge => Mode::Bridge,
                config::Mode::Router => Mode::Router,
            },
            stop: report::stop_of_everything(&self.maps, &latched),
            policy: firewall_control::Policy {
                generation: generation.0,
                hash: policy.map(Policy::hash).unwrap_or_default(),
                armed,
                activated: active.activated.map(|time| time.to_string()),
                nodes: number(policy.map_or(0, |policy| policy.nodes().len())),
                rules: number(policy.map_or(0, |policy| policy.rules().len())),
            },
            ports,
            subnetworks: policy.map_or_else(Vec::new, |policy| {
                report::subnetworks(&self.maps, policy, names, &latched)
            }),
            nodes: policy.map_or_else(Vec::new, |policy| {
                report::node_counts(&self.maps, policy, names, &in_grace, self.clock.now())
            }),
            sources,
            flows,
            health,
        })
    }

    /// A router's kernel forwards what the program leaves to it.
    fn forwarding_check(&self) -> Option<Check> {
        match self.config.gateway.mode() {
            config::Mode::Bridge => return None,
            config::Mode::Router => {}
        }
        let mut ports = self.config.gateway.ports();
        let interfaces = ports.by_ref().map(|(_, port)| &*port.interface);
        let (state, sentence) = if neighbourhood::forwards_ipv6(interfaces) {
            (Health::Ok, "the kernel forwards what the program leaves to it".to_owned())
        } else {
            let sentence = "the kernel does not forward IPv6, so IPv6 nodes are not found; set \
                            net.ipv6.conf.all.forwarding = 1";
            (Health::Fail, sentence.to_owned())
        };
        Some(Check { name: "forwarding".to_owned(), state, sentence })
    }

    fn ports(&self, armed: bool) -> Vec<firewall_control::Port> {
        let gateway = &self.config.gateway;
        let names: Vec<_> = gateway.ports().map(|(_, port)| port.name.clone()).collect();
        let ports = gateway.ports().map(|(index, port)| {
            let interface = Interface::new(&port.interface);
            let guarded = dataplane::hold::is_guarded(&self.config.bpf.directory, port, &interface);
            let peer = gateway.peer(index).map(|peer| usize::from(peer.0));
            firewall_control::Port {
                name: port.name.clone(),
                interface: port.interface.clone(),
                interface_index: interface.index().unwrap_or(0),
                driver: interface.driver(),
                xdp: match (guarded, port.xdp) {
                    (false, Xdp::Native | Xdp::Generic) => XdpMode::None,
                    (true, Xdp::Native) => XdpMode::Native,
                    (true, Xdp::Generic) => XdpMode::Generic,
                },
                vlan_offload: match interface.vlan_stripping() {
                    Ok(VlanStripping::Off | VlanStripping::Absent) => VlanOffload::Off,
                    Ok(VlanStripping::On) => VlanOffload::On,
                    Err(_) => VlanOffload::Unknown,
                },
                armed: armed && guarded,
                peer: peer.and_then(|peer| names.get(peer).cloned()),
            }
        });
        ports.collect()
    }

    fn health(&self, ports: &[firewall_control::Port], flows: &FlowTable) -> Vec<Check> {
        let (findings, now) = (self.findings(), Instant::now());
        let mut checks = Vec::new();
        for port in ports {
            let (mut state, mut sentence) = port_check(port);
            if let Some((found, what)) = findings.of(Some(&port.name), now) {
                // What the guard says of a failure is more precise.
                sentence = if found >= state { what } else { format!("{sentence}; {what}") };
                state = state.max(found);
            }
            checks.push(Check { name: format!("port {}", port.name), state, sentence });
        }
        checks.push(findings.check(now));
        checks.push(flow_table_check(flows));
        checks
    }

    pub(super) fn counters_now(&self) -> Result<Counters, Failure> {
        let names: Vec<_> =
            self.config.gateway.ports().map(|(_, port)| port.name.clone()).collect();
        let mut counters = report::counters(&self.maps, &self.active().names, &names)
            .map_err(Failure::internal)?;
        counters.events.kinds = self.events.counts();
        counters.events.lost += self.events.missed();
        counters.authentication = self.proofs_counted();
        Ok(counters)
    }
}

/// Stops and isolations are kept by name: one whose name is in no policy holds nobody back.
fn latch_check(latched: &Latched, names: &Names) -> Check {
    let unknown_nodes = latched
        .nodes
        .keys()
        .filter(|name| !names.nodes().iter().any(|named| *named.name == ***name));
    let unknown_subnetworks = latched
        .subnetworks
        .keys()
        .filter(|name| !names.subnetworks().iter().any(|named| *named.name == ***name));
    let unknown: Vec<_> = unknown_nodes.chain(unknown_subnetworks).map(String::as_str).collect();
    let (state, sentence) = if unknown.is_empty() {
        (Health::Ok, "every stop and isolation is of somebody in the policy".to_owned())
    } else {
        let names = unknown.join(", ");
        (Health::Warn, format!("stopped or isolated, but not in the policy: {names}"))
    };
    Check { name: "latch".to_owned(), state, sentence }
}

/// Half-open flows make room for others, so theirs matters only when it is nearly full.
fn flow_table_check(flows: &FlowTable) -> Check {
    const FULL: u64 = 80;
    let FlowTable { count, capacity, half_open, half_open_capacity } = *flows;
    let share = count * 100 / capacity.max(1);
    let half_open_share = half_open * 100 / half_open_capacity.max(1);
    let state = if share.max(half_open_share) >= FULL { Health::Warn } else { Health::Ok };
    let mut sentence = format!("the flow table is {share} % full");
    if half_open_share >= FULL {
        sentence += &format!(", that of half-open flows {half_open_share} %");
    }
    Check { name: "flow table".to_owned(), state, sentence }
}

fn port_check(port: &firewall_control::Port) -> (Health, String) {
    let interface = &port.interface;
    if !port.armed {
        (Health::Fail, format!("{interface} is not guarded; nothing crosses it"))
    } else if port.vlan_offload == VlanOffload::On {
        (Health::Fail, format!("{interface} hides VLAN tags from the program"))
    } else if port.xdp == XdpMode::Generic {
        (Health::Warn, format!("{interface} is guarded, in the slow generic mode"))
    } else {
        (Health::Ok, format!("{interface} is guarded"))
    }
}
