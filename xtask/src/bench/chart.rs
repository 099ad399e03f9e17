//! Charts of a run: what a frame costs as nodes, rules and flows grow, and what ours and its peers do
//! side by side.

mod bars;
mod lines;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::results::{Chart, Point, Results};

impl Chart {
    const ALL: [Self; 5] = [Self::Nodes, Self::Rules, Self::Flows, Self::Program, Self::Forward];

    const fn file(self) -> &'static str {
        match self {
            Self::Nodes => "cost-by-nodes.svg",
            Self::Rules => "cost-by-rules.svg",
            Self::Flows => "cost-by-flows.svg",
            Self::Program => "program.svg",
            Self::Forward => "forwarding.svg",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Nodes => "What a frame costs, by nodes of the policy (ns)",
            Self::Rules => "What a frame costs, by rules of the policy (ns)",
            Self::Flows => "What a frame costs, by flows that take turns (ns)",
            Self::Program => "What a frame costs, by its kind (ns, less is better)",
            Self::Forward => "Frames forwarded on one CPU (millions a second, more is better)",
        }
    }
}

/// Draws the charts that there are points for.
pub(super) fn write(results: &Results, directory: &Path) -> Result<()> {
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    for chart in Chart::ALL {
        let Some(picture) = draw(results, chart) else { continue };
        let file = directory.join(chart.file());
        fs::write(&file, picture).with_context(|| format!("cannot write {}", file.display()))?;
        eprintln!("wrote {}", file.display());
    }
    Ok(())
}

fn draw(results: &Results, chart: Chart) -> Option<String> {
    let points: Vec<&Point> = results.points.iter().filter(|point| point.chart == chart).collect();
    if points.is_empty() {
        return None;
    }
    let machine = results.machine.describe();
    let subtitle = format!("medians; whiskers: quartiles; {machine}");
    let subtitle = subtitle.trim_end_matches("; ");
    Some(match chart {
        Chart::Nodes | Chart::Rules | Chart::Flows => lines::draw(chart.title(), subtitle, &points),
        Chart::Program => bars::draw(chart.title(), subtitle, &points, 0),
        Chart::Forward => bars::draw(chart.title(), subtitle, &points, 2),
    })
}

/// Each once, in the order they first come in.
fn in_order<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut all = Vec::new();
    for name in names {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    all
}

/// The least of 1, 2, 5, 10, 20, ... of which at most six make up the value.
fn step(most: f64) -> f64 {
    let rough = (most / 6.0).max(f64::MIN_POSITIVE);
    let decade = 10_f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 5.0].map(|digit| digit * decade);
    steps.into_iter().find(|step| *step >= rough).unwrap_or(10.0 * decade)
}

#[cfg(test)]
mod tests {
    use super::super::results::Place;
    use super::*;
    use crate::bench::results::Machine;

    fn point(chart: Chart, series: &str, place: Place, median: f64) -> Point {
        let series = series.to_owned();
        Point { chart, series, place, low: 0.9 * median, median, high: 1.1 * median }
    }

    fn results() -> Results {
        let mut points = Vec::new();
        for chart in [Chart::Nodes, Chart::Rules, Chart::Flows] {
            for (series, cost) in [("established", 70.0), ("no <rule> & more", 150.0)] {
                let over = [10.0, 1000.0, 1e6].map(Place::Over);
                points.extend(over.map(|place| point(chart, series, place, cost)));
            }
        }
        for chart in [Chart::Program, Chart::Forward] {
            for group in ["IPv4, 1 flow", "IPv6"] {
                for series in ["Cordon, bridge", "nftables"] {
                    points.push(point(chart, series, Place::In(group.to_owned()), 3.19));
                }
            }
        }
        Results { machine: Machine::default(), series: Vec::new(), points }
    }

    fn texts(picture: &str) -> Vec<String> {
        let document = roxmltree::Document::parse(picture).unwrap();
        let words = document.descendants().filter(|node| node.has_tag_name("text"));
        words.filter_map(|node| node.text().map(str::to_owned)).collect()
    }

    #[test]
    fn every_chart_is_well_formed_and_names_each_series() {
        let results = results();
        for chart in Chart::ALL {
            let texts = texts(&draw(&results, chart).unwrap());
            for point in results.points.iter().filter(|point| point.chart == chart) {
                assert!(texts.contains(&point.series), "{chart:?}: {} in {texts:?}", point.series);
            }
            assert!(texts.contains(&chart.title().to_owned()), "{chart:?}");
        }
    }

    #[test]
    fn a_line_has_a_spot_for_every_point_and_the_axis_its_numbers() {
        let picture = draw(&results(), Chart::Nodes).unwrap();
        let document = roxmltree::Document::parse(&picture).unwrap();
        let lines = document.descendants().filter(|node| node.has_tag_name("polyline"));
        let spots: Vec<_> = lines
            .map(|line| line.attribute("points").unwrap().split_whitespace().count())
            .collect();
        assert_eq!(spots, [3, 3]);
        let texts = texts(&picture);
        for number in ["10", "1k", "1M", "0", "50"] {
            assert!(texts.contains(&number.to_owned()), "{number} in {texts:?}");
        }
    }

    #[test]
    fn a_bar_is_as_long_as_its_figure() {
        let mut results = results();
        results.points.last_mut().unwrap().median /= 2.0;
        let picture = draw(&results, Chart::Forward).unwrap();
        let document = roxmltree::Document::parse(&picture).unwrap();
        let bars = document
            .descendants()
            .filter(|node| node.attribute("class").is_some_and(|class| class.starts_with("box")));
        let widths: Vec<f64> =
            bars.map(|bar| bar.attribute("width").unwrap().parse().unwrap()).collect();
        assert_eq!(widths.len(), 4);
        assert!((widths[0] - 2.0 * widths[3]).abs() < 0.2, "{widths:?}");
    }

    #[test]
    fn what_was_not_measured_is_not_drawn() {
        let nothing =
            Results { machine: Machine::default(), series: Vec::new(), points: Vec::new() };
        assert_eq!(draw(&nothing, Chart::Nodes), None);
    }

    #[test]
    fn an_axis_has_at_most_six_steps() {
        let steps: Vec<f64> = [1.0, 6.0, 7.0, 100.0, 700.0, 4.1].map(step).into();
        assert_eq!(steps, [0.2, 1.0, 2.0, 20.0, 200.0, 1.0]);
    }
}
