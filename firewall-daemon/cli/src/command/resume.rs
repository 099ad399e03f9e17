//! `cordon resume`

use clap::Args;
use firewall_control::ResumeRequest;

use super::{reason, stop_all};
use crate::context::Context;
use crate::failure::Failure;

/// Lifts the stop of everything, or of one subnetwork
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only this one's own stop
    #[arg(long, value_name = "NAME")]
    subnetwork: Option<String>,
    /// Why; it is recorded
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<(), Failure> {
    let Arguments { subnetwork, reason } = arguments;
    let request = ResumeRequest { subnetwork, reason };
    let report = context.client().resume(&request).await.map_err(context.explain())?;
    context.answer(&report, stop_all::render)
}
