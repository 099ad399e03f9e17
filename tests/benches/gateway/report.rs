//! One table for people, one file for machines.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value, json};

use crate::statistics::Samples;

/// What the measurements came to.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
    notes: Vec<String>,
    samples: Map<String, Value>,
    series: Vec<Value>,
    points: Vec<Value>,
}

/// Two things that were measured in turns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair<'a> {
    pub(crate) what: &'a str,
    pub(crate) unit: Unit,
    pub(crate) ours: &'a Samples,
    pub(crate) peer: &'a Samples,
    pub(crate) peer_is: &'a str,
    pub(crate) target: Option<f64>,
    pub(crate) weight: Weight,
}

/// What is measured, and with it which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Nanoseconds a frame.
    Nanoseconds,
    /// Millions of frames a second.
    Rate,
}

/// Whether a figure that is worse than in an earlier run counts. It only informs where what is touched
/// fits no cache, or where the daemon works on another CPU meanwhile: then the neighbours on the
/// machine have a say in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    Counts,
    Informs,
}

/// Where a figure lies in a chart.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'a> {
    /// Over a number, on a logarithmic axis.
    Over(u32),
    /// Among the bars of a group.
    In(&'a str),
}

impl Unit {
    const fn name(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns",
            Self::Rate => "Mpps",
        }
    }

    const fn digits(self) -> usize {
        match self {
            Self::Nanoseconds => 1,
            Self::Rate => 2,
        }
    }

    const fn better(self) -> &'static str {
        match self {
            Self::Nanoseconds => "less",
            Self::Rate => "more",
        }
    }

    pub(crate) fn show(self, samples: &Samples) -> String {
        format!("{} {}", samples.show(self.digits()), self.name())
    }
}

/// One figure, and what it is measured against.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) ours: String,
    pub(crate) peer: String,
    pub(crate) ratio: String,
    pub(crate) target: Option<Target>,
}

/// What a figure should be.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    text: String,
    met: bool,
}

impl Target {
    pub(crate) fn at_least(target: f64, value: f64) -> Option<Self> {
        Some(Self { text: format!(">= {target}"), met: value >= target })
    }

    pub(crate) fn at_most(target: f64, unit: &str, value: f64) -> Option<Self> {
        let text = format!("<= {target} {unit}").trim().to_owned();
        Some(Self { text, met: value <= target })
    }

    pub(crate) fn exactly(text: &str, met: bool) -> Option<Self> {
        Some(Self { text: text.to_owned(), met })
    }
}

impl Report {
    pub(crate) fn row(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// A row, and a series that later runs are compared with.
    pub(crate) fn pair(&mut self, pair: Pair<'_>) {
        let Pair { what, unit, ours, peer, peer_is, target, weight } = pair;
        let ratio = ours.over(peer);
        let reached = |target| match unit {
            Unit::Nanoseconds => Target::at_most(target, "", ratio.median()),
            Unit::Rate => Target::at_least(target, ratio.median()),
        };
        self.row(Row {
            what: what.to_owned(),
            ours: unit.show(ours),
            peer: format!("{peer_is}: {}", unit.show(peer)),
            ratio: ratio.show(2),
            target: target.and_then(reached),
        });
        self.series.push(json!({
            "name": format!("{what} / {peer_is}"),
            "better": unit.better(),
            "informs": weight == Weight::Informs,
            "unit": unit.name(),
            "ours": ours.json(),
            "peer": peer.json(),
        }));
    }

    /// A point or a bar of a chart.
    pub(crate) fn point(&mut self, chart: &str, series: &str, place: Place<'_>, at: &Samples) {
        let [low, median, high] = [0.25, 0.5, 0.75].map(|share| at.quantile(share));
        let place = match place {
            Place::Over(number) => json!(number),
            Place::In(group) => json!(group),
        };
        self.points.push(json!({
            "chart": chart, "series": series, "place": place,
            "low": low, "median": median, "high": high,
        }));
    }

    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    pub(crate) fn samples(&mut self, name: impl Into<String>, samples: Value) {
        self.samples.insert(name.into(), samples);
    }

    /// The table and the notes.
    pub(crate) fn print(&self) {
        let head = ["what", "ours", "peer", "ratio", "target", "met"].map(str::to_owned);
        let rows = self.rows.iter().map(Row::cells);
        let table: Vec<[String; 6]> = std::iter::once(head).chain(rows).collect();
        let mut widths = [0; 6];
        for row in &table {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        for row in &table {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
            println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
        }
        println!();
        for note in &self.notes {
            println!("- {note}");
        }
    }

    /// Everything, raw samples included.
    pub(crate) fn write(&self, file: &Path, quick: bool) {
        let rows: Vec<Value> = self.rows.iter().map(Row::json).collect();
        let all = json!({
            "quick": quick,
            "machine": machine(),
            "rows": rows,
            "notes": self.notes,
            "series": self.series,
            "points": self.points,
            "samples": self.samples,
        });
        let text = serde_json::to_string_pretty(&all).unwrap();
        fs::write(file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
}

impl Row {
    fn cells(&self) -> [String; 6] {
        let Self { what, ours, peer, ratio, target } = self.clone();
        let (target, met) = match target {
            Some(Target { text, met }) => (text, if met { "yes" } else { "NO" }),
            None => (String::new(), ""),
        };
        [what, ours, peer, ratio, target, met.to_owned()]
    }

    fn json(&self) -> Value {
        let Self { what, ours, peer, ratio, target } = self;
        let (target, met) = match target {
            Some(Target { text, met }) => (Some(text), Some(met)),
            None => (None, None),
        };
        json!({ "what": what, "ours": ours, "peer": peer, "ratio": ratio, "target": target, "met": met })
    }
}

/// What the figures were measured on.
fn machine() -> Value {
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok();
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let mut mitigations = Map::new();
    for entry in fs::read_dir("/sys/devices/system/cpu/vulnerabilities").into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        mitigations.insert(name, json!(fs::read_to_string(path).unwrap_or_default().trim()));
    }
    json!({
        "kernel": said("uname", &["-srvm"]),
        "cpu": model.map(|(_, model)| model),
        "cpus": std::thread::available_parallelism().map_or(0, usize::from),
        "load": fs::read_to_string("/proc/loadavg").unwrap_or_default().trim(),
        "mitigations": mitigations,
        "date": said("date", &["--utc", "--iso-8601=seconds"]),
        "revision": said("git", &["rev-parse", "HEAD"]),
        "changed": said("git", &["status", "--porcelain"]).is_some_and(|said| !said.is_empty()),
        "nftables": said("nft", &["--version"]),
    })
}
