// SPDX-License-Identifier: MIT OR Apache-2.0
//! One look for every table on a terminal: a line under the header, no line between rows.

use comfy_table::{CellAlignment, Table};
use comfy_table::{LineStyle, TableStyle};

const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('\u{2500}').junction('\u{2500}'));

/// An empty table under `names`; the columns in `right` hold numbers.
#[must_use]
pub fn table(names: &[&str], right: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE);
    table.set_header(names);
    for &column in right {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_at_the_right_and_rows_touch() {
        let mut table = table(&["name", "count"], &[1]);
        table.add_row(["a", "7"]);
        table.add_row(["b", "12345"]);
        let text: Vec<String> =
            table.to_string().lines().map(|line| line.trim_end().to_owned()).collect();
        assert_eq!(text.len(), 4, "{text:?}");
        assert!(text[2].ends_with("    7"), "{text:?}");
    }
}
