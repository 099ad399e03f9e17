//! Bars in groups, ours among its peers.

use super::super::results::{Place, Point};
use super::super::svg::Picture;
use super::in_order;

const WIDTH: f64 = 760.0;
/// Where the bars begin, and where the longest ends.
const LEFT: f64 = 270.0;
const RIGHT: f64 = 690.0;
const TOP: f64 = 68.0;
const BAR: f64 = 20.0;
const HEADING: f64 = 30.0;
/// What our series are called.
const OURS: &str = "Cordon";

pub(super) fn draw(title: &str, subtitle: &str, points: &[&Point], digits: usize) -> String {
    let groups = in_order(points.iter().filter_map(|point| group(point)));
    #[expect(clippy::cast_precision_loss, reason = "some dozens")]
    let [headings, bars] = [groups.len() as f64, points.len() as f64];
    let height = TOP + HEADING * headings + BAR * bars + 24.0;
    let mut picture = Picture::new((WIDTH, height), title, subtitle);
    let most = points.iter().map(|point| point.high).fold(f64::MIN_POSITIVE, f64::max);
    let across = |value: f64| (RIGHT - LEFT) * value.max(0.0) / most;
    let mut y = TOP;
    for name in groups {
        y += HEADING;
        picture.text((16.0, y - 6.0), "group", name);
        for point in points.iter().filter(|point| group(point) == Some(name)) {
            let Point { series, low, median, high, .. } = point;
            let class = if series.starts_with(OURS) { "ours" } else { "peer" };
            let middle = y + BAR / 2.0;
            picture.text((LEFT - 10.0, middle + 4.0), "faint end", series);
            picture.rectangle((LEFT, y + 3.0), (across(*median), BAR - 6.0), class);
            let [low, end] = [low, high].map(|value| LEFT + across(*value));
            picture.line((low, middle), (end, middle), "whisker");
            picture.text((end + 8.0, middle + 4.0), "faint", &format!("{median:.digits$}"));
            y += BAR;
        }
    }
    picture.finish()
}

fn group(point: &Point) -> Option<&str> {
    match &point.place {
        Place::In(group) => Some(group),
        Place::Over(_) => None,
    }
}
