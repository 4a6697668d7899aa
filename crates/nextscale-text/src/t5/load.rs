use std::convert::Infallible;

use burn::{
    module::{Param, ParamId},
    tensor::{Device, Tensor},
};
use nextscale_core::is_cpu;
use nextscale_weights::{ExpectedTensors, WeightFile};

use super::{
    config::T5Config,
    keys::Supply,
    model::{EMBEDDING, T5},
};
use crate::{Result, linear::Linear};

/// The table of embeddings under the encoder's own name; published files have one or both.
const TIED: &str = "encoder.embed_tokens.weight";

impl T5 {
    /// Loads an encoder of these sizes for training, or for any device. Every name and shape is checked
    /// before any value is read; a decoder and its head are ignored.
    ///
    /// # Errors
    /// If the file cannot be read, or a tensor is missing, unexpected or misshapen.
    pub fn load(file: &WeightFile, config: &T5Config, device: &Device) -> Result<Self> {
        Self::read(file, config, device, false)
    }

    /// As [`load`](Self::load), for encoding only: on the CPU, the weights of linear layers are packed, which
    /// makes products faster. Such an encoder has no gradients.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_to_encode(file: &WeightFile, config: &T5Config, device: &Device) -> Result<Self> {
        Self::read(file, config, device, is_cpu(device))
    }

    fn read(file: &WeightFile, config: &T5Config, device: &Device, packed: bool) -> Result<Self> {
        let file = check(file, config)?;
        Self::build(&mut Loader { file: &file, device, packed }, config)
    }
}

/// The file at the dictionary that holds an encoder of these sizes, after checking names and shapes.
pub(crate) fn check(file: &WeightFile, config: &T5Config) -> Result<WeightFile> {
    config.check()?;
    let file = rooted(file)?;
    config.expected(&file).check(&file)?;
    Ok(file)
}

/// The file at the dictionary that holds an encoder.
pub(super) fn rooted(file: &WeightFile) -> Result<WeightFile> {
    Ok(file.rooted("encoder.final_layer_norm.weight")?)
}

/// The name of the table of embeddings in a file.
pub(super) fn embedding_in(file: &WeightFile) -> &'static str {
    if file.info(EMBEDDING).is_none() && file.info(TIED).is_some() { TIED } else { EMBEDDING }
}

impl T5Config {
    /// The tensors of an encoder of these sizes, by the published keys, and those to ignore in this file.
    pub fn expected(&self, file: &WeightFile) -> ExpectedTensors {
        let expected = ExpectedTensors::new(format!("a T5 encoder of depth {}", self.depth))
            .ignore(EMBEDDING)
            .ignore(TIED)
            .ignore("decoder.*")
            .ignore("lm_head.weight");
        let mut recorder = Recorder { expected, embedding: embedding_in(file), device: Device::flex() };
        match T5::build(&mut recorder, self) {
            Ok(_) => recorder.expected,
            Err(never) => match never {},
        }
    }
}

/// Supplies a file's tensors.
struct Loader<'a> {
    file: &'a WeightFile,
    device: &'a Device,
    packed: bool,
}

impl Supply for Loader<'_> {
    type Error = crate::Error;

    fn gain(&mut self, key: &str, _width: usize) -> Result<Param<Tensor<1>>> {
        Ok(Param::from_tensor(self.file.tensor(key, self.device)?))
    }

    fn table(&mut self, key: &str, _shape: [usize; 2]) -> Result<Param<Tensor<2>>> {
        let key = if key == EMBEDDING { embedding_in(self.file) } else { key };
        Ok(Param::from_tensor(self.file.tensor(key, self.device)?))
    }

    fn linear(&mut self, key: &str, inner: usize, out: usize) -> Result<Linear> {
        Ok(if self.packed {
            self.file.with_weights(key, |rows, _| Linear::lay_out(&rows, [out, inner], self.device))?
        } else {
            Linear::Plain(Param::from_tensor(self.file.linear(key, self.device)?))
        })
    }
}

/// Records what a model asks for, and supplies parameters without values.
struct Recorder {
    expected: ExpectedTensors,
    embedding: &'static str,
    device: Device,
}

impl Recorder {
    fn empty<const D: usize>(&self, shape: [usize; D]) -> Param<Tensor<D>> {
        let init = move |device: &Device, _: bool| Tensor::zeros(shape, device);
        Param::uninitialized(ParamId::new(), init, self.device.clone(), false, shape.into())
    }
}

impl Supply for Recorder {
    type Error = Infallible;

    fn gain(&mut self, key: &str, width: usize) -> Result<Param<Tensor<1>>, Infallible> {
        self.expected.insert(key, [width]);
        Ok(self.empty([width]))
    }

    fn table(&mut self, key: &str, shape: [usize; 2]) -> Result<Param<Tensor<2>>, Infallible> {
        self.expected.insert(if key == EMBEDDING { self.embedding } else { key }, shape);
        Ok(self.empty(shape))
    }

    fn linear(&mut self, key: &str, inner: usize, out: usize) -> Result<Linear, Infallible> {
        self.expected.insert(key, [out, inner]);
        Ok(Linear::Plain(self.empty([inner, out])))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use burn::tensor::TensorData;
    use nextscale_weights::{Precision, save_safetensors};

    use super::*;
    use crate::t5::fixtures::{row, weights};

    type Tensors = Vec<(String, TensorData)>;

    fn saved(tensors: Tensors, precision: Precision) -> (tempfile::TempDir, WeightFile) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        save_safetensors(&path, tensors, precision, &BTreeMap::new()).unwrap();
        let file = WeightFile::open(path).unwrap();
        (folder, file)
    }

    /// The fixture's tensors, including both names of the embeddings.
    fn tensors() -> Tensors {
        let file = weights();
        let data = |name: &str| {
            let (values, shape) = file.values(name).unwrap();
            (name.to_owned(), TensorData::new(values, shape))
        };
        file.names().map(data).collect()
    }

    fn zeros(name: &str, shape: &[usize]) -> (String, TensorData) {
        (name.to_owned(), TensorData::new(vec![0.0_f32; shape.iter().product()], shape.to_vec()))
    }

    fn opened(file: &WeightFile) -> Result<T5> {
        T5::load(file, &T5Config::infer(file)?, &Device::flex())
    }

    fn refused(tensors: Tensors) -> String {
        opened(&saved(tensors, Precision::F32).1).unwrap_err().to_string()
    }

    fn out(model: &T5) -> TensorData {
        model.forward(row(&[4, 30, 1]), None).into_data()
    }

    #[test]
    fn either_name_of_the_embeddings_will_do_and_a_decoder_is_passed_over() {
        let expected = out(&opened(&weights()).unwrap());
        for absent in ["shared.weight", "encoder.embed_tokens.weight"] {
            let mut tensors = tensors();
            tensors.retain(|(name, _)| name != absent);
            tensors.push(zeros("lm_head.weight", &[97, 48]));
            tensors.push(zeros("decoder.block.0.layer.1.EncDecAttention.q.weight", &[2, 2]));
            let (_folder, file) = saved(tensors, Precision::F32);
            assert_eq!(out(&opened(&file).unwrap()), expected, "{absent}");
        }
        let mut tensors = tensors();
        tensors.retain(|(name, _)| !name.contains("embed_tokens") && name != "shared.weight");
        assert!(refused(tensors).contains("`shared.weight`"));
    }

    #[test]
    fn a_saved_model_has_the_published_tensors_and_gives_the_same_rows() {
        for model in [
            opened(&weights()).unwrap(),
            T5::load_to_encode(&weights(), &T5Config::infer(&weights()).unwrap(), &Device::flex()).unwrap(),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("saved.safetensors");
            model.save(&path, Precision::F32).unwrap();
            let file = WeightFile::open(&path).unwrap();
            let mut published: BTreeMap<_, _> = tensors().into_iter().collect();
            published.remove("encoder.embed_tokens.weight");
            let ours = model.tensors().collect::<BTreeMap<_, _>>();
            assert_eq!(ours, published);
            let again = opened(&file).unwrap();
            assert_eq!(again.tensors().collect::<BTreeMap<_, _>>(), published);
            assert_eq!(again.config(), model.config());
        }
    }

    #[test]
    fn what_no_tensor_tells_is_kept_in_a_saved_file() {
        let config =
            T5Config { farthest: 20, epsilon: 1e-5, head_width: 8, ..T5Config::new(9, 12, 2, 2, 16) };
        let model = config.init(3, &Device::flex()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("saved.safetensors");
        model.save(&path, Precision::F16).unwrap();
        assert_eq!(T5Config::infer(&WeightFile::open(path).unwrap()).unwrap(), config);
    }

    #[test]
    fn half_precision_loads_as_single() {
        let (_folder, file) = saved(tensors(), Precision::F16);
        let (half, whole) = (out(&opened(&file).unwrap()), out(&opened(&weights()).unwrap()));
        let gaps = half.iter::<f32>().zip(whole.iter::<f32>()).map(|(half, whole)| (half - whole).abs());
        let worst = gaps.fold(0.0, f32::max);
        assert!(worst > 0.0 && worst < 0.02, "{worst}");
    }

    #[test]
    fn weights_that_are_not_finite_are_named() {
        for packed in [false, true] {
            for key in ["encoder.block.1.layer.0.SelfAttention.v.weight", "encoder.final_layer_norm.weight"] {
                let mut tensors = tensors();
                let (_, data) = tensors.iter_mut().find(|(name, _)| name == key).unwrap();
                data.as_mut_slice::<f32>().unwrap()[3] = f32::NAN;
                let (_folder, file) = saved(tensors, Precision::F32);
                let config = T5Config::infer(&file).unwrap();
                let load = if packed { T5::load_to_encode } else { T5::load };
                let error = load(&file, &config, &Device::flex()).unwrap_err().to_string();
                assert!(error.contains(&format!("`{key}` holds NaN")), "{error}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_named_before_a_value_is_read() {
        let key = "encoder.block.1.layer.0.SelfAttention.v.weight";
        let mut without = tensors();
        without.retain(|(name, _)| name != key);
        assert!(refused(without).contains(&format!("missing tensor `{key}` [32, 48]")));
        let mut other = tensors();
        other.retain(|(name, _)| name != key);
        other.push(zeros(key, &[32, 47]));
        let error = refused(other);
        assert!(error.contains(&format!("`{key}` has shape [32, 47], the model needs [32, 48]")), "{error}");
        let mut more = tensors();
        more.push(zeros("encoder.block.0.layer.0.SelfAttention.q.bias", &[32]));
        let error = refused(more);
        assert!(
            error.contains("unexpected tensor `encoder.block.0.layer.0.SelfAttention.q.bias`"),
            "{error}"
        );
        let error = refused(vec![zeros("quantizer.weight", &[2])]);
        assert!(error.contains("is not a T5 encoder") && error.contains("`quantizer.weight`"), "{error}");
        let mut first = tensors();
        first.push(zeros("encoder.block.0.layer.1.DenseReluDense.wi.weight", &[80, 48]));
        assert!(refused(first).contains("give a T5 v1.1 or Flan-T5"));
        // Heads that do not divide the channels of attention.
        let table = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight";
        let mut heads = tensors();
        heads.retain(|(name, _)| name != table);
        heads.push(zeros(table, &[32, 5]));
        assert!(refused(heads).contains("32 channels of attention are not those of 5 heads"));
    }

    #[test]
    fn the_xl_sizes_are_those_of_the_published_file() {
        let config = T5Config::xl();
        let (_folder, file) = saved(vec![zeros("x", &[1])], Precision::F32);
        let numbers =
            config.expected(&file).iter().map(|(_, shape)| shape.iter().product::<usize>()).sum::<usize>();
        // 24 blocks of 4·2048² + 3·2048·5120 + 2·2048, the table, 32·32 biases and the last norm.
        let block = 4 * 2048 * 2048 + 3 * 2048 * 5120 + 2 * 2048;
        assert_eq!(numbers, 24 * block + 32_128 * 2048 + 32 * 32 + 2048);
        assert_eq!(numbers, 1_223_527_424);
    }

    #[test]
    fn fresh_weights_follow_the_seed_and_keep_the_size_of_rows() {
        let config = T5Config { head_width: 16, ..T5Config::new(50, 64, 3, 4, 128) };
        let model = |seed| config.init(seed, &Device::flex()).unwrap();
        assert_eq!(out(&model(1)), out(&model(1)));
        assert_ne!(out(&model(1)), out(&model(2)));
        let packed = config.init_to_encode(1, &Device::flex()).unwrap();
        assert_eq!(packed.tensors().collect::<Vec<_>>(), model(1).tensors().collect::<Vec<_>>());
        let rows = out(&model(1));
        let square = rows.iter::<f32>().map(|x| x * x).sum::<f32>() / (3 * 64) as f32;
        assert!((square - 1.0).abs() < 0.01, "{square}");
        assert!(T5Config { depth: 0, ..config.clone() }.init(0, &Device::flex()).is_err());
        assert!(T5Config { buckets: 30, ..config }.init(0, &Device::flex()).is_err());
    }
}
