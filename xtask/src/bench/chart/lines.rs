//! Lines over a logarithmic axis.

use super::super::results::{Place, Point};
use super::super::svg::{Picture, Spot};
use super::{in_order, step};

const SIZE: Spot = (720.0, 420.0);
const LEFT: f64 = 56.0;
const RIGHT: f64 = 696.0;
const TOP: f64 = 96.0;
const BOTTOM: f64 = 384.0;

/// Where numbers lie in the picture.
struct Axes {
    /// Logarithms.
    from: f64,
    to: f64,
    most: f64,
}

impl Axes {
    fn of(points: &[&Point]) -> Self {
        let numbers = || points.iter().filter_map(|point| over(point)).map(f64::log10);
        let highest = points.iter().map(|point| point.high).fold(0.0, f64::max);
        let step = step(highest);
        Self {
            from: numbers().fold(f64::INFINITY, f64::min),
            to: numbers().fold(f64::NEG_INFINITY, f64::max),
            most: (highest / step).ceil() * step,
        }
    }

    fn across(&self, number: f64) -> f64 {
        // A single point lies on the left.
        let span = (self.to - self.from).max(f64::MIN_POSITIVE);
        LEFT + 16.0 + (RIGHT - LEFT - 32.0) * (number.log10() - self.from) / span
    }

    fn up(&self, value: f64) -> f64 {
        BOTTOM - (BOTTOM - TOP) * value / self.most
    }
}

pub(super) fn draw(title: &str, subtitle: &str, points: &[&Point]) -> String {
    let mut picture = Picture::new(SIZE, title, subtitle);
    let axes = Axes::of(points);
    grid(&mut picture, &axes, points);
    let names = in_order(points.iter().map(|point| &*point.series));
    let mut legend = LEFT;
    for (name, class) in names.into_iter().zip(["s0", "s1", "s2", "s3"].into_iter().cycle()) {
        let series: Vec<_> = points.iter().filter(|point| point.series == name).collect();
        let spots = series.iter().filter_map(|point| {
            let x = axes.across(over(point)?);
            picture.line((x, axes.up(point.low)), (x, axes.up(point.high)), "whisker");
            Some((x, axes.up(point.median)))
        });
        let spots: Vec<_> = spots.collect();
        picture.path(&spots, class);
        for (x, y) in spots {
            picture.rectangle((x - 4.0, y - 4.0), (8.0, 8.0), class);
        }
        picture.rectangle((legend, 66.0), (12.0, 12.0), class);
        picture.text((legend + 18.0, 77.0), "key", name);
        legend += 40.0 + 7.0 * width(name);
    }
    picture.finish()
}

fn grid(picture: &mut Picture, axes: &Axes, points: &[&Point]) {
    let step = step(axes.most);
    let mut value = 0.0;
    while value <= axes.most {
        let y = axes.up(value);
        picture.line((LEFT, y), (RIGHT, y), "grid");
        picture.text((LEFT - 8.0, y + 4.0), "faint end", &format!("{value:.0}"));
        value += step;
    }
    let mut numbers: Vec<f64> = points.iter().filter_map(|point| over(point)).collect();
    numbers.sort_by(f64::total_cmp);
    numbers.dedup();
    for number in numbers {
        picture.text((axes.across(number), BOTTOM + 22.0), "faint middle", &short(number));
    }
}

fn over(point: &Point) -> Option<f64> {
    match &point.place {
        Place::Over(number) => Some(*number),
        Place::In(_) => None,
    }
}

/// `100k` rather than 100,000; and 64k is what people call 65,536.
fn short(number: f64) -> String {
    let thousand = if number % 1024.0 == 0.0 { 1024.0 } else { 1000.0 };
    let million = thousand * thousand;
    if number >= million {
        format!("{:.0}M", number / million)
    } else if number >= thousand {
        format!("{:.0}k", number / thousand)
    } else {
        format!("{number:.0}")
    }
}

/// In characters.
fn width(text: &str) -> f64 {
    text.chars().map(|_| 1.0).sum()
}
