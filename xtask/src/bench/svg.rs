//! A picture of lines, boxes and words, for light and dark pages alike.

use std::fmt::{self, Display, Write as _};

/// What does not depend on the page. No variables: not every viewer of SVG knows them.
const STYLE: &str = "
text { font-family: system-ui, sans-serif; font-size: 13px; }
.title { font-size: 17px; font-weight: 600; }
.faint { font-size: 12px; }
.end { text-anchor: end; }
.middle { text-anchor: middle; }
.line { fill: none; stroke-width: 2.5; }
.whisker { stroke-width: 1.5; }
";
/// The colours, on light pages.
const LIGHT: &str = "
.paper { fill: #ffffff; } text { fill: #1f2328; } .faint { fill: #59636e; }
.grid { stroke: #d1d9e0; } .whisker { stroke: #1f2328; }
.line.s0 { stroke: #0550ae; } .line.s1 { stroke: #bc4c00; }
.line.s2 { stroke: #1a7f37; } .line.s3 { stroke: #8250df; }
.box.s0 { fill: #0550ae; } .box.s1 { fill: #bc4c00; }
.box.s2 { fill: #1a7f37; } .box.s3 { fill: #8250df; }
.box.ours { fill: #0969da; } .box.peer { fill: #afb8c1; }
";
/// The colours, on dark pages.
const DARK: &str = "
.paper { fill: #0d1117; } text { fill: #f0f6fc; } .faint { fill: #9198a1; }
.grid { stroke: #3d444d; } .whisker { stroke: #f0f6fc; }
.line.s0 { stroke: #58a6ff; } .line.s1 { stroke: #f0883e; }
.line.s2 { stroke: #3fb950; } .line.s3 { stroke: #bc8cff; }
.box.s0 { fill: #58a6ff; } .box.s1 { fill: #f0883e; }
.box.s2 { fill: #3fb950; } .box.s3 { fill: #bc8cff; }
.box.ours { fill: #1f6feb; } .box.peer { fill: #656c76; }
";

/// A place, in pixels from the upper left.
pub(super) type Spot = (f64, f64);

/// A picture in the making.
#[derive(Debug)]
pub(super) struct Picture {
    size: Spot,
    title: String,
    body: String,
}

impl Picture {
    /// With its title, and a line in small print below.
    pub(super) fn new(size: Spot, title: &str, subtitle: &str) -> Self {
        let mut picture = Self { size, title: title.to_owned(), body: String::new() };
        picture.text((16.0, 28.0), "title", title);
        picture.text((16.0, 48.0), "faint", subtitle);
        picture
    }

    pub(super) fn text(&mut self, (x, y): Spot, class: &str, text: &str) {
        let text = Escaped(text);
        self.add(format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\">{text}</text>"));
    }

    pub(super) fn line(&mut self, (x1, y1): Spot, (x2, y2): Spot, class: &str) {
        self.add(format_args!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" class=\"{class}\"/>"
        ));
    }

    /// A line through all spots.
    pub(super) fn path(&mut self, spots: &[Spot], class: &str) {
        let spots: Vec<_> = spots.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let points = spots.join(" ");
        self.add(format_args!("<polyline points=\"{points}\" class=\"line {class}\"/>"));
    }

    pub(super) fn rectangle(&mut self, (x, y): Spot, (width, height): Spot, class: &str) {
        self.add(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
             class=\"box {class}\"/>"
        ));
    }

    /// The file.
    pub(super) fn finish(self) -> String {
        let Self { size: (width, height), title, body } = self;
        let title = Escaped(&title);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\">\n<title>{title}</title>\n\
             <style>{STYLE}{LIGHT}@media (prefers-color-scheme: dark) {{{DARK}}}\n</style>\n\
             <rect width=\"{width}\" height=\"{height}\" class=\"paper\"/>\n{body}</svg>\n"
        )
    }

    fn add(&mut self, element: fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.body, "{element}");
    }
}

/// Text between tags.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            other => f.write_char(other),
        })
    }
}
