//! Tables of text with aligned columns.

/// A table that grows row by row, the headings first.
#[derive(Clone, Debug)]
pub struct Table(Vec<Vec<String>>);

impl Table {
    /// Makes a table with these headings and no rows.
    pub fn new<'h>(headings: impl IntoIterator<Item = &'h str>) -> Self {
        Self(vec![headings.into_iter().map(str::to_owned).collect()])
    }

    /// Adds a row of texts, in which hidden characters are visible already.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.0.push(cells.into_iter().collect());
    }

    /// Returns the table with one line for each row.
    pub fn text(&self) -> String {
        let columns = self.0.iter().map(Vec::len).max().unwrap_or_default();
        let widths: Vec<_> = (0..columns).map(|nth| self.width(nth)).collect();
        let mut text = String::new();
        for row in &self.0 {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
        text
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.0.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["ID", "WHAT"]);
        table.row(["12345", "a"].map(str::to_owned));
        table.row(["é", ""].map(str::to_owned));

        assert_eq!(table.text(), "ID     WHAT\n12345  a\né\n");
    }
}
