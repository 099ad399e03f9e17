//! `cordon isolate` and `cordon release`

use clap::Args;
use firewall_control::{NodeReport, ReasonRequest};

use super::reason;
use super::status::standing;
use crate::context::Context;
use crate::failure::Failure;
use crate::human::{clean, count, microseconds};
use crate::paint::Paint;

/// Cuts one node off, both directions, established flows too
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The node's name
    #[arg(value_name = "NODE")]
    node: String,
    /// Why; it is recorded
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,
}

/// Lets an isolated node back
#[derive(Debug, Args)]
pub(crate) struct ReleaseArguments {
    #[command(flatten)]
    node: Arguments,
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<(), Failure> {
    let Arguments { node, reason } = arguments;
    let request = ReasonRequest { reason };
    let report = context.client().isolate(&node, &request).await.map_err(context.explain())?;
    context.answer(&report, render)
}

pub(crate) async fn release(arguments: ReleaseArguments, context: &Context) -> Result<(), Failure> {
    let ReleaseArguments { node: Arguments { node, reason } } = arguments;
    let request = ReasonRequest { reason };
    let report = context.client().release(&node, &request).await.map_err(context.explain())?;
    context.answer(&report, render)
}

pub(super) fn render(report: &NodeReport, paint: Paint) -> String {
    let NodeReport { node, state, cut_flows, took_microseconds, message } = report;
    let mut text = format!("{}: {}", clean(node), standing(*state).paint(paint));
    if *cut_flows > 0 {
        text += &format!(", {} cut", count(*cut_flows, "flow", "flows"));
    }
    text += &format!("\ntook {}\n", microseconds(*took_microseconds));
    if !message.is_empty() {
        text += &(clean(message) + "\n");
    }
    text
}
