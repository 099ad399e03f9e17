//! `cordon counters`

use clap::Args;
use firewall_control::{Counters, EventCounters, Tally, Verdict};

use crate::context::Context;
use crate::failure::Failure;
use crate::human::{bytes, number as grouped};
use crate::paint::{Paint, Tone};
use crate::table::{Cell, Table, cell, number};

/// Packets and bytes by port, verdict and reason, by rule, and by pair of subnetworks
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Show what counts nothing, too
    #[arg(long)]
    all: bool,
}

pub(crate) async fn run(arguments: &Arguments, context: &Context) -> Result<(), Failure> {
    let counters = context.client().counters().await.map_err(context.explain())?;
    context.answer(&counters, |counters, paint| render(counters, arguments.all, paint))
}

pub(super) fn render(counters: &Counters, all: bool, paint: Paint) -> String {
    let mut text = String::new();
    for (title, table) in [
        ("ports", ports(counters, all)),
        ("rules", rules(counters, all)),
        ("subnetworks", pairs(counters, all)),
    ] {
        if !table.is_empty() {
            text += &format!("{}\n{}\n", paint.bold(title), table.render(paint));
        }
    }
    let EventCounters { emitted, suppressed, lost, kinds: _ } = &counters.events;
    text += &format!(
        "events   {} written, {} held back, {} lost\n",
        grouped(*emitted),
        grouped(*suppressed),
        grouped(*lost)
    );
    text
}

fn tally(tally: Tally) -> [Cell; 2] {
    [number(grouped(tally.packets)), number(bytes(tally.bytes))]
}

fn row<const LABELS: usize>(labels: [Cell; LABELS], count: Tally) -> Vec<Cell> {
    labels.into_iter().chain(tally(count)).collect()
}

fn ports(counters: &Counters, all: bool) -> Table {
    let mut table = Table::new(["port", "verdict", "reason", "packets", "bytes"]);
    for port in &counters.ports {
        table.push(row([cell(&port.port), cell("received"), cell("")], port.received));
        for count in &port.verdicts {
            if !all && count.count == Tally::default() {
                continue;
            }
            let tone = match count.verdict {
                Verdict::Pass => Tone::Good,
                Verdict::Drop => Tone::Warn,
            };
            let verdict = cell(count.verdict.name()).tone(tone);
            table.push(row([cell(&port.port), verdict, cell(&count.reason)], count.count));
        }
    }
    table
}

fn rules(counters: &Counters, all: bool) -> Table {
    let mut table = Table::new(["rule", "packets", "bytes"]);
    for rule in counters.rules.iter().filter(|rule| all || rule.count != Tally::default()) {
        table.push(row([cell(&rule.rule)], rule.count));
    }
    table
}

fn pairs(counters: &Counters, all: bool) -> Table {
    let mut table = Table::new(["from", "to", "packets", "bytes"]);
    for pair in counters.pairs.iter().filter(|pair| all || pair.count != Tally::default()) {
        table.push(row([cell(&pair.from), cell(&pair.to)], pair.count));
    }
    table
}
