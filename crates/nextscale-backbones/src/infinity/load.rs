use std::path::Path;

use burn::tensor::Device;
use nextscale_core::{Dtype, ScaleSchedule};
use nextscale_weights::{ExpectedTensors, LoadError, WeightFile};

use super::{config::InfinityConfig, model::Infinity};
use crate::transformer::{
    keys::Architecture,
    laid_out,
    stored::{Loader, asked},
    to_train,
};

/// A tensor at the top level of every Infinity transformer, and of no other model.
const MARKER: &str = "cfg_uncond";
/// Where upstream's training stores the weights for generation, beside their average and the optimiser's
/// moments.
const FINE_TUNED: &str = "trainer.gpt_fsdp";

impl Infinity {
    /// Opens a checkpoint, upstream's own or one in its format: `.pth` or `.safetensors`, flat or nested, of
    /// any float width. The architecture is inferred from its tensors; see [`InfinityConfig::infer`] for the
    /// scales.
    ///
    /// # Errors
    /// If the file cannot be read or is not an Infinity transformer, a tensor is missing, unexpected or
    /// misshapen, or `scales` do not fit it.
    pub fn open(
        path: impl AsRef<Path>,
        scales: Option<&ScaleSchedule>,
        device: &Device,
    ) -> Result<Self, LoadError> {
        let file = WeightFile::open(path)?;
        Self::load(&file, &InfinityConfig::infer(&file, scales)?, device)
    }

    /// Loads a model of this architecture. Every name and shape is checked before any value is read, and
    /// tensors are read one by one: at most one is held twice.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn load(file: &WeightFile, config: &InfinityConfig, device: &Device) -> Result<Self, LoadError> {
        let file = fitting(file, config)?;
        config.build(&mut Loader { file: &file, device })
    }

    /// As [`load`](Self::load), for generation only: on the CPU, the weights of linear layers are packed,
    /// which makes products faster. Such a model gives logits and can be saved, but has no gradients.
    ///
    /// # Errors
    /// As [`open`](Self::open), or if the processor or the device does not support the precision.
    pub fn load_to_generate(
        file: &WeightFile,
        config: &InfinityConfig,
        device: &Device,
        dtype: Dtype,
    ) -> Result<Self, LoadError> {
        let file = fitting(file, config)?;
        laid_out::build(Loader { file: &file, device }, config, device, dtype)
    }

    /// As [`load`](Self::load), to continue training; compare [`InfinityConfig::init_to_train`] for fresh
    /// weights.
    ///
    /// # Errors
    /// As [`open`](Self::open), or if the processor or the device does not support the precision.
    pub fn load_to_train(
        file: &WeightFile,
        config: &InfinityConfig,
        device: &Device,
        dtype: Dtype,
    ) -> Result<Self, LoadError> {
        let file = fitting(file, config)?;
        to_train::build(Loader { file: &file, device }, config, device, dtype)
    }
}

/// The file at the dictionary that holds a model of this architecture, after checking names and shapes.
fn fitting(file: &WeightFile, config: &InfinityConfig) -> Result<WeightFile, LoadError> {
    config.check()?;
    let file = InfinityConfig::rooted(file)?;
    config.expected().check(&file)?;
    Ok(file)
}

impl InfinityConfig {
    /// Whether a file is an Infinity transformer, judging by its names.
    pub fn is_of(file: &WeightFile) -> bool {
        Self::rooted(file).is_ok_and(|file| file.info(MARKER).is_some())
    }

    /// The file at the dictionary that holds the transformer, that of fine-tuned checkpoints if there is one.
    /// Unchanged if there is none.
    ///
    /// # Errors
    /// If several dictionaries hold one.
    pub fn rooted(file: &WeightFile) -> Result<WeightFile, nextscale_weights::Error> {
        let tuned = file.within(FINE_TUNED);
        if tuned.info(MARKER).is_some() { Ok(tuned) } else { file.rooted(MARKER) }
    }

    /// The tensors of a checkpoint of this architecture, by upstream's keys. Buffers that upstream drops or
    /// that are zero may be absent.
    pub fn expected(&self) -> ExpectedTensors {
        let name = match self.name() {
            Some(name) => format!("an Infinity transformer ({name})"),
            None => format!("an Infinity transformer of {} blocks of width {}", self.depth, self.width),
        };
        let expected =
            ["lvl_1L", "attn_bias_for_masking", "Infinity_visible_kvlen", "Infinity_invisible_qlen"]
                .into_iter()
                .chain(["*.sa.zero_k_bias", "*.ca.zero_k_bias"])
                .fold(ExpectedTensors::new(name), ExpectedTensors::ignore);
        asked(expected, self)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use burn::tensor::{Tensor, TensorData};
    use nextscale_weights::{Precision, save_safetensors};

    use super::*;
    use crate::infinity::fixtures::{given, model, opened, path, reference};

    fn scales() -> ScaleSchedule {
        ScaleSchedule::square(&[1, 2, 4, 6, 8]).unwrap()
    }

    fn bits(model: &Infinity) -> Vec<(String, TensorData)> {
        model.tensors().collect()
    }

    fn saved(folder: &Path, tensors: impl IntoIterator<Item = (String, TensorData)>) -> WeightFile {
        let path = folder.join("model.safetensors");
        save_safetensors(&path, tensors, Precision::F32, &BTreeMap::new()).unwrap();
        WeightFile::open(path).unwrap()
    }

    #[test]
    fn both_file_formats_give_the_same_model() {
        let pickle = Infinity::open(path("base/infinity.pth"), Some(&scales()), &Device::flex()).unwrap();
        let model = model("base", &scales(), &Device::flex());
        assert_eq!(pickle.config(), model.config());
        assert_eq!(bits(&pickle), bits(&model));
    }

    #[test]
    fn a_saved_model_has_upstreams_tensors_and_opens_as_it_was() {
        for name in ["base", "patchify"] {
            let model = model(name, &scales(), &Device::flex());
            let upstream = opened(&format!("{name}/infinity.safetensors"));
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("full.safetensors");
            model.save(&file, Precision::F32, true).unwrap();
            let ours = WeightFile::open(&file).unwrap();
            assert_eq!(ours.names().collect::<BTreeSet<_>>(), upstream.names().collect());
            for key in ours.names() {
                assert_eq!(ours.values(key).unwrap(), upstream.values(key).unwrap(), "{key}");
            }
            for buffers in [true, false] {
                model.save(&file, Precision::F32, buffers).unwrap();
                let again = Infinity::open(&file, None, &Device::flex()).unwrap();
                assert_eq!((again.config(), bits(&again)), (model.config(), bits(&model)));
            }
        }
    }

    #[test]
    fn a_fine_tuned_checkpoint_is_found_in_its_dictionaries_and_old_buffers_are_passed_over() {
        let model = model("base", &scales(), &Device::flex());
        let folder = tempfile::tempdir().unwrap();
        let old = ["lvl_1L", "attn_bias_for_masking", "Infinity_visible_kvlen", "Infinity_invisible_qlen"]
            .map(|name| (name.to_owned(), TensorData::new(vec![0_i64; 4], [1, 4])));
        let nested = model
            .tensors()
            .chain(model.buffers())
            .chain(old)
            .map(|(key, data)| (format!("trainer.gpt_fsdp.{key}"), data));
        let other = ("trainer.gpt_opt.step".into(), TensorData::new(vec![0.0_f32; 8], [8]));
        // An average beside the weights, which upstream does not use for generation.
        let average = ("trainer.gpt_ema_fsdp.cfg_uncond".into(), TensorData::new(vec![0.0_f32; 8], [8]));
        let file = saved(folder.path(), nested.chain([other, average]));
        assert!(InfinityConfig::is_of(&file));
        let config = InfinityConfig::infer(&file, Some(&scales())).unwrap();
        assert_eq!(bits(&Infinity::load(&file, &config, &Device::flex()).unwrap()), bits(&model));
    }

    #[test]
    fn shards_under_an_index_are_one_model() {
        let model = model("patchify", &scales(), &Device::flex());
        let folder = tempfile::tempdir().unwrap();
        let names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
        let mut map = serde_json::Map::new();
        for (shard, name) in names.into_iter().enumerate() {
            let part = model.tensors().enumerate().filter(|(i, _)| i % 2 == shard).map(|(_, tensor)| tensor);
            let part: Vec<_> = part.collect();
            map.extend(part.iter().map(|(key, _)| (key.clone(), name.into())));
            save_safetensors(folder.path().join(name), part, Precision::F32, &BTreeMap::new()).unwrap();
        }
        let index = serde_json::json!({"metadata": {}, "weight_map": map}).to_string();
        std::fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
        let opened = Infinity::open(folder.path(), Some(&scales()), &Device::flex()).unwrap();
        assert_eq!((opened.config(), bits(&opened)), (model.config(), bits(&model)));
        std::fs::remove_file(folder.path().join(names[1])).unwrap();
        let error = Infinity::open(folder.path(), None, &Device::flex()).unwrap_err().to_string();
        assert!(error.contains(names[1]), "{error}");
    }

    #[test]
    fn other_models_are_none() {
        let vae = WeightFile::open(path("base/vae.safetensors")).unwrap();
        let var = WeightFile::open(crate::var::fixtures::path("var_saln.safetensors")).unwrap();
        for file in [vae, var] {
            assert!(!InfinityConfig::is_of(&file));
            let error = InfinityConfig::infer(&file, None).unwrap_err().to_string();
            assert!(error.contains("is not an Infinity transformer"), "{error}");
        }
        assert!(InfinityConfig::is_of(&opened("patchify/infinity.safetensors")));
    }

    #[test]
    fn plain_blocks_are_the_same_model_and_keep_their_names() {
        let model = model("base", &scales(), &Device::flex());
        let folder = tempfile::tempdir().unwrap();
        let plain = model.tensors().map(|(key, data)| {
            let Some(rest) = key.strip_prefix("block_chunks.") else { return (key, data) };
            let mut parts = rest.splitn(4, '.');
            let mut number = || parts.next().unwrap().parse::<usize>();
            let (chunk, _) = (number().unwrap(), number());
            let block = chunk * 2 + number().unwrap();
            (format!("blocks.{block}.{}", parts.next().unwrap()), data)
        });
        let file = saved(folder.path(), plain.collect::<Vec<_>>());
        let config = InfinityConfig::infer(&file, Some(&scales())).unwrap();
        assert_eq!((config.chunks, config.depth), (1, 4));
        let flat = Infinity::load(&file, &config, &Device::flex()).unwrap();
        let conditions = given(&reference("base/reference.safetensors"));
        let features = Tensor::ones([2, 120, 6], &Device::flex());
        let logits = |model: &Infinity| model.logits(features.clone(), &conditions).unwrap().into_data();
        assert_eq!(logits(&flat), logits(&model));
        assert!(flat.tensors().any(|(key, _)| key == "blocks.3.ca.mat_q.weight"));
    }

    #[test]
    fn a_model_laid_out_to_generate_is_the_same() {
        let conditions = given(&reference("base/reference.safetensors"));
        let features = Tensor::ones([2, 120, 6], &Device::flex());
        let plain = model("base", &scales(), &Device::flex());
        let file = opened("base/infinity.safetensors");
        let logits = |model: &Infinity| model.logits(features.clone(), &conditions).unwrap();
        let size = |x: Tensor<3>| (x.clone() * x).mean().sqrt().into_scalar::<f32>();
        let gap = |model: &Infinity| size(logits(model) - logits(&plain)) / size(logits(&plain));
        let load = |dtype| Infinity::load_to_generate(&file, plain.config(), &Device::flex(), dtype);
        let packed = load(Dtype::F32).unwrap();
        assert_eq!(bits(&packed), bits(&plain));
        assert!(gap(&packed) < 1e-5, "{}", gap(&packed));
        match load(Dtype::Bf16) {
            Ok(rounded) => assert!(gap(&rounded) > 1e-4 && gap(&rounded) < 0.02, "{}", gap(&rounded)),
            Err(error) => assert!(error.to_string().contains("compute in f32"), "{error}"),
        }
    }

    #[test]
    fn the_names_and_shapes_are_those_of_upstreams_list() {
        for name in ["base", "patchify"] {
            let listed = std::fs::read_to_string(path(&format!("{name}/keys.txt"))).unwrap();
            let listed: BTreeSet<&str> = listed
                .lines()
                .filter_map(|line| line.strip_prefix("infinity\t")?.split('\t').next())
                .filter(|key| !key.ends_with("zero_k_bias"))
                .collect();
            let expected = model(name, &scales(), &Device::flex()).config().expected();
            assert_eq!(expected.iter().map(|(key, _)| key).collect::<BTreeSet<_>>(), listed);
        }
    }
}
