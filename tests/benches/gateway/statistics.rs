//! What many samples come to.

use serde_json::{Value, json};

/// Samples of one thing, in the order they were taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(pub(crate) Vec<f64>);

impl Samples {
    pub(crate) fn push(&mut self, sample: f64) {
        self.0.push(sample);
    }

    /// Pairs them up with another's, round by round.
    pub(crate) fn paired(&self, other: &Self, with: impl Fn(f64, f64) -> f64) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(own, other)| with(*own, *other)).collect())
    }

    /// Round by round, how many times the other's.
    pub(crate) fn over(&self, other: &Self) -> Self {
        self.paired(other, |own, other| own / other)
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    pub(crate) fn maximum(&self) -> f64 {
        self.quantile(1.0)
    }

    /// The value that this share of the samples does not exceed; the nearest rank.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "there are at most a few thousand samples"
        )]
        let rank = (share * (sorted.len() as f64 - 1.0)).round() as usize;
        sorted.get(rank).copied().unwrap_or(f64::NAN)
    }

    /// `median (lower quartile-upper quartile)`.
    pub(crate) fn show(&self, digits: usize) -> String {
        let [low, middle, high] = [0.25, 0.5, 0.75].map(|share| self.quantile(share));
        format!("{middle:.digits$} ({low:.digits$}-{high:.digits$})")
    }

    pub(crate) fn json(&self) -> Value {
        json!(self.0)
    }
}
