//! What a run of the benchmarks has written.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// All that charts and comparisons need of it.
#[derive(Debug, Deserialize)]
pub(super) struct Results {
    #[serde(default)]
    pub(super) machine: Machine,
    pub(super) series: Vec<Series>,
    pub(super) points: Vec<Point>,
}

/// What it was measured on.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Machine {
    kernel: Option<String>,
    cpu: Option<String>,
}

/// Ours and a peer's samples, round by round.
#[derive(Debug, Deserialize)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) better: Better,
    /// The neighbours on the machine have a say in it: it may be worse.
    pub(super) informs: bool,
    pub(super) ours: Vec<f64>,
    pub(super) peer: Vec<f64>,
}

/// Which way is better.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Better {
    Less,
    More,
}

/// Median and quartiles somewhere in a chart.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Point {
    pub(super) chart: Chart,
    pub(super) series: String,
    pub(super) place: Place,
    pub(super) low: f64,
    pub(super) median: f64,
    pub(super) high: f64,
}

/// The charts.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Chart {
    Nodes,
    Rules,
    Flows,
    Program,
    Forward,
}

/// Where a point is.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
pub(super) enum Place {
    /// Over a number.
    Over(f64),
    /// In a group.
    In(String),
}

impl Results {
    pub(super) fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file);
        let text = text.with_context(|| format!("cannot read {}", file.display()))?;
        serde_json::from_str(&text)
            .with_context(|| format!("{} holds no results of a benchmark", file.display()))
    }
}

impl Machine {
    /// The kernel's release and the CPU.
    pub(super) fn describe(&self) -> String {
        let Self { kernel, cpu } = self;
        let release: Vec<_> =
            kernel.iter().flat_map(|kernel| kernel.split_whitespace().take(2)).collect();
        let words = [release.join(" "), cpu.clone().unwrap_or_default()];
        words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(", ")
    }
}

impl Series {
    /// The median of how many times the peer's ours is, round by round. `None` without a round.
    pub(super) fn ratio(&self) -> Option<f64> {
        let mut ratios: Vec<f64> =
            self.ours.iter().zip(&self.peer).map(|(ours, peer)| ours / peer).collect();
        ratios.sort_by(f64::total_cmp);
        ratios.get(ratios.len() / 2).copied()
    }
}
