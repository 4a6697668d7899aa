//! Images of every cell, paired by seed and number, and as they form.

use std::io::Cursor;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::{ImageFormat, RgbImage, imageops};
use maud::{Markup, html};

use crate::images::Images;
use crate::report::Report;
use crate::store::Store;
use crate::why::{STRIPS, trace_key};
use crate::{Error, Result};

/// Images of a row.
const ACROSS: usize = 10;
/// Seeds that are shown.
const SEEDS: usize = 2;
/// Larger images are made smaller: the page carries them all.
const SIDE: u32 = 128;

pub(super) fn section(report: &Report, store: &Store) -> Result<Markup> {
    let ablation = &report.ablation;
    let mut grids = Vec::new();
    for &seed in ablation.seeds.iter().take(SEEDS) {
        let mut rows = Vec::new();
        for cell in &ablation.cells {
            let images = store.shelf(&cell.id, seed).images(0)?.ok_or_else(|| {
                Error::Folder(format!(
                    "the images of {} are missing; run `nextscale ablate` again",
                    cell.name
                ))
            })?;
            let count = images.count().min(ACROSS);
            let images = cell.pixels.apply(images.first(count));
            rows.push((cell.name.as_str(), strip(&images)?));
        }
        grids.push((seed, rows));
    }
    let key = trace_key(ablation.traces, ablation.seeds[0], &ablation.cells[ablation.baseline].id);
    let mut forming = Vec::new();
    for (cell, traced) in ablation.cells.iter().zip(&report.traces) {
        let Some(traced) = traced else { continue };
        if let Some(strips) = store.kept_images(&cell.id, "strips", &key)? {
            forming.push((cell.name.as_str(), forming_strip(&strips, traced.scales.len())?));
        }
    }
    Ok(html! {
        section {
            h2 { "Images" }
            p { "The same random numbers in every row: columns are paired by seed and number." }
            @for (i, (seed, rows)) in grids.iter().enumerate() {
                details open[i == 0] { summary { "seed " (seed) } (strips_of(rows)) }
            }
            @if !forming.is_empty() {
                h2 { "Images as they form" }
                p { "The canvas decoded after every scale, for the first images of seed " (ablation.seeds[0]) "." }
                (strips_of(&forming))
            }
        }
    })
}

fn strips_of(rows: &[(&str, String)]) -> Markup {
    html! {
        div.card.strips {
            @for (name, source) in rows {
                span.name { (name) }
                img src=(source) alt={ "images of " (name) };
            }
        }
    }
}

/// Images side by side.
fn strip(images: &Images) -> Result<String> {
    row((0..images.count()).filter_map(|i| images.picture(i)).map(Some))
}

/// Images side by side, every scale of one and then, after a gap, of the next.
fn forming_strip(images: &Images, scales: usize) -> Result<String> {
    let shown = images.count() / scales.max(1);
    let each = (0..shown.min(STRIPS as usize)).flat_map(|image| {
        let gap = (image > 0).then_some(None);
        gap.into_iter().chain((0..scales).map(move |k| images.picture(image * scales + k)))
    });
    row(each)
}

/// Pictures side by side as a PNG in a data URI; `None` is a gap, through which the page is seen.
fn row(pictures: impl Iterator<Item = Option<RgbImage>>) -> Result<String> {
    let pictures: Vec<Option<RgbImage>> = pictures.map(|picture| picture.map(small)).collect();
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

fn small(picture: RgbImage) -> RgbImage {
    let (width, height) = picture.dimensions();
    let longer = width.max(height);
    if longer <= SIDE {
        return picture;
    }
    let side = |n: u32| (n * SIDE / longer).max(1);
    imageops::resize(&picture, side(width), side(height), imageops::FilterType::Triangle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strips_hold_the_pictures_in_order_and_large_ones_smaller() {
        let images = Images::new(2, 2, (0..24).collect()).unwrap();
        let source = strip(&images).unwrap();
        let bytes = STANDARD.decode(source.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
        let picture = image::load_from_memory(&bytes).unwrap().to_rgba8();
        assert_eq!(picture.dimensions(), (5, 2));
        assert_eq!(picture.get_pixel(0, 0).0, [0, 1, 2, 255]);
        assert_eq!(picture.get_pixel(2, 0).0[3], 0);
        assert_eq!(picture.get_pixel(3, 0).0, [12, 13, 14, 255]);
        assert_eq!(small(RgbImage::new(512, 256)).dimensions(), (128, 64));
    }
}
