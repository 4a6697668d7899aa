//! Cross-entropy over tokens with its gradient written out.

use burn::tensor::{IndexingUpdateOp, Int, Tensor};
use nextscale_kernels::softmax;

/// The cross-entropy of logits `[batch, positions, channels]` and targets `[batch, positions]`.
pub struct CrossEntropy {
    /// A scalar to differentiate: its gradient is that of the mean cross-entropy; its value is not.
    pub gradient_carrier: Tensor<1>,
    /// The cross-entropy of every position in nats, `[batch · positions]`.
    pub values: Vec<f32>,
}

/// Computes both, of logits `[batch, positions, channels]` and targets `[batch, positions]`. The gradient, (softmax − one-hot) / positions, is known beforehand, so it is carried by a product with
/// the logits: one pass forward and back in place of a differentiated softmax, gather and logarithm.
pub fn cross_entropy(logits: Tensor<3>, targets: Tensor<2, Int>) -> CrossEntropy {
    let [batch, positions, _] = logits.dims();
    let plain = logits.clone().inner();
    let targets: Tensor<3, Int> = targets.inner().unsqueeze_dim(2);
    let probabilities = softmax(plain);
    let chosen = probabilities.clone().gather(2, targets.clone());
    let values = chosen.clone().into_data().iter::<f32>().map(|p| -p.max(f32::MIN_POSITIVE).ln()).collect();
    let residual = probabilities.scatter(2, targets, chosen.ones_like().neg(), IndexingUpdateOp::Add);
    let residual = residual.div_scalar((batch * positions) as f32);
    let residual = if logits.is_autodiff() { residual.autodiff() } else { residual };
    CrossEntropy { gradient_carrier: (logits * residual).sum(), values }
}

#[cfg(test)]
mod tests {
    use burn::tensor::activation::log_softmax;
    use burn::tensor::{Device, Distribution, TensorData};

    use super::*;

    #[test]
    fn value_and_gradient_are_those_of_the_differentiated_log_softmax() {
        let device = Device::flex().autodiff();
        let data =
            Tensor::<3>::random([2, 3, 7], Distribution::Normal(0.0, 4.0), &Device::flex()).into_data();
        let logits = || Tensor::<3>::from_data(data.clone(), &device).require_grad();
        let targets =
            Tensor::<2, Int>::from_data(TensorData::new(vec![0i64, 6, 3, 2, 2, 5], [2, 3]), &device);
        let (reference, ours) = (logits(), logits());
        let index: Tensor<3, Int> = targets.clone().unsqueeze_dim(2);
        let loss = log_softmax(reference.clone(), 2).gather(2, index).mean().neg();
        let found = cross_entropy(ours.clone(), targets);
        let mean = found.values.iter().sum::<f32>() / 6.0;
        assert!((mean - loss.clone().into_scalar::<f32>()).abs() < 1e-5);
        let expected = reference.grad(&loss.backward()).unwrap();
        let gradient = ours.grad(&found.gradient_carrier.backward()).unwrap();
        let difference: f32 = (gradient - expected).abs().max().into_scalar();
        assert!(difference < 1e-6, "{difference}");
    }
}
