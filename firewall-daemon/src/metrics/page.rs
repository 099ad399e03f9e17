//! From a snapshot to metrics; the names and labels are the contract's.

use std::fmt::Error;

use firewall_control::{
    AuthenticationCounters, Counters, EventCounters, FlowTable, Health, LeaseSource, ReasonCount,
    Status, StopLevel, Subnetwork, Tally,
};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode as encode_text;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::Snapshot;

pub(super) fn encode(snapshot: Snapshot) -> Result<String, Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(snapshot));
    let mut text = String::new();
    encode_text(&mut text, &registry)?;
    Ok(text)
}

/// The labels of a sample.
type Labels<'a> = Vec<(&'static str, &'a str)>;

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut page = Page { encoder };
        let Self { status, counters } = self;
        packets(&mut page, counters)?;
        stops(&mut page, status)?;
        policy(&mut page, status)?;
        nodes(&mut page, status)?;
        sources(&mut page, status)?;
        proofs(&mut page, &counters.authentication)?;
        flows(&mut page, status.flows)?;
        events(&mut page, &counters.events)?;
        health(&mut page, status)
    }
}

fn packets(page: &mut Page<'_>, counters: &Counters) -> Result<(), Error> {
    let by_verdict = |pick: Pick| {
        let ports = counters.ports.iter();
        ports.flat_map(move |port| {
            port.verdicts.iter().map(move |verdict| {
                let labels = vec![
                    ("port", &*port.port),
                    ("verdict", verdict.verdict.name()),
                    ("reason", &*verdict.reason),
                ];
                (labels, pick(verdict.count))
            })
        })
    };
    page.counter("cordon_packets", "Frames by port, verdict and reason.", by_verdict(PACKETS))?;
    page.counter("cordon_bytes", "Bytes by port, verdict and reason.", by_verdict(BYTES))?;

    let received = |pick: Pick| {
        let ports = counters.ports.iter();
        ports.map(move |port| (vec![("port", &*port.port)], pick(port.received)))
    };
    page.counter("cordon_received_packets", "Frames received by port.", received(PACKETS))?;
    page.counter("cordon_received_bytes", "Bytes received by port.", received(BYTES))?;

    let by_rule = |pick: Pick| {
        let rules = counters.rules.iter();
        rules.map(move |rule| (vec![("rule", &*rule.rule)], pick(rule.count)))
    };
    page.counter("cordon_rule_packets", "Frames that a rule allowed.", by_rule(PACKETS))?;
    page.counter("cordon_rule_bytes", "Bytes that a rule allowed.", by_rule(BYTES))?;

    let by_pair = |pick: Pick| {
        let pairs = counters.pairs.iter();
        pairs.map(move |pair| (vec![("from", &*pair.from), ("to", &*pair.to)], pick(pair.count)))
    };
    let help = "Frames from one subnetwork to another.";
    page.counter("cordon_subnetwork_packets", help, by_pair(PACKETS))?;
    let help = "Bytes from one subnetwork to another.";
    page.counter("cordon_subnetwork_bytes", help, by_pair(BYTES))
}

type Pick = fn(Tally) -> u64;
const PACKETS: Pick = |tally| tally.packets;
const BYTES: Pick = |tally| tally.bytes;

fn stops(page: &mut Page<'_>, status: &Status) -> Result<(), Error> {
    page.single("cordon_stopped", "Whether everything is stopped.", is(status.stop.level))?;
    let subnetworks = status.subnetworks.iter().map(|subnetwork| {
        let Subnetwork { name, criticality, effective, .. } = subnetwork;
        (vec![("subnetwork", &**name), ("criticality", criticality.name())], is(*effective))
    });
    let help = "Whether a subnetwork is stopped, by its own stop or with everything.";
    page.gauge("cordon_subnetwork_stopped", help, subnetworks)
}

const fn is(level: StopLevel) -> u64 {
    match level {
        StopLevel::None => 0,
        StopLevel::Ordinary | StopLevel::Hard => 1,
    }
}

fn policy(page: &mut Page<'_>, status: &Status) -> Result<(), Error> {
    let help = "What flows are allowed under; changes with policy, stop and authentication.";
    page.single("cordon_policy_generation", help, status.policy.generation.into())?;
    page.info("cordon_policy", "The policy in force.", ("hash", &*status.policy.hash))?;
    page.info("cordon_build", "The daemon.", ("version", &*status.version))?;
    let ports = status.ports.iter().map(|port| (vec![("port", &*port.name)], port.armed.into()));
    let help = "Whether the program is attached to a port and a policy is active.";
    page.gauge("cordon_armed", help, ports)
}

fn nodes(page: &mut Page<'_>, status: &Status) -> Result<(), Error> {
    let nodes = status.nodes.iter().map(|nodes| {
        let labels = vec![
            ("subnetwork", &*nodes.subnetwork),
            ("authentication", nodes.authentication.name()),
            ("state", nodes.state.name()),
        ];
        (labels, nodes.count)
    });
    page.gauge("cordon_nodes", "Nodes by subnetwork, authentication and standing.", nodes)
}

fn sources(page: &mut Page<'_>, status: &Status) -> Result<(), Error> {
    let by_source = |pick: fn(&LeaseSource) -> u64| {
        let sources = status.sources.iter();
        sources.map(move |source| {
            let port = source.port.as_deref().map(|port| ("port", port));
            let labels = [("source", &*source.source)].into_iter().chain(port).collect();
            (labels, pick(source))
        })
    };
    let help = "Whether a source of leases can be asked, or heard.";
    let up = by_source(|source| source.up.into());
    page.gauge("cordon_authentication_source_up", help, up)?;
    let help = "Nodes that may speak by a source's proofs.";
    page.gauge("cordon_leases", help, by_source(|source| source.leases))?;
    let help = "Those whose source is lost, and who go on for their grace.";
    page.gauge("cordon_leases_in_grace", help, by_source(|source| source.in_grace))
}

fn proofs(page: &mut Page<'_>, counters: &AuthenticationCounters) -> Result<(), Error> {
    let AuthenticationCounters {
        refused,
        radius_statements,
        radius_retransmissions,
        radius_refused,
    } = counters;
    fn by_reason(counts: &[ReasonCount]) -> impl Iterator<Item = (Labels<'_>, u64)> {
        counts.iter().map(|count| (vec![("reason", &*count.reason)], count.count))
    }
    let help = "Proofs that granted no lease by reason.";
    page.counter("cordon_lease_refused", help, by_reason(refused))?;
    let help = "RADIUS packets that said something new of a station.";
    page.total("cordon_radius_statements", help, *radius_statements)?;
    let help = "RADIUS packets that were answered before.";
    page.total("cordon_radius_retransmissions", help, *radius_retransmissions)?;
    let help = "RADIUS packets that were not believed by reason.";
    page.counter("cordon_radius_refused", help, by_reason(radius_refused))
}

fn flows(page: &mut Page<'_>, table: FlowTable) -> Result<(), Error> {
    let FlowTable { count, capacity, half_open, half_open_capacity } = table;
    page.single("cordon_flows", "Established flows.", count)?;
    page.single("cordon_flow_capacity", "Room for established flows.", capacity)?;
    page.single("cordon_flows_half_open", "Flows whose responder has not answered.", half_open)?;
    let help = "Room for flows whose responder has not answered, beside a full table.";
    page.single("cordon_flow_capacity_half_open", help, half_open_capacity)
}

fn events(page: &mut Page<'_>, events: &EventCounters) -> Result<(), Error> {
    let EventCounters { emitted, suppressed, lost, kinds } = events;
    let kinds = kinds.iter().map(|kind| (vec![("kind", kind.kind.name())], kind.count));
    page.counter("cordon_events", "Events recorded by kind.", kinds)?;
    page.total("cordon_events_lost", "Events that found no room.", *lost)?;
    page.total("cordon_events_emitted", "Events that the program wrote.", *emitted)?;
    let help = "Events that the program held back to save time.";
    page.total("cordon_events_suppressed", help, *suppressed)
}

fn health(page: &mut Page<'_>, status: &Status) -> Result<(), Error> {
    let checks = status.health.iter().map(|check| {
        let value = match check.state {
            Health::Ok => 0,
            Health::Warn => 1,
            Health::Fail => 2,
        };
        (vec![("check", &*check.name)], value)
    });
    page.gauge("cordon_health", "Checks about itself and the kernel: 0 ok, 1 warn, 2 fail.", checks)
}

struct Page<'e> {
    encoder: DescriptorEncoder<'e>,
}

impl Page<'_> {
    /// The sample's name ends in `_total`, the family's does not.
    fn counter<'a>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl Iterator<Item = (Labels<'a>, u64)>,
    ) -> Result<(), Error> {
        let mut family = self.encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in samples {
            ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn gauge<'a>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl Iterator<Item = (Labels<'a>, u64)>,
    ) -> Result<(), Error> {
        let mut family = self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in samples {
            ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// A counter without labels.
    fn total(&mut self, name: &str, help: &str, value: u64) -> Result<(), Error> {
        let family = self.encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value).encode(family)
    }

    /// A gauge without labels.
    fn single(&mut self, name: &str, help: &str, value: u64) -> Result<(), Error> {
        let family = self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(value).encode(family)
    }

    /// The sample's name ends in `_info`, the family's does not.
    fn info(&mut self, name: &str, help: &str, label: (&'static str, &str)) -> Result<(), Error> {
        let family = self.encoder.encode_descriptor(name, help, None, MetricType::Info)?;
        Info::new([label]).encode(family)
    }
}
