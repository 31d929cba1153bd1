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
    fn score<C: Cell>(&self, total: C) -> f64 {
        let (gradient, hessian) = total.unpack(&self.scale);
        let gradient = soften(gradient, self.l1);
        gradient * gradient / (hessian + self.l2)
    }

    /// Replaces `best` by the best split on one feature if that gains more.
    pub(crate) fn scan<C: Cell>(
        &self,
        histogram: &FeatureHistogram<C>,
        feature: usize,
        bins: &FeatureBins,
        total: C,
        best: &mut Option<Candidate<C>>,
    ) {
        let score = self.score(total);
        // The slack keeps rounding errors from passing for a gain.
        let floor = best.map_or(score * (1.0 + 1e-10) + self.gamma, |b| score + b.gain);
        let mut scan = Scan {
            rules: self,
            histogram,
            total,
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

struct Scan<'a, C> {
    rules: &'a SplitRules,
    histogram: &'a FeatureHistogram<C>,
    total: C,
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
    fn both_ways<const L1: bool>(&mut self, n: usize, missing: C) {
        if missing.is_empty() {
            self.pass::<L1>(C::default(), n.saturating_sub(1), false);
        } else {
            // With missing values on the right, all present ones may go left.
            self.pass::<L1>(C::default(), n, true);
            self.pass::<L1>(missing, n.saturating_sub(1), false);
        }
    }

    /// Tries every border between bins, `left` holding what goes left in any case.
    fn pass<const L1: bool>(&mut self, left: C, n: usize, missing_right: bool) {
        let mut walk = Walk { left, best: self.best, missing_right };
        let rows = self.total.unpack(&self.rules.scale).1 / self.rules.scale.hessian_step;
        if rows < SPARSE_ROWS {
            // Few rows leave most bins empty, and guessing which costs the processor more than
            // looking at all of them first.
            for (chunk, start) in self.histogram[..n].chunks(64).zip((0_usize..).step_by(64)) {
                let occupied =
                    |mask, (j, cell): (usize, &C)| mask | u64::from(!cell.is_empty()) << j;
                let mut mask = chunk.iter().enumerate().fold(0_u64, occupied);
                while mask != 0 {
                    let bin = start + mask.trailing_zeros() as usize;
                    mask &= mask - 1;
                    if !self.try_border::<L1>(&mut walk, bin, self.histogram[bin]) {
                        self.best = walk.best;
                        return;
                    }
                }
            }
        } else {
            for (bin, &cell) in self.histogram[..n].iter().enumerate() {
                if !cell.is_empty() && !self.try_border::<L1>(&mut walk, bin, cell) {
                    break;
                }
            }
        }
        self.best = walk.best;
    }

    /// Moves `cell` to the left and judges the border behind it; false when all further ones leave
    /// too little on the right.
    #[inline(always)]
    fn try_border<const L1: bool>(&self, walk: &mut Walk<C>, bin: usize, cell: C) -> bool {
        let SplitRules { scale, l1, l2, least_hessian, .. } = self.rules;
        walk.left = walk.left + cell;
        let (mut left_gradient, left_hessian) = walk.left.unpack(scale);
        if left_hessian < *least_hessian {
            return true;
        }
        let (mut right_gradient, right_hessian) = (self.total - walk.left).unpack(scale);
        if right_hessian < *least_hessian {
            return false;
        }
        if L1 {
            left_gradient = soften(left_gradient, *l1);
            right_gradient = soften(right_gradient, *l1);
        }
        let (l, r) = (left_hessian + l2, right_hessian + l2);
        let numerator = left_gradient * left_gradient * r + right_gradient * right_gradient * l;
        let denominator = l * r;
        if numerator * walk.best.score.1 > walk.best.score.0 * denominator {
            walk.best = Best {
                score: (numerator, denominator),
                bin: bin as u8,
                missing_right: walk.missing_right,
                left: walk.left,
                found: true,
            };
        }
        true
    }
}

/// Nodes with fewer rows than this look for occupied bins first; a matter of speed alone.
const SPARSE_ROWS: f64 = 192.0;

/// A walk over the borders of one feature.
struct Walk<C> {
    left: C,
    best: Best<C>,
    missing_right: bool,
}

/// Draws toward 0 by `l1`.
pub(crate) fn soften(gradient: f64, l1: f64) -> f64 {
    (gradient.abs() - l1).max(0.0).copysign(gradient)
}
