use std::collections::BTreeMap;
use std::path::Path;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use nextscale_core::{Dtype, memory};
use nextscale_kernels::linear;
use nextscale_weights::{ExpectedTensors, Precision, WeightFile, save_safetensors};

use crate::layer::{GROUP, Layer, fresh, halve, zeros};
use crate::params::{parameters, replace};
use crate::{Error, Result};

/// The header's entries.
const CHANNELS: &str = "channels";
pub(super) const CLASSES: &str = "classes";

/// A small residual network over images in [-1, 1]: one stage at full size, then one after each halving.
#[derive(Module, Debug)]
pub struct Classifier {
    stages: Vec<Stage>,
    /// `[channels, classes]`.
    head: Param<Tensor<2>>,
    head_bias: Param<Tensor<1>>,
}

/// `h = silu(norm(conv(x)))`, then `h + silu(norm(conv(h)))`.
#[derive(Module, Debug)]
struct Stage {
    widen: Layer,
    refine: Layer,
}

impl Classifier {
    /// A network with `channels` at full size and twice as many after each of the `stages` − 1 halvings;
    /// `seed` determines its weights.
    ///
    /// # Errors
    /// [`Error::Setting`] for channels that no norm divides, and for no stages or classes.
    pub fn init([channels, stages, classes]: [usize; 3], seed: u64, device: &Device) -> Result<Self> {
        check_sizes(channels, stages)?;
        let model = Self::empty([channels, stages, classes], device);
        Ok(replace(model, |parameter| Some(fresh(seed, &parameter))))
    }

    fn empty([channels, stages, classes]: [usize; 3], device: &Device) -> Self {
        let mut inputs = 3;
        let stages = (0..stages)
            .map(|stage| {
                let outputs = channels << stage;
                let widen = Layer::new(std::mem::replace(&mut inputs, outputs), outputs, device);
                Stage { widen, refine: Layer::new(outputs, outputs, device) }
            })
            .collect();
        Self { stages, head: zeros([inputs, classes], device), head_bias: zeros([classes], device) }
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.head.dims()[1]
    }

    /// The sides of an image must be multiples of this many pixels, so that every stage halves it.
    pub fn granularity(&self) -> usize {
        1 << (self.stages.len() - 1)
    }

    /// The same network with convolutions multiplying in `dtype`, if they have enough channels and the
    /// processor supports it.
    #[must_use]
    pub fn computing_in(mut self, dtype: Dtype) -> Self {
        let layers = self.stages.iter_mut().flat_map(|stage| [&mut stage.widen, &mut stage.refine]);
        layers.for_each(|layer| layer.dtype = dtype);
        self
    }

    /// A lower bound on the bytes that a training step keeps for an image of `side` × `side`
    /// pixels: the outputs of every stage's two layers.
    pub(crate) fn bytes_of_image([channels, stages]: [usize; 2], side: usize) -> u128 {
        let of_stage = |stage: usize| memory::of_f32(&[2, channels << stage, side >> stage, side >> stage]);
        (0..stages).map(of_stage).sum()
    }

    /// The output of each stage for images `[batch, 3, h, w]` in [-1, 1]: `[batch, channels·2^i, h/2^i,
    /// w/2^i]`.
    pub fn features(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        let mut x = images;
        let mut all = Vec::with_capacity(self.stages.len());
        for (i, stage) in self.stages.iter().enumerate() {
            if i > 0 {
                x = halve(x);
            }
            let h = stage.widen.forward(x);
            x = h.clone() + stage.refine.forward(h);
            all.push(x.clone());
        }
        all
    }

    /// Logits `[batch, classes]` of images `[batch, 3, h, w]` in [-1, 1].
    pub fn logits(&self, images: Tensor<4>) -> Tensor<2> {
        let last = self.features(images).pop().expect("there is a stage");
        let [batch, channels, height, width] = last.dims();
        let pooled = last.reshape([batch, channels, height * width]).mean_dim(2).reshape([batch, channels]);
        linear(pooled, self.head.val(), Some(self.head_bias.val()))
    }

    /// Writes the weights.
    ///
    /// # Errors
    /// [`Error::Data`] if the file cannot be written.
    pub fn save(&self, path: &Path, metadata: BTreeMap<String, String>) -> Result<()> {
        let mut metadata = metadata;
        let [_, classes] = self.head.dims();
        metadata.insert(CHANNELS.into(), self.stages[0].widen.weight.dims()[0].to_string());
        metadata.insert(CLASSES.into(), classes.to_string());
        let tensors = parameters(self).into_iter().map(|p| {
            let values: Vec<f32> = p.values.into_data().iter::<f32>().collect();
            (p.name, TensorData::new(values, p.shape))
        });
        save_safetensors(path, tensors, Precision::F16, &metadata)
            .map_err(|error| Error::data(path, error.to_string()))
    }

    /// Reads weights that [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// [`Error::Data`] naming the file, and what does not fit.
    pub fn open(path: &Path, device: &Device) -> Result<Self> {
        let fail = |message: String| Error::data(path, message);
        let file = WeightFile::open(path).map_err(|error| fail(error.to_string()))?;
        let number = |key: &str| -> Result<usize> {
            let found = file.metadata().get(key).and_then(|text| text.parse().ok());
            found.filter(|&n| (1..1 << 16).contains(&n)).ok_or_else(|| {
                fail(format!(
                    "is not a classifier: its header has no `{key}`; train one with `train classifier`"
                ))
            })
        };
        let stages = file.names().filter(|name| name.ends_with("widen.weight")).count();
        let channels = number(CHANNELS)?;
        check_sizes(channels, stages).map_err(|error| fail(format!("is not a classifier: {error}")))?;
        let model = Self::empty([channels, stages, number(CLASSES)?], device);
        let mut expected = ExpectedTensors::new("a classifier");
        for parameter in parameters(&model) {
            expected.insert(parameter.name, parameter.shape);
        }
        expected.check(&file).map_err(|error| fail(error.to_string()))?;
        let mut failed = None;
        let model = replace(model, |parameter| match file.weights(&parameter.name) {
            Ok((values, _)) => {
                let data = TensorData::new(values, [parameter.values.dims()[0]]);
                Some(Tensor::from_data(data, &parameter.values.device()))
            }
            Err(error) => {
                failed.get_or_insert(error);
                None
            }
        });
        match failed {
            Some(error) => Err(fail(error.to_string())),
            None => Ok(model),
        }
    }
}

/// Checks what the norms and halvings require.
pub(super) fn check_sizes(channels: usize, stages: usize) -> Result<()> {
    if channels == 0 || !channels.is_multiple_of(GROUP) {
        return Err(Error::setting("channels", format!("{channels} is not a multiple of {GROUP}")));
    }
    if !(1..=6).contains(&stages) {
        return Err(Error::setting("stages", format!("{stages} stages; give 1 to 6")));
    }
    let widest = (channels as u128) << (stages - 1);
    let bytes = widest.saturating_mul(widest).saturating_mul(36);
    memory::check("channels", &format!("a classifier of {widest} channels at its last stage"), bytes)?;
    Ok(())
}
