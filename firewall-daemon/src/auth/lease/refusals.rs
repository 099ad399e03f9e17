//! Proofs that grant nothing: all are counted, some are told.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::auth::{LONGEST, Refusal, Refused};

/// Between two refusals that are told.
const BETWEEN: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Refusals {
    counts: BTreeMap<Refusal, u64>,
    told: Option<Duration>,
}

impl Refusals {
    /// Counts a refusal, and gives it back if somebody should know.
    pub(super) fn note(&mut self, mut refused: Refused, now: Duration) -> Option<Refused> {
        *self.counts.entry(refused.refusal).or_default() += 1;
        if self.told.is_some_and(|told| now < told + BETWEEN) {
            return None;
        }
        self.told = Some(now);
        if refused.identity.len() > LONGEST {
            refused.identity.clear();
        }
        Some(refused)
    }

    /// How many there were for that reason.
    pub(super) fn count(&self, refusal: Refusal) -> u64 {
        self.counts.get(&refusal).copied().unwrap_or(0)
    }
}
