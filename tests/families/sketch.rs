//! A model family from outside the workspace's crates, as another crate would write it: bits, text, grids
//! that are neither square nor doubled and which a config chooses, no cache, a second model, and a continuous
//! part at the last scale.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nextscale::backbones::{Backbone, Conditioner, Refinement, Session, of_side};
use nextscale::burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use nextscale::config::Node;
use nextscale::config::settings::Entry;
use nextscale::core::noise::Place;
use nextscale::core::random::{fnv1a, splitmix64};
use nextscale::core::{
    Alphabet, BatchConditions, Canvas, Condition, ConditionRows, Draw, Error, Grid, LogitMap, Pass,
    PassCondition, PassLogits, PassPlan, Result, ScaleSchedule,
};
use nextscale::families::{
    self, Architecture, EmbeddedFile, LoadOptions, ModelFacts, ModelFamily, ModelSource, OpenModel, Takes,
    fingerprint,
};
use nextscale::generate::Model;
use nextscale::settings::Settings;
use nextscale::tokenizers::Tokenizer;
use nextscale::weights::{ExpectedTensors, WeightFile};
use serde::Serialize;

/// Channels of an embedding, one a bit.
pub const BITS: usize = 2;
/// Width of a word's embedding.
pub const WIDTH: usize = 3;
/// The head reads the input, the mean of earlier inputs, the text, and the position.
pub const FEATURES: usize = 2 * BITS + WIDTH + 2;
/// The one tensor of a file, `[FEATURES, 2 · BITS]`.
pub const HEAD: &str = "sketch.head";

/// The scales of a sketch, unless its config asks for a wide one.
pub fn schedule() -> ScaleSchedule {
    grids([(1, 1), (1, 2), (2, 3), (3, 4)])
}

/// The scales of a wide one.
pub fn wide() -> ScaleSchedule {
    grids([(1, 2), (2, 3), (2, 5), (3, 7)])
}

fn grids(sides: [(usize, usize); 4]) -> ScaleSchedule {
    let grids = sides.map(|(height, width)| Grid::new(height, width));
    ScaleSchedule::new(grids.to_vec()).expect("grids that grow")
}

/// Refuses scales that no sketch has.
fn known(schedule: &ScaleSchedule) -> Result<()> {
    if [self::schedule(), wide()].contains(schedule) {
        return Ok(());
    }
    Err(Error::setting("scales", format!("a sketch has {} or {}, not {schedule}", self::schedule(), wide())))
}

/// What tokenizer and backbone must agree on.
macro_rules! sizes {
    () => {
        fn schedule(&self) -> &ScaleSchedule {
            &self.schedule
        }

        fn alphabet(&self) -> Alphabet {
            Alphabet::bits(BITS)
        }

        fn input_channels(&self) -> usize {
            BITS
        }

        fn device(&self) -> Device {
            self.device.clone()
        }
    };
}

/// Numbers between -2 and 2 that depend on a name.
pub fn hashed(name: &str, count: usize) -> Vec<f32> {
    let number = |i| (splitmix64(fnv1a(name), i as u64) >> 40) as f32 / (1 << 22) as f32 - 2.0;
    (0..count).map(number).collect()
}

pub fn head(name: &str) -> TensorData {
    TensorData::new(hashed(name, FEATURES * 2 * BITS), [FEATURES, 2 * BITS])
}

pub struct SketchFamily;

impl ModelFamily for SketchFamily {
    fn entry(&self) -> Entry<dyn ModelSource> {
        Entry::of(|sketch: Sketch| Arc::new(sketch) as Arc<dyn ModelSource>)
    }

    fn recognise(&self, file: &WeightFile) -> Option<Result<String, String>> {
        file.info(HEAD)?;
        let checked = expected().check(file).map_err(|error| error.to_string());
        Some(checked.map(|()| format!("A sketch that can be used: scales {}", schedule())))
    }

    fn marks(&self) -> Vec<String> {
        vec![format!("a sketch (`{HEAD}`)")]
    }

    fn random(&self, sizes: &str) -> Option<families::Result<Arc<dyn OpenModel>>> {
        let open = || {
            let head = Head::Values(hashed(sizes, FEATURES * 2 * BITS));
            Ok(Arc::new(OpenSketch::new(head, false, sizes, Node::from_serialize(sizes)?)) as _)
        };
        sizes.starts_with("sketch").then(open)
    }

    fn architectures(&self) -> Vec<Architecture> {
        vec![super::training::architecture()]
    }

    fn shipped(&self, files: &[EmbeddedFile], node: &Node) -> families::Result<Arc<dyn OpenModel>> {
        let bytes = EmbeddedFile::find(files, "weights", node)?.bytes;
        let head = Head::File(checked(WeightFile::from_bytes(bytes, "the shipped sketch")?)?);
        Ok(Arc::new(OpenSketch::new(head, false, "", node.clone())))
    }
}

fn expected() -> ExpectedTensors {
    ExpectedTensors::new("a sketch").tensor(HEAD, [FEATURES, 2 * BITS])
}

fn checked(file: WeightFile) -> families::Result<WeightFile> {
    expected().check(&file)?;
    Ok(file)
}

/// A toy of one small file.
#[derive(Debug, Settings)]
#[setting(example = "Sketch(weights: \"a.safetensors\")")]
pub struct Sketch {
    /// Its file.
    weights: PathBuf,
    /// Whether it draws wide pictures.
    #[setting(default = false)]
    wide: bool,
}

impl ModelSource for Sketch {
    fn open(&self, _: &Node) -> families::Result<Arc<dyn OpenModel>> {
        #[derive(Serialize)]
        #[serde(rename = "Model")]
        enum Written<'a> {
            Sketch { weights: &'a Path, wide: bool },
        }
        let Self { weights, wide } = self;
        let head = Head::File(checked(WeightFile::open(weights)?)?);
        // Everything that images depend on, including their size.
        let mut fingerprint = fingerprint::of_file(weights)?;
        fingerprint += if *wide { "-wide" } else { "" };
        let written = Written::Sketch { weights, wide: *wide };
        let resolved = Node::from_serialize(&written)?;
        Ok(Arc::new(OpenSketch::new(head, *wide, &fingerprint, resolved)))
    }
}

enum Head {
    File(WeightFile),
    Values(Vec<f32>),
}

impl Head {
    fn values(&self) -> families::Result<Vec<f32>> {
        match self {
            Self::File(file) => Ok(file.values(HEAD)?.0),
            Self::Values(values) => Ok(values.clone()),
        }
    }
}

struct OpenSketch {
    head: Head,
    facts: ModelFacts,
}

impl OpenSketch {
    fn new(head: Head, wide: bool, fingerprint: &str, resolved: Node) -> Self {
        let facts = ModelFacts {
            schedule: if wide { self::wide() } else { schedule() },
            alphabet: Alphabet::bits(BITS),
            takes: Takes { prompts: true, ..Takes::default() },
            fingerprint: fingerprint.into(),
            tokenizer: String::new(),
            resolved,
            words: "a sketch".into(),
        };
        Self { head, facts }
    }
}

impl OpenModel for OpenSketch {
    fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    fn load(&self, options: &LoadOptions<'_>) -> families::Result<Model> {
        let LoadOptions { device, .. } = *options;
        let model = model(self.head.values()?, device)?;
        Ok(model.on_scales(self.schedule())?)
    }
}

/// A model with this head, `[FEATURES, 2 · BITS]`.
pub fn model(head: Vec<f32>, device: &Device) -> nextscale::generate::Result<Model> {
    let (backbone, conditioner) = drawing(head, device);
    Model::new(Arc::new(Paper::new(device)), backbone, conditioner)
}

/// The backbone and conditioner of a head.
fn drawing(head: Vec<f32>, device: &Device) -> (Arc<dyn Backbone>, Arc<dyn Conditioner>) {
    let backbone = Pencil { schedule: schedule(), device: device.clone(), head };
    (Arc::new(backbone), Arc::new(Words { device: device.clone() }))
}

/// What the head reads at every position of a scale of one image, `[h·w · FEATURES]`: the scale's
/// input `[h·w · BITS]`, the mean of earlier inputs, the mean of the text's rows, and the position.
pub fn features(input: &[f32], earlier: [f32; BITS], text: &[f32], grid: Grid) -> Vec<f32> {
    let each = input.chunks(BITS).enumerate().flat_map(|(position, own)| {
        let place = [position / grid.width, position % grid.width].map(|at| at as f32 / 4.0);
        [own, &earlier, text, &place].concat()
    });
    each.collect()
}

/// The mean of embeddings of `BITS` channels; zeros without any.
pub fn mean<'a>(embeddings: impl Iterator<Item = &'a [f32]>) -> [f32; BITS] {
    let (count, sum) = embeddings
        .fold((0, [0.0; BITS]), |(count, sum), bits| (count + 1, std::array::from_fn(|i| sum[i] + bits[i])));
    sum.map(|sum| sum / count.max(1) as f32)
}

/// Every word of a text is a row.
pub struct Words {
    pub device: Device,
}

impl Conditioner for Words {
    fn rows(&self, conditions: &[Condition], side: PassCondition) -> Result<ConditionRows> {
        let rows = conditions.iter().map(|condition| match of_side(condition, side) {
            Condition::Prompt(text) => Ok(text.split_whitespace().collect::<Vec<_>>()),
            Condition::Null => Ok(Vec::new()),
            other => Err(Error::Unsupported(format!("a sketch takes texts, and was given {other}"))),
        });
        let rows = rows.collect::<Result<Vec<_>>>()?;
        let longest = rows.iter().map(Vec::len).max().unwrap_or(0).max(1);
        // Values beyond a text's end are not zero: only the mask shows where it ends.
        let values = rows.iter().flat_map(|words| {
            let end = std::iter::repeat_n(&"end", longest - words.len());
            words.iter().chain(end).flat_map(|word| hashed(word, WIDTH))
        });
        let mask = rows.iter().flat_map(|words| (0..longest).map(|i| i < words.len()));
        let values = TensorData::new(values.collect::<Vec<_>>(), [rows.len(), longest, WIDTH]);
        let mask = TensorData::new(mask.collect::<Vec<_>>(), [rows.len(), longest]);
        Ok(ConditionRows::Embeddings {
            values: Tensor::from_data(values, &self.device),
            mask: Tensor::from_data(mask, &self.device),
        })
    }
}

#[derive(Clone)]
struct Pencil {
    schedule: ScaleSchedule,
    device: Device,
    head: Vec<f32>,
}

impl Backbone for Pencil {
    sizes!();

    fn has_cache(&self) -> bool {
        false
    }

    fn on_scales(&self, schedule: &ScaleSchedule) -> Result<Arc<dyn Backbone>> {
        known(schedule)?;
        Ok(Arc::new(Self { schedule: schedule.clone(), ..self.clone() }))
    }

    fn start(&self, conditions: &BatchConditions, plan: &PassPlan) -> Result<Box<dyn Session + '_>> {
        let all = plan.all();
        let passes = all.iter().map(|pass| match conditions.rows(pass.condition)? {
            ConditionRows::Embeddings { values, mask } => Ok((pass.clone(), means(values, mask)?)),
            other => Err(Error::Unsupported(format!("a sketch reads embeddings, and was given {other:?}"))),
        });
        let passes = passes.collect::<Result<Vec<_>>>()?;
        let (plan, batch) = (plan.clone(), conditions.batch());
        Ok(Box::new(Drawing { of: self, plan, passes, batch, inputs: Vec::new(), next: 0 }))
    }
}

/// The mean of every image's own rows, `[batch · WIDTH]`; zeros for a text without words.
pub fn means(values: &Tensor<3>, mask: &Tensor<2, Bool>) -> Result<Vec<f32>> {
    let longest = values.dims()[1];
    let (values, mask) = (host(values.clone())?, host(mask.clone().float())?);
    let images = values.chunks(longest * WIDTH).zip(mask.chunks(longest));
    let mean = |(rows, mask): (&[f32], &[f32])| {
        let count = mask.iter().sum::<f32>().max(1.0);
        let own = rows.chunks(WIDTH).zip(mask).filter(|(_, own)| **own != 0.0).map(|(row, _)| row);
        own.fold([0.0; WIDTH], |sum, row| std::array::from_fn(|i| sum[i] + row[i])).map(|sum| sum / count)
    };
    Ok(images.flat_map(mean).collect())
}

struct Drawing<'a> {
    of: &'a Pencil,
    plan: PassPlan,
    passes: Vec<(Pass, Vec<f32>)>,
    batch: usize,
    /// The inputs of every scale so far, `[batch · h·w · BITS]`, in place of a cache.
    inputs: Vec<Vec<f32>>,
    next: usize,
}

impl Session for Drawing<'_> {
    fn step(&mut self, input: Option<Tensor<3>>) -> Result<PassLogits> {
        let (k, batch) = (self.next, self.batch);
        self.next += 1;
        let grid = self.of.schedule.grid(k);
        let input = match input {
            Some(input) => host(input)?,
            None => vec![0.0; batch * grid.positions() * BITS],
        };
        let wanted = self.passes.iter().filter(|(pass, _)| self.plan.wanted(k).contains(pass));
        let logits = wanted.map(|(pass, texts)| {
            let mut values = Vec::new();
            for image in 0..batch {
                let (earlier, text) = (self.earlier(image), &texts[image * WIDTH..][..WIDTH]);
                let size = grid.positions() * BITS;
                let features = features(&input[image * size..][..size], earlier, text, grid);
                for features in features.chunks(FEATURES) {
                    let mut sums = [0.0; 2 * BITS];
                    for (feature, row) in features.iter().zip(self.of.head.chunks(2 * BITS)) {
                        sums.iter_mut().zip(row).for_each(|(sum, weight)| *sum += feature * weight);
                    }
                    values.extend(sums);
                }
            }
            let values = TensorData::new(values, [batch, grid.positions(), 2 * BITS]);
            let values = Tensor::from_data(values, &self.of.device);
            Ok((pass.clone(), LogitMap::new(values, grid, Alphabet::bits(BITS))?))
        });
        let logits = logits.collect::<Result<PassLogits>>()?;
        self.inputs.push(input);
        Ok(logits)
    }

    /// The last scale gets a continuous part.
    fn refine(&mut self, refinement: &Refinement<'_>) -> Result<Option<Tensor<4>>> {
        let Refinement { scale, images, embedding, noise, .. } = *refinement;
        if scale + 1 < self.of.schedule.len() {
            return Ok(None);
        }
        let grid = self.of.schedule.last();
        let place = Place { scale, images, positions: grid.positions(), alphabet: Alphabet::bits(BITS) };
        let normal = TensorData::new(noise.gaussian(&place, BITS), [images.len(), grid.positions(), BITS]);
        let normal: Tensor<3> = Tensor::from_data(normal, &self.of.device);
        Ok(Some(embedding.clone() + on_grid(normal, grid).mul_scalar(0.05)))
    }
}

impl Drawing<'_> {
    /// The mean of an image's earlier inputs.
    fn earlier(&self, image: usize) -> [f32; BITS] {
        mean(self.inputs.iter().flat_map(|input| {
            let size = input.len() / self.batch;
            input[image * size..][..size].chunks(BITS)
        }))
    }
}

/// A bit of scale k adds or subtracts 2^-(k+1); the two channels of the canvas are red and green. The
/// canvas has the grid of the pixels, which is finer than the last scale's.
#[derive(Clone)]
pub struct Paper {
    schedule: ScaleSchedule,
    device: Device,
}

impl Paper {
    pub fn new(device: &Device) -> Self {
        Self { schedule: schedule(), device: device.clone() }
    }

    fn indices(&self, from: usize, to: usize) -> Tensor<1, Int> {
        let indices: Vec<i64> = (0..to).map(|i| (i * from / to) as i64).collect();
        Tensor::from_data(TensorData::new(indices, [to]), &self.device)
    }

    fn resized(&self, features: Tensor<4>, to: Grid) -> Tensor<4> {
        let [_, _, height, width] = features.dims();
        let rows = features.select(2, self.indices(height, to.height));
        rows.select(3, self.indices(width, to.width))
    }

    fn pixels(&self) -> Grid {
        let finest = self.schedule.last();
        Grid::new(2 * finest.height, 2 * finest.width)
    }
}

impl Tokenizer for Paper {
    sizes!();

    fn canvas_grid(&self) -> Grid {
        self.pixels()
    }

    fn image_size(&self) -> (usize, usize) {
        (self.pixels().height, self.pixels().width)
    }

    fn on_scales(&self, schedule: &ScaleSchedule) -> Result<Arc<dyn Tokenizer>> {
        known(schedule)?;
        Ok(Arc::new(Self { schedule: schedule.clone(), ..self.clone() }))
    }

    fn blank(&self, batch: usize) -> Canvas {
        let Grid { height, width } = self.pixels();
        Canvas { features: Tensor::zeros([batch, BITS, height, width], &self.device) }
    }

    fn embed(&self, draw: &Draw, k: usize) -> Result<Tensor<4>> {
        let signs = draw.tokens.clone().float().mul_scalar(2.0).sub_scalar(1.0);
        Ok(on_grid(signs, self.schedule.grid(k)).mul_scalar(0.5_f32.powi(k as i32 + 1)))
    }

    fn accumulate(&self, canvas: Canvas, embedding: Tensor<4>, _: usize) -> Result<Canvas> {
        let embedding = self.resized(self.resized(embedding, self.schedule.last()), self.pixels());
        Ok(Canvas { features: canvas.features + embedding })
    }

    fn next_input(&self, canvas: &Canvas, k: usize) -> Result<Tensor<3>> {
        Ok(self.resized(canvas.features.clone(), self.schedule.grid(k)).flatten::<3>(2, 3).swap_dims(1, 2))
    }

    fn decode(&self, canvas: &Canvas) -> Result<Tensor<4>> {
        let colours = canvas.features.clone();
        let blue = colours.clone().mean_dim(1);
        Ok(Tensor::cat(vec![colours, blue], 1).mul_scalar(0.5).add_scalar(0.5).clamp(0.0, 1.0))
    }

    fn encode(&self, images: Tensor<4>) -> Result<Vec<Tensor<3, Int>>> {
        let batch = images.dims()[0];
        let wanted = self.resized(images.narrow(1, 0, BITS), self.schedule.last());
        let wanted = wanted.mul_scalar(2.0).sub_scalar(1.0);
        let mut canvas = self.blank(batch);
        let scales = (0..self.schedule.len()).map(|k| {
            let drawn = self.resized(canvas.features.clone(), self.schedule.last());
            let missing = Canvas { features: wanted.clone() - drawn };
            let tokens = self.next_input(&missing, k)?.greater_elem(0.0).int();
            let embedding = self.embed(&Draw::tokens(tokens.clone()), k)?;
            canvas = self.accumulate(canvas.clone(), embedding, k)?;
            Ok(tokens)
        });
        scales.collect()
    }
}

/// `[batch, h·w, channels]` as `[batch, channels, h, w]`.
fn on_grid(values: Tensor<3>, grid: Grid) -> Tensor<4> {
    let [batch, _, channels] = values.dims();
    values.swap_dims(1, 2).reshape([batch, channels, grid.height, grid.width])
}

fn host<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    tensor.into_data().try_into_vec_as().map_err(|error| Error::Unsupported(format!("{error:?}")))
}
