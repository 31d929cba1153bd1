use tch::{Device, TchError, Tensor};

use crate::layout::Layout;

/// Keeps a network's weights as tensors that share one flat tensor, in a [`Layout`]'s order.
///
/// The optimiser and the exchange with the other backend see the flat one, layers the named ones.
#[derive(Debug)]
pub struct Weights {
    flat: Tensor,
    named: Vec<(String, Tensor)>,
}

impl Weights {
    /// Puts weights on a device; `tracked` when their gradients will be wanted.
    pub(crate) fn new(
        layout: &Layout,
        values: &[f32],
        device: Device,
        tracked: bool,
    ) -> Result<Self, TchError> {
        let flat = Tensor::f_from_slice(values)?.f_to_device(device)?;
        let mut named = Vec::new();
        for parameter in layout.parameters() {
            let shape: Vec<i64> = parameter.shape.iter().map(|&n| n as i64).collect();
            let (start, len) = (parameter.range.start as i64, parameter.range.len() as i64);
            let tensor = flat.f_narrow(0, start, len)?.f_view(shape.as_slice())?.f_detach()?;
            let tensor = tensor.f_set_requires_grad(tracked)?;
            named.push((parameter.name.clone(), tensor));
        }
        Ok(Self { flat, named })
    }

    /// Where they are.
    pub(crate) fn device(&self) -> Device {
        self.flat.device()
    }

    /// All of them, `(n,)`; writing to it changes the named ones.
    pub(crate) fn flat(&mut self) -> &mut Tensor {
        &mut self.flat
    }

    /// The named ones, in the layout's order.
    pub(crate) fn tensors(&self) -> Vec<&Tensor> {
        self.named.iter().map(|(_, tensor)| tensor).collect()
    }

    /// One of them by its name.
    pub(crate) fn find(&self, name: &str) -> Result<&Tensor, TchError> {
        let found = self.named.iter().find(|(known, _)| known == name);
        found.map(|(_, tensor)| tensor).ok_or_else(|| {
            TchError::TensorNameNotFound(name.to_owned(), "the network's weights".to_owned())
        })
    }

    /// `name.weight` and `name.bias` applied as a linear layer.
    pub(crate) fn linear(&self, name: &str, inputs: &Tensor) -> Result<Tensor, TchError> {
        let bias = self.find(&format!("{name}.bias"))?;
        inputs.f_linear(self.find(&format!("{name}.weight"))?, Some(bias))
    }

    /// Copies them from the device.
    pub(crate) fn to_vec(&self) -> Result<Vec<f32>, TchError> {
        let mut values = vec![0.0_f32; self.flat.numel()];
        let len = values.len();
        self.flat.f_copy_data(&mut values, len)?;
        Ok(values)
    }
}
