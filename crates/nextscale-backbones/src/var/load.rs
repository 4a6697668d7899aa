use std::path::Path;

use burn::tensor::Device;
use nextscale_core::{Dtype, ScaleSchedule};
use nextscale_weights::{ExpectedTensors, LoadError, WeightFile};

use super::{config::VarConfig, model::Var};
use crate::transformer::{
    laid_out,
    stored::{Loader, asked, bytes_on_devices},
};

impl Var {
    /// Opens a checkpoint, upstream's own or one in its format: `.pth` or `.safetensors`, flat or nested, of
    /// any float width. The architecture is inferred from its tensors; see [`VarConfig::infer`] for the
    /// scales.
    ///
    /// # Errors
    /// If the file cannot be read or is not a VAR transformer, a tensor is missing, unexpected or misshapen,
    /// or `scales` do not fit it.
    pub fn open(
        path: impl AsRef<Path>,
        scales: Option<&ScaleSchedule>,
        device: &Device,
    ) -> Result<Self, LoadError> {
        let file = WeightFile::open(path)?;
        Self::load(&file, &VarConfig::infer(&file, scales)?, device)
    }

    /// Loads a model of this architecture. Every name and shape is checked before any value is read, and
    /// tensors are read one by one: at most one is held twice.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn load(file: &WeightFile, config: &VarConfig, device: &Device) -> Result<Self, LoadError> {
        let file = fitting(file, config)?;
        Self::build(&mut Loader { file: &file, device }, config)
    }

    /// As [`load`](Self::load), for generation only: on the CPU, the weights of linear layers are packed,
    /// which makes products faster. Such a model gives logits and can be saved, but has no gradients.
    ///
    /// # Errors
    /// As [`open`](Self::open), or if the processor or the device does not support the precision.
    pub fn load_to_generate(
        file: &WeightFile,
        config: &VarConfig,
        device: &Device,
        dtype: Dtype,
    ) -> Result<Self, LoadError> {
        let file = fitting(file, config)?;
        laid_out::build(Loader { file: &file, device }, config, device, dtype)
    }
}

/// The file at the dictionary that holds a model of this architecture, after checking names and shapes.
pub(super) fn fitting(file: &WeightFile, config: &VarConfig) -> Result<WeightFile, LoadError> {
    config.check()?;
    let file = file.rooted("pos_1LC")?;
    config.expected().check(&file)?;
    Ok(file)
}

impl VarConfig {
    /// The bytes of its weights on a device other than the CPU that generates in this type.
    pub fn bytes_on_devices(&self, dtype: Dtype) -> u128 {
        bytes_on_devices(self, dtype)
    }

    /// The tensors of a checkpoint of this architecture, by upstream's keys. Buffers that follow from the
    /// architecture may be absent.
    pub fn expected(&self) -> ExpectedTensors {
        let expected = ExpectedTensors::new(format!("a VAR transformer of depth {}", self.depth))
            .ignore("lvl_1L")
            .ignore("attn_bias_for_masking")
            .ignore("blocks.*.attn.zero_k_bias");
        asked(expected, self)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use burn::tensor::{Tensor, TensorData};
    use nextscale_core::ConditionRows;
    use nextscale_weights::{Precision, save_safetensors};

    use super::*;
    use crate::var::{
        AdaLn, AttentionKind, Initialisation,
        fixtures::{json, model, path},
    };

    fn bits(model: &Var) -> Vec<(String, TensorData)> {
        model.tensors().collect()
    }

    fn saved(tensors: impl IntoIterator<Item = (String, TensorData)>) -> (tempfile::TempDir, WeightFile) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        save_safetensors(&path, tensors, Precision::F32, &BTreeMap::new()).unwrap();
        let file = WeightFile::open(path).unwrap();
        (folder, file)
    }

    #[test]
    fn both_file_formats_give_the_same_model() {
        for name in ["aln", "saln"] {
            let pickle = Var::open(path(&format!("var_{name}.pth")), None, &Device::flex()).unwrap();
            let model = model(name, &Device::flex());
            assert_eq!(pickle.config(), model.config());
            assert_eq!(bits(&pickle), bits(&model));
            let config = model.config();
            assert_eq!((config.depth, config.width, config.heads, config.hidden), (2, 64, 4, 256));
            assert_eq!((config.vocabulary, config.classes, config.feature_channels), (64, 10, 8));
            assert_eq!(config.schedule, ScaleSchedule::square(&[1, 2, 3, 4]).unwrap());
            assert_eq!(config.ada_ln == AdaLn::Shared, name == "saln");
            assert_eq!(config.attention, AttentionKind::L2);
        }
    }

    #[test]
    fn published_shapes_are_those_of_upstreams_files() {
        let shapes = json("shapes.json");
        for depth in [16, 20, 24, 30, 36] {
            let config = VarConfig::published(depth).unwrap();
            let upstream: BTreeMap<String, Vec<usize>> = shapes[depth.to_string()]["var"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(key, entry)| (key.clone(), serde_json::from_value(entry[0].clone()).unwrap()))
                .collect();
            let mut ours: BTreeMap<String, Vec<usize>> =
                config.expected().iter().map(|(key, shape)| (key.into(), shape.to_vec())).collect();
            let length = config.schedule.positions();
            ours.insert("lvl_1L".into(), vec![1, length]);
            ours.insert("attn_bias_for_masking".into(), vec![1, 1, length, length]);
            ours.extend((0..depth).map(|i| (format!("blocks.{i}.attn.zero_k_bias"), vec![config.width])));
            assert_eq!(ours, upstream);
        }
    }

    #[test]
    fn a_saved_model_has_upstreams_tensors_and_loads_with_and_without_buffers() {
        for name in ["aln", "saln"] {
            let model = model(name, &Device::flex());
            let upstream = WeightFile::open(path(&format!("var_{name}.safetensors"))).unwrap();
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("full.safetensors");
            model.save(&file, Precision::F32, true).unwrap();
            let ours = WeightFile::open(&file).unwrap();
            assert_eq!(ours.names().collect::<BTreeSet<_>>(), upstream.names().collect());
            for key in ours.names() {
                assert_eq!(ours.info(key), upstream.info(key), "{key}");
                if key != "lvl_1L" {
                    assert_eq!(ours.values(key).unwrap(), upstream.values(key).unwrap(), "{key}");
                }
            }
            let levels =
                |file: &WeightFile| file.int_tensor::<2>("lvl_1L", &Device::flex()).unwrap().into_data();
            assert_eq!(levels(&ours), levels(&upstream));
            assert_eq!(bits(&Var::open(&file, None, &Device::flex()).unwrap()), bits(&model));
            model.save(&file, Precision::F32, false).unwrap();
            assert_eq!(bits(&Var::open(&file, None, &Device::flex()).unwrap()), bits(&model));
        }
    }

    #[test]
    fn half_precision_loads_as_single() {
        let model = model("aln", &Device::flex());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("half.safetensors");
        model.save(&file, Precision::F16, false).unwrap();
        let half = Var::open(&file, None, &Device::flex()).unwrap();
        let features = Tensor::ones([1, 29, 8], &Device::flex());
        let logits = half.logits(features.clone(), &ConditionRows::Classes(vec![None])).unwrap();
        let exact = model.logits(features, &ConditionRows::Classes(vec![None])).unwrap();
        let worst = (logits - exact).abs().max().into_scalar::<f32>();
        assert!(worst > 0.0 && worst < 0.05, "{worst}");
    }

    #[test]
    fn a_model_laid_out_to_generate_is_the_same() {
        let features = Tensor::ones([1, 29, 8], &Device::flex());
        for name in ["aln", "saln"] {
            let plain = model(name, &Device::flex());
            let file = WeightFile::open(path(&format!("var_{name}.safetensors"))).unwrap();
            let logits =
                |model: &Var| model.logits(features.clone(), &ConditionRows::Classes(vec![Some(3)])).unwrap();
            let size = |x: Tensor<3>| (x.clone() * x).mean().sqrt().into_scalar::<f32>();
            // Relative to the logits' root mean square.
            let gap = |model: &Var| size(logits(model) - logits(&plain)) / size(logits(&plain));
            let load = |dtype| Var::load_to_generate(&file, plain.config(), &Device::flex(), dtype);
            let packed = load(Dtype::F32).unwrap();
            assert_eq!(bits(&packed), bits(&plain));
            assert!(gap(&packed) < 1e-6, "{}", gap(&packed));
            match load(Dtype::Bf16) {
                Ok(rounded) => {
                    // Rounding costs 2^-9 of a number, in each of a few consecutive layers.
                    assert!(gap(&rounded) > 1e-4 && gap(&rounded) < 0.01, "{}", gap(&rounded));
                    let (key, _) = &bits(&plain)[0];
                    assert!(bits(&rounded) != bits(&plain), "{key}");
                }
                Err(error) => assert!(error.to_string().contains("compute in f32"), "{error}"),
            }
        }
    }

    #[test]
    fn fresh_weights_laid_out_to_generate_are_the_same() {
        for name in ["aln", "saln"] {
            let config = model(name, &Device::flex()).config().clone();
            let start = Initialisation { seed: 5, gate: 0.1 };
            let plain = config.init(&start, &Device::flex()).unwrap();
            let laid_out = |dtype| config.init_to_generate(&start, &Device::flex(), dtype);
            assert_eq!(bits(&laid_out(Dtype::F32).unwrap()), bits(&plain));
            let (_folder, file) = saved(plain.tensors());
            let loaded = Var::load_to_generate(&file, &config, &Device::flex(), Dtype::Bf16);
            match (laid_out(Dtype::Bf16), loaded) {
                (Ok(fresh), Ok(loaded)) => assert_eq!(bits(&fresh), bits(&loaded)),
                (fresh, loaded) => {
                    assert_eq!(fresh.unwrap_err().to_string(), loaded.unwrap_err().to_string());
                }
            }
        }
    }

    #[test]
    fn a_training_checkpoint_is_found_inside_its_dictionaries() {
        let model = model("aln", &Device::flex());
        let nested = model
            .tensors()
            .chain(model.buffers())
            .map(|(key, data)| (format!("trainer.var_wo_ddp.{key}"), data));
        let other = ("trainer.vae_local.quant_conv.bias".into(), TensorData::new(vec![0.0_f32; 8], [8]));
        let (_folder, file) = saved(nested.chain([other]));
        let config = VarConfig::infer(&file, None).unwrap();
        let loaded = Var::load(&file, &config, &Device::flex()).unwrap();
        assert_eq!(bits(&loaded), bits(&model));
    }

    #[test]
    fn a_missing_and_a_misshapen_tensor_are_named_with_their_shapes() {
        let model = model("aln", &Device::flex());
        let (_folder, file) =
            saved(model.tensors().chain(model.buffers()).filter_map(|(key, data)| match &*key {
                "blocks.1.attn.proj.weight" => None,
                "blocks.1.ffn.fc2.bias" => Some((key, TensorData::new(vec![0.0_f32; 63], [63]))),
                _ => Some((key, data)),
            }));
        let config = VarConfig::infer(&file, None).unwrap();
        let error = Var::load(&file, &config, &Device::flex()).unwrap_err().to_string();
        assert!(error.contains("missing tensor `blocks.1.attn.proj.weight` [64, 64]"), "{error}");
        assert!(error.contains("`blocks.1.ffn.fc2.bias` has shape [63], the model needs [64]"), "{error}");
    }

    #[test]
    fn another_model_is_refused_as_such() {
        let error = Var::open(path("vae.safetensors"), None, &Device::flex()).unwrap_err().to_string();
        assert!(error.contains("is not a VAR transformer"), "{error}");
    }

    #[test]
    fn fresh_weights_follow_the_recipe_and_the_seed() {
        let config =
            VarConfig { ada_ln: AdaLn::Shared, ..VarConfig::new(2, ScaleSchedule::square(&[1, 2]).unwrap()) };
        let start = Initialisation { seed: 3, gate: 0.1 };
        let model = config.init(&start, &Device::flex()).unwrap();
        assert_eq!(bits(&model), bits(&config.init(&start, &Device::flex()).unwrap()));
        let other = config.init(&Initialisation { seed: 4, ..start }, &Device::flex()).unwrap();
        let tensors: BTreeMap<_, _> = model.tensors().collect();
        let (a, b) =
            (&tensors["head.weight"], other.tensors().find(|(key, _)| key == "head.weight").unwrap().1);
        assert_ne!(*a, b);
        let deviation = |key: &str, from: usize, to: usize| {
            let values: Vec<f32> = tensors[key].iter::<f32>().collect();
            let part = &values[from..to];
            (part.iter().map(|v| f64::from(v * v)).sum::<f64>() / part.len() as f64).sqrt()
        };
        let (width, base) = (config.width, (1.0 / (3.0 * config.width as f64)).sqrt());
        let expect = |found: f64, expected: f64, what: &str| {
            assert!((found / expected - 1.0).abs() < 0.15, "{what}: {found} for {expected}");
        };
        let all = |key: &str| deviation(key, 0, tensors[key].num_elements());
        expect(all("class_emb.weight"), base, "class_emb");
        expect(all("blocks.0.attn.mat_qkv.weight"), base, "mat_qkv");
        expect(all("shared_ada_lin.1.weight"), base, "shared_ada_lin");
        expect(all("head.weight"), 0.02 * base, "head");
        expect(all("head_nm.ada_lin.1.weight"), 0.5 * base, "head_nm");
        expect(all("blocks.0.ffn.fc2.weight"), base / 2.0, "fc2");
        expect(deviation("blocks.1.ada_gss", 0, 2 * width), 0.1 * (1.0 / width as f64).sqrt(), "gates");
        expect(
            deviation("blocks.1.ada_gss", 2 * width, 6 * width),
            0.5 * (1.0 / width as f64).sqrt(),
            "rest",
        );
        assert!(tensors["blocks.0.attn.scale_mul_1H11"].iter::<f32>().all(|value| value == 4.0_f32.ln()));
        assert_eq!(all("head.bias"), 0.0);

        let config = VarConfig { ada_ln: AdaLn::PerBlock, ..config };
        let tensors: BTreeMap<_, _> = config.init(&start, &Device::flex()).unwrap().tensors().collect();
        let values: Vec<f32> = tensors["blocks.0.ada_lin.1.weight"].iter::<f32>().collect();
        let rows = |from: usize, to: usize| {
            let part = &values[from * width..to * width];
            (part.iter().map(|v| f64::from(v * v)).sum::<f64>() / part.len() as f64).sqrt()
        };
        expect(rows(0, 2 * width), 0.1 * base, "gate rows");
        expect(rows(2 * width, 6 * width), 0.5 * base, "other rows");
    }
}
