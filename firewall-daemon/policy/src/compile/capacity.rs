//! How much fits.

use firewall_common::image::{
    IDENTITIES_PER_LINE, ROUTERS_PER_SUBNETWORK, RULES_PER_LINE, SERVICE_LINES, SUBNETWORKS,
};

use crate::diagnostic::{Code, Diagnostic};
use crate::model::Policy;

/// How much the gateway's tables hold; `[capacity]` of its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Addresses of nodes, and networks selected with `/any`.
    pub nodes: u32,
    /// Written rules. Their entries in the image may be four times as many, and 1024 more.
    pub rules: u32,
    /// Flows; policies do not need any.
    pub flows: u32,
    /// Lines of an image.
    pub lines: u32,
}

impl Capacity {
    /// With as many lines as any policy within it can need.
    pub fn new(nodes: u32, rules: u32, flows: u32) -> Self {
        let capacity = Self { nodes, rules, flows, lines: 0 };
        Self { lines: lines_for(&capacity), ..capacity }
    }

    /// The entries that all rules together may have.
    pub const fn rule_entries(&self) -> u32 {
        self.rules.saturating_mul(ENTRIES_PER_RULE).saturating_add(SPARE_ENTRIES)
    }
}

impl Default for Capacity {
    fn default() -> Self {
        Self::new(65_536, 65_536, 262_144)
    }
}

/// A rule between two roles with one service has three entries: itself, and "connected" both ways.
const ENTRIES_PER_RULE: u32 = 4;
/// So that the few rules of a small gateway may be larger than that.
const SPARE_ENTRIES: u32 = 1024;

/// Buckets of two fill to 89.7 % before placing fails, buckets of four to 97.6 % (Dietzfelbinger and
/// Weidling, "Balanced allocation and dictionaries with tightly packed constant size bins", 2007).
pub(super) const IDENTITY_LOAD: u64 = 89;
pub(super) const RULE_LOAD: u64 = 95;

/// How many seeds are tried.
pub(super) const ATTEMPTS: u32 = 8;

/// An upper bound of the lines that any policy within that capacity needs; its `lines` are not
/// looked at.
pub fn lines_for(capacity: &Capacity) -> u32 {
    let last = ATTEMPTS - 1;
    let routers = (SUBNETWORKS as usize - 1) * ROUTERS_PER_SUBNETWORK;
    let nodes = capacity.nodes as usize + routers;
    let entries = capacity.rule_entries() as usize;
    let identities = bucket_count(nodes, IDENTITIES_PER_LINE, IDENTITY_LOAD, last);
    let rules = bucket_count(entries, RULES_PER_LINE, RULE_LOAD, last);
    let fixed = 1 + (SUBNETWORKS - 1) + SERVICE_LINES;
    fixed.saturating_add(identities).saturating_add(rules)
}

/// The most buckets that a failed attempt adds: in a large table luck evens out, and another seed is
/// enough.
const MOST_EXTRA: u64 = 64;

/// Buckets for so many entries at a load in percent; 5 % more with every failed attempt, for small
/// tables fail by bad luck alone.
pub(super) fn bucket_count(entries: usize, ways: usize, load: u64, attempt: u32) -> u32 {
    let buckets = (entries as u64 * 100).div_ceil(ways as u64 * load).max(1);
    let extra = (buckets * 5).div_ceil(100).min(MOST_EXTRA) * u64::from(attempt);
    u32::try_from(buckets + extra).unwrap_or(u32::MAX)
}

/// Why a valid policy cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// More identities than `capacity.nodes`.
    #[error(
        "the policy has {addresses} addresses and {networks} networks selected with `/any`, but the gateway holds {capacity} together"
    )]
    Nodes {
        /// Addresses of nodes.
        addresses: usize,
        /// Networks selected with `/any`.
        networks: usize,
        /// `capacity.nodes`
        capacity: u32,
    },
    /// More rules than `capacity.rules`.
    #[error("the policy has {needed} rules, but the gateway holds {capacity}")]
    Rules {
        /// Rules of the policy.
        needed: usize,
        /// `capacity.rules`
        capacity: u32,
    },
    /// More entries than the rule table holds.
    #[error("the rules need at least {needed} entries, but the gateway holds {capacity}")]
    RuleEntries {
        /// Entries counted until it was clear.
        needed: usize,
        /// [`Capacity::rule_entries`]
        capacity: usize,
    },
    /// More lines than the image may have.
    #[error("the policy needs {needed} lines of the image, but the gateway holds {capacity}")]
    Lines {
        /// Lines of the image.
        needed: u32,
        /// `capacity.lines`
        capacity: u32,
    },
    /// No slot is free.
    #[error("there is no room for the {what} `{name}` in the gateway's tables")]
    Slots {
        /// Node, rule or subnetwork.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// Classes are numbered in 16 bits.
    #[error("the nodes have more than 65535 different combinations of subnetwork and roles")]
    Classes,
    /// Services are numbered in 16 bits.
    #[error("the applications cut the ports into more than 65534 different services")]
    Services,
    /// The tables could not be placed with any of the seeds tried; never seen.
    #[error("the tables could not be placed; try again")]
    Placement,
}

impl CompileError {
    /// What to do about it.
    pub const fn help(&self) -> &'static str {
        match self {
            Self::Nodes { .. } => "raise `nodes` under `[capacity]` and restart the daemon",
            Self::Rules { .. } => "raise `rules` under `[capacity]` and restart the daemon",
            Self::RuleEntries { .. } => {
                "each pair of selectors needs one entry for each service: select roles rather than \
                 nodes, or raise `rules` under `[capacity]`"
            }
            Self::Lines { .. } | Self::Slots { .. } => {
                "raise `nodes` or `rules` under `[capacity]` and restart the daemon"
            }
            Self::Classes => "give nodes of one kind the same roles",
            Self::Services => "join applications that overlap",
            Self::Placement => "the next attempt uses another seed",
        }
    }
}

impl From<CompileError> for Diagnostic {
    fn from(error: CompileError) -> Self {
        Self::global(Code::Capacity, error.to_string()).help(error.help())
    }
}

pub(super) fn check_counts(
    policy: &Policy,
    networks: usize,
    capacity: &Capacity,
) -> Result<(), CompileError> {
    let addresses = policy.nodes().iter().map(|node| node.addresses.len()).sum();
    if addresses + networks > capacity.nodes as usize {
        let capacity = capacity.nodes;
        return Err(CompileError::Nodes { addresses, networks, capacity });
    }
    let needed = policy.rules().len();
    if needed > capacity.rules as usize {
        return Err(CompileError::Rules { needed, capacity: capacity.rules });
    }
    Ok(())
}
