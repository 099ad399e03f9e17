//! Whether a run is worse than an earlier one. Compared are ratios to peers that were measured in the
//! same run, never times: those belong to the machine and its hour.

use std::fmt;

use super::results::{Better, Results};

/// What counts as worse: the paired median over 5 % away.
const TOLERANCE: f64 = 0.05;
/// One series may be unlucky, two may be.
const ALLOWED: usize = 2;

/// Every series that both runs have.
#[derive(Debug)]
pub(super) struct Comparison {
    series: Vec<Compared>,
    /// Series of the earlier run that this one lacks.
    missing: Vec<String>,
}

#[derive(Debug)]
struct Compared {
    name: String,
    earlier: f64,
    now: f64,
    /// How much worse, as a share; below zero where it is better.
    worse: f64,
    informs: bool,
}

/// Compares by name.
pub(super) fn compare(earlier: &Results, now: &Results) -> Comparison {
    let mut comparison = Comparison { series: Vec::new(), missing: Vec::new() };
    for before in &earlier.series {
        let after = now.series.iter().find(|series| series.name == before.name);
        let ratios = after.and_then(|after| Some((before.ratio()?, after.ratio()?)));
        let Some((earlier, now)) = ratios else {
            comparison.missing.push(before.name.clone());
            continue;
        };
        let worse = match before.better {
            Better::Less => now / earlier - 1.0,
            Better::More => earlier / now - 1.0,
        };
        let (name, informs) = (before.name.clone(), before.informs);
        comparison.series.push(Compared { name, earlier, now, worse, informs });
    }
    comparison
}

impl Comparison {
    /// Whether so much is worse that it is no accident.
    pub(super) fn is_worse(&self) -> bool {
        self.series.iter().filter(|series| series.counts()).count() > ALLOWED
    }
}

impl Compared {
    fn is_worse(&self) -> bool {
        // What cannot be compared is not good.
        self.worse.is_nan() || self.worse > TOLERANCE
    }

    fn counts(&self) -> bool {
        self.is_worse() && !self.informs
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { series, missing } = self;
        for one in series.iter().filter(|one| one.is_worse()) {
            let Compared { name, earlier, now, worse, informs } = one;
            let percent = 100.0 * worse;
            let remark = if *informs { ", for information" } else { "" };
            writeln!(f, "worse by {percent:.1} %: {name}: {earlier:.3} -> {now:.3}{remark}")?;
        }
        if !missing.is_empty() {
            writeln!(f, "{} series of the earlier run were not measured", missing.len())?;
        }
        let counted = series.iter().filter(|one| one.counts()).count();
        let verdict = if self.is_worse() { "worse than before" } else { "no worse than before" };
        let all = series.len();
        writeln!(f, "{verdict}: {counted} of {all} series are over 5 % worse, {ALLOWED} may be")
    }
}

#[cfg(test)]
mod tests {
    use super::super::results::{Machine, Series};
    use super::*;

    /// Series whose ratio to a peer that swings is that; those called cold inform.
    fn run(series: &[(&str, Better, f64)]) -> Results {
        let series = series.iter().map(|&(name, better, ratio)| {
            let peer = vec![100.0, 300.0, 50.0];
            let ours = peer.iter().map(|peer| peer * ratio).collect();
            Series { name: name.to_owned(), better, informs: name.contains("cold"), ours, peer }
        });
        Results { machine: Machine::default(), series: series.collect(), points: Vec::new() }
    }

    fn times(factor: f64, better: Better, names: [&'static str; 3]) -> Comparison {
        let earlier = names.map(|name| (name, better, 0.8));
        let now = names.map(|name| (name, better, 0.8 * factor));
        compare(&run(&earlier), &run(&now))
    }

    const WARM: [&str; 3] = ["a", "b", "c"];

    #[test]
    fn three_series_that_cost_over_five_percent_more_fail() {
        assert!(times(1.06, Better::Less, WARM).is_worse());
        assert!(!times(1.04, Better::Less, WARM).is_worse());
        assert!(!times(0.5, Better::Less, WARM).is_worse(), "less is better");
    }

    #[test]
    fn three_series_that_forward_over_five_percent_less_fail() {
        assert!(times(0.94, Better::More, WARM).is_worse());
        assert!(!times(0.96, Better::More, WARM).is_worse());
        assert!(!times(2.0, Better::More, WARM).is_worse(), "more is better");
    }

    #[test]
    fn two_series_may_be_unlucky() {
        let earlier = WARM.map(|name| (name, Better::Less, 1.0));
        let now = [("a", Better::Less, 2.0), ("b", Better::Less, 2.0), ("c", Better::Less, 1.0)];
        let comparison = compare(&run(&earlier), &run(&now));
        assert!(!comparison.is_worse());
        let said = comparison.to_string();
        assert!(said.contains("worse by 100.0 %: a: 1.000 -> 2.000\n"), "{said}");
        assert!(said.ends_with("2 of 3 series are over 5 % worse, 2 may be\n"), "{said}");
    }

    #[test]
    fn cold_caches_only_inform() {
        let comparison = times(3.0, Better::Less, ["a, cold", "b, cold", "c"]);
        assert!(!comparison.is_worse());
        assert!(comparison.to_string().contains("a, cold: 0.800 -> 2.400, for information"));
    }

    #[test]
    fn series_that_only_one_run_has_do_not_count() {
        let earlier = run(&[("a", Better::Less, 1.0), ("gone", Better::Less, 1.0)]);
        let now = run(&[("a", Better::Less, 1.0), ("new", Better::Less, 9.0)]);
        let comparison = compare(&earlier, &now);
        assert!(!comparison.is_worse());
        assert_eq!((comparison.series.len(), &*comparison.missing), (1, &["gone".to_owned()][..]));
    }

    #[test]
    fn ratios_are_paired_round_by_round() {
        let series = Series {
            name: "a".to_owned(),
            better: Better::Less,
            informs: false,
            ours: vec![100.0, 9000.0, 100.0],
            peer: vec![200.0, 9000.0, 50.0],
        };
        assert_eq!(series.ratio(), Some(1.0), "the machine's swings are in both");
    }

    #[test]
    fn a_ratio_that_is_no_number_counts_as_worse() {
        let names = WARM.map(|name| (name, Better::Less, 1.0));
        let broken = WARM.map(|name| (name, Better::Less, f64::NAN));
        assert!(compare(&run(&names), &run(&broken)).is_worse());
    }
}
