//! `cordon nodes`

use clap::Args;
use firewall_control::{Node, NodeQuery, Nodes};

use super::status::standing;
use crate::context::Context;
use crate::failure::Failure;
use crate::human::{number as grouped, seconds};
use crate::paint::Paint;
use crate::table::{Table, cell, maybe, number};

/// The declared nodes and how they stand
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only those of this subnetwork
    #[arg(long, value_name = "NAME")]
    subnetwork: Option<String>,
    /// Only those with this text in their names
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// At most so many
    #[arg(long, value_name = "COUNT", default_value_t = LISTED)]
    limit: u32,
    /// All of them
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

/// Nodes that are listed unless told otherwise.
const LISTED: u32 = 100;

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<(), Failure> {
    let Arguments { subnetwork, name, limit, all } = arguments;
    let mut wanted = if all { usize::MAX } else { limit as usize };
    let mut query = NodeQuery { subnetwork, name, ..NodeQuery::default() };
    let mut nodes: Option<Nodes> = None;
    // The daemon lists some thousands at a time.
    loop {
        query.limit = Some(u32::try_from(wanted).unwrap_or(u32::MAX));
        let page = context.client().nodes(&query).await.map_err(context.explain())?;
        wanted -= page.nodes.len().min(wanted);
        let is_last = wanted == 0 || page.nodes.is_empty() || page.nodes.len() as u64 == page.total;
        query.after = page.nodes.last().map(|node| node.name.clone());
        match &mut nodes {
            Some(nodes) => nodes.nodes.extend(page.nodes),
            None => nodes = Some(page),
        }
        if is_last {
            break;
        }
    }
    context.answer(&nodes.unwrap_or_default(), render)
}

/// Who has granted the lease, and as whom.
fn source(node: &Node) -> Option<String> {
    let (source, identity) = (node.lease_source.as_ref()?, node.identity.as_ref()?);
    let grace = if node.in_grace { ", in grace" } else { "" };
    Some(format!("{source} {identity}{grace}"))
}

pub(super) fn render(nodes: &Nodes, paint: Paint) -> String {
    let head = [
        "node",
        "subnetwork",
        "kind",
        "authentication",
        "state",
        "lease",
        "from",
        "flows",
        "mac",
        "addresses",
    ];
    let mut table = Table::new(head);
    for node in &nodes.nodes {
        table.push([
            cell(&node.name),
            cell(&node.subnetwork),
            maybe(node.kind.as_ref()),
            cell(node.authentication.name()),
            standing(node.state),
            maybe(node.lease_seconds.map(seconds)),
            maybe(source(node)),
            number(grouped(node.flows)),
            maybe(node.mac.as_ref()),
            cell(node.addresses.join(", ")),
        ]);
    }
    let mut text = table.render(paint);
    let more = nodes.total.saturating_sub(nodes.nodes.len() as u64);
    if more > 0 {
        text += &format!("{} more; --limit and --all show more of them.\n", grouped(more));
    }
    text
}
