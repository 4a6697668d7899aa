use burn::tensor::Device;
use nextscale_core::Dtype;
use nextscale_weights::{ExpectedTensors, LoadError, WeightFile};

use super::{config::HartConfig, model::Hart};
use crate::transformer::{
    keys::Architecture,
    laid_out,
    stored::{Loader, asked},
};

impl Hart {
    /// Loads a model of this architecture. Every name and shape is checked before any value is read, and
    /// tensors are read one by one: at most one is held twice. Upstream's masks, which can be hundreds of
    /// megabytes, are not read.
    ///
    /// # Errors
    /// If the file is not a HART transformer, or a tensor is missing, unexpected or misshapen.
    pub fn load(file: &WeightFile, config: &HartConfig, device: &Device) -> Result<Self, LoadError> {
        let file = fitting(file, config)?;
        config.build(&mut Loader { file: &file, device })
    }

    /// As [`load`](Self::load), for generation only: on the CPU, the weights of linear layers are packed,
    /// which makes products faster. Such a model gives logits and can be saved, but has no gradients.
    ///
    /// # Errors
    /// As [`load`](Self::load), or if the processor or the device does not support the precision.
    pub fn load_to_generate(
        file: &WeightFile,
        config: &HartConfig,
        device: &Device,
        dtype: Dtype,
    ) -> Result<Self, LoadError> {
        let file = fitting(file, config)?;
        laid_out::build(Loader { file: &file, device }, config, device, dtype)
    }
}

/// The file at the dictionary that holds a model of this architecture, after checking names and shapes.
fn fitting(file: &WeightFile, config: &HartConfig) -> Result<WeightFile, LoadError> {
    config.check()?;
    let file = HartConfig::rooted(file)?;
    config.expected().check(&file)?;
    Ok(file)
}

impl HartConfig {
    /// The tensors of a checkpoint of this architecture, by upstream's keys. Buffers may be absent, and so
    /// may the diffusion head where this is a model without it.
    pub fn expected(&self) -> ExpectedTensors {
        let name = format!("a HART transformer of {} blocks of width {}", self.depth, self.width);
        let expected = ["lvl_1L", "attn_bias_for_masking", "*.attn.zero_k_bias"]
            .into_iter()
            .fold(ExpectedTensors::new(name), ExpectedTensors::ignore);
        let head = ["diffloss.*", "decoder_norm.weight"];
        let expected = match self.residual {
            Some(_) => expected,
            None => head.into_iter().fold(expected, ExpectedTensors::ignore),
        };
        asked(expected, self)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use burn::tensor::{Tensor, TensorData};
    use nextscale_core::PassCondition;
    use nextscale_weights::{Precision, save_safetensors};

    use super::*;
    use crate::hart::fixtures::{conditions, config, input, model, opened, reference};

    fn logits(model: &Hart) -> TensorData {
        let reference = reference("main/reference.safetensors");
        let conditions = conditions(&reference);
        let features = Tensor::cat((1..6).filter_map(|k| input(&reference, k)).collect(), 1);
        model.logits(features, conditions.rows(PassCondition::Given).unwrap()).unwrap().into_data()
    }

    #[test]
    fn every_form_of_the_file_is_the_same_model() {
        let device = Device::flex();
        let whole = model("main", &device);
        let expected = logits(&whole);
        // The average of the weights is another model, under the same names.
        let averaged = opened("main/llm/ema_model.bin");
        let averaged = Hart::load(&averaged, &config("main"), &device).unwrap();
        assert_eq!(averaged.parameters().len(), whole.parameters().len());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hart.safetensors");
        whole.save(&path, Precision::F32).unwrap();
        let own = WeightFile::open(&path).unwrap();
        let mut inferred = HartConfig::infer(&own, None, None).unwrap();
        // The strength of the head's guidance is not the file's.
        inferred.residual.as_mut().unwrap().cfg = config("main").residual.unwrap().cfg;
        assert_eq!(inferred, config("main"));
        assert_eq!(logits(&Hart::load(&own, &inferred, &device).unwrap()), expected);
        let packed = Hart::load_to_generate(&own, &inferred, &device, Dtype::F32).unwrap();
        assert!(packed.tensors().eq(whole.tensors()));
        // Without its head.
        let without = HartConfig { residual: None, ..inferred };
        assert_eq!(logits(&Hart::load(&own, &without, &device).unwrap()), expected);
    }

    #[test]
    fn what_is_missing_or_too_many_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |drop: &str, add: Option<(&str, Vec<usize>)>| {
            let file = opened("main/llm/model.safetensors");
            let kept = file.names().filter(|name| *name != drop && *name != "lvl_1L");
            let tensors = kept.map(|name| {
                let (values, shape) = file.values(name).unwrap();
                (name.to_owned(), TensorData::new(values, shape))
            });
            let added = add.map(|(name, shape)| (name.to_owned(), TensorData::zeros::<f32, _>(shape)));
            let path = folder.path().join("broken.safetensors");
            save_safetensors(&path, tensors.chain(added), Precision::F32, &BTreeMap::new()).unwrap();
            let file = WeightFile::open(&path).unwrap();
            match Hart::load(&file, &config("main"), &Device::flex()) {
                Ok(_) => String::new(),
                Err(error) => error.to_string(),
            }
        };
        assert_eq!(refused("", None), "");
        assert_eq!(refused("attn_bias_for_masking", None), "");
        let missing = refused("blocks.2.ffn.up_proj.weight", None);
        assert!(missing.contains("missing tensor `blocks.2.ffn.up_proj.weight` [256, 48]"), "{missing}");
        let missing = refused("diffloss.net.res_blocks.1.in_ln.bias", None);
        assert!(missing.contains("missing tensor `diffloss.net.res_blocks.1.in_ln.bias` [32]"), "{missing}");
        let bent = refused("head.bias", Some(("head.bias", vec![95])));
        assert!(bent.contains("`head.bias` has shape [95], the model needs [96]"), "{bent}");
        let unknown = refused("", Some(("blocks.0.cross_attn.q.weight", vec![6])));
        assert!(unknown.contains("unexpected tensor `blocks.0.cross_attn.q.weight` [6]"), "{unknown}");
    }
}
