use burn::tensor::Tensor;
use nextscale_core::{ConditionRows, Result, ScaleSchedule};

use super::{conditioning::Conditioning, model::Var};
use crate::transformer::{attention::Attention, mask, sequence::scales_of};

impl Var {
    /// Teacher-forced logits of all scales at once, `[batch, L, vocabulary]`; those at position i predict
    /// token i.
    ///
    /// `features` is `[batch, L − positions of scale 0, channels]`: for each scale from 1 on, the features of
    /// the earlier scales (the tokenizer's `next_input`), concatenated. With features of fewer whole scales,
    /// the logits are those of these scales (progressive training). Nothing is dropped here: a trainer that
    /// drops labels passes null rows.
    ///
    /// # Errors
    /// If a label is out of range, or the features do not form whole scales.
    pub fn logits(&self, features: Tensor<3>, conditions: &ConditionRows) -> Result<Tensor<3>> {
        self.teach(features, conditions, |_| {})
    }

    /// As [`logits`](Self::logits); `watch` receives the input of the first block, then the output of each
    /// block.
    fn teach(
        &self,
        features: Tensor<3>,
        conditions: &ConditionRows,
        mut watch: impl FnMut(&Tensor<3>),
    ) -> Result<Tensor<3>> {
        let (batch, channels) = (conditions.batch(), self.config.feature_channels);
        let scales = scales_of(&self.config.schedule, features.dims(), batch, channels)?;
        let rows = self.class_rows(conditions)?;
        let Conditioning { start, blocks, head } = self.condition_on(&rows);
        let mut x = self.teacher_input(features, start, scales);
        // A position sees its own scale and all earlier ones.
        let schedule = ScaleSchedule::new(self.config.schedule.grids()[..scales].to_vec())?;
        let mask = mask::on(&schedule, &x.device());
        watch(&x);
        for (block, modulation) in self.blocks.iter().zip(blocks) {
            x = block.forward(x, modulation, |projected| Attention::attend(projected, Some(mask.clone())));
            watch(&x);
        }
        Ok(self.head.forward(x, head))
    }

    /// The input of the first block, `[batch, positions, width]`.
    fn teacher_input(&self, features: Tensor<3>, classes: Tensor<2>, scales: usize) -> Tensor<3> {
        let schedule = &self.config.schedule;
        let first = schedule.grid(0).positions();
        let mut parts = vec![self.embedding.start(classes, schedule)];
        for k in 1..scales {
            let start = schedule.offset(k) - first;
            let part = features.clone().slice_dim(1, start..start + schedule.grid(k).positions());
            parts.push(self.embedding.features(part, schedule, k));
        }
        Tensor::cat(parts, 1)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Int, activation::log_softmax};

    use super::*;
    use crate::var::fixtures::{assert_close, labels, model, reference, rows};

    const TOLERANCE: f32 = 1e-4;

    #[test]
    fn teacher_forcing_gives_upstreams_numbers() {
        for name in ["aln", "saln"] {
            let (model, reference) = (model(name, &Device::flex()), reference(name));
            let features: Tensor<3> = reference.tensor("tf.x_BLCv");
            let mut seen = Vec::new();
            let logits =
                model.teach(features.clone(), &rows(&labels(&reference)), |x| seen.push(x.clone())).unwrap();
            assert_eq!(seen.len(), 3);
            assert_close(&seen[0], &reference.tensor("tf.x_in"), TOLERANCE, "tf.x_in");
            assert_close(&seen[1], &reference.tensor("tf.block0"), TOLERANCE, "tf.block0");
            assert_close(&seen[2], &reference.tensor("tf.block1"), TOLERANCE, "tf.block1");
            assert_close(&logits, &reference.tensor("tf.logits"), TOLERANCE, "tf.logits");
            let null = model.logits(features, &ConditionRows::Classes(vec![None; 2])).unwrap();
            assert_close(&null, &reference.tensor("tf.logits_null"), TOLERANCE, "tf.logits_null");
        }
    }

    /// Cross-entropy with label smoothing, `[batch, positions]`.
    fn loss_per_token(logits: Tensor<3>, tokens: Tensor<2, Int>, smoothing: f64) -> Tensor<2> {
        let log = log_softmax(logits, 2);
        let chosen: Tensor<2> = log.clone().gather(2, tokens.unsqueeze_dim(2)).squeeze_dim(2);
        chosen * (smoothing - 1.0) - log.mean_dim(2).squeeze_dim(2) * smoothing
    }

    #[test]
    fn losses_and_gradients_are_upstreams() {
        let device = Device::flex().autodiff();
        for name in ["aln", "saln"] {
            let (model, reference) = (model(name, &device), reference(name));
            let features: Tensor<3> =
                Tensor::from_data(reference.tensor::<3>("tf.x_BLCv").into_data(), &device);
            let tokens: Tensor<2, Int> =
                Tensor::from_data(reference.ints::<2>("tf.tokens").into_data(), &device);
            let logits = model.logits(features, &rows(&labels(&reference))).unwrap();
            let plain = loss_per_token(logits.clone(), tokens.clone(), 0.0);
            let smooth = loss_per_token(logits, tokens, 0.1);
            assert_close(
                &plain.clone().inner(),
                &reference.tensor("train.per_token_ls0"),
                TOLERANCE,
                "plain",
            );
            assert_close(
                &smooth.clone().inner(),
                &reference.tensor("train.per_token_ls0.1"),
                TOLERANCE,
                "smooth",
            );
            assert_close(&plain.mean().inner(), &reference.tensor("train.loss_ls0"), TOLERANCE, "loss");
            let loss = smooth.mean();
            assert_close(
                &loss.clone().inner(),
                &reference.tensor("train.loss_ls0.1"),
                TOLERANCE,
                "smooth loss",
            );

            let gradients = loss.backward();
            let norms = crate::var::fixtures::gradient_norms(name);
            let (mut total, mut compared) = (0.0, 0);
            for named in model.parameters() {
                let gradient = named.gradient(&gradients).expect("every parameter has a gradient");
                let values: Vec<f32> = gradient.iter::<f32>().collect();
                let square: f64 = values.iter().map(|&value| f64::from(value).powi(2)).sum();
                let norm = norms[&named.key].as_f64().unwrap();
                assert!((square.sqrt() - norm).abs() < 1e-4, "{}: {} for {norm}", named.key, square.sqrt());
                total += square;
                if let Some((expected, shape)) = reference.values(&format!("train.grad.{}", named.key)) {
                    compared += 1;
                    assert_eq!(gradient.shape().to_vec(), shape, "{}", named.key);
                    for (value, expected) in values.iter().zip(expected) {
                        assert!(
                            (value - expected).abs() < TOLERANCE,
                            "{}: {value} for {expected}",
                            named.key
                        );
                    }
                }
            }
            assert_eq!(norms.len(), model.parameters().len());
            assert_eq!(compared, reference.names().filter(|name| name.starts_with("train.grad.")).count());
            let expected = reference.tensor::<1>("train.grad_total_norm").into_scalar::<f32>();
            assert!((total.sqrt() - f64::from(expected)).abs() < 1e-4, "{} for {expected}", total.sqrt());
        }
    }

    #[test]
    fn fewer_scales_give_the_same_logits_for_those() {
        let (model, reference) = (model("aln", &Device::flex()), reference("aln"));
        let features: Tensor<3> = reference.tensor("tf.x_BLCv");
        let logits = model.logits(features.slice_dim(1, 0..13), &rows(&labels(&reference))).unwrap();
        let expected: Tensor<3> = reference.tensor("tf.logits");
        assert_close(&logits, &expected.slice_dim(1, 0..14), TOLERANCE, "three scales");
    }

    #[test]
    fn features_that_fit_no_scales_are_refused() {
        let model = model("aln", &Device::flex());
        let features = Tensor::zeros([1, 12, 8], &Device::flex());
        let error = model.logits(features, &ConditionRows::Classes(vec![Some(0)])).unwrap_err().to_string();
        assert!(error.contains("[1, 12, 8], expected [1, 29, 8]"), "{error}");
        let features = Tensor::zeros([1, 29, 8], &Device::flex());
        let error = model.logits(features, &ConditionRows::Classes(vec![Some(10)])).unwrap_err().to_string();
        assert!(error.contains("label 10 is out of range; the model has classes 0 to 9"), "{error}");
    }
}
