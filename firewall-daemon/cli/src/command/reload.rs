//! `cordon reload`

use clap::Args;
use firewall_control::{Changes, ReloadReport, Totals};

use super::flows;
use crate::context::Context;
use crate::failure::{Failure, detail};
use crate::human::{clean, count, microseconds, number};
use crate::paint::{Paint, Tone};

/// Names that are listed before the rest is only counted.
const LISTED: usize = 50;

/// Activates what lies in the policy directory; a bad policy changes nothing
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Tell what each step took
    #[arg(long, short)]
    verbose: bool,
}

pub(crate) async fn run(arguments: &Arguments, context: &Context) -> Result<(), Failure> {
    let report = context.client().reload().await.map_err(context.explain())?;
    context.answer(&report, |report, paint| render(report, arguments.verbose, paint))
}

pub(super) fn render(report: &ReloadReport, verbose: bool, paint: Paint) -> String {
    let mut text: String = report.warnings.iter().map(detail).collect();
    let ReloadReport { generation, policy_hash, .. } = report;
    text += &format!("generation {generation}, policy {policy_hash} is in force\n");
    text += &changes("subnetworks", &report.subnetworks, paint);
    text += &changes("nodes", &report.nodes, paint);
    text += &changes("rules", &report.rules, paint);
    text += &format!("\n{} cut\n", count(report.cut_flows_count, "live flow", "live flows"));
    if !report.cut_flows.is_empty() {
        text += &flows::table(&report.cut_flows).render(paint);
        let more = report.cut_flows_count.saturating_sub(report.cut_flows.len() as u64);
        if more > 0 {
            text += &format!("  and {} more\n", number(more));
        }
    }
    text += &format!("\ntook {}\n", microseconds(report.took_microseconds));
    if verbose {
        for (step, milliseconds) in report.steps.named() {
            text += &format!("  {step:<8}  {milliseconds:>9.1} ms\n");
        }
    }
    if !report.message.is_empty() {
        text += &(clean(&report.message) + "\n");
    }
    text
}

fn changes(title: &str, changes: &Changes, paint: Paint) -> String {
    let Changes { added, removed, changed, kept, totals } = changes;
    let Totals { added: adds, removed: removes, changed: changeds, kept: keeps } = *totals;
    let mut text = format!("\n{}\n", paint.bold(title));
    for (word, tone, names, total) in [
        ("added", Tone::Good, added, adds),
        ("removed", Tone::Bad, removed, removes),
        ("changed", Tone::Warn, changed, changeds),
        ("kept", Tone::Dim, kept, keeps),
    ] {
        let word = paint.tone(tone, format!("{word:<7}"));
        let line = format!("  {word}  {:>5}  {}", number(total), list(names, total));
        text += &format!("{}\n", line.trim_end());
    }
    text
}

fn list(names: &[String], total: u64) -> String {
    let listed: Vec<_> = names.iter().take(LISTED).map(|name| clean(name)).collect();
    let more = total.saturating_sub(listed.len() as u64);
    let text = listed.join(", ");
    if more > 0 { format!("{text} and {} more", number(more)) } else { text }
}
