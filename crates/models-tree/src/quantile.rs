/// The weighted quantile of `(value, weight)` rows: the least value below or at which a share of at
/// least `level` of the weight lies, averaged with the next one where the share is met exactly (so
/// the median of an even number of rows is the usual one). Sorts the rows; 0 when there are none.
pub(crate) fn weighted_quantile(rows: &mut [(f64, f64)], level: f64) -> f64 {
    rows.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let total: f64 = rows.iter().map(|row| row.1).sum();
    let wanted = level * total;
    let slack = 1e-12 * total;
    let mut below = 0.0;
    for (i, &(value, weight)) in rows.iter().enumerate() {
        below += weight;
        if (below - wanted).abs() <= slack {
            let next = rows.get(i + 1).map_or(value, |row| row.0);
            return value + 0.5 * (next - value);
        }
        if below > wanted {
            return value;
        }
    }
    rows.last().map_or(0.0, |row| row.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_count_weight_not_rows() {
        let ones = |values: &[f64]| values.iter().map(|&v| (v, 1.0)).collect::<Vec<_>>();
        assert_eq!(weighted_quantile(&mut ones(&[3.0, 1.0, 2.0]), 0.5), 2.0);
        assert_eq!(weighted_quantile(&mut ones(&[4.0, 1.0, 2.0, 3.0]), 0.5), 2.5);
        assert_eq!(weighted_quantile(&mut ones(&[4.0, 1.0, 2.0, 3.0]), 0.9), 4.0);
        assert_eq!(weighted_quantile(&mut [(1.0, 1.0), (2.0, 10.0), (3.0, 1.0)], 0.1), 2.0);
        assert_eq!(weighted_quantile(&mut [(1.0, 2.0), (5.0, 2.0)], 0.5), 3.0);
        assert_eq!(weighted_quantile(&mut [], 0.5), 0.0);
    }
}
