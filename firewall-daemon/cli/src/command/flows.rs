//! `cordon flows`

use clap::Args;
use firewall_control::{Flow, FlowEnd, FlowQuery, FlowState, Flows};

use crate::context::Context;
use crate::failure::Failure;
use crate::human::{number as grouped, seconds};
use crate::paint::{Paint, Tone};
use crate::table::{Table, cell, maybe, number};

/// The live flows
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only those with this node at either end
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Only those with this subnetwork at either end
    #[arg(long, value_name = "NAME")]
    subnetwork: Option<String>,
    /// At most so many; the daemon lists 10,000
    #[arg(long, value_name = "COUNT", default_value_t = LISTED)]
    limit: u32,
    /// As many as the daemon lists
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

/// Flows that are listed unless told otherwise.
const LISTED: u32 = 100;

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<(), Failure> {
    let Arguments { node, subnetwork, limit, all } = arguments;
    let query = FlowQuery { node, subnetwork, limit: (!all).then_some(limit) };
    let flows = context.client().flows(&query).await.map_err(context.explain())?;
    context.answer(&flows, render)
}

pub(super) fn render(flows: &Flows, paint: Paint) -> String {
    let Flows { flows, total } = flows;
    let shown = flows.len() as u64;
    if shown == 0 {
        return "No flows are live.\n".to_owned();
    }
    let mut text = table(flows).render(paint);
    if *total > shown {
        text += &format!("{} more; --limit shows more of them.\n", grouped(total - shown));
    }
    text
}

/// Also for the flows that a reload cut.
pub(super) fn table(flows: &[Flow]) -> Table {
    let mut table =
        Table::new(["from", "to", "protocol", "state", "rule", "generation", "ends in"]);
    for flow in flows {
        let tone = match flow.state {
            FlowState::Established => Tone::Good,
            FlowState::HalfOpen | FlowState::Closing | FlowState::Closed => Tone::Dim,
        };
        let essential = if flow.essential { " (essential)" } else { "" };
        table.push([
            cell(end(&flow.from)),
            cell(end(&flow.to)),
            cell(&flow.protocol),
            cell(flow.state.name()).tone(tone),
            maybe(flow.rule.as_ref().map(|rule| format!("{rule}{essential}"))),
            number(flow.generation.to_string()),
            number(seconds(flow.expires_in_seconds)),
        ]);
    }
    table
}

/// `ct-1 (10.20.0.11:104)`
fn end(end: &FlowEnd) -> String {
    let FlowEnd { node, subnetwork, address, port } = end;
    let address = socket(address, *port);
    match node.as_ref().or(subnetwork.as_ref()) {
        Some(name) => format!("{name} ({address})"),
        None => address,
    }
}

/// An address with its port: `10.20.0.11:104`, `[fd00:20::11]:104`.
pub(super) fn socket(address: &str, port: Option<u16>) -> String {
    match port {
        Some(port) if address.contains(':') => format!("[{address}]:{port}"),
        Some(port) => format!("{address}:{port}"),
        None => address.to_owned(),
    }
}
