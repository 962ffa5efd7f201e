//! Tables of text with aligned columns.

/// Returns a table with one line for each row, the headings first. In the texts, hidden characters
/// are visible already.
pub fn table<'h>(
    headings: impl IntoIterator<Item = &'h str>,
    rows: impl IntoIterator<Item = Vec<String>>,
) -> String {
    let headings = headings.into_iter().map(str::to_owned).collect();
    let rows: Vec<Vec<String>> = std::iter::once(headings).chain(rows).collect();
    let mut widths = vec![0; rows[0].len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let lines = rows.iter().map(|row| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["12345", "a"], ["é", ""]].map(|row| row.map(str::to_owned).to_vec());

        assert_eq!(table(["ID", "WHAT"], rows), "ID     WHAT\n12345  a\né\n");
    }
}
