//! Finite differences beside backward passes, in `f64`.

use crate::dropout::Dropout;
use crate::network::Network;

/// Numbers without a pattern, about standard normal.
pub(crate) fn noise(seed: u64, n: usize) -> Vec<f64> {
    let mut layout = crate::layout::Layout::default();
    layout.add("noise", &[n], crate::layout::Init::Normal(1.0));
    layout.draw(seed).into_iter().map(f64::from).collect()
}

/// Largest error of `gradient` against central differences of `loss`, relative to the gradient's
/// largest number.
pub(crate) fn worst_error(
    at: &[f64],
    gradient: &[f64],
    mut loss: impl FnMut(&[f64]) -> f64,
) -> f64 {
    let step = 1e-5;
    let scale = gradient.iter().fold(1e-12, |m: f64, g| m.max(g.abs()));
    let mut x = at.to_vec();
    let mut worst: f64 = 0.0;
    for i in 0..x.len() {
        x[i] = at[i] + step;
        let up = loss(&x);
        x[i] = at[i] - step;
        let down = loss(&x);
        x[i] = at[i];
        worst = worst.max(((up - down) / (2.0 * step) - gradient[i]).abs() / scale);
    }
    worst
}

/// Checks a layer's backward pass by every weight and every input.
///
/// - `forward`: outputs of weights and inputs
/// - `backward`: the loss's derivative by inputs and by weights, of weights, inputs and its
///   derivative by outputs
pub(crate) fn check_layer(
    [weights, inputs]: [&[f64]; 2],
    forward: impl Fn(&[f64], &[f64]) -> Vec<f64>,
    backward: impl Fn(&[f64], &[f64], &[f64]) -> [Vec<f64>; 2],
) {
    let pull = noise(99, forward(weights, inputs).len());
    let [d_inputs, gradients] = backward(weights, inputs, &pull);
    let weigh = |outputs: Vec<f64>| outputs.iter().zip(&pull).map(|(y, p)| y * p).sum::<f64>();
    let worst = worst_error(inputs, &d_inputs, |inputs| weigh(forward(weights, inputs)));
    assert!(worst < 1e-6, "by inputs: relative error {worst:e}");
    let worst = worst_error(weights, &gradients, |weights| weigh(forward(weights, inputs)));
    assert!(worst < 1e-6, "by weights: relative error {worst:e}");
}

/// Checks a whole network's gradients by every weight, for a loss that weighs its outputs
/// unevenly, in a workspace that is larger than the batch and has been used before.
pub(crate) fn check_network<N: Network>(network: &N, batch: usize, dropout: Option<Dropout>) {
    let weights: Vec<f64> = network.layout().draw(3).into_iter().map(f64::from).collect();
    // Away from zeros and ones of the draw, so that no gradient vanishes by symmetry.
    let jitter = noise(4, weights.len());
    let weights: Vec<f64> = weights.iter().zip(jitter).map(|(w, j)| w + 0.05 * j).collect();
    let inputs = noise(5, batch * network.lookback() * network.n_features());
    let pull = noise(6, batch * network.n_outputs());
    let mut workspace = network.workspace::<f64>(batch + 1);
    let mut outputs = vec![0.0; batch * network.n_outputs()];
    let mut loss = |weights: &[f64]| {
        network.forward(weights, &inputs, dropout, &mut workspace, &mut outputs);
        outputs.iter().zip(&pull).map(|(y, p)| 0.5 * y * y * p.abs() + y * p).sum::<f64>()
    };
    loss(&weights);
    let mut gradients = vec![0.0; weights.len()];
    let mut outputs = vec![0.0; batch * network.n_outputs()];
    let mut workspace = network.workspace::<f64>(batch + 1);
    for round in 0..2 {
        // Gradients are added: after the second round they have doubled.
        network.forward(&weights, &inputs, dropout, &mut workspace, &mut outputs);
        let d: Vec<f64> = outputs.iter().zip(&pull).map(|(y, p)| y * p.abs() + p).collect();
        network.backward(&weights, &inputs, dropout, &d, &mut workspace, &mut gradients);
        if round == 0 {
            let worst = worst_error(&weights, &gradients, &mut loss);
            assert!(worst < 1e-6, "relative error {worst:e}");
            for p in network.layout().parameters() {
                let moved = gradients[p.range.clone()].iter().any(|&g| g != 0.0);
                assert!(moved, "{} has no gradient", p.name);
            }
        }
    }
    let first =
        worst_error(&weights, &gradients.iter().map(|g| g / 2.0).collect::<Vec<_>>(), &mut loss);
    assert!(first < 1e-6, "gradients are not added: {first:e}");
}
