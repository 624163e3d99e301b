//! Plain aligned tables for a terminal.

use std::fmt::Display;

use unicode_width::UnicodeWidthStr as _;

/// A cell: text, or a right-aligned number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    text: String,
    is_number: bool,
}

impl Cell {
    /// A text cell. Control characters become spaces, so that a stored name cannot control the
    /// terminal.
    pub fn text(text: impl AsRef<str>) -> Self {
        let clean = |c: char| if c.is_control() { ' ' } else { c };
        Self { text: text.as_ref().chars().map(clean).collect(), is_number: false }
    }

    /// A number cell.
    pub fn number(number: impl Display) -> Self {
        Self { text: number.to_string(), is_number: true }
    }

    /// A number with the given decimals; `-` if unknown.
    pub fn decimal(number: Option<f64>, decimals: usize) -> Self {
        let text = number.map_or_else(|| "-".to_owned(), |number| format!("{number:.decimals$}"));
        Self { text, is_number: true }
    }
}

/// A table: header and rows.
#[derive(Clone, Debug)]
pub struct Table {
    header: Vec<Cell>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without rows.
    pub fn new<T: AsRef<str>>(header: impl IntoIterator<Item = T>) -> Self {
        Self { header: header.into_iter().map(Cell::text).collect(), rows: Vec::new() }
    }

    /// Appends a row; missing cells are empty.
    pub fn push(&mut self, row: impl IntoIterator<Item = Cell>) {
        self.rows.push(row.into_iter().collect());
    }

    /// Whether there are no rows.
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Formats aligned columns, two spaces apart, without trailing spaces. The header of a number
    /// column is right-aligned too.
    pub fn to_text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0).max(self.header.len());
        let lines = || std::iter::once(&self.header).chain(&self.rows);
        let is_number = |column: usize| {
            let mut cells = self.rows.iter().filter_map(|row| row.get(column)).peekable();
            cells.peek().is_some() && cells.all(|cell| cell.is_number || cell.text.is_empty())
        };
        let layout: Vec<(usize, bool)> = (0..columns)
            .map(|column| {
                let widths = lines().filter_map(|line| line.get(column));
                (widths.map(|cell| cell.text.width()).max().unwrap_or(0), is_number(column))
            })
            .collect();
        lines().map(|line| render_line(line, &layout)).collect()
    }
}

fn render_line(line: &[Cell], layout: &[(usize, bool)]) -> String {
    let mut text = String::new();
    for (column, (column_width, is_number)) in layout.iter().enumerate() {
        let cell = line.get(column).map_or("", |cell| &cell.text);
        let padding = " ".repeat(column_width.saturating_sub(cell.width()));
        if column > 0 {
            text.push_str("  ");
        }
        let (before, after) = if *is_number { (&*padding, "") } else { ("", &*padding) };
        text.extend([before, cell, after]);
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_numbers_are_right_aligned() {
        let mut table = Table::new(["space", "requests", "p95 ms"]);
        table.push([Cell::text("search"), Cell::number(12_345), Cell::decimal(Some(8.25), 1)]);
        table.push([Cell::text("検索"), Cell::number(7), Cell::decimal(None, 1)]);
        table.push([Cell::text("a\u{1b}[31m\n")]);
        assert_eq!(
            table.to_text(),
            "\
space    requests  p95 ms
search      12345     8.2
検索            7       -
a [31m
"
        );
        assert_eq!(Table::new(["a", "b"]).to_text(), "a  b\n");
    }
}
