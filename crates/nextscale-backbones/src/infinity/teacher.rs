use burn::tensor::{Bool, Tensor, TensorData};
use nextscale_core::{ConditionRows, Error, Result, ScaleSchedule};

use super::{
    model::{Conditioning, Infinity},
    rope,
    text::padded,
};
use crate::transformer::{attention::Attention, mask, sequence::scales_of};

impl Infinity {
    /// Teacher-forced logits of all scales at once, `[batch, L, 2·bits]`; those at position i predict the
    /// bits of token i.
    ///
    /// `features` is `[batch, L − 1, bits]`: for each scale from 1 on, the features of the earlier scales
    /// (the tokenizer's `next_input`), concatenated. With features of fewer whole scales, the logits are
    /// those of these scales. Gradients reach the embeddings of the texts, so that their encoder can be
    /// trained too. Nothing is dropped here: a trainer that drops texts passes
    /// [`without_text`](Self::without_text).
    ///
    /// # Errors
    /// If the conditions are not embeddings of the model's width, or the features do not form whole scales.
    pub fn logits(&self, features: Tensor<3>, conditions: &ConditionRows) -> Result<Tensor<3>> {
        self.teach(features, conditions, |_| {})
    }

    /// Texts in which the `dropped` ones are replaced by as many learned rows for no text.
    ///
    /// # Errors
    /// If the conditions are not embeddings, the number of flags differs, or a dropped text is longer than
    /// the learned rows.
    pub fn without_text(&self, conditions: &ConditionRows, dropped: &[bool]) -> Result<ConditionRows> {
        conditions.check()?;
        let ConditionRows::Embeddings { values, mask } = conditions else {
            return Err(Error::Unsupported("Infinity takes embeddings of a text".into()));
        };
        let [batch, longest, width] = values.dims();
        let null = self.null_text();
        let [rows, own] = null.dims();
        if own != width || longest > rows {
            let expected = format!("[{batch}, up to {rows}, {own}]");
            return Err(Error::shape("the embeddings of texts", expected, &[batch, longest, width]));
        }
        if dropped.len() != batch {
            return Err(Error::shape(
                "the texts to drop",
                format!("one flag for each of {batch}"),
                &[dropped.len()],
            ));
        }
        let flags =
            Tensor::<3, Bool>::from_data(TensorData::new(dropped.to_vec(), [batch, 1, 1]), &values.device());
        let null = null.slice_dim(0, 0..longest).unsqueeze::<3>().repeat_dim(0, batch);
        let values = values.clone().mask_where(flags.expand([batch, longest, width]), null);
        Ok(ConditionRows::Embeddings { values, mask: mask.clone() })
    }

    /// As [`logits`](Self::logits); `watch` receives the input of the first block, then the output of each
    /// block.
    fn teach(
        &self,
        features: Tensor<3>,
        conditions: &ConditionRows,
        mut watch: impl FnMut(&Tensor<3>),
    ) -> Result<Tensor<3>> {
        let config = &self.config;
        let scales = scales_of(&config.schedule, features.dims(), conditions.batch(), config.bits)?;
        let Conditioning { start: texts, blocks, head } =
            self.condition_on(padded(conditions, config.text_width)?);
        let mut x = self.teacher_input(features, texts, scales);
        let device = x.device();
        let grids = &config.schedule.grids()[..scales];
        let turns = rope::table(grids, config.positions, config.head_width(), &device);
        // A position sees its own scale and all earlier ones.
        let schedule = ScaleSchedule::new(grids.to_vec())?;
        let mask = mask::on(&schedule, &device);
        watch(&x);
        for (block, (modulation, text)) in self.blocks.iter().zip(blocks) {
            x = block.forward(x, modulation, &text, |projected| {
                Attention::attend(projected.turned(&turns), Some(mask.clone()))
            });
            watch(&x);
        }
        Ok(self.head.forward(x, head))
    }

    /// The input of the first block, `[batch, positions, width]`.
    fn teacher_input(&self, features: Tensor<3>, texts: Tensor<2>, scales: usize) -> Tensor<3> {
        let schedule = &self.config.schedule;
        let first = schedule.grid(0).positions();
        let mut parts = vec![self.embedding.start(texts)];
        for k in 1..scales {
            let start = schedule.offset(k) - first;
            let part = features.clone().slice_dim(1, start..start + schedule.grid(k).positions());
            parts.push(self.embedding.features(part, k));
        }
        Tensor::cat(parts, 1)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use nextscale_core::ScaleSchedule;

    use super::*;
    use crate::infinity::{
        InfinityConfig, Initialisation,
        fixtures::{assert_close, given, model, reference, texts},
    };

    const TOLERANCE: f32 = 5e-4;

    #[test]
    fn teacher_forcing_gives_upstreams_numbers() {
        let schedule = ScaleSchedule::square(&[1, 2, 4, 6, 8]).unwrap();
        for name in ["base", "patchify"] {
            let model = model(name, &schedule, &Device::flex());
            let conditions = given(&reference(&format!("{name}/reference.safetensors")));
            let train = reference(&format!("{name}/reference_vae_train.safetensors"));
            for part in ["tf", "bsc"] {
                let features: Tensor<3> = train.tensor(&format!("{part}.x_wo_prefix"));
                let logits = model.logits(features.clone(), &conditions).unwrap();
                let expected: Tensor<3> = train.tensor(&format!("{part}.logits"));
                assert_close(&logits, &expected, TOLERANCE, &format!("{name} {part}"));
                // Fewer scales have the same logits.
                let few = model.logits(features.slice_dim(1, 0..20), &conditions).unwrap();
                assert_close(&few, &expected.slice_dim(1, 0..21), TOLERANCE, "three scales");
            }
        }
    }

    #[test]
    fn every_parameter_and_the_texts_have_a_gradient() {
        let device = Device::flex().autodiff();
        let schedule = ScaleSchedule::square(&[1, 2, 3]).unwrap();
        let config = InfinityConfig {
            text_width: 8,
            text_rows: 4,
            pool_heads: 2,
            ..InfinityConfig::new([2, 16, 2], 3, schedule)
        };
        let model = config.init(&Initialisation { seed: 1, gate: 1.0 }, &device).unwrap();
        let flat = Tensor::<1>::from_data(
            TensorData::new((0..48).map(|i| (i as f32 * 0.7).sin()).collect::<Vec<_>>(), [48]),
            &device,
        )
        .require_grad();
        let conditions = texts(&flat.clone().reshape([6, 8]), &[4, 2]);
        let dropped = model.without_text(&conditions, &[false, true]).unwrap();
        let features = Tensor::ones([2, 13, 3], &device);
        let loss = |conditions: &ConditionRows| {
            let logits = model.logits(features.clone(), conditions).unwrap();
            (logits.clone() * logits).mean()
        };
        let gradients = loss(&dropped).backward();
        for named in model.parameters() {
            let gradient = named.gradient(&gradients);
            let size: f32 = gradient
                .unwrap_or_else(|| panic!("{} has no gradient", named.key))
                .iter::<f32>()
                .map(f32::abs)
                .sum();
            assert!(size.is_finite() && size > 0.0, "{}: {size}", named.key);
        }
        let of_text: Vec<f32> = flat.grad(&gradients).unwrap().into_data().iter::<f32>().collect();
        assert!(of_text[..32].iter().any(|value| *value != 0.0), "the first text trains its encoder");
        assert!(of_text[32..].iter().all(|value| *value == 0.0), "the dropped one does not");

        // A finite difference along the first text's numbers.
        let at = |step: f32| {
            let moved: Vec<f32> = flat
                .to_data()
                .iter::<f32>()
                .zip(&of_text)
                .map(|(value, slope)| value + step * slope)
                .collect();
            let moved = Tensor::<1>::from_data(TensorData::new(moved, [48]), &device).reshape([6, 8]);
            let conditions = model.without_text(&texts(&moved, &[4, 2]), &[false, true]).unwrap();
            f64::from(loss(&conditions).into_scalar::<f32>())
        };
        let square: f64 = of_text.iter().map(|slope| f64::from(*slope).powi(2)).sum();
        let step = 2e-2 / square.sqrt();
        let slope = (at(step as f32) - at(-step as f32)) / (2.0 * step);
        assert!((slope / square - 1.0).abs() < 0.02, "{slope} for {square}");
    }

    #[test]
    fn texts_that_cannot_be_dropped_and_features_that_fit_no_scales_are_refused() {
        let schedule = ScaleSchedule::square(&[1, 2, 4, 6, 8]).unwrap();
        let model = model("patchify", &schedule, &Device::flex());
        let conditions = given(&reference("patchify/reference.safetensors"));
        let error = model.without_text(&conditions, &[true]).unwrap_err().to_string();
        assert!(error.contains("one flag for each of 2"), "{error}");
        let long = texts(&Tensor::zeros([17, 256], &Device::flex()), &[17]);
        let error = model.without_text(&long, &[true]).unwrap_err().to_string();
        assert!(error.contains("up to 16"), "{error}");
        let features = Tensor::zeros([2, 12, 12], &Device::flex());
        let error = model.logits(features, &conditions).unwrap_err().to_string();
        assert!(error.contains("[2, 12, 12], expected [2, 120, 12]"), "{error}");
    }
}
