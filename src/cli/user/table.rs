//! Rows with aligned columns.

/// A table that grows row by row.
#[derive(Clone, Debug)]
pub struct Table(Vec<Vec<String>>);

impl Table {
    /// A table with these headings.
    pub fn new<'h>(headings: impl IntoIterator<Item = &'h str>) -> Self {
        Self(vec![headings.into_iter().map(str::to_owned).collect()])
    }

    /// One more row, of texts that are visible already.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.0.push(cells.into_iter().collect());
    }

    /// The table, a line each row.
    pub fn text(&self) -> String {
        let columns = self.0.iter().map(Vec::len).max().unwrap_or_default();
        let width = |nth: usize| {
            let cells = self.0.iter().filter_map(|row| row.get(nth));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
        };
        self.0.iter().map(line).collect()
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
