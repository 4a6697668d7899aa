//! A deeper model from a shallower one's weights.

use burn::{
    module::Param,
    tensor::{Device, Tensor},
};
use nextscale_core::Dtype;
use nextscale_weights::{LoadError, WeightFile};

use super::{config::VarConfig, init::Fresh, load::fitting, model::Var};
use crate::transformer::{Initialisation, Weight, keys::Supply, stored::Loader, to_train};

impl Var {
    /// As [`load`](Self::load), to continue training; compare [`VarConfig::init_to_train`] for fresh weights.
    ///
    /// The model may have more blocks than the file. They follow the file's own, with fresh weights except
    /// that their last layers, `attn.proj` and `ffn.fc2`, are zero: the deeper model starts with the same
    /// logits as the file's.
    ///
    /// # Errors
    /// As [`open`](Self::open), or if the processor or the device does not support the precision. `config`
    /// may differ from the file only in a greater depth.
    pub fn load_to_train(
        file: &WeightFile,
        config: &VarConfig,
        initialisation: &Initialisation,
        device: &Device,
        dtype: Dtype,
    ) -> Result<Self, LoadError> {
        let depth = VarConfig::infer(file, Some(&config.schedule))?.depth.min(config.depth);
        let file = fitting(file, &VarConfig { depth, ..config.clone() })?;
        let supply = Grown {
            loader: Loader { file: &file, device },
            fresh: Fresh { config, initialisation, device },
            depth,
        };
        to_train::build(supply, config, device, dtype)
    }
}

/// Supplies a file's tensors, and fresh ones for the blocks from `depth` on.
struct Grown<'a> {
    loader: Loader<'a>,
    fresh: Fresh<'a>,
    depth: usize,
}

impl Grown<'_> {
    fn is_new(&self, key: &str) -> bool {
        let block = key.strip_prefix("blocks.").and_then(|rest| rest.split('.').next());
        block.and_then(|index| index.parse().ok()).is_some_and(|index: usize| index >= self.depth)
    }
}

impl Supply for Grown<'_> {
    type Error = LoadError;

    fn param<const D: usize>(
        &mut self,
        key: &str,
        shape: [usize; D],
    ) -> Result<Param<Tensor<D>>, Self::Error> {
        // In fresh weights, the biases of a block's last layers are zero.
        if self.is_new(key) { Ok(self.fresh.param(key, shape)?) } else { self.loader.param(key, shape) }
    }

    fn matrix(&mut self, key: &str, inner: usize, out: usize) -> Result<Weight, Self::Error> {
        if !self.is_new(key) {
            return self.loader.matrix(key, inner, out);
        }
        if key.ends_with("attn.proj.weight") || key.ends_with("ffn.fc2.weight") {
            let zeros = Tensor::zeros([inner, out], self.fresh.device);
            return Ok(Weight::Plain(Param::from_tensor(zeros)));
        }
        Ok(self.fresh.matrix(key, inner, out)?)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use burn::tensor::TensorData;
    use nextscale_core::ConditionRows;

    use super::*;
    use crate::var::fixtures::{model, path};

    #[test]
    fn a_deeper_model_begins_with_the_logits_of_the_shallower() {
        let device = Device::flex().autodiff();
        for name in ["aln", "saln"] {
            let shallow = model(name, &Device::flex());
            let file = WeightFile::open(path(&format!("var_{name}.safetensors"))).unwrap();
            let deeper = VarConfig { depth: 4, ..shallow.config().clone() };
            let start = Initialisation { seed: 3, gate: 0.1 };
            let grown = Var::load_to_train(&file, &deeper, &start, &device, Dtype::F32).unwrap();
            assert_eq!(grown.config(), &deeper);

            let features = Tensor::random([1, 29, 8], burn::tensor::Distribution::Default, &Device::flex());
            let classes = ConditionRows::Classes(vec![Some(3)]);
            let logits = grown.logits(features.clone().autodiff(), &classes).unwrap().inner();
            assert_eq!(logits.into_data(), shallow.logits(features, &classes).unwrap().into_data());

            // Everything in a new block except its last matrices is fresh, so it can learn.
            let tensors: BTreeMap<String, TensorData> = grown.tensors().collect();
            let size = |key: &str| tensors[key].iter::<f32>().map(f32::abs).sum::<f32>();
            for block in [2, 3] {
                assert!(size(&format!("blocks.{block}.attn.mat_qkv.weight")) > 0.0);
                assert!(size(&format!("blocks.{block}.ffn.fc1.weight")) > 0.0);
            }
        }
    }

    #[test]
    fn a_shallower_model_and_one_of_another_width_are_refused() {
        let config = model("aln", &Device::flex()).config().clone();
        let file = WeightFile::open(path("var_aln.safetensors")).unwrap();
        let refused = |config: VarConfig| {
            let start = Initialisation::default();
            let grown = Var::load_to_train(&file, &config, &start, &Device::flex().autodiff(), Dtype::F32);
            grown.unwrap_err().to_string()
        };
        let message = refused(VarConfig { depth: 1, ..config.clone() });
        assert!(message.contains("blocks.1."), "{message}");
        let message = refused(VarConfig { width: 32, ..config });
        assert!(message.contains("has shape"), "{message}");
    }
}
