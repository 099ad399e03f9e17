//! Aligned columns.

use crate::human::clean;
use crate::paint::{Paint, Tone};

/// Rows under a head; a column is as wide as its widest cell.
#[derive(Debug)]
pub(crate) struct Table {
    head: Vec<Cell>,
    rows: Vec<Vec<Cell>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
    right: bool,
}

/// A cell with text.
pub(crate) fn cell(text: impl AsRef<str>) -> Cell {
    Cell { text: clean(text.as_ref()), tone: Tone::Plain, right: false }
}

/// A cell with text, or a dash.
pub(crate) fn maybe(text: Option<impl AsRef<str>>) -> Cell {
    text.map_or_else(|| cell("-").tone(Tone::Dim), cell)
}

/// A cell with a number, at the right.
pub(crate) fn number(text: impl AsRef<str>) -> Cell {
    Cell { right: true, ..cell(text) }
}

impl Cell {
    pub(crate) fn tone(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }

    /// Alone, outside any table.
    pub(crate) fn paint(&self, paint: Paint) -> String {
        paint.tone(self.tone, &self.text)
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

impl Table {
    pub(crate) fn new<const COLUMNS: usize>(head: [&str; COLUMNS]) -> Self {
        let head = head.iter().map(|title| cell(title).tone(Tone::Bold)).collect();
        Self { head, rows: Vec::new() }
    }

    pub(crate) fn push(&mut self, row: impl Into<Vec<Cell>>) {
        self.rows.push(row.into());
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(crate) fn render(mut self, paint: Paint) -> String {
        // A head stands where its column's cells stand.
        if let Some(first) = self.rows.first() {
            for (title, cell) in self.head.iter_mut().zip(first) {
                title.right = cell.right;
            }
        }
        self.rows.insert(0, self.head);
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column| {
            let cells = self.rows.iter().filter_map(|row: &Vec<Cell>| row.get(column));
            cells.map(Cell::width).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::from("  ");
            for (index, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let space = " ".repeat(width - cell.width());
                let painted = paint.tone(cell.tone, &cell.text);
                let last = index + 1 == row.len();
                line += &match (cell.right, last) {
                    (true, true) => space + &painted,
                    (true, false) => space + &painted + "  ",
                    (false, true) => painted,
                    (false, false) => painted + &space + "  ",
                };
            }
            text += line.trim_end();
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(["port", "frames"]);
        table.push([cell("in"), number("1")]);
        table.push([cell("outside\n"), number("1,000")]);
        insta::assert_snapshot!(table.render(Paint::plain()), @r"
          port       frames
          in              1
          outside\n   1,000
        ");
    }
}
