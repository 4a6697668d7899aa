//! Generates missing images, and passes them to the judges.

mod progress;
mod rows;

pub use progress::Progress;
pub use rows::{Set, catch_up, rows};

use rows::{key, look};

use std::collections::BTreeSet;
use std::sync::Arc;

use burn::tensor::Device;
use nextscale_core::Condition;
use nextscale_core::noise::Counter;
use nextscale_generate::observe::Times;
use nextscale_pipeline::config::Given;
use nextscale_pipeline::{Batch, Generator, LoadOptions, Model, Stop, images};

use crate::images::Images;
use crate::judge::Judge;
use crate::plan::{Ablation, Cell, Pixels};
use crate::store::{Shelf, Store, chunks};
use crate::{Error, Result};

/// Keeps the model that was used last: most cells share one.
pub struct Maker<'a> {
    store: &'a Store,
    device: Device,
    kind: String,
    with_encoder: bool,
    loaded: Option<(String, Model)>,
    stop: Stop,
    /// For stopping within a batch.
    within_batches: Stop,
    progress: &'a mut dyn FnMut(&Progress),
    so_far: Progress,
}

impl<'a> Maker<'a> {
    /// Without a model.
    pub fn new(
        store: &'a Store,
        device: Device,
        kind: String,
        ablation: &Ablation,
        stop: Stop,
        progress: &'a mut dyn FnMut(&Progress),
    ) -> Self {
        Self {
            store,
            device,
            kind,
            with_encoder: ablation.completion.is_some()
                || ablation.cells.iter().any(|cell| cell.prepared.config.edit.is_some()),
            loaded: None,
            within_batches: stop.clone(),
            stop,
            progress,
            so_far: Progress::default(),
        }
    }

    /// The same, finishing the batch at hand when a stop is requested.
    #[must_use]
    pub fn finishing_batches(self) -> Self {
        Self { within_batches: Stop::new(), ..self }
    }

    /// The folder that it fills.
    pub fn store(&self) -> &'a Store {
        self.store
    }

    /// The key of a cell's images.
    pub fn id(&self, cell: &Cell) -> String {
        cell.id(&self.kind)
    }

    /// For requests to stop.
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// The number of images to come.
    pub fn expect(&mut self, images: u64) {
        self.so_far.total = self.so_far.done + images;
        (self.progress)(&self.so_far);
    }

    /// The number of a cell's images that are done.
    pub fn advance(&mut self, cell: &Cell, images: u64) {
        self.so_far.done += images;
        self.so_far.cell.clone_from(&cell.name);
        (self.progress)(&self.so_far);
    }

    /// The model of a cell.
    ///
    /// # Errors
    /// If its weights cannot be read.
    pub fn model(&mut self, cell: &Cell) -> Result<Model> {
        // A model holds the rows of the texts given when it was loaded.
        let texts = texts(&cell.prepared.conditions);
        let weights = cell.prepared.weights();
        let name = format!("{} {} {weights} {texts:?}", cell.said("model"), cell.said("guides"));
        match &self.loaded {
            Some((loaded, model)) if *loaded == name => Ok(model.clone()),
            _ => {
                let options = LoadOptions {
                    with_encoder: self.with_encoder,
                    conditions: &cell.prepared.conditions,
                    ..LoadOptions::new(&self.device)
                };
                let model = cell.prepared.load(&options)?;
                self.loaded = Some((name, model.clone()));
                Ok(model)
            }
        }
    }

    /// A generator for a cell's images on a seed.
    ///
    /// # Errors
    /// If the rule does not fit the model.
    pub fn generator(&mut self, cell: &Cell, seed: u64) -> Result<Generator> {
        let method = cell.prepared.config.methods.first();
        let rule = method.ok_or_else(|| Error::Usage(format!("the cell {} has no rule", cell.name)))?;
        let sampler = Arc::clone(&cell.prepared.config.sampler);
        let rule = Arc::clone(&rule.rule);
        Ok(Generator::new(self.model(cell)?, rule, sampler, Arc::new(Counter::new(seed)))?)
    }

    /// The same with the edit of the cell's config, if it has one.
    ///
    /// # Errors
    /// As [`generator`](Self::generator), and if the edit's images cannot be read.
    pub fn edited(&mut self, cell: &Cell, seed: u64) -> Result<(Generator, Option<Given>)> {
        let mut generator = self.generator(cell, seed)?;
        let model = self.model(cell)?;
        let edit = cell.prepared.config.edit.as_ref();
        let given = edit.map(|edit| edit.load(&*model.tokenizer)).transpose();
        let given = given.map_err(|error| cell.prepared.model.named_in(error))?;
        if let Some(given) = &given {
            generator = generator.with_edit(given.edit.clone());
        }
        Ok((generator, given))
    }

    /// Images of a cell and seed that are to be generated or judged, in whole chunks.
    ///
    /// # Errors
    /// If a file is damaged.
    pub fn missing(&self, cell: &Cell, seed: u64, samples: u64, judges: &[&dyn Judge]) -> Result<u64> {
        let shelf = self.store.shelf(&self.id(cell), seed);
        let mut missing = 0;
        for (chunk, wanted) in chunks(samples) {
            if !is_done(&shelf, chunk, wanted, cell.pixels, judges)? {
                missing += wanted;
            }
        }
        Ok(missing)
    }

    /// Generates the missing images among the first `samples` of a cell and seed, and passes them to every
    /// judge.
    ///
    /// # Errors
    /// If the run fails, the disk fails, or a stop is requested. Finished work is kept, to the last batch.
    pub fn fill(&mut self, cell: &Cell, seed: u64, samples: u64, judges: &[&dyn Judge]) -> Result<()> {
        let mut generator = None;
        for (chunk, wanted) in chunks(samples) {
            self.fill_chunk((cell, seed), (chunk, wanted), judges, &mut generator)?;
        }
        Ok(())
    }

    /// As [`fill`](Self::fill), the first `wanted` images of one chunk. A `generator` for the cell and seed is
    /// made if it is needed.
    ///
    /// # Errors
    /// As [`fill`](Self::fill).
    pub fn fill_chunk(
        &mut self,
        (cell, seed): (&Cell, u64),
        (chunk, wanted): (u64, u64),
        judges: &[&dyn Judge],
        generator: &mut Option<(Generator, Option<Given>)>,
    ) -> Result<()> {
        let shelf = self.store.shelf(&self.id(cell), seed);
        if is_done(&shelf, chunk, wanted, cell.pixels, judges)? {
            return Ok(());
        }
        let mut images = shelf.images(chunk)?;
        let mut have = images.as_ref().map_or(0, Images::count) as u64;
        let begun = have.min(wanted);
        while have < wanted {
            let (generator, given) = match &mut *generator {
                Some(generator) => generator,
                none => none.insert(self.edited(cell, seed)?),
            };
            self.stop.check()?;
            let count = (cell.prepared.config.batch as u64).min(wanted - have);
            let first = chunk * crate::store::CHUNK + have;
            let more = batch(generator, given.as_ref(), cell, first..first + count, &self.within_batches)?;
            let all = match images.take() {
                Some(images) => images.and(&more)?,
                None => more,
            };
            // After every batch: on a large model one batch takes minutes.
            shelf.write_images(chunk, &all)?;
            images = Some(all);
            have += count;
            self.advance(cell, count);
        }
        self.stop.check()?;
        if let Some(images) = images {
            look(&shelf, chunk, images.first(wanted as usize), cell.pixels, judges)?;
        }
        self.advance(cell, begun);
        Ok(())
    }

    /// Whether a chunk is generated and judged.
    ///
    /// # Errors
    /// If a file is damaged.
    pub fn has(
        &self,
        cell: &Cell,
        seed: u64,
        (chunk, wanted): (u64, u64),
        judges: &[&dyn Judge],
    ) -> Result<bool> {
        is_done(&self.store.shelf(&self.id(cell), seed), chunk, wanted, cell.pixels, judges)
    }
}

/// The texts of some conditions.
fn texts(conditions: &[Condition]) -> BTreeSet<&str> {
    let both = conditions.iter().flat_map(|condition| [condition.shown(), condition.avoided()]);
    both.filter_map(text).collect()
}

fn text(condition: &Condition) -> Option<&str> {
    match condition {
        Condition::Prompt(text) => Some(text),
        _ => None,
    }
}

/// One batch of a cell.
fn batch(
    generator: &Generator,
    given: Option<&Given>,
    cell: &Cell,
    numbers: std::ops::Range<u64>,
    stop: &Stop,
) -> Result<Images> {
    let numbers: Vec<u64> = numbers.collect();
    let conditions: Vec<Condition> = numbers.iter().map(|&image| cell.condition(image)).collect();
    let batch = Batch { images: &numbers, conditions: &conditions };
    let named = |error| cell.prepared.model.named_in(error);
    let pixels = generator.draw(batch, &mut Times::default(), stop).map_err(|error| named(error.into()))?;
    let pictures = images::to_pictures_rounded(pixels, cell.prepared.config.rounding);
    let mut pictures = pictures.map_err(|error| named(error.of_images(&numbers).into()))?;
    if let Some(given) = given {
        pictures.iter_mut().zip(&numbers).for_each(|(picture, &image)| given.paste(image, picture));
    }
    Images::from_pictures(&pictures)
}

fn is_done(shelf: &Shelf, chunk: u64, wanted: u64, pixels: Pixels, judges: &[&dyn Judge]) -> Result<bool> {
    if shelf.count(chunk)? < wanted {
        return Ok(false);
    }
    for judge in judges {
        if shelf.row_count(chunk, &key(*judge, pixels))? < wanted {
            return Ok(false);
        }
    }
    Ok(true)
}
