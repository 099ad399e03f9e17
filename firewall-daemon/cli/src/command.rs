//! The subcommands, one file each.

mod check;
mod counters;
mod events;
mod explain;
mod flows;
mod isolate;
mod nodes;
mod pki;
mod reload;
mod resume;
mod status;
mod stop_all;

use clap::{Parser, Subcommand};
use firewall_control::{ReasonError, check_reason};

use crate::context::{Context, Options};
use crate::failure::Failure;

/// Commands a Cordon segmentation firewall.
#[derive(Debug, Parser)]
#[command(
    name = "cordon",
    version,
    propagate_version = true,
    disable_help_subcommand = true,
    after_help = "Exit codes: 0 done, 1 refused or failed, 2 wrong usage or invalid input, \
                  3 daemon not reachable.\n\n\
                  Examples:\n  \
                  cordon status\n  \
                  cordon status --check\n  \
                  cordon check /etc/cordon/policies\n  \
                  cordon stop-all --subnetwork radiology --reason \"malware on ct-1\"\n  \
                  cordon events --since 10m --follow"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) options: Options,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Check(check::Arguments),
    Status(status::Arguments),
    Counters(counters::Arguments),
    Reload(reload::Arguments),
    StopAll(stop_all::Arguments),
    Resume(resume::Arguments),
    Isolate(isolate::Arguments),
    Release(isolate::ReleaseArguments),
    Flows(flows::Arguments),
    Nodes(nodes::Arguments),
    Events(events::Arguments),
    Explain(explain::Arguments),
    Pki(pki::Arguments),
}

impl Command {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Check(arguments) => check::run(&arguments, context),
            Self::Status(arguments) => status::run(&arguments, context).await,
            Self::Counters(arguments) => counters::run(&arguments, context).await,
            Self::Reload(arguments) => reload::run(&arguments, context).await,
            Self::StopAll(arguments) => stop_all::run(arguments, context).await,
            Self::Resume(arguments) => resume::run(arguments, context).await,
            Self::Isolate(arguments) => isolate::run(arguments, context).await,
            Self::Release(arguments) => isolate::release(arguments, context).await,
            Self::Flows(arguments) => flows::run(arguments, context).await,
            Self::Nodes(arguments) => nodes::run(arguments, context).await,
            Self::Events(arguments) => events::run(&arguments, context).await,
            Self::Explain(arguments) => explain::run(&arguments, context),
            Self::Pki(arguments) => pki::run(arguments, context),
        }
    }
}

/// A reason as the daemon would take it.
fn reason(text: &str) -> Result<String, ReasonError> {
    check_reason(text).map(|()| text.to_owned())
}

#[cfg(test)]
mod tests;
