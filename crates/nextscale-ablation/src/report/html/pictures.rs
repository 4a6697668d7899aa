//! Images of every cell, paired by seed and number, as they form, and as they complete real ones.

use std::io::Cursor;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::{ImageFormat, RgbImage, imageops};
use maud::{Markup, html};

use super::{Section, images_of};
use crate::images::Images;
use crate::report::Report;
use crate::store::Store;
use crate::why::{STRIPS, trace_key};
use crate::{Error, Result};

/// Images per row.
const ACROSS: usize = 10;
/// Seeds that are shown, at most.
const SEEDS: usize = 5;
/// Approximate number of rows over all seeds.
const ROWS: usize = 100;
/// Larger images are reduced: the page contains all of them.
const SIDE: u32 = 128;
/// Approximate total of pixels: with many images, each is reduced further.
const PIXELS: usize = 3_000_000;
/// But no smaller than this.
const LEAST: u32 = 48;

/// How many seeds have their images on the page: fewer with many cells.
pub(super) fn seeds_shown(report: &Report) -> usize {
    let ablation = &report.ablation;
    (ROWS / ablation.cells.len().max(1)).clamp(1, SEEDS).min(ablation.seeds.len())
}

/// The pictures of the page.
pub(super) struct Pictures {
    /// The first images of every shown seed, one row per cell.
    seeds: Vec<Vec<Row>>,
    /// Images of a row.
    across: usize,
    /// Images after every scale.
    forming: Vec<Row>,
    /// Given images, and their completions from more and more scales.
    completions: Vec<Row>,
    /// Pictures of one image in `forming` and `completions`.
    columns: [usize; 2],
}

/// A row of pictures.
struct Row {
    cell: usize,
    source: String,
    /// Images that are shown in it, one after the other.
    images: usize,
}

impl Pictures {
    /// Reads them.
    ///
    /// # Errors
    /// If one is missing or cannot be read.
    pub(super) fn of(report: &Report, store: &Store) -> Result<Self> {
        let ablation = &report.ablation;
        let shown = seeds_shown(report);
        let side =
            ((PIXELS / (shown * ablation.cells.len() * ACROSS).max(1)).isqrt() as u32).clamp(LEAST, SIDE);
        let (mut seeds, mut across) = (Vec::new(), 1);
        for &seed in &ablation.seeds[..shown] {
            let mut rows = Vec::new();
            for (cell, planned) in ablation.cells.iter().enumerate() {
                let images = store.shelf(&planned.id, seed).images(0)?.ok_or_else(|| {
                    Error::Folder(format!(
                        "the images of {} are missing; run `nextscale ablate` again",
                        planned.name
                    ))
                })?;
                let count = images.count().min(ACROSS);
                across = across.max(count);
                let images = planned.pixels.apply(images.first(count));
                rows.push(Row { cell, source: strips(&images, 1, side)?, images: count });
            }
            seeds.push(baseline_first(report, rows));
        }
        let key = trace_key(ablation.traces, ablation.seeds[0], &ablation.cells[ablation.baseline].id);
        let scales = report.traces.iter().flatten().next().map_or(1, |traced| traced.scales.len());
        let kept = report.completions.iter().flatten().next().map_or(1, |rows| rows.len() + 1);
        let (mut forming, mut completions) = (Vec::new(), Vec::new());
        for (cell, planned) in ablation.cells.iter().enumerate() {
            let add = |rows: &mut Vec<Row>, what: &str, key: &str, each: usize| -> Result<()> {
                if let Some(images) = store.kept_images(&planned.id, what, key)? {
                    let shown = (images.count() / each.max(1)).min(STRIPS as usize);
                    let images = images.first(shown * each);
                    rows.push(Row { cell, source: strips(&images, each, side)?, images: shown });
                }
                Ok(())
            };
            if report.traces[cell].is_some() {
                add(&mut forming, "strips", &key, scales)?;
            }
            if let (Some(key), Some(_)) = (&ablation.completion, &report.completions[cell]) {
                add(&mut completions, "completions", key, kept)?;
            }
        }
        Ok(Self {
            seeds,
            across,
            forming: baseline_first(report, forming),
            completions: baseline_first(report, completions),
            columns: [scales, kept],
        })
    }

    /// The first images of every seed.
    pub(super) fn images(&self, report: &Report) -> Section {
        let ablation = &report.ablation;
        let body = html! {
            p {
                "Columns are paired: the same seed and number, so the same random numbers and the same class, in every row. The "
                "baseline, “" (ablation.cells[ablation.baseline].name) "”, is the top row."
            }
            @for (i, (seed, rows)) in ablation.seeds.iter().zip(&self.seeds).enumerate() {
                @let shows = |image: usize| {
                    let shows = &ablation.cells[ablation.baseline].shows;
                    shows.get(image % shows.len().max(1)).cloned().unwrap_or_default()
                };
                @let heads: Vec<String> = (0..self.across).map(shows).collect();
                details open[i == 0] {
                    summary { "Seed " (seed) ", images 0 to " (self.across.saturating_sub(1)) }
                    (grid(report, rows, &heads, self.across, Some(i)))
                }
            }
        };
        Section { title: "Images", id: "images", body }
    }

    /// Images as they form.
    pub(super) fn forming(&self, report: &Report) -> Option<Section> {
        let images = self.forming.first()?.images;
        let grids = report.ablation.scales.iter().map(|(height, width)| format!("{height}×{width}"));
        let heads: Vec<String> = grids.collect();
        let body = html! {
            p {
                "The first " (images) " images of seed " (report.ablation.seeds[0]) ", decoded after every scale; the headings are "
                "the scales in tokens."
            }
            (grid(report, &self.forming, &heads, self.columns[0], None))
        };
        Some(Section { title: "Images as they form", id: "forming", body })
    }

    /// Completions of real images: pictures and distances.
    pub(super) fn completions(&self, report: &Report) -> Option<Section> {
        report.completions.iter().flatten().next()?;
        let kept = (1..self.columns[1]).map(|kept| kept.to_string());
        let heads: Vec<String> = std::iter::once("real".to_owned()).chain(kept).collect();
        let body = html! {
            @if !self.completions.is_empty() {
                p {
                    "A real image, and what every rule makes of its first scales; the headings say how many of its "
                    (report.ablation.scales.len()) " scales are kept."
                }
                (grid(report, &self.completions, &heads, self.columns[1], None))
            }
            (super::completions::distances(report))
        };
        Some(Section { title: "Completions of real images", id: "completions", body })
    }
}

/// The row that others are compared with, at the top.
fn baseline_first(report: &Report, mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by_key(|row| !report.is_baseline(row.cell));
    rows
}

/// Rows of pictures under their headings, with `columns` pictures per image. `seed` numbers the seed, for
/// links.
fn grid(report: &Report, rows: &[Row], heads: &[String], columns: usize, seed: Option<usize>) -> Markup {
    let images = rows.iter().map(|row| row.images).max().unwrap_or(0);
    // A strip of single images has no gaps between them.
    let (images, columns) = if seed.is_some() { (1, columns) } else { (images, columns) };
    let group = format!("repeat({columns}, minmax(0, 1fr))");
    let template = vec![group; images].join(" .5fr ");
    let least = images * columns * if seed.is_some() { 58 } else { 30 };
    html! {
        div.scroll.card {
            div.strips style={ "min-width:" (least) "px" } {
                @for (i, row) in rows.iter().enumerate() {
                    @let name = &report.ablation.cells[row.cell].name;
                    @let pictures = html! {
                        span.name { (name) }
                        img src=(row.source) alt={ "images of " (name) } loading="lazy";
                    };
                    @if i == 0 {
                        div.top {
                            div.strip aria-hidden="true" {
                                span.name {}
                                div.heads style={ "grid-template-columns:" (template) } {
                                    @for image in 0..images {
                                        @if image > 0 { span {} }
                                        @for head in heads.iter().take(columns) { span title=(head) { (head) } }
                                    }
                                }
                            }
                            div.strip id=[seed.map(|seed| images_of(row.cell, seed))] { (pictures) }
                        }
                    } @else {
                        div.strip id=[seed.map(|seed| images_of(row.cell, seed))] { (pictures) }
                    }
                }
            }
        }
    }
}

/// Images side by side, with a gap after every `each` of them if that is more than one.
fn strips(images: &Images, each: usize, side: u32) -> Result<String> {
    let pictures = (0..images.count()).flat_map(|i| {
        let gap = (each > 1 && i > 0 && i % each == 0).then_some(None);
        gap.into_iter().chain(std::iter::once(images.picture(i)))
    });
    row(pictures, side)
}

/// Pictures side by side as a PNG in a data URI; `None` is a transparent gap.
fn row(pictures: impl Iterator<Item = Option<RgbImage>>, side: u32) -> Result<String> {
    let pictures: Vec<Option<RgbImage>> =
        pictures.map(|picture| picture.map(|picture| small(picture, side))).collect();
    let (width, height) = pictures.iter().flatten().next().map_or((1, 1), RgbImage::dimensions);
    let (gap, between) = (width / 2, (width / 32).max(1));
    let total: u32 =
        pictures.iter().map(|picture| if picture.is_some() { width + between } else { gap }).sum();
    let mut whole = image::RgbaImage::new(total.saturating_sub(between).max(1), height);
    let mut x = 0;
    for picture in pictures {
        match picture {
            Some(picture) => {
                let picture = image::DynamicImage::ImageRgb8(picture).to_rgba8();
                imageops::replace(&mut whole, &picture, i64::from(x), 0);
                x += width + between;
            }
            None => x += gap,
        }
    }
    let mut bytes = Cursor::new(Vec::new());
    whole
        .write_to(&mut bytes, ImageFormat::Png)
        .map_err(|error| Error::Usage(format!("a picture cannot be made: {error}")))?;
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(bytes.get_ref())))
}

fn small(picture: RgbImage, most: u32) -> RgbImage {
    let (width, height) = picture.dimensions();
    let longer = width.max(height);
    if longer <= most {
        return picture;
    }
    let side = |n: u32| (n * most / longer).max(1);
    imageops::resize(&picture, side(width), side(height), imageops::FilterType::Triangle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strips_hold_the_pictures_in_order_and_large_ones_smaller() {
        let images = Images::new(2, 2, (0..24).collect()).unwrap();
        let source = strips(&images, 1, SIDE).unwrap();
        let bytes = STANDARD.decode(source.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
        let picture = image::load_from_memory(&bytes).unwrap().to_rgba8();
        assert_eq!(picture.dimensions(), (5, 2));
        assert_eq!(picture.get_pixel(0, 0).0, [0, 1, 2, 255]);
        assert_eq!(picture.get_pixel(2, 0).0[3], 0);
        assert_eq!(picture.get_pixel(3, 0).0, [12, 13, 14, 255]);
        assert_eq!(small(RgbImage::new(512, 256), SIDE).dimensions(), (128, 64));
    }
}
