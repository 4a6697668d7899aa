//! The state of a run in one file: weights, moments, averages, the step, and the task's counters.
//!
//! Every random choice is a function of the seed and the step, so the step is also the position of all
//! randomness.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use nextscale_files::{Hash, write_atomically};
use nextscale_weights::{WeightFile, serialize};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::difference::{Difference, differences};
use crate::ema::Ema;
use crate::optimiser::{Moments, Optimiser};
use crate::params::{parameters, replace, without_variants};
use crate::{Error, Result};

/// The file's name in a run's folder.
pub const FILE: &str = "checkpoint.safetensors";
/// The header's key in the file's metadata.
const HEADER: &str = "nextscale.checkpoint";
/// The prefix of counters' names.
const COUNTER: &str = "counter.";

/// Everything that is not a tensor.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    step: u64,
    updates: u64,
    config: serde_json::Value,
    /// The hash of all tensors' bytes, by [`hash_of`]. Earlier versions wrote none.
    #[serde(default)]
    sha256: Option<String>,
}

/// The hash of tensors in the order of their names.
fn hash_of<'a>(tensors: impl Iterator<Item = &'a [u8]>) -> String {
    let mut hash = Hash::new();
    tensors.for_each(|bytes| hash.update_part(bytes));
    hash.hex()
}

/// The path of a run's checkpoint.
pub fn path(out: &Path) -> PathBuf {
    out.join(FILE)
}

/// The steps done in a run's checkpoint; `None` if there is none that can be read.
pub fn step(out: &Path) -> Option<u64> {
    let file = WeightFile::open(path(out)).ok()?;
    let header: Header = serde_json::from_str(file.metadata().get(HEADER)?).ok()?;
    Some(header.step)
}

/// Everything that a run needs to continue as if never interrupted.
#[derive(Debug)]
pub struct State<M> {
    /// Steps done.
    pub step: u64,
    /// The model in training.
    pub model: M,
    /// The optimiser with its moments.
    pub optimiser: Optimiser,
    /// The moving averages of the weights, if the run keeps them.
    pub ema: Option<Ema>,
    /// Counters of the task and the log, by name.
    pub counters: BTreeMap<String, Vec<f32>>,
}

/// Writes a run's state atomically: to a temporary file that is then renamed.
///
/// # Errors
/// [`Error::Io`] if it cannot be written.
pub fn save<M: Module>(out: &Path, config: &impl Serialize, state: &State<M>) -> Result<()> {
    let path = path(out);
    let mut tensors: BTreeMap<String, Vec<f32>> = BTreeMap::new();
    let mut put = |key: String, values: Tensor<1>| {
        tensors.insert(key, values.into_data().iter::<f32>().collect());
    };
    for parameter in parameters(&state.model) {
        put(format!("weights.{}", parameter.name), parameter.values);
    }
    for (name, moments) in &state.optimiser.moments {
        put(format!("first.{name}"), moments.first.clone());
        if let Some(second) = &moments.second {
            put(format!("second.{name}"), second.clone());
        }
    }
    for (name, values) in state.ema.iter().flat_map(|ema| &ema.values) {
        put(format!("ema.{name}"), values.clone());
    }
    tensors.extend(state.counters.iter().map(|(name, values)| (format!("{COUNTER}{name}"), values.clone())));
    let config = serde_json::to_value(config).map_err(|error| Error::checkpoint(&path, error.to_string()))?;
    let sha256 = Some(hash_of(tensors.values().map(|values| bytemuck::cast_slice(values))));
    let header =
        serde_json::to_string(&Header { step: state.step, updates: state.optimiser.updates, config, sha256 })
            .map_err(|error| Error::checkpoint(&path, error.to_string()))?;
    let tensors = tensors
        .iter()
        .map(|(key, values)| (key, Dtype::F32, vec![values.len()], bytemuck::cast_slice(values)));
    let bytes = serialize(tensors, [(HEADER, header)])
        .map_err(|error| Error::checkpoint(&path, error.to_string()))?;
    write_atomically(&path, &bytes).map_err(Error::io(&path))
}

/// Fields of a config, as JSON pointers, that may change when a run is resumed: it may become longer or
/// shorter, cool down earlier or later, and continue on another processor.
const MAY_DIFFER: [&str; 4] =
    ["/steps", "/training/schedule/shape/Trapezoid/from", "/dtype", "/training/micro_batches"];

/// Restores a run's state into `fresh`, the state of the same run at its start. The fields in `MAY_DIFFER`
/// may differ between the configs; a field added since the checkpoint was written counts as its default.
///
/// # Errors
/// [`Error::Checkpoint`] if the file is torn, was written under another config, or does not fit the model.
pub fn load<M: Module, C: Serialize + DeserializeOwned>(
    out: &Path,
    config: &C,
    mut fresh: State<M>,
    device: &Device,
) -> Result<State<M>> {
    let path = path(out);
    let fail = |message: String| Error::checkpoint(&path, message);
    let bytes = std::fs::read(&path).map_err(Error::io(&path))?;
    let torn = |error: safetensors::SafeTensorError| fail(format!("{error}; the file is damaged"));
    let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(torn)?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(torn)?;
    let header = metadata.metadata().as_ref().and_then(|entries| entries.get(HEADER));
    let header = header.ok_or_else(|| fail("has no training state; it is a weight file".into()))?;
    let header: Header =
        serde_json::from_str(header).map_err(|error| fail(format!("{error}; the file is damaged")))?;
    let mut config = serde_json::to_value(config).map_err(|error| fail(error.to_string()))?;
    let with_defaults = serde_json::from_value::<C>(header.config.clone()).and_then(serde_json::to_value);
    let then = with_defaults.unwrap_or(header.config);
    for field in MAY_DIFFER {
        if let (Some(now), Some(then)) = (config.pointer_mut(field), then.pointer(field)) {
            *now = then.clone();
        }
    }
    if let Some(Difference { at, first, second }) = differences(&then, &config).first() {
        return Err(fail(format!(
            "was written under another config: {at} was {first}, is {second}; use that config or another folder"
        )));
    }
    if let Some(written) = &header.sha256 {
        let by_name: BTreeMap<String, TensorView<'_>> = tensors.tensors().into_iter().collect();
        if *written != hash_of(by_name.values().map(TensorView::data)) {
            return Err(fail("holds other numbers than were written to it; the file is damaged".into()));
        }
    }
    let tensors: BTreeMap<String, TensorView<'_>> =
        tensors.tensors().into_iter().map(|(key, view)| (without_variants(&key), view)).collect();
    let take = |key: String, length: usize| -> Result<Tensor<1>> {
        let view = tensors.get(&key).ok_or_else(|| fail(format!("has no tensor {key}")))?;
        if view.dtype() != Dtype::F32 || view.shape() != [length] {
            return Err(fail(format!(
                "{key} is {:?} {:?}, expected F32 [{length}]",
                view.dtype(),
                view.shape()
            )));
        }
        let values: Vec<f32> = bytemuck::pod_collect_to_vec(view.data());
        Ok(Tensor::from_data(TensorData::new(values, [length]), device))
    };
    let mut weights = BTreeMap::new();
    for parameter in parameters(&fresh.model) {
        let (name, length) = (parameter.name, parameter.values.dims()[0]);
        weights.insert(name.clone(), take(format!("weights.{name}"), length)?);
        if tensors.contains_key(&format!("first.{name}")) {
            let first = take(format!("first.{name}"), length)?;
            let second = match fresh.optimiser.muon(parameter.id) {
                Some(_) => None,
                None => Some(take(format!("second.{name}"), length)?),
            };
            fresh.optimiser.moments.insert(name.clone(), Moments { first, second });
        }
        if let Some(ema) = &mut fresh.ema {
            ema.values.insert(name.clone(), take(format!("ema.{name}"), length)?);
        }
    }
    for (key, view) in &tensors {
        if let Some(name) = key.strip_prefix(COUNTER) {
            fresh.counters.insert(name.to_owned(), bytemuck::pod_collect_to_vec(view.data()));
        }
    }
    fresh.optimiser.updates = header.updates;
    fresh.model = replace(fresh.model, |parameter| weights.remove(&parameter.name));
    fresh.step = header.step;
    Ok(fresh)
}

#[cfg(test)]
mod tests {
    use burn::nn::{Linear, LinearConfig};

    use super::*;
    use crate::optimiser::AdamWConfig;
    use crate::run::Training;
    use crate::schedule::{Schedule, Shape};

    fn layer(inputs: usize) -> Linear {
        LinearConfig::new(inputs, 2).init(&Device::flex().autodiff())
    }

    fn bits(module: &Linear) -> Vec<u32> {
        parameters(module)
            .into_iter()
            .flat_map(|p| p.values.into_data().try_to_vec::<f32>().unwrap())
            .map(f32::to_bits)
            .collect()
    }

    fn fresh(inputs: usize) -> State<Linear> {
        let model = layer(inputs);
        let ema = Some(Ema::new(&model, 0.9));
        let optimiser = Optimiser::new(AdamWConfig::default(), None, Default::default());
        State { step: 0, model, optimiser, ema, counters: BTreeMap::new() }
    }

    #[derive(Serialize, Deserialize)]
    struct Config {
        rate: f64,
        steps: u64,
    }

    #[test]
    fn a_field_that_is_new_had_its_default_and_some_may_change() {
        #[derive(Serialize, Deserialize)]
        struct Newer {
            rate: f64,
            steps: u64,
            #[serde(default)]
            flips: bool,
            #[serde(default)]
            dtype: String,
        }
        let out = tempfile::tempdir().unwrap();
        save(out.path(), &Config { rate: 0.1, steps: 1 }, &fresh(3)).unwrap();
        let load = |flips: bool| {
            let config = Newer { rate: 0.1, steps: 9, flips, dtype: "bf16".into() };
            load(out.path(), &config, fresh(3), &Device::flex()).map(|state| state.step)
        };
        assert_eq!(load(false).unwrap(), 0);
        let message = load(true).unwrap_err().to_string();
        assert!(message.contains("flips was false, is true"), "{message}");
    }

    #[test]
    fn a_run_may_cool_down_at_another_step_and_at_no_other_rate() {
        let out = tempfile::tempdir().unwrap();
        #[derive(Serialize, Deserialize)]
        struct Config {
            training: Training,
        }
        let config = |from, end| Config {
            training: Training {
                schedule: Schedule { shape: Shape::Trapezoid { from, end }, ..Schedule::default() },
                ..Training::default()
            },
        };
        save(out.path(), &config(0.8, 0.0), &fresh(3)).unwrap();
        let load = |config| load(out.path(), &config, fresh(3), &Device::flex()).map(|state| state.step);
        assert_eq!(load(config(0.4, 0.0)).unwrap(), 0);
        let message = load(config(0.4, 0.1)).unwrap_err().to_string();
        assert!(message.contains("Trapezoid.end was 0.0, is 0.1"), "{message}");
    }

    #[test]
    fn what_is_saved_comes_back_bit_for_bit() {
        let out = tempfile::tempdir().unwrap();
        let mut state = fresh(3);
        let input = Tensor::<2>::ones([1, 3], &Device::flex().autodiff());
        let gradients = state.model.forward(input).sum().backward();
        (state.model, _) = state.optimiser.step(state.model, gradients, 0.1);
        state.ema = Some(Ema::new(&state.model, 0.9));
        state.step = 17;
        state.counters.insert("codes".into(), vec![1.0, 2.5]);
        save(out.path(), &Config { rate: 0.1, steps: 20 }, &state).unwrap();
        let back = load(out.path(), &Config { rate: 0.1, steps: 30 }, fresh(3), &Device::flex()).unwrap();
        assert_eq!((back.step, back.optimiser.updates), (17, 1));
        assert_eq!(bits(&back.model), bits(&state.model));
        assert_eq!(bits(&back.ema.unwrap().apply(layer(3))), bits(&state.model));
        assert_eq!(back.counters, state.counters);
        let second =
            |state: &Optimiser| state.moments["weight"].second.as_ref().map(|second| second.to_data());
        assert_eq!(second(&back.optimiser), second(&state.optimiser));
        assert!(back.model.weight.val().is_require_grad());
    }

    #[test]
    fn a_checkpoint_whose_names_have_variants_in_them_is_read() {
        let out = tempfile::tempdir().unwrap();
        let path = path(out.path());
        let state = fresh(3);
        save(out.path(), &Config { rate: 0.1, steps: 1 }, &state).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let older = tensors.tensors().into_iter().map(|(key, view)| (format!("{key}.Plain"), view));
        std::fs::write(&path, safetensors::serialize(older, metadata.metadata().clone()).unwrap()).unwrap();
        let back = load(out.path(), &Config { rate: 0.1, steps: 1 }, fresh(3), &Device::flex()).unwrap();
        assert_eq!(bits(&back.model), bits(&state.model));
    }

    #[test]
    fn another_config_another_model_and_a_torn_file_are_refused_by_name() {
        let out = tempfile::tempdir().unwrap();
        let path = path(out.path());
        save(out.path(), &Config { rate: 0.1, steps: 1 }, &fresh(3)).unwrap();
        let load = |rate: f64, inputs: usize| {
            load(out.path(), &Config { rate, steps: 1 }, fresh(inputs), &Device::flex())
                .map(|_| ())
                .unwrap_err()
        };
        assert!(load(0.2, 3).to_string().contains("rate was 0.1, is 0.2"));
        assert!(load(0.1, 4).to_string().contains("weights.weight is F32 [6], expected F32 [8]"));
        let bytes = std::fs::read(&path).unwrap();
        let mut flipped = bytes.clone();
        *flipped.last_mut().unwrap() ^= 1;
        std::fs::write(&path, flipped).unwrap();
        assert!(load(0.1, 3).to_string().contains("other numbers than were written"));
        std::fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
        assert!(load(0.1, 3).to_string().contains("damaged"));
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
