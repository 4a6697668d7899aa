use burn::tensor::Tensor;
use nextscale_core::{ConditionRows, Result};

use super::{
    context::Texts,
    model::{Conditioning, Hart, Start},
    rope,
};
use crate::transformer::{
    attention::{Attention, Projected},
    sequence::scales_of,
};

impl Hart {
    /// Teacher-forced logits of all scales at once, `[batch, L, vocabulary]`; those at position i predict
    /// token i. The first are those of the text's last row.
    ///
    /// `features` is `[batch, L − 1, channels]`: for each scale from 1 on, the features of the earlier scales
    /// (the tokenizer's `next_input`), concatenated. With features of fewer whole scales, the logits are
    /// those of these scales. Scores are computed scale by scale, so memory is linear in L.
    ///
    /// # Errors
    /// If the conditions are not embeddings of the model's shape, or the features do not form whole scales.
    pub fn logits(&self, features: Tensor<3>, conditions: &ConditionRows) -> Result<Tensor<3>> {
        let config = &self.config;
        let scales =
            scales_of(&config.schedule, features.dims(), conditions.batch(), config.feature_channels)?;
        let Conditioning { start, blocks, head } = self.condition_on(Texts::of([conditions], config)?);
        let Start { texts, ends, .. } = start;
        let (device, width) = (features.device(), config.head_width());
        let levels = self.embedding.levels(scales);
        let mut x = vec![texts.rows.clone() + levels[0].clone()];
        let mut turns = vec![rope::of_texts(&texts.positions(), width, &device)];
        let of_images = rope::OfImages::new(&ends, &config.schedule, width, &device);
        // Where each scale's rows end; a position sees its own scale and all earlier ones.
        let mut bounds = vec![config.context];
        let mut start = 0;
        for (k, level) in levels.into_iter().enumerate().skip(1) {
            let grid = config.schedule.grid(k);
            let part = features.clone().slice_dim(1, start..start + grid.positions());
            x.push(self.embedding.words(part) + level);
            turns.push(of_images.at(&ends, k));
            start += grid.positions();
            bounds.push(config.context + start);
        }
        let (mut x, turns) = (Tensor::cat(x, 1), Tensor::cat(turns, 1));
        for (block, modulation) in self.blocks.iter().zip(blocks) {
            x = block
                .forward(x, modulation, |projected| causal(&projected.turned_by_halves(&turns), &bounds));
        }
        let length = x.dims()[1];
        Ok(self.head.forward(x.slice_dim(1, config.context - 1..length), head))
    }
}

/// Attention in which the positions up to each bound see all up to it.
fn causal(projected: &Projected, bounds: &[usize]) -> Tensor<3> {
    let starts = std::iter::once(0).chain(bounds.iter().copied());
    let parts = starts.zip(bounds).map(|(start, &end)| {
        let Projected { queries, keys, values, mixed } = projected.clone();
        let own = Projected {
            queries: queries.slice_dim(1, start..end),
            keys: keys.slice_dim(1, 0..end),
            values: values.slice_dim(1, 0..end),
            mixed,
        };
        Attention::attend(own, None)
    });
    Tensor::cat(parts.collect(), 1)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};
    use nextscale_core::{PassCondition, ScaleSchedule};

    use super::*;
    use crate::hart::{
        HartConfig, Initialisation, Levels, Modulated, Pooling,
        fixtures::{GROUPS, assert_close, conditions, input, model, reference},
    };

    #[test]
    fn teacher_forcing_gives_the_logits_of_generation() {
        for group in GROUPS {
            let reference = reference(&format!("{group}/reference.safetensors"));
            let model = model(group, &Device::flex());
            let conditions = conditions(&reference);
            let features = Tensor::cat((1..6).filter_map(|k| input(&reference, k)).collect(), 1);
            for (side, name) in
                [(PassCondition::Given, "logits_cond"), (PassCondition::Negative, "logits_uncond")]
            {
                let logits = model.logits(features.clone(), conditions.rows(side).unwrap()).unwrap();
                let expected: Vec<Tensor<3>> =
                    (0..6).map(|k| reference.tensor(&format!("{name}.{k}"))).collect();
                assert_close(&logits, &Tensor::cat(expected, 1), 5e-4, &format!("{group} {name}"));
            }
            // Fewer scales have the same logits.
            let few = features.clone().slice_dim(1, 0..13);
            let few = model.logits(few, conditions.rows(PassCondition::Given).unwrap()).unwrap();
            let expected: Vec<Tensor<3>> =
                (0..3).map(|k| reference.tensor(&format!("logits_cond.{k}"))).collect();
            assert_close(&few, &Tensor::cat(expected, 1), 5e-4, "three scales");
            let whole = conditions.rows(PassCondition::Given).unwrap();
            let error = model.logits(features.slice_dim(1, 0..12), whole).unwrap_err().to_string();
            assert!(error.contains("[2, 12, 8], expected [2, 129, 8]"), "{error}");
        }
    }

    #[test]
    fn every_parameter_of_the_transformer_has_a_gradient() {
        let device = Device::flex().autodiff();
        for modulated in [Modulated::Nothing, Modulated::ByOffset, Modulated::ByProjection(Pooling::Max)] {
            let config = HartConfig {
                depth: 2,
                width: 16,
                heads: 2,
                hidden: 24,
                vocabulary: 5,
                feature_channels: 3,
                context: 4,
                text_width: 6,
                levels: Levels::Table(3),
                modulated,
                residual: None,
                ..HartConfig::published(Some(&ScaleSchedule::square(&[1, 2, 3]).unwrap())).unwrap()
            };
            let model = config.init(&Initialisation { seed: 1, gate: 1.0 }, &device).unwrap();
            let values = |count: usize| (0..count).map(|i| (i as f32 * 0.7).sin()).collect::<Vec<f32>>();
            let rows = ConditionRows::Embeddings {
                values: Tensor::from_data(TensorData::new(values(48), [2, 4, 6]), &device),
                mask: Tensor::from_data([[true, true, false, false], [true, true, true, true]], &device),
            };
            let features = Tensor::from_data(TensorData::new(values(78), [2, 13, 3]), &device);
            let logits = model.logits(features, &rows).unwrap();
            let gradients = (logits.clone() * logits).mean().backward();
            for named in model.parameters() {
                let gradient = named.gradient(&gradients);
                let size: f32 = gradient
                    .unwrap_or_else(|| panic!("{} has no gradient", named.key))
                    .iter::<f32>()
                    .map(f32::abs)
                    .sum();
                assert!(size.is_finite() && size > 0.0, "{}: {size}", named.key);
            }
        }
    }
}
