//! `cordon nodes`

use clap::Args;
use firewall_control::Nodes;

use super::status::standing;
use crate::context::Context;
use crate::failure::Failure;
use crate::human::{number as grouped, seconds};
use crate::paint::Paint;
use crate::table::{Table, cell, maybe, number};

/// The declared nodes and how they stand
#[derive(Debug, Args)]
pub(crate) struct Arguments {}

pub(crate) async fn run(_: &Arguments, context: &Context) -> Result<(), Failure> {
    let nodes = context.client().nodes().await.map_err(context.explain())?;
    context.answer(&nodes, render)
}

pub(super) fn render(nodes: &Nodes, paint: Paint) -> String {
    let head = [
        "node",
        "subnetwork",
        "kind",
        "authentication",
        "state",
        "lease",
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
            number(grouped(node.flows)),
            maybe(node.mac.as_ref()),
            cell(node.addresses.join(", ")),
        ]);
    }
    table.render(paint)
}
