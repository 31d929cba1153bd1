use crate::network::Network;
use crate::transformer_network::TransformerNetwork;

/// The full model in plain loops: every position in every layer.
pub(super) struct Plain<'a> {
    pub(super) network: &'a TransformerNetwork,
    pub(super) weights: &'a [f64],
}

impl Plain<'_> {
    fn tensor(&self, name: &str) -> &[f64] {
        let parameters = self.network.layout().parameters();
        let found = parameters.iter().find(|p| p.name == name);
        &self.weights[found.unwrap_or_else(|| panic!("no {name}")).range.clone()]
    }

    fn linear(&self, weight: &str, bias: &str, x: &[f64]) -> Vec<f64> {
        let (w, b) = (self.tensor(weight), self.tensor(bias));
        let dot = |row: &[f64]| row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
        w.chunks_exact(x.len()).zip(b).map(|(row, b)| dot(row) + b).collect()
    }

    fn norm(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let (scale, shift) =
            (self.tensor(&format!("{name}.weight")), self.tensor(&format!("{name}.bias")));
        let n = x.len() as f64;
        let mean = x.iter().sum::<f64>() / n;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        let columns = x.iter().zip(scale).zip(shift);
        columns
            .map(|((x, scale), shift)| (x - mean) / (variance + 1e-5).sqrt() * scale + shift)
            .collect()
    }

    fn attention(&self, name: &str, n_heads: usize, x: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let [weight, bias] = ["in_proj_weight", "in_proj_bias"].map(|s| format!("{name}.{s}"));
        let projected: Vec<_> = x.iter().map(|x| self.linear(&weight, &bias, x)).collect();
        let width = x[0].len();
        let part = width / n_heads;
        let answer = |t: usize| {
            let mut context = vec![0.0; width];
            for h in 0..n_heads {
                let query = &projected[t][h * part..][..part];
                let scores: Vec<f64> = projected
                    .iter()
                    .map(|p| {
                        let key = &p[width + h * part..][..part];
                        query.iter().zip(key).map(|(q, k)| q * k).sum::<f64>()
                            / (part as f64).sqrt()
                    })
                    .collect();
                let largest = scores.iter().copied().fold(f64::MIN, f64::max);
                let total: f64 = scores.iter().map(|s| (s - largest).exp()).sum();
                for (score, p) in scores.iter().zip(&projected) {
                    for d in 0..part {
                        context[h * part + d] +=
                            (score - largest).exp() / total * p[2 * width + h * part + d];
                    }
                }
            }
            let [weight, bias] =
                ["out_proj.weight", "out_proj.bias"].map(|s| format!("{name}.{s}"));
            self.linear(&weight, &bias, &context)
        };
        (0..x.len()).map(answer).collect()
    }

    /// What comes out of one window: `(lookback, n_features)`.
    pub(super) fn answer(&self, n_layers: usize, n_heads: usize, window: &[f64]) -> f64 {
        let n_features = self.network.n_features();
        let positions = self.tensor("position.weight");
        let width = positions.len() / self.network.lookback();
        let mut x: Vec<Vec<f64>> = window
            .chunks_exact(n_features)
            .zip(positions.chunks_exact(width))
            .map(|(record, position)| {
                let x = self.linear("input.weight", "input.bias", record);
                x.iter().zip(position).map(|(x, p)| x + p).collect()
            })
            .collect();
        let add = |x: &mut Vec<Vec<f64>>, y: Vec<Vec<f64>>| {
            for (x, y) in x.iter_mut().flatten().zip(y.iter().flatten()) {
                *x += y;
            }
        };
        for i in 0..n_layers {
            let name = format!("encoder.layers.{i}");
            let normed: Vec<_> = x.iter().map(|x| self.norm(&format!("{name}.norm1"), x)).collect();
            add(&mut x, self.attention(&format!("{name}.self_attn"), n_heads, &normed));
            let fed = x.iter().map(|x| {
                let x = self.norm(&format!("{name}.norm2"), x);
                let [w1, b1, w2, b2] =
                    ["linear1.weight", "linear1.bias", "linear2.weight", "linear2.bias"]
                        .map(|s| format!("{name}.{s}"));
                let hidden = self.linear(&w1, &b1, &x);
                let gelu = |x: &f64| 0.5 * x * (1.0 + libm::erf(x / 2.0_f64.sqrt()));
                self.linear(&w2, &b2, &hidden.iter().map(gelu).collect::<Vec<_>>())
            });
            let fed = fed.collect();
            add(&mut x, fed);
        }
        let last = self.norm("encoder.norm", &x[x.len() - 1]);
        self.linear("head.weight", "head.bias", &last)[0]
    }
}
