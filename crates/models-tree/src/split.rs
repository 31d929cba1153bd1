use crate::BoostingParams;
use crate::accumulator::{Cell, Scale};
use crate::binning::{FeatureBins, MISSING};
use crate::histogram::FeatureHistogram;

/// Says how splits are judged, in the units of a round's whole numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SplitRules {
    scale: Scale,
    l1: f64,
    l2: f64,
    gamma: f64,
    /// Above 0, so that no child is empty; a hair below the parameter, for rounded weights.
    least_hessian: f64,
}

/// Describes a node's best split.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Candidate<C> {
    /// In the units of the whole numbers, `gamma` not subtracted.
    pub(crate) gain: f64,
    pub(crate) feature: usize,
    /// The last bin that goes left.
    pub(crate) bin: u8,
    pub(crate) missing_right: bool,
    /// Sum over the left child.
    pub(crate) left: C,
}

impl SplitRules {
    pub(crate) fn new(params: &BoostingParams, scale: Scale) -> Self {
        Self {
            scale,
            l1: params.l1 / scale.step,
            l2: params.l2,
            gamma: params.gamma / scale.step / scale.step,
            least_hessian: (params.min_child_weight * (1.0 - 1e-9)).max(0.5 * scale.hessian_step),
        }
    }

    pub(crate) fn scale(&self) -> &Scale {
        &self.scale
    }

    /// Whether two children could hold enough.
    pub(crate) fn may_split<C: Cell>(&self, total: C) -> bool {
        total.unpack(&self.scale).1 >= 2.0 * self.least_hessian
    }

    /// The gain in the targets' unit.
    pub(crate) fn real_gain(&self, gain: f64) -> f64 {
        gain * self.scale.step * self.scale.step
    }

    /// A leaf's Newton step and hessian: `−G/(H + λ)`.
    pub(crate) fn leaf_value<C: Cell>(&self, total: C) -> f64 {
        let (gradient, hessian) = total.unpack(&self.scale);
        -soften(gradient, self.l1) * self.scale.step / (hessian + self.l2)
    }

    /// What a node without a split scores: `G²/(H + λ)`.
    #[inline(always)]
    fn score<C: Cell>(&self, total: C) -> f64 {
        let (gradient, hessian) = total.unpack(&self.scale);
        let gradient = soften(gradient, self.l1);
        gradient * gradient / (hessian + self.l2)
    }

    /// Replaces `best` by the best split on one feature if that gains more.
    #[inline(always)]
    pub(crate) fn scan<C: Cell>(
        &self,
        histogram: &FeatureHistogram<C>,
        feature: usize,
        bins: &FeatureBins,
        total: C,
        borders: &mut Borders<C>,
        best: &mut Option<Candidate<C>>,
    ) {
        let score = self.score(total);
        // The slack keeps rounding errors from passing for a gain.
        let floor = best.map_or(score * (1.0 + 1e-10) + self.gamma, |b| score + b.gain);
        let mut scan = Scan {
            rules: self,
            histogram,
            total,
            borders,
            best: Best {
                score: (floor, 1.0),
                bin: 0,
                missing_right: false,
                left: C::default(),
                found: false,
            },
        };
        let missing = histogram[usize::from(MISSING)];
        let n = bins.n_bins();
        if self.l1 > 0.0 {
            scan.both_ways::<true>(n, missing);
        } else {
            scan.both_ways::<false>(n, missing);
        }
        let found = scan.best;
        if found.found {
            let missing_right = if missing.is_empty() {
                // Never seen here: the way of most of the weight.
                let right = (total - found.left).unpack(&self.scale).1;
                right > found.left.unpack(&self.scale).1
            } else {
                found.missing_right
            };
            *best = Some(Candidate {
                gain: found.score.0 / found.score.1 - score,
                feature,
                bin: found.bin,
                missing_right,
                left: found.left,
            });
        }
    }
}

/// Borders that are judged together; a matter of speed alone.
const GROUP: usize = 16;

/// Nodes with fewer rows than this look for occupied bins first; a matter of speed alone.
const SPARSE_ROWS: f64 = 192.0;

const EVERY_BIN: [u8; 256] = {
    let mut bins = [0; 256];
    let mut bin = 0;
    while bin < bins.len() {
        bins[bin] = bin as u8;
        bin += 1;
    }
    bins
};

/// Holds the borders between bins on one way through a feature; memory to reuse.
pub(crate) struct Borders<C> {
    /// What goes left at each.
    lefts: [C; 256],
    /// The last bin on the left of each.
    bins: [u8; 256],
    n: usize,
}

impl<C: Cell> Default for Borders<C> {
    fn default() -> Self {
        Self { lefts: [C::default(); 256], bins: [0; 256], n: 0 }
    }
}

impl<C: Cell> Borders<C> {
    /// Finds the borders behind `cells`, those of empty ones left out where that saves time: they
    /// are the border before once more.
    #[inline(always)]
    fn find(&mut self, cells: &[C], mut left: C, sparse: bool) {
        if !sparse {
            for (to, &cell) in self.lefts.iter_mut().zip(cells) {
                left = left + cell;
                *to = left;
            }
            self.n = cells.len();
            self.bins = EVERY_BIN;
            return;
        }
        // Few rows leave most bins empty, and guessing which costs the processor more than looking
        // at all of them first.
        self.n = 0;
        for (chunk, start) in cells.chunks(64).zip((0_usize..).step_by(64)) {
            let mut mask = 0_u64;
            for (j, cell) in chunk.iter().enumerate() {
                mask |= u64::from(!cell.is_empty()) << j;
            }
            while mask != 0 {
                let bin = start + mask.trailing_zeros() as usize;
                mask &= mask - 1;
                left = left + cells[bin];
                self.lefts[self.n] = left;
                self.bins[self.n] = bin as u8;
                self.n += 1;
            }
        }
    }
}

struct Scan<'a, C> {
    rules: &'a SplitRules,
    histogram: &'a FeatureHistogram<C>,
    total: C,
    borders: &'a mut Borders<C>,
    best: Best<C>,
}

#[derive(Clone, Copy)]
struct Best<C> {
    /// Numerator and denominator, so that comparing costs no division.
    score: (f64, f64),
    bin: u8,
    missing_right: bool,
    left: C,
    found: bool,
}

impl<C: Cell> Scan<'_, C> {
    #[inline(always)]
    fn both_ways<const L1: bool>(&mut self, n: usize, missing: C) {
        let without_last = n.saturating_sub(1);
        // With missing values on the right, all present ones may go left.
        let ways = [(C::default(), n, true), (missing, without_last, false)];
        let only = [(C::default(), without_last, false)];
        let ways = if missing.is_empty() { &only[..] } else { &ways[..] };
        for &(left, n, missing_right) in ways {
            self.pass::<L1>(left, n, missing_right);
        }
    }

    /// Tries every border between bins, `left` holding what goes left in any case.
    #[inline(always)]
    fn pass<const L1: bool>(&mut self, left: C, n: usize, missing_right: bool) {
        let rows = self.total.unpack(&self.rules.scale).1 / self.rules.scale.hessian_step;
        self.borders.find(&self.histogram[..n], left, rows < SPARSE_ROWS);
        let n = self.borders.n;
        for (g, lefts) in self.borders.lefts.chunks_exact(GROUP).enumerate() {
            let from = g * GROUP;
            if from >= n {
                break;
            }
            // Most groups hold nothing better, and that is known of all their borders at once. What
            // stands behind the last border is judged too and then not looked at.
            let mut any = false;
            for &left in lefts {
                any |= self.judge::<L1>(left).is_some();
            }
            if !any {
                continue;
            }
            for (&left, &bin) in lefts.iter().zip(&self.borders.bins[from..n]) {
                if let Some(score) = self.judge::<L1>(left) {
                    self.best = Best { score, bin, missing_right, left, found: true };
                }
            }
        }
    }

    /// The score of a border where that beats the best.
    #[inline(always)]
    fn judge<const L1: bool>(&self, left: C) -> Option<(f64, f64)> {
        let SplitRules { scale, l1, l2, least_hessian, .. } = self.rules;
        let (mut left_gradient, left_hessian) = left.unpack(scale);
        let (mut right_gradient, right_hessian) = (self.total - left).unpack(scale);
        if L1 {
            left_gradient = soften(left_gradient, *l1);
            right_gradient = soften(right_gradient, *l1);
        }
        let (l, r) = (left_hessian + l2, right_hessian + l2);
        let numerator = left_gradient * left_gradient * r + right_gradient * right_gradient * l;
        let denominator = l * r;
        let better = (left_hessian >= *least_hessian)
            & (right_hessian >= *least_hessian)
            & (numerator * self.best.score.1 > self.best.score.0 * denominator);
        better.then_some((numerator, denominator))
    }
}

/// Draws toward 0 by `l1`.
#[inline(always)]
pub(crate) fn soften(gradient: f64, l1: f64) -> f64 {
    (gradient.abs() - l1).max(0.0).copysign(gradient)
}
