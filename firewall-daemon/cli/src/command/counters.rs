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
    /// At most so many rules, and so many pairs of subnetworks, those that count most
    #[arg(long, value_name = "COUNT", default_value_t = LISTED)]
    limit: usize,
}

/// Rules and pairs that are listed unless told otherwise.
const LISTED: usize = 100;

pub(crate) async fn run(arguments: &Arguments, context: &Context) -> Result<(), Failure> {
    let counters = context.client().counters().await.map_err(context.explain())?;
    context.answer(&counters, |counters, paint| {
        render(counters, arguments.all, arguments.limit, paint)
    })
}

pub(super) fn render(counters: &Counters, all: bool, limit: usize, paint: Paint) -> String {
    let mut text = String::new();
    for (title, (table, more)) in [
        ("ports", (ports(counters, all), 0)),
        ("rules", rules(counters, all, limit)),
        ("subnetworks", pairs(counters, all, limit)),
    ] {
        if !table.is_empty() {
            text += &format!("{}\n{}", paint.bold(title), table.render(paint));
            if more > 0 {
                text += &format!("{} more; --limit shows more of them.\n", grouped(more as u64));
            }
            text.push('\n');
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

fn rules(counters: &Counters, all: bool, limit: usize) -> (Table, usize) {
    let mut table = Table::new(["rule", "packets", "bytes"]);
    let (rules, more) = most(&counters.rules, |rule| rule.count, all, limit);
    rules.into_iter().for_each(|rule| table.push(row([cell(&rule.rule)], rule.count)));
    (table, more)
}

fn pairs(counters: &Counters, all: bool, limit: usize) -> (Table, usize) {
    let mut table = Table::new(["from", "to", "packets", "bytes"]);
    let (pairs, more) = most(&counters.pairs, |pair| pair.count, all, limit);
    for pair in pairs {
        table.push(row([cell(&pair.from), cell(&pair.to)], pair.count));
    }
    (table, more)
}

/// Those that are listed, and how many more there are. In the order given, unless some must be left
/// out: then those that count most, by what they count.
fn most<T>(list: &[T], count: fn(&T) -> Tally, all: bool, limit: usize) -> (Vec<&T>, usize) {
    let listed = list.iter().filter(|item| all || count(item) != Tally::default());
    let mut listed: Vec<_> = listed.collect();
    let more = listed.len().saturating_sub(limit);
    if more > 0 {
        listed.sort_by_key(|item| std::cmp::Reverse(count(item).packets));
        listed.truncate(limit);
    }
    (listed, more)
}
