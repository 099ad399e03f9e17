//! `cordon stop-all`

use clap::Args;
use firewall_control::{StopLevel, StopReport, StopRequest};
use firewall_daemon::priority;

use super::reason;
use crate::context::Context;
use crate::direct;
use crate::failure::Failure;
use crate::human::{clean, microseconds};
use crate::paint::{Paint, Tone};

/// Stops traffic of everything, or of one subnetwork
///
/// Answers after the stop is latched on disk and read back from the kernel. It holds through the
/// end of the daemon and a reboot, until `cordon resume`. Essential rules stay in force unless
/// --hard is given.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cordon stop-all --reason \"ransomware in the hospital network\"\n  \
    cordon stop-all --subnetwork radiology --hard --reason \"maintenance\"\n  \
    cordon stop-all --direct --reason \"the daemon is dead\"     as root")]
pub(crate) struct Arguments {
    /// Only this one
    #[arg(long, value_name = "NAME")]
    subnetwork: Option<String>,
    /// Spare not even essential rules
    #[arg(long)]
    hard: bool,
    /// Why; it is recorded
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,
    /// Without the daemon, as root: writes latch and kernel map that --config leads to
    #[arg(long)]
    direct: bool,
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<(), Failure> {
    let Arguments { subnetwork, hard, reason, direct } = arguments;
    let request = StopRequest { subnetwork, hard, reason };
    priority::raise();
    let report = if direct {
        direct::stop(&context.config()?, &request)?
    } else {
        context.client().stop(&request).await.map_err(context.explain())?
    };
    context.answer(&report, render)
}

/// Also what a resume did.
pub(super) fn render(report: &StopReport, paint: Paint) -> String {
    let StopReport { subnetwork, latched, effective, since, took_microseconds, message } = report;
    let what = subnetwork.as_deref().unwrap_or("everything");
    let (tone, state) = match effective {
        StopLevel::None => (Tone::Good, "not stopped"),
        StopLevel::Ordinary => (Tone::Bad, "stopped, but for essential rules"),
        StopLevel::Hard => (Tone::Bad, "stopped, hard"),
    };
    let since = since.as_ref().map(|since| format!(" since {since}")).unwrap_or_default();
    let mut text = format!("{}: {}{since}\n", clean(what), paint.tone(tone, state));
    text += &format!("latched on disk: {latched}; read back from the kernel: {effective}\n");
    text += &format!("took {}\n", microseconds(*took_microseconds));
    if !message.is_empty() {
        text += &(clean(message) + "\n");
    }
    text
}
