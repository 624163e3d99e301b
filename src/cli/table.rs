//! Plain aligned tables for a terminal.

use std::fmt::Display;

use unicode_width::UnicodeWidthStr as _;

/// A cell: text, or a right-aligned number.
pub(super) struct Cell {
    text: String,
    is_number: bool,
}

impl Cell {
    /// A [printable](printable) text.
    pub(super) fn text(text: impl AsRef<str>) -> Self {
        Self { text: printable(text.as_ref()), is_number: false }
    }

    /// A number cell.
    pub(super) fn number(number: impl Display) -> Self {
        Self { text: number.to_string(), is_number: true }
    }

    /// A number with the given decimals; `-` if unknown.
    pub(super) fn decimal(number: Option<f64>, decimals: usize) -> Self {
        let text = number.map_or_else(|| "-".to_owned(), |number| format!("{number:.decimals$}"));
        Self { text, is_number: true }
    }
}

/// A text with spaces for control characters, so that a stored name cannot control the terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A table: header and rows.
pub(super) struct Table {
    header: Vec<Cell>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without rows.
    pub(super) fn new<T: AsRef<str>>(header: impl IntoIterator<Item = T>) -> Self {
        Self { header: header.into_iter().map(Cell::text).collect(), rows: Vec::new() }
    }

    /// Appends a row; missing cells are empty.
    pub(super) fn push(&mut self, row: impl IntoIterator<Item = Cell>) {
        self.rows.push(row.into_iter().collect());
    }

    /// Whether there are no rows.
    pub(super) const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Formats aligned columns, two spaces apart, without trailing spaces. The header of a number
    /// column is right-aligned too.
    pub(super) fn to_text(&self) -> String {
        let lines = || std::iter::once(&self.header).chain(&self.rows);
        let columns = lines().map(Vec::len).max().unwrap_or(0);
        let is_number = |column: usize| {
            let mut cells = self.rows.iter().filter_map(|row| row.get(column)).peekable();
            cells.peek().is_some() && cells.all(|cell| cell.is_number || cell.text.is_empty())
        };
        let width = |column: usize| {
            let cells = lines().filter_map(|line| line.get(column));
            cells.map(|cell| cell.text.width()).max().unwrap_or(0)
        };
        let layout: Vec<(usize, bool)> =
            (0..columns).map(|column| (width(column), is_number(column))).collect();
        lines().map(|line| format_line(line, &layout)).collect()
    }
}

fn format_line(line: &[Cell], layout: &[(usize, bool)]) -> String {
    let cells = layout.iter().enumerate().map(|(column, (column_width, is_number))| {
        let cell = line.get(column).map_or("", |cell| &cell.text);
        let padding = " ".repeat(column_width.saturating_sub(cell.width()));
        if *is_number { padding + cell } else { cell.to_owned() + &padding }
    });
    let text = cells.collect::<Vec<String>>().join("  ");
    format!("{}\n", text.trim_end())
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
