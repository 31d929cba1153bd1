//! Linear baselines, out-of-fold stacking and conformal intervals.
