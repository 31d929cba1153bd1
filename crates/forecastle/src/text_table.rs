use comfy_table::{CellAlignment, Table, presets};

pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(header.iter().copied());
    table
}

/// What stands in a table's columns, and so how they are aligned.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Layout {
    /// Names in the first column, numbers in all others.
    Ledger,
    /// Name, number, name, number …
    Pairs,
}

pub(crate) fn finish(mut table: Table, layout: Layout) -> String {
    for (i, column) in table.column_iter_mut().enumerate() {
        let number = if layout == Layout::Pairs { i % 2 == 1 } else { i > 0 };
        if number {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n") + "\n"
}

pub(crate) fn dash() -> String {
    "–".into()
}

pub(crate) fn optional(value: Option<f64>) -> String {
    value.map_or_else(dash, number)
}

pub(crate) fn figure(value: Option<f64>, format: impl Fn(f64) -> String) -> String {
    value.map_or_else(dash, format)
}

pub(crate) fn percent(share: f64) -> String {
    format!("{:+.2} %", 100.0 * share)
}

/// Seven significant digits, at most 12 decimals, at least 2.
pub(crate) fn number(value: f64) -> String {
    if !value.is_finite() {
        return dash();
    }
    let magnitude = value.abs().max(1e-12).log10().floor();
    let decimals = (6.0 - magnitude).clamp(2.0, 12.0) as usize;
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_seven_digits_from_shares_of_a_satoshi_to_millions() {
        for (value, text) in [
            (42_123.456_789, "42123.46"),
            (1.062_412_3, "1.062412"),
            (0.000_012_345_678, "0.00001234568"),
            (0.0, "0.000000000000"),
            (-3.5, "-3.500000"),
            (f64::NAN, "–"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
