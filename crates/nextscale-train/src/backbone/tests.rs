//! A backbone unlike VAR's: bits, conditions that are texts measured from the images, and lessons with a
//! randomly wrong prefix.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Int, Tensor, TensorData};
use nextscale_backbones::{Backbone, Conditioner, Session, of_side};
use nextscale_core::{
    Alphabet, BatchConditions, Condition, ConditionRows, Error as CoreError, LogitMap, Pass, PassCondition,
    PassLogits, PassPlan, Result as CoreResult, ScaleSchedule,
};
use nextscale_tokenizers::Tokenizer;
use serde::{Deserialize, Serialize};

use super::*;
use crate::cache::encode;
use crate::checkpoint;
use crate::config::BackboneSettings;
use crate::data::{Dataset, Images, Source, View};
use crate::random::uniform;
use crate::task::Groups;
use crate::toy::{BITS, BitToy};
use crate::{Options, Result, Training};

/// Reads the input and whether the text says "bright".
#[derive(Module, Debug)]
struct Lines {
    layer: Linear,
}

impl Lines {
    /// Logits `[batch, L, 2 · bits]` of inputs `[batch, L, 1]`.
    fn logits(&self, inputs: Tensor<3>, bright: Tensor<3>) -> Tensor<3> {
        let [_, length, _] = inputs.dims();
        self.layer.forward(Tensor::cat(vec![inputs, bright.repeat_dim(1, length)], 2))
    }
}

/// `[batch, 1, 1]`: 1 for bright, −1 for dark, 0 without text.
fn bright(conditions: &[Condition], side: PassCondition, device: &Device) -> CoreResult<Tensor<3>> {
    let level = |condition: &Condition| match of_side(condition, side) {
        Condition::Prompt(text) => Ok(if text == "bright" { 1.0 } else { -1.0 }),
        Condition::Null => Ok(0.0),
        other => Err(CoreError::Unsupported(format!("a text, not {other}"))),
    };
    let levels = conditions.iter().map(level).collect::<CoreResult<Vec<f32>>>()?;
    Ok(Tensor::from_data(TensorData::new(levels, [conditions.len(), 1, 1]), device))
}

struct Kind {
    device: Device,
}

fn text(images: &Images, index: usize) -> Condition {
    let size = 3 * images.size * images.size;
    let sum: usize = images.pixels[index * size..][..size].iter().map(|&level| usize::from(level)).sum();
    Condition::Prompt(if sum > 128 * size { "bright" } else { "dark" }.into())
}

impl TrainableBackbone for Kind {
    type Model = Lines;

    fn fresh(&self, device: &Device) -> Result<Lines> {
        let mut layer = LinearConfig::new(2, 2 * BITS).init(device);
        let values: Vec<f32> = (0..4 * BITS).map(|i| uniform(&[9, i as u64]) as f32 - 0.5).collect();
        layer.weight = burn::module::Param::from_tensor(Tensor::from_data(
            TensorData::new(values, [2, 2 * BITS]),
            device,
        ));
        layer.bias = None;
        Ok(Lines { layer })
    }

    fn open(&self, _: &Path, device: &Device) -> Result<Lines> {
        self.fresh(device)
    }

    fn groups(&self, _: &Lines) -> Groups {
        Groups::default()
    }

    fn condition(&self, images: &Images, index: usize, _: View, _: u64) -> Condition {
        text(images, index)
    }

    fn condition_name(&self) -> &'static str {
        "text"
    }

    fn sheet(&self, _: &Dataset, columns: usize) -> Vec<Condition> {
        ["bright", "dark"].iter().flat_map(|text| vec![Condition::Prompt((*text).into()); columns]).collect()
    }

    fn reads_pixels(&self) -> bool {
        true
    }

    /// Half of the images learn what follows the wrong first token.
    fn lesson(&self, tokenizer: &dyn Tokenizer, material: Material, keys: &[u64]) -> Result<Lesson> {
        let Material::Images(images) = material else { panic!("pixels were asked for") };
        let labels = encode(tokenizer, images)?;
        let wrong: Vec<i64> = keys.iter().map(|key| i64::from(uniform(&[*key]) < 0.5)).collect();
        let wrong = TensorData::new(wrong, [keys.len(), 1, 1]);
        let wrong: Tensor<3, Int> = Tensor::from_data(wrong, &labels.device());
        let first = (labels.clone().slice_dim(1, 0..1) + wrong) % 2;
        let seen = Tensor::cat(vec![first, labels.clone().slice_dim(1, 1..5)], 1);
        Ok(Lesson { features: teacher_features(tokenizer, &seen)?, labels })
    }

    fn logits(&self, model: &Lines, features: Tensor<3>, conditions: &[Condition]) -> Result<Tensor<3>> {
        let bright = bright(conditions, PassCondition::Given, &self.device)?;
        let bright = if features.is_autodiff() { bright.autodiff() } else { bright };
        let first = features.clone().slice_dim(1, 0..1).zeros_like();
        Ok(model.logits(Tensor::cat(vec![first, features], 1), bright))
    }

    fn drawing(&self, model: &Lines) -> Result<Drawing> {
        let schedule = BitToy::new().schedule().clone();
        let backbone = Drawn { model: model.clone(), schedule, device: self.device.clone() };
        Ok(Drawing { backbone: Arc::new(backbone), conditioner: Arc::new(Texts(self.device.clone())) })
    }

    fn tensors(&self, model: &Lines) -> Vec<(String, TensorData)> {
        vec![("layer".into(), model.layer.weight.val().into_data())]
    }

    fn metadata(&self, _: &Lines, _: &Dataset) -> BTreeMap<String, String> {
        BTreeMap::new()
    }
}

struct Texts(Device);

impl Conditioner for Texts {
    fn rows(&self, conditions: &[Condition], side: PassCondition) -> CoreResult<ConditionRows> {
        let values = bright(conditions, side, &self.0)?;
        let mask = Tensor::<2>::ones([conditions.len(), 1], &self.0).greater_elem(0.0);
        Ok(ConditionRows::Embeddings { values, mask })
    }
}

struct Drawn {
    model: Lines,
    schedule: ScaleSchedule,
    device: Device,
}

impl Backbone for Drawn {
    fn schedule(&self) -> &ScaleSchedule {
        &self.schedule
    }

    fn alphabet(&self) -> Alphabet {
        Alphabet::bits(BITS)
    }

    fn input_channels(&self) -> usize {
        1
    }

    fn device(&self) -> Device {
        self.device.clone()
    }

    fn start(&self, conditions: &BatchConditions, plan: &PassPlan) -> CoreResult<Box<dyn Session + '_>> {
        let all = plan.all();
        let rows = all.iter().map(|pass| match conditions.rows(pass.condition)? {
            ConditionRows::Embeddings { values, .. } => Ok((pass.clone(), values.clone())),
            other => Err(CoreError::Unsupported(format!("{other:?}"))),
        });
        Ok(Box::new(Step { of: self, rows: rows.collect::<CoreResult<_>>()?, next: 0 }))
    }
}

struct Step<'a> {
    of: &'a Drawn,
    rows: Vec<(Pass, Tensor<3>)>,
    next: usize,
}

impl Session for Step<'_> {
    fn step(&mut self, input: Option<Tensor<3>>) -> CoreResult<PassLogits> {
        let grid = self.of.schedule.grid(self.next);
        self.next += 1;
        let logits = self.rows.iter().map(|(pass, bright)| {
            let input = input.clone().unwrap_or_else(|| bright.zeros_like());
            let values = self.of.model.logits(input, bright.clone());
            Ok((pass.clone(), LogitMap::new(values, grid, Alphabet::bits(BITS))?))
        });
        logits.collect()
    }
}

/// A folder of 4 × 4 images of two classes that are unrelated to brightness.
fn folder(root: &Path) {
    for (split, count) in [("train", 12), ("test", 4)] {
        for class in ["a", "b"] {
            let folder = root.join(split).join(class);
            std::fs::create_dir_all(&folder).unwrap();
            for i in 0..count {
                let level = |x: u32, y: u32| if i % 2 == 0 { 30 + 9 * x as u8 } else { 190 + 9 * y as u8 };
                let image = image::RgbImage::from_fn(4, 4, |x, y| image::Rgb([level(x, y); 3]));
                image.save(folder.join(format!("{i}.png"))).unwrap();
            }
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Config {
    steps: u64,
}

fn train(root: &Path, out: &str, steps: u64, max_minutes: Option<f64>) -> crate::Outcome {
    let settings = BackboneSettings {
        data: Source::Folder { root: root.into(), size: 4 },
        // Only its bytes matter here: they identify the stored tokens.
        tokenizer: root.join("train/a/0.png"),
        seed: 2,
        steps,
        batch: 6,
        flips: true,
        shift: 1,
        start: None,
        label_dropout: 0.2,
        dtype: nextscale_core::Dtype::F32,
        training: Training { learning_rate: 0.1, sample_every: 3, log_every: 2, ..Training::default() },
    };
    let options = Options { quiet: true, resume: true, max_minutes, ..Options::new(root.join(out)) };
    let make = |_: &Dataset| Ok(Kind { device: Device::flex() });
    let tokenizer = Arc::new(BitToy::new());
    train_backbone(make, tokenizer, &settings, &Config { steps }, &options, &Device::flex()).unwrap()
}

#[test]
fn a_backbone_of_bits_and_texts_learns_from_wrong_prefixes_and_resumes() {
    let root = tempfile::tempdir().unwrap();
    folder(root.path());
    let straight = train(root.path(), "straight", 8, None);
    for step in 1..8 {
        assert_eq!(train(root.path(), "resumed", 8, Some(0.0)).step, step);
    }
    assert_eq!(train(root.path(), "resumed", 8, None).evaluation, straight.evaluation);
    for file in [checkpoint::FILE, "evaluation.csv", "samples-000003.png", "backbone.safetensors"] {
        let bytes = |out: &str| std::fs::read(root.path().join(out).join(file)).unwrap();
        assert!(bytes("straight") == bytes("resumed"), "{file} differs");
    }
    let longer = train(root.path(), "longer", 60, None);
    let of = |outcome: &crate::Outcome, name: &str| {
        outcome.evaluation.iter().find(|(known, _)| known == name).unwrap().1
    };
    assert!(of(&longer, "text.all") < of(&straight, "text.all"));
    // The text is informative for the first scale.
    assert!(of(&longer, "text.scale_0") < of(&longer, "null.scale_0"));
}
