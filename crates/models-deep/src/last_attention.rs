use pulp::{Simd, WithSimd};

use crate::aligned::Aligned;
use crate::attention::SelfAttention;
use crate::dropout::Dropout;
use crate::lanes::{add_scaled, dot};
use crate::matrix::{Matrix, MatrixMut, Write, product};
use crate::real::Real;
use crate::simd::{vectorised, with_simd};

/// What [`SelfAttention`] of the last position alone leaves for its backward pass, for `n` windows.
///
/// With one query a window, keys and values need not be computed: `q · (Wₖ x + bₖ)` is
/// `(Wₖᵀ q) · x` and a constant, which a softmax does not see; `Σ p (Wᵥ x + bᵥ)` is
/// `Wᵥ Σ p x + bᵥ Σ p`. So every head asks and mixes the inputs themselves, and two products with
/// all positions of all windows are saved.
#[derive(Debug)]
pub(crate) struct LastAttentionWorkspace<T> {
    /// Queries: `(n, width)`
    queries: Aligned<T>,
    /// `Wₖᵀ q`, scaled: `(n, n_heads, width)`
    asked: Aligned<T>,
    /// `(n, n_heads, lookback)`
    shares: Aligned<T>,
    /// Shares that dropout has left, as `shares`
    kept: Aligned<T>,
    /// `Σ p x`: `(n, n_heads, width)`
    mixed: Aligned<T>,
    /// `Σ p`, which is 1 but for dropout: `(n, n_heads)`
    totals: Aligned<T>,
    /// `(n, width)`
    context: Aligned<T>,
    /// Derivatives by `mixed`, then by `asked`
    d_mixed: Aligned<T>,
    /// Derivative by `totals`
    d_totals: Aligned<T>,
    /// Derivatives by shares and scores, as `shares`
    d_shares: Aligned<T>,
}

impl<T> LastAttentionWorkspace<T> {
    /// What the heads answered: `(n, width)`.
    pub(crate) fn context(&self) -> &[T] {
        &self.context
    }
}

impl SelfAttention {
    /// Room for up to `n` windows.
    pub(crate) fn last_workspace<T: Real>(&self, n: usize) -> LastAttentionWorkspace<T> {
        let room = |width: usize| Aligned::new(T::ZERO, n * width);
        let (heads, all) = (self.n_heads * self.width, self.n_heads * self.lookback);
        LastAttentionWorkspace {
            queries: room(self.width),
            asked: room(heads),
            shares: room(all),
            kept: room(all),
            mixed: room(heads),
            totals: room(self.n_heads),
            context: room(self.width),
            d_mixed: room(heads),
            d_totals: room(self.n_heads),
            d_shares: room(all),
        }
    }

    /// As [`forward`](Self::forward), of every window's last position alone.
    ///
    /// - `inputs`: `(n, lookback, width)`
    pub(crate) fn forward_last<T: Real>(
        &self,
        weights: &[T],
        inputs: &[T],
        dropout: Option<(Dropout, u64)>,
        workspace: &mut LastAttentionWorkspace<T>,
    ) {
        let (width, heads) = (self.width, self.n_heads);
        let n = inputs.len() / (self.lookback * width);
        let LastAttentionWorkspace { queries, asked, shares, kept, mixed, totals, context, .. } =
            workspace;
        let [w_query, w_key, w_value] = self.parts(self.in_proj.weight(weights));
        let [b_query, _, b_value] = self.parts(self.in_proj.bias(weights));
        queries[..n * width].chunks_exact_mut(width).for_each(|row| row.copy_from_slice(b_query));
        let w_query = Matrix::new(w_query, width, width);
        let queries_out = MatrixMut::new(queries, n, width);
        product(queries_out, Write::Add, self.last_rows(inputs), w_query.t());
        for h in 0..heads {
            let out = self.head_mut(asked, h, n);
            product(out, Write::Replace, self.columns(queries, h, n), self.rows(w_key, h));
        }
        let scale = self.scale::<T>();
        asked[..n * heads * width].iter_mut().for_each(|x| *x *= scale);

        self.scores(inputs, asked, shares);
        let length = n * heads * self.lookback;
        softmax_of_rows(&mut shares[..length], self.lookback);
        let kept = &mut kept[..length];
        kept.copy_from_slice(&shares[..length]);
        if let Some((dropout, site)) = dropout {
            dropout.apply(site, kept);
        }
        self.mix(inputs, kept, mixed);
        for (total, kept) in totals.iter_mut().zip(kept.chunks_exact(self.lookback)) {
            *total = kept.iter().copied().sum();
        }

        for h in 0..heads {
            let out = self.columns_mut(context, h, n);
            product(out, Write::Replace, self.head_of(mixed, h, n), self.rows(w_value, h).t());
        }
        let part = self.head_width();
        vectorised(
            #[inline(always)]
            || {
                let rows = context.chunks_exact_mut(width).zip(totals.chunks_exact(heads));
                for (context, totals) in rows.take(n) {
                    let parts = context.chunks_exact_mut(part).zip(totals);
                    for ((context, &total), bias) in parts.zip(b_value.chunks_exact(part)) {
                        add_scaled(context, total, bias);
                    }
                }
            },
        );
    }

    /// The derivative by the inputs replaces `d_inputs`.
    ///
    /// - `inputs`, `d_inputs`: `(n, lookback, width)`
    /// - `d_outputs`: of the last projection, `(n, width)`
    #[allow(clippy::too_many_arguments, reason = "what a backward pass reads and writes")]
    pub(crate) fn backward_last<T: Real>(
        &self,
        weights: &[T],
        inputs: &[T],
        d_outputs: &[T],
        dropout: Option<(Dropout, u64)>,
        workspace: &mut LastAttentionWorkspace<T>,
        d_inputs: &mut [T],
        gradients: &mut [T],
    ) {
        let (width, heads, part) = (self.width, self.n_heads, self.head_width());
        let n = inputs.len() / (self.lookback * width);
        let LastAttentionWorkspace {
            queries,
            asked,
            shares,
            kept,
            mixed,
            totals,
            context,
            d_mixed,
            d_totals,
            d_shares,
        } = workspace;
        let [w_query, w_key, w_value] = self.parts(self.in_proj.weight(weights));
        let [_, _, b_value] = self.parts(self.in_proj.bias(weights));

        let context = &mut context[..n * width];
        self.out_proj.backward_weights(context, d_outputs, gradients);
        // The context has done its work: its derivative takes its place.
        self.out_proj.backward_inputs(weights, d_outputs, context, Write::Replace);

        // Values.
        let d_bias = &mut self.in_proj.bias_mut(gradients)[2 * width..];
        vectorised(
            #[inline(always)]
            || {
                let rows = context.chunks_exact(width).zip(totals.chunks_exact(heads));
                for ((d, totals), d_totals) in rows.zip(d_totals.chunks_exact_mut(heads)) {
                    for h in 0..heads {
                        let columns = h * part..(h + 1) * part;
                        add_scaled(&mut d_bias[columns.clone()], totals[h], &d[columns.clone()]);
                        let numbers = d[columns.clone()].iter().zip(&b_value[columns]);
                        d_totals[h] = numbers.map(|(&d, &bias)| d * bias).sum();
                    }
                }
            },
        );
        let d_weight = self.in_proj.weight_mut(gradients);
        for h in 0..heads {
            let d = self.columns(context, h, n);
            let d_value = &mut d_weight[(2 * width + h * part) * width..];
            let out = MatrixMut::new(d_value, part, width);
            product(out, Write::Add, d.t(), self.head_of(mixed, h, n));
            product(self.head_mut(d_mixed, h, n), Write::Replace, d, self.rows(w_value, h));
        }

        // Shares and scores.
        self.scores(inputs, d_mixed, d_shares);
        let length = n * heads * self.lookback;
        let d_shares = &mut d_shares[..length];
        for (d_shares, &d_total) in d_shares.chunks_exact_mut(self.lookback).zip(d_totals.iter()) {
            d_shares.iter_mut().for_each(|d| *d += d_total);
        }
        if let Some((dropout, site)) = dropout {
            dropout.apply(site, d_shares);
        }
        softmax_backward(d_shares, shares, self.lookback);

        // Inputs, where they were mixed and asked.
        d_inputs.fill(T::ZERO);
        self.unmix(kept, d_mixed, d_inputs);
        self.unmix(d_shares, asked, d_inputs);
        let d_asked = d_mixed;
        self.mix(inputs, d_shares, d_asked);
        let scale = self.scale::<T>();
        d_asked[..n * heads * width].iter_mut().for_each(|x| *x *= scale);

        // Keys and queries; no score depends on the keys' bias.
        let d_queries = context;
        for h in 0..heads {
            let d = self.head_of(d_asked, h, n);
            let d_key = &mut d_weight[(width + h * part) * width..];
            let out = MatrixMut::new(d_key, part, width);
            product(out, Write::Add, self.columns(queries, h, n).t(), d);
            product(self.columns_mut(d_queries, h, n), Write::Replace, d, self.rows(w_key, h).t());
        }
        let d = Matrix::new(d_queries, n, width);
        let last = self.last_rows(inputs);
        product(
            MatrixMut::new(&mut d_weight[..width * width], width, width),
            Write::Add,
            d.t(),
            last,
        );
        let bias = &mut self.in_proj.bias_mut(gradients)[..width];
        for d in d_queries.chunks_exact(width) {
            bias.iter_mut().zip(d).for_each(|(sum, &d)| *sum += d);
        }
        let start = (self.lookback - 1) * width;
        let out = MatrixMut::strided(&mut d_inputs[start..], n, width, self.lookback * width);
        let d = Matrix::new(d_queries, n, width);
        product(out, Write::Add, d, Matrix::new(w_query, width, width));
    }

    /// Queries', keys' and values' part of the projection.
    fn parts<'a, T>(&self, weights: &'a [T]) -> [&'a [T]; 3] {
        let third = weights.len() / 3;
        [&weights[..third], &weights[third..2 * third], &weights[2 * third..]]
    }

    fn last_rows<'a, T>(&self, inputs: &'a [T]) -> Matrix<'a, T> {
        let window = self.lookback * self.width;
        let start = window - self.width;
        Matrix::strided(&inputs[start..], inputs.len() / window, self.width, window)
    }

    /// A head's rows of a weight: `(head_width, width)`.
    fn rows<'a, T>(&self, weight: &'a [T], h: usize) -> Matrix<'a, T> {
        let part = self.head_width();
        Matrix::new(&weight[h * part * self.width..], part, self.width)
    }

    /// A head's columns: `(n, head_width)` of `(n, width)`.
    fn columns<'a, T>(&self, x: &'a [T], h: usize, n: usize) -> Matrix<'a, T> {
        Matrix::strided(&x[h * self.head_width()..], n, self.head_width(), self.width)
    }

    fn columns_mut<'a, T>(&self, x: &'a mut [T], h: usize, n: usize) -> MatrixMut<'a, T> {
        MatrixMut::strided(&mut x[h * self.head_width()..], n, self.head_width(), self.width)
    }

    /// A head's numbers: `(n, width)` of `(n, n_heads, width)`.
    fn head_of<'a, T>(&self, x: &'a [T], h: usize, n: usize) -> Matrix<'a, T> {
        Matrix::strided(&x[h * self.width..], n, self.width, self.n_heads * self.width)
    }

    fn head_mut<'a, T>(&self, x: &'a mut [T], h: usize, n: usize) -> MatrixMut<'a, T> {
        MatrixMut::strided(&mut x[h * self.width..], n, self.width, self.n_heads * self.width)
    }

    /// `scores = asked · inputs`, for every window, head and position.
    fn scores<T: Real>(&self, inputs: &[T], asked: &[T], scores: &mut [T]) {
        with_simd(Scores { attention: self, inputs, asked, scores });
    }

    /// `mixed = Σ shares · inputs`, for every window and head.
    fn mix<T: Real>(&self, inputs: &[T], shares: &[T], mixed: &mut [T]) {
        let windows = inputs.chunks_exact(self.lookback * self.width);
        let shares = shares.chunks_exact(self.n_heads * self.lookback);
        let mixed = mixed.chunks_exact_mut(self.n_heads * self.width);
        vectorised(
            #[inline(always)]
            || {
                for ((inputs, shares), mixed) in windows.zip(shares).zip(mixed) {
                    let heads = shares.chunks_exact(self.lookback);
                    for (shares, mixed) in heads.zip(mixed.chunks_exact_mut(self.width)) {
                        mixed.fill(T::ZERO);
                        for (input, &share) in inputs.chunks_exact(self.width).zip(shares) {
                            add_scaled(mixed, share, input);
                        }
                    }
                }
            },
        );
    }

    /// `d_inputs += shares · d`, what went forward by [`mix`](Self::mix) or
    /// [`scores`](Self::scores).
    fn unmix<T: Real>(&self, shares: &[T], d: &[T], d_inputs: &mut [T]) {
        let windows = d_inputs.chunks_exact_mut(self.lookback * self.width);
        let shares = shares.chunks_exact(self.n_heads * self.lookback);
        let d = d.chunks_exact(self.n_heads * self.width);
        vectorised(
            #[inline(always)]
            || {
                for ((d_inputs, shares), d) in windows.zip(shares).zip(d) {
                    for (t, d_input) in d_inputs.chunks_exact_mut(self.width).enumerate() {
                        for (h, d) in d.chunks_exact(self.width).enumerate() {
                            add_scaled(d_input, shares[h * self.lookback + t], d);
                        }
                    }
                }
            },
        );
    }
}

struct Scores<'a, T> {
    attention: &'a SelfAttention,
    inputs: &'a [T],
    asked: &'a [T],
    scores: &'a mut [T],
}

impl<T: Real> WithSimd for Scores<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let &SelfAttention { width, n_heads, lookback, .. } = self.attention;
        let windows = self
            .inputs
            .chunks_exact(lookback * width)
            .zip(self.asked.chunks_exact(n_heads * width))
            .zip(self.scores.chunks_exact_mut(n_heads * lookback));
        for ((inputs, asked), scores) in windows {
            for (t, input) in inputs.chunks_exact(width).enumerate() {
                for (h, asked) in asked.chunks_exact(width).enumerate() {
                    scores[h * lookback + t] = dot(simd, asked, input);
                }
            }
        }
    }
}

/// Every row becomes positive with sum 1; its largest score is taken away first, so nothing
/// overflows.
fn softmax_of_rows<T: Real>(scores: &mut [T], width: usize) {
    vectorised(
        #[inline(always)]
        || {
            for row in scores.chunks_exact_mut(width) {
                let lowest = T::from_f64(f64::NEG_INFINITY);
                let largest = row.iter().fold(lowest, |best, &x| x.larger(best));
                row.iter_mut().for_each(
                    #[inline(always)]
                    |x| *x = (*x - largest).exp(),
                );
                let inverse = T::ONE / row.iter().copied().sum();
                row.iter_mut().for_each(
                    #[inline(always)]
                    |x| *x *= inverse,
                );
            }
        },
    );
}

/// From the derivative by shares to that by scores.
fn softmax_backward<T: Real>(d: &mut [T], shares: &[T], width: usize) {
    vectorised(
        #[inline(always)]
        || {
            for (d, shares) in d.chunks_exact_mut(width).zip(shares.chunks_exact(width)) {
                let mean = d.iter().zip(shares).map(|(&d, &share)| d * share).sum::<T>();
                for (d, &share) in d.iter_mut().zip(shares) {
                    *d = share * (*d - mean);
                }
            }
        },
    );
}
