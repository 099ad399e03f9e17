//! `cordon status`

use clap::Args;
use firewall_control::{
    Check, FlowTable, Health, LeaseSource, NodeState, Policy, Status, Stop, StopLevel, Subnetwork,
    VlanOffload, XdpMode,
};
use serde::Serialize;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::human::{clean, count, number as grouped, seconds};
use crate::paint::{Paint, Tone};
use crate::table::{Cell, Table, cell, maybe, number};

/// Mode, policy, ports, subnetworks and their stops, nodes, flows and health
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only the checks that are not ok, for monitoring
    ///
    /// Exit code 1 if a check fails, 0 if all are ok or only warn, 3 if the daemon is not reachable.
    #[arg(long)]
    check: bool,
}

pub(crate) async fn run(arguments: &Arguments, context: &Context) -> Result<(), Failure> {
    let status = context.client().status().await.map_err(context.explain())?;
    if !arguments.check {
        return context.answer(&status, render);
    }
    let unwell = Unwell::of(status);
    context.answer(&unwell, Unwell::render)?;
    unwell.verdict()
}

/// The checks that are not ok.
#[derive(Debug, Serialize)]
pub(super) struct Unwell {
    health: Vec<Check>,
}

impl Unwell {
    pub(super) fn of(status: Status) -> Self {
        let health = status.health.into_iter();
        Self { health: health.filter(|check| check.state != Health::Ok).collect() }
    }

    pub(super) fn render(&self, paint: Paint) -> String {
        match self.health.as_slice() {
            [] => paint.tone(Tone::Good, "ok") + "\n",
            health => health_table(health).render(paint),
        }
    }

    pub(super) fn verdict(&self) -> Result<(), Failure> {
        let failed = self.health.iter().filter(|check| check.state == Health::Fail);
        let failed: Vec<_> = failed.map(|check| check.name.as_str()).collect();
        if failed.is_empty() {
            return Ok(());
        }
        let sentence = format!("not well: {}", failed.join(", "));
        let hint = "`cordon events` tells since when, `cordon status` how all the rest stands";
        Err(Failure::with_hint(Exit::Refused, sentence, Some(hint.to_owned())))
    }
}

pub(super) fn render(status: &Status, paint: Paint) -> String {
    let Status { version, mode, uptime_seconds, policy, flows, .. } = status;
    let Policy { generation, hash, armed, activated, nodes, rules } = policy;
    let mut text = headline(status, paint) + "\n\n";
    text += &format!("daemon   {version}, {mode}, up {}\n", seconds(*uptime_seconds));
    let since = activated.as_ref().map(|at| format!(", active since {at}")).unwrap_or_default();
    text += &if *armed {
        let (nodes, rules) =
            (count((*nodes).into(), "node", "nodes"), count((*rules).into(), "rule", "rules"));
        format!("policy   generation {generation}, {hash}, {nodes}, {rules}{since}\n")
    } else {
        "policy   none is active: everything is dropped\n".to_owned()
    };
    let FlowTable { count: live, capacity, half_open, half_open_capacity } = *flows;
    text += &format!(
        "flows    {} of {}, half-open {} of {}\n",
        grouped(live),
        grouped(capacity),
        grouped(half_open),
        grouped(half_open_capacity)
    );
    for (title, table) in [
        ("ports", ports(status)),
        ("subnetworks", subnetworks(status)),
        ("nodes", nodes_by_state(status)),
        ("sources of leases", sources(status)),
        ("health", health_table(&status.health)),
    ] {
        if !table.is_empty() {
            text += &format!("\n{}\n{}", paint.bold(title), table.render(paint));
        }
    }
    text
}

/// The one line that must be true if nothing else is read.
fn headline(status: &Status, paint: Paint) -> String {
    let stop = &status.stop;
    match stop.level {
        StopLevel::None => {}
        StopLevel::Ordinary => {
            let said = paint.tone(Tone::Bad, "STOPPED, but for essential rules");
            return said + &circumstances(stop);
        }
        StopLevel::Hard => return paint.tone(Tone::Bad, "STOPPED, hard") + &circumstances(stop),
    }
    if !status.policy.armed {
        return paint.tone(Tone::Bad, "NOT ARMED: no policy is active, everything is dropped.");
    }
    let unarmed = list(status.ports.iter().filter(|port| !port.armed).map(|port| &port.name));
    if !unarmed.is_empty() {
        let text = format!("NOT ARMED: nothing is forwarded on {unarmed}.");
        return paint.tone(Tone::Bad, text);
    }
    let stopped = status.subnetworks.iter().filter(|each| each.effective != StopLevel::None);
    let stopped = list(stopped.map(|subnetwork| &subnetwork.name));
    if stopped.is_empty() {
        paint.tone(Tone::Good, "In force.")
    } else {
        paint.tone(Tone::Warn, format!("In force; stopped: {stopped}."))
    }
}

fn list<'a>(names: impl Iterator<Item = &'a String>) -> String {
    clean(&names.map(String::as_str).collect::<Vec<_>>().join(", "))
}

/// By whom, since when and why.
fn circumstances(stop: &Stop) -> String {
    let Stop { level: _, since, by, reason } = stop;
    let by = by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
    let since = since.as_ref().map(|since| format!(" since {since}")).unwrap_or_default();
    let reason = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    clean(&format!("{by}{since}{reason}"))
}

fn ports(status: &Status) -> Table {
    let head = ["port", "interface", "driver", "xdp", "vlan offload", "peer", "armed"];
    let mut table = Table::new(head);
    for port in &status.ports {
        let xdp = cell(port.xdp.name()).tone(match port.xdp {
            XdpMode::Native => Tone::Good,
            XdpMode::Generic => Tone::Warn,
            XdpMode::None => Tone::Bad,
        });
        let offload = cell(port.vlan_offload.name()).tone(match port.vlan_offload {
            VlanOffload::Off => Tone::Plain,
            VlanOffload::On => Tone::Bad,
            VlanOffload::Unknown => Tone::Dim,
        });
        table.push([
            cell(&port.name),
            cell(format!("{} ({})", port.interface, port.interface_index)),
            maybe(port.driver.as_ref()),
            xdp,
            offload,
            maybe(port.peer.as_ref()),
            yes(port.armed),
        ]);
    }
    table
}

fn yes(yes: bool) -> Cell {
    if yes { cell("yes").tone(Tone::Good) } else { cell("no").tone(Tone::Bad) }
}

fn subnetworks(status: &Status) -> Table {
    let mut table = Table::new(["subnetwork", "criticality", "port", "vlan", "nodes", "stop"]);
    for subnetwork in &status.subnetworks {
        let Subnetwork { name, criticality, port, vlan, nodes, stop, effective } = subnetwork;
        let stop = match (stop.level, effective) {
            (StopLevel::None, StopLevel::None) => cell("none"),
            (StopLevel::None, effective) => {
                cell(format!("{effective}, with everything")).tone(Tone::Bad)
            }
            (level, _) => cell(format!("{level}{}", circumstances(stop))).tone(Tone::Bad),
        };
        table.push([
            cell(name),
            cell(criticality.name()),
            cell(port),
            maybe(vlan.map(|vlan| vlan.to_string())),
            number(grouped((*nodes).into())),
            stop,
        ]);
    }
    table
}

pub(super) fn standing(state: NodeState) -> Cell {
    cell(state.name()).tone(match state {
        NodeState::Authenticated => Tone::Good,
        NodeState::Grace | NodeState::NoLease | NodeState::Expired => Tone::Warn,
        NodeState::Isolated => Tone::Bad,
    })
}

fn nodes_by_state(status: &Status) -> Table {
    let mut table = Table::new(["subnetwork", "authentication", "state", "nodes"]);
    for nodes in &status.nodes {
        table.push([
            cell(&nodes.subnetwork),
            cell(nodes.authentication.name()),
            standing(nodes.state),
            number(grouped(nodes.count)),
        ]);
    }
    table
}

fn sources(status: &Status) -> Table {
    let mut table = Table::new(["source", "port", "up", "leases", "in grace"]);
    for LeaseSource { source, port, up, leases, in_grace } in &status.sources {
        table.push([
            cell(source),
            maybe(port.as_ref()),
            yes(*up),
            number(grouped(*leases)),
            number(grouped(*in_grace)),
        ]);
    }
    table
}

fn health_table(health: &[Check]) -> Table {
    let mut table = Table::new(["check", "state", ""]);
    for Check { name, state, sentence } in health {
        let tone = match state {
            Health::Ok => Tone::Good,
            Health::Warn => Tone::Warn,
            Health::Fail => Tone::Bad,
        };
        table.push([cell(name), cell(state.name()).tone(tone), cell(sentence)]);
    }
    table
}
