//! What has been counted since the maps were made.

use serde::{Deserialize, Serialize};

use crate::{AuthenticationCounters, EventKind, Verdict};

/// Answers `GET /v1/counters`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// By port, in the order of the configuration.
    pub ports: Vec<PortCounters>,
    /// By rule.
    pub rules: Vec<RuleCount>,
    /// By pair of subnetworks, sender first; pairs without frames may be missing.
    pub pairs: Vec<PairCount>,
    /// About events.
    pub events: EventCounters,
    /// About proofs of nodes.
    #[serde(default)]
    pub authentication: AuthenticationCounters,
}

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Frames.
    pub packets: u64,
    /// Bytes on the wire without the frame check sequence.
    pub bytes: u64,
}

impl std::ops::Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            packets: self.packets.wrapping_add(other.packets),
            bytes: self.bytes.wrapping_add(other.bytes),
        }
    }
}

impl std::iter::Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(tallies: I) -> Self {
        tallies.fold(Self::default(), |sum, tally| sum + tally)
    }
}

/// What one port received and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortCounters {
    /// The port.
    pub port: String,
    /// Everything it received: the sum of the verdicts.
    pub received: Tally,
    /// By verdict and reason; reasons without frames may be missing.
    pub verdicts: Vec<VerdictCount>,
}

impl PortCounters {
    /// What was passed or dropped.
    pub fn sum(&self, verdict: Verdict) -> Tally {
        self.verdicts.iter().filter(|count| count.verdict == verdict).map(|count| count.count).sum()
    }
}

/// How often one verdict fell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictCount {
    /// Pass or drop.
    pub verdict: Verdict,
    /// The reason's stable name.
    pub reason: String,
    /// How much.
    #[serde(flatten)]
    pub count: Tally,
}

/// What a rule allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleCount {
    /// The rule.
    pub rule: String,
    /// How much, in both directions.
    #[serde(flatten)]
    pub count: Tally,
}

/// What went from one subnetwork to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairCount {
    /// The sender's.
    pub from: String,
    /// The receiver's.
    pub to: String,
    /// How much.
    #[serde(flatten)]
    pub count: Tally,
}

/// About events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventCounters {
    /// Written by the program.
    pub emitted: u64,
    /// Held back by the program's token bucket.
    pub suppressed: u64,
    /// Found the ring full, or a reader too slow.
    pub lost: u64,
    /// Recorded by the daemon since it started, by kind.
    pub kinds: Vec<KindCount>,
}

/// How often something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindCount {
    /// What.
    pub kind: EventKind,
    /// How often.
    pub count: u64,
}
