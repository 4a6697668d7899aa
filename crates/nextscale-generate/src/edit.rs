//! Zero-shot editing: given tokens replace drawn ones in parts of the image (VAR's notebook).

use burn::tensor::{Bool, Int, Tensor, TensorData};
use nextscale_core::resample::{Neighbours, half_pixel_f32, neighbours};
use nextscale_core::{Canvas, Draw, Error, Grid, Result, ScaleSchedule};
use nextscale_tokenizers::Tokenizer;

/// A box in fractions of the image, each from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Region {
    /// Top and bottom.
    pub rows: (f64, f64),
    /// Left and right.
    pub columns: (f64, f64),
}

impl Region {
    /// Checks that the box is inside the image.
    ///
    /// # Errors
    /// A setting error naming the axis.
    pub fn check(&self) -> Result<()> {
        for (field, (from, to)) in [("rows", self.rows), ("columns", self.columns)] {
            if !(0.0..=1.0).contains(&from) || !(0.0..=1.0).contains(&to) || from >= to {
                return Err(Error::setting(
                    field,
                    format!(
                        "({from}, {to}) is not a span of the image; give two fractions like (0.25, 0.75)"
                    ),
                ));
            }
        }
        Ok(())
    }
}

/// What happens to the box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The box keeps the given image; the rest is generated (out-painting).
    Inside,
    /// The box is generated; the rest keeps the given image (in-painting).
    Outside,
}

/// Which positions of a grid keep the given tokens, row-major, for the union of several boxes.
pub fn mask_of(grid: Grid, regions: &[Region], keep: Keep) -> Vec<bool> {
    let mut inside = vec![false; grid.positions()];
    for region in regions {
        for (inside, in_this) in inside.iter_mut().zip(mask(grid, region, Keep::Inside)) {
            *inside |= in_this;
        }
    }
    inside.into_iter().map(|inside| inside == (keep == Keep::Inside)).collect()
}

/// Which positions of a grid keep the given tokens, row-major.
pub fn mask(grid: Grid, region: &Region, keep: Keep) -> Vec<bool> {
    // Upstream rounds like Python: ties to even.
    let span = |(from, to): (f64, f64), n: usize| {
        let at = |fraction: f64| (fraction * n as f64).round_ties_even() as usize;
        at(from)..at(to)
    };
    let (rows, columns) = (span(region.rows, grid.height), span(region.columns, grid.width));
    let inside = |i: usize| rows.contains(&(i / grid.width)) && columns.contains(&(i % grid.width));
    (0..grid.positions()).map(|i| inside(i) == (keep == Keep::Inside)).collect()
}

/// A mask of the finest grid, resampled to a coarser one: bilinear without antialiasing, then > 0.5, so
/// exactly one half is generated. Grids of at most three positions (the 1×1 scale) keep everything.
pub fn resize(mask: &[bool], from: Grid, to: Grid) -> Vec<bool> {
    if to.positions() <= 3 {
        return vec![true; to.positions()];
    }
    let (rows, columns) = (taps(from.height, to.height), taps(from.width, to.width));
    let value = |row: usize, column: usize| f32::from(u8::from(mask[row * from.width + column]));
    let mut resized = Vec::with_capacity(to.positions());
    for &(r0, r1, down) in &rows {
        for &(c0, c1, right) in &columns {
            let above = value(r0, c0) * (1.0 - right) + value(r0, c1) * right;
            let below = value(r1, c0) * (1.0 - right) + value(r1, c1) * right;
            resized.push(above * (1.0 - down) + below * down > 0.5);
        }
    }
    resized
}

/// The two source indices of every output index and the weight of the second, in f32 as in the reference: one
/// half is a threshold, and rounding decides it.
fn taps(from: usize, to: usize) -> Vec<(usize, usize, f32)> {
    let tap = |i| {
        let Neighbours { first, second, weight } = neighbours(half_pixel_f32(i, from, to).into(), from);
        (first, second, weight as f32)
    };
    (0..to).map(tap).collect()
}

/// Given tokens and where they are kept, ready for every scale.
#[derive(Debug, Clone)]
pub struct Edit {
    /// Embeddings of the given tokens, `[given, channels, h, w]` per scale.
    given: Vec<Tensor<4>>,
    /// Where they are kept, `[1, 1, h, w]` per scale.
    keep: Vec<Tensor<4, Bool>>,
    /// The given images' features, if they are requantised at every scale.
    features: Option<Tensor<4>>,
}

impl Edit {
    /// From the tokens of one or more given images, `[given, h·w, slots]` per scale; image i of a run keeps
    /// those of given image i modulo their number. `mask` is on the finest grid.
    ///
    /// # Errors
    /// If tokens or mask do not fit the tokenizer's scales.
    pub fn new(tokenizer: &dyn Tokenizer, tokens: &[Tensor<3, Int>], mask: &[bool]) -> Result<Self> {
        let schedule: &ScaleSchedule = tokenizer.schedule();
        if tokens.len() != schedule.len() {
            return Err(Error::shape(
                "the given tokens",
                format!("{} scales", schedule.len()),
                &[tokens.len()],
            ));
        }
        if mask.len() != schedule.last().positions() {
            return Err(Error::shape("the mask", format!("the grid {}", schedule.last()), &[mask.len()]));
        }
        let device = tokenizer.device();
        let given = tokens.iter().enumerate().map(|(k, t)| tokenizer.embed(&Draw::tokens(t.clone()), k));
        let given = given.collect::<Result<Vec<_>>>()?;
        // An embedding may be on a finer grid than its tokens; each token is kept completely or not at all.
        let keep = given.iter().enumerate().map(|(k, embedding)| {
            let [_, _, height, width] = embedding.dims();
            let tokens = schedule.grid(k);
            let kept = resize(mask, schedule.last(), tokens);
            let at = |row: usize, column: usize| {
                kept[row * tokens.height / height * tokens.width + column * tokens.width / width]
            };
            let values: Vec<bool> =
                (0..height * width).map(|position| at(position / width, position % width)).collect();
            Tensor::from_data(TensorData::new(values, [1, 1, height, width]), &device)
        });
        Ok(Self { keep: keep.collect(), given, features: None })
    }

    /// The same, with kept tokens requantised at every scale against the canvas so far: `features` of
    /// the given images as from [`Tokenizer::features`]. The given tokens belong to a canvas of the given
    /// image; on another canvas they do not sum to the image.
    #[must_use]
    pub fn requantising(self, features: Tensor<4>) -> Self {
        Self { features: Some(features), ..self }
    }

    /// Keeps all given tokens of the first `scales` scales and none after them: the image is completed from
    /// coarse to fine. Tokens as for [`Edit::new`].
    ///
    /// # Errors
    /// If the tokens do not fit the tokenizer's scales.
    pub fn of_scales(tokenizer: &dyn Tokenizer, tokens: &[Tensor<3, Int>], scales: usize) -> Result<Self> {
        let finest = tokenizer.schedule().last();
        let whole = Self::new(tokenizer, tokens, &vec![true; finest.positions()])?;
        let keep = whole.keep.into_iter().enumerate().map(
            |(k, keep)| {
                if k < scales { keep } else { keep.bool_not() }
            },
        );
        Ok(Self { keep: keep.collect(), given: whole.given, features: None })
    }

    /// From given images `[given, 3, H, W]` in [0, 1], through the tokenizer's encoder.
    ///
    /// # Errors
    /// If the images do not have the tokenizer's size, or it has no encoder.
    pub fn of_images(
        tokenizer: &dyn Tokenizer,
        images: Tensor<4>,
        regions: &[Region],
        keep: Keep,
    ) -> Result<Self> {
        regions.iter().try_for_each(Region::check)?;
        let mask = mask_of(tokenizer.schedule().last(), regions, keep);
        Self::new(tokenizer, &tokenizer.encode(images)?, &mask)
    }

    /// `embedding` `[batch, channels, h, w]` of scale `k` with the given tokens where they are kept; `canvas`
    /// is the canvas before it.
    ///
    /// # Errors
    /// If the tokenizer is asked to requantise and cannot.
    pub fn mix(
        &self,
        tokenizer: &dyn Tokenizer,
        embedding: Tensor<4>,
        canvas: &Canvas,
        k: usize,
        images: &[u64],
    ) -> Result<Tensor<4>> {
        let given = &self.given[k];
        let shape = embedding.dims();
        let count = given.dims()[0] as u64;
        let rows: Vec<usize> = images.iter().map(|image| (image % count) as usize).collect();
        let given = match &self.features {
            None => of_rows(given, &rows),
            Some(features) => {
                let tokens = tokenizer.requantise(of_rows(features, &rows), canvas, k)?;
                tokenizer.embed(&Draw::tokens(tokens), k)?
            }
        };
        Ok(embedding.mask_where(self.keep[k].clone().expand(shape), given))
    }
}

/// These rows of a tensor. Slices, which know their numbers: indices would be copied to the device at every scale.
fn of_rows(x: &Tensor<4>, rows: &[usize]) -> Tensor<4> {
    let shape = x.dims();
    if shape[0] == 1 {
        return x.clone().expand([rows.len(), shape[1], shape[2], shape[3]]);
    }
    if rows.windows(2).all(|pair| pair[1] == pair[0] + 1) {
        return x.clone().slice_dim(0, rows[0]..rows[0] + rows.len());
    }
    Tensor::cat(rows.iter().map(|&row| x.clone().slice_dim(0, row..row + 1)).collect(), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(mask: &[bool], width: usize) -> String {
        mask.chunks(width)
            .map(|row| row.iter().map(|&k| if k { '#' } else { '.' }).collect::<String>() + "\n")
            .collect()
    }

    #[test]
    fn boxes_round_halves_to_even() {
        let region = Region { rows: (0.25, 0.75), columns: (0.5, 1.0) };
        assert_eq!(drawn(&mask(Grid::square(4), &region, Keep::Inside), 4), "....\n..##\n..##\n....\n");
        // 0.25·6 = 1.5 rounds to 2, 0.75·6 = 4.5 to 4, and 0.5·1 to 0.
        assert_eq!(drawn(&mask(Grid::new(6, 1), &region, Keep::Outside), 6), "##..##\n");
    }

    #[test]
    fn several_boxes_are_one_region() {
        let corner = |at: f64| Region { rows: (at, at + 0.5), columns: (at, at + 0.5) };
        let both = [corner(0.0), corner(0.5)];
        assert_eq!(drawn(&mask_of(Grid::square(2), &both, Keep::Inside), 2), "#.\n.#\n");
        assert_eq!(drawn(&mask_of(Grid::square(2), &both, Keep::Outside), 2), ".#\n#.\n");
        for keep in [Keep::Inside, Keep::Outside] {
            assert_eq!(mask_of(Grid::square(6), &both[..1], keep), mask(Grid::square(6), &both[0], keep));
        }
    }

    #[test]
    fn exactly_one_half_is_generated_and_the_smallest_grid_is_kept() {
        // 4 → 2 averages pairs: a half-covered pair is exactly 0.5.
        let half = [
            true, false, true, true, true, false, true, true, false, false, true, true, false, false, true,
            true,
        ];
        assert_eq!(drawn(&resize(&half, Grid::square(4), Grid::square(2)), 2), ".#\n.#\n");
        assert_eq!(resize(&[false; 16], Grid::square(4), Grid::square(1)), [true]);
    }

    #[test]
    fn a_box_outside_the_image_is_refused_by_name() {
        let error = Region { rows: (0.0, 1.0), columns: (0.6, 0.4) }.check().unwrap_err().to_string();
        assert!(error.contains("columns: (0.6, 0.4)"), "{error}");
        assert!(Region { rows: (-0.1, 0.5), columns: (0.0, 1.0) }.check().is_err());
    }
}
