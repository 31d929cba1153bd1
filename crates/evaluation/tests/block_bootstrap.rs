#![allow(clippy::unwrap_used, reason = "tests")]
//! The block bootstrap: what it draws, how often, and that the variance of a mean comes out right.

use forecastle_evaluation::{BlockBootstrap, BlockScheme};
use proptest::prelude::*;

const SCHEMES: [BlockScheme; 2] = [BlockScheme::Stationary, BlockScheme::Circular];

/// Lengths of the runs of consecutive rows, around the end.
fn runs(rows: &[usize], n: usize) -> Vec<usize> {
    let mut lengths = vec![1];
    for pair in rows.windows(2) {
        match (pair[0] + 1) % n == pair[1] {
            true => *lengths.last_mut().unwrap() += 1,
            false => lengths.push(1),
        }
    }
    lengths
}

#[test]
fn blocks_have_the_wanted_length_or_mean_length() {
    for block_length in [1, 4, 25] {
        for scheme in SCHEMES {
            let bootstrap = BlockBootstrap { scheme, block_length, seed: 3 };
            let rows = bootstrap.indices(200_000, 0).unwrap();
            let runs = runs(&rows, 200_000);
            let mean = 200_000.0 / runs.len() as f64;
            assert!((mean / block_length as f64 - 1.0).abs() < 0.03, "{scheme:?}: {mean}");
            // All but the cut last one and blocks that happen to continue each other.
            let exact = runs.iter().filter(|&&run| run == block_length).count();
            let alike = exact as f64 > 0.999 * runs.len() as f64;
            assert_eq!(alike, block_length == 1 || scheme == BlockScheme::Circular);
        }
    }
}

#[test]
fn the_lengths_of_stationary_blocks_are_geometric() {
    let bootstrap = BlockBootstrap { block_length: 5, ..BlockBootstrap::default() };
    let runs = runs(&bootstrap.indices(500_000, 0).unwrap(), 500_000);
    for length in 1..8_usize {
        let share = runs.iter().filter(|&&r| r >= length).count() as f64 / runs.len() as f64;
        let expected = 0.8_f64.powi(length as i32 - 1);
        assert!((share - expected).abs() < 0.01, "{length}: {share}, {expected}");
    }
}

#[test]
fn every_row_is_drawn_equally_often() {
    let n = 20;
    for scheme in SCHEMES {
        let bootstrap = BlockBootstrap { scheme, block_length: 6, seed: 1 };
        let mut counts = vec![0_u32; n];
        for replication in 0..5_000 {
            for row in bootstrap.indices(n, replication).unwrap() {
                counts[row] += 1;
            }
        }
        // 5000 each, with a standard deviation of about 5000 · 6 / 20 blocks' worth at most.
        assert!(counts.iter().all(|c| (4_600..5_400).contains(c)), "{scheme:?}: {counts:?}");
    }
}

/// The variance of a mean over resampled rows has a closed form, from circular autocovariances
/// (Politis and Romano 1994, lemma 1).
#[test]
fn the_variance_of_a_stationary_mean_is_politis_and_romanos() {
    let n = 60;
    let values: Vec<f64> =
        (0..n).map(|t| (t as f64 * 0.35).sin() + 0.3 * (t as f64).cos()).collect();
    let mean = values.iter().sum::<f64>() / n as f64;
    let circular = |lag: usize| -> f64 {
        (0..n).map(|t| (values[t] - mean) * (values[(t + lag) % n] - mean)).sum::<f64>() / n as f64
    };
    let goes_on: f64 = 1.0 - 1.0 / 7.0;
    let expected = circular(0)
        + 2.0
            * (1..n)
                .map(|i| (1.0 - i as f64 / n as f64) * goes_on.powi(i as i32) * circular(i))
                .sum::<f64>();
    let bootstrap = BlockBootstrap { block_length: 7, ..BlockBootstrap::default() };
    let draws = 40_000;
    let squares: f64 = (0..draws)
        .map(|replication| {
            let rows = bootstrap.indices(n, replication).unwrap();
            (rows.iter().map(|&t| values[t]).sum::<f64>() / n as f64 - mean).powi(2)
        })
        .sum();
    let variance = n as f64 * squares / draws as f64;
    assert!((variance / expected - 1.0).abs() < 0.03, "{variance}, {expected}");
}

#[test]
fn nothing_to_draw_and_no_length_are_refused() {
    let bootstrap = BlockBootstrap { block_length: 0, ..BlockBootstrap::default() };
    assert_eq!(
        bootstrap.indices(3, 0).unwrap_err().to_string(),
        "parameter `block_length` must be >= 1, got 0"
    );
    assert!(BlockBootstrap::default().indices(0, 0).unwrap_err().is_not_enough_data());
    assert!(BlockBootstrap::default().indices(usize::MAX, 0).is_err());
    let text = r#"{"block_length":3,"typo":1}"#;
    assert!(serde_json::from_str::<BlockBootstrap>(text).is_err());
}

proptest! {
    #[test]
    fn prop_a_replication_has_n_rows_that_exist_and_its_own_draws(
        n in 1_usize..200, block_length in 1_usize..400, seed: u64, replication in 0_u64..1_000_000,
        circular: bool,
    ) {
        let scheme = SCHEMES[usize::from(circular)];
        let bootstrap = BlockBootstrap { scheme, block_length, seed };
        let rows = bootstrap.indices(n, replication).unwrap();
        prop_assert_eq!(rows.len(), n);
        prop_assert!(rows.iter().all(|&row| row < n));
        prop_assert_eq!(&rows, &bootstrap.indices(n, replication).unwrap());
        if n > 100 && block_length < 10 {
            prop_assert_ne!(&rows, &bootstrap.indices(n, replication + 1).unwrap());
            let other = BlockBootstrap { seed: seed.wrapping_add(1), ..bootstrap };
            prop_assert_ne!(rows, other.indices(n, replication).unwrap());
        }
    }
}
