use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// What random numbers are drawn for, so that no two streams of a fit agree.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    Rows,
    TreeColumns,
    LevelColumns { depth: usize },
    Permutation { feature: usize },
}

/// A generator that depends on the seed, the purpose and the round alone: what one tree draws does
/// not depend on how the trees before it, or its own other branches, were grown.
pub(crate) fn generator(seed: u64, purpose: Purpose, round: usize) -> Xoshiro256PlusPlus {
    let (tag, detail) = match purpose {
        Purpose::Rows => (1, 0),
        Purpose::TreeColumns => (2, 0),
        Purpose::LevelColumns { depth } => (3, depth),
        Purpose::Permutation { feature } => (4, feature),
    };
    let mixed =
        [tag, detail as u64, round as u64].iter().fold(seed, |state, &part| scramble(state ^ part));
    Xoshiro256PlusPlus::seed_from_u64(mixed)
}

/// `SplitMix64`'s step.
fn scramble(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A number below `n`; the bias of the product is below `n / 2^64`.
fn below(random: &mut impl Rng, n: usize) -> usize {
    ((u128::from(random.next_u64()) * n as u128) >> 64) as usize
}

/// How many of `n` a share takes: at least one.
pub(crate) fn sample_size(n: usize, share: f64) -> usize {
    ((n as f64 * share).round() as usize).clamp(n.min(1), n)
}

/// Draws `wanted` of the rows `0..n` without replacement (Fan, Muller, Rezucha 1962; Knuth's
/// algorithm S), increasing; the others go to `left_out`, increasing too.
pub(crate) fn sample_rows(
    random: &mut impl Rng,
    n: u32,
    wanted: usize,
    taken: &mut Vec<u32>,
    left_out: &mut Vec<u32>,
) {
    taken.clear();
    left_out.clear();
    for row in 0..n {
        if below(random, (n - row) as usize) < wanted - taken.len() {
            taken.push(row);
        } else {
            left_out.push(row);
        }
    }
}

/// Draws a share of the features that are `true` and leaves only those so.
pub(crate) fn sample_columns(random: &mut impl Rng, share: f64, active: &mut [bool]) {
    let mut left = active.iter().filter(|&&a| a).count();
    let mut wanted = sample_size(left, share);
    for on in active.iter_mut().filter(|on| **on) {
        *on = below(random, left) < wanted;
        wanted -= usize::from(*on);
        left -= 1;
    }
}

/// Shuffles (Fisher, Yates).
pub(crate) fn shuffle(random: &mut impl Rng, values: &mut [f64]) {
    for i in (1..values.len()).rev() {
        values.swap(i, below(random, i + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_have_the_wanted_size_and_every_row_its_chance() {
        let (mut taken, mut left_out) = (Vec::new(), Vec::new());
        let mut hits = [0; 20];
        for round in 0..4000 {
            let mut random = generator(3, Purpose::Rows, round);
            sample_rows(&mut random, 20, 5, &mut taken, &mut left_out);
            assert_eq!((taken.len(), left_out.len()), (5, 15));
            assert!(taken.is_sorted() && left_out.is_sorted());
            taken.iter().for_each(|&row| hits[row as usize] += 1);
        }
        // 1000 expected, standard deviation 27.
        assert!(hits.iter().all(|h| (880..1120).contains(h)), "{hits:?}");
    }

    #[test]
    fn columns_are_drawn_from_the_active_ones() {
        let mut seen = [0; 6];
        for round in 0..600 {
            let mut active = [true, false, true, true, false, true];
            let mut random = generator(0, Purpose::TreeColumns, round);
            sample_columns(&mut random, 0.5, &mut active);
            assert_eq!(active.iter().filter(|&&a| a).count(), 2);
            (0..6).for_each(|i| seen[i] += usize::from(active[i]));
        }
        assert_eq!((seen[1], seen[4]), (0, 0));
        assert!([0, 2, 3, 5].iter().all(|&i| (230..370).contains(&seen[i])), "{seen:?}");
        assert_eq!((sample_size(3, 0.01), sample_size(0, 0.5), sample_size(3, 1.0)), (1, 0, 3));
    }
}
