use serde::{Deserialize, Serialize};

use super::colour::Colour;
use crate::data::{Images, View};

/// The measurements of an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measures {
    /// The main colour of the middle, the pixels within a quarter of height and width from the centre.
    pub colour: Colour,
    /// Its share of the middle, in (0, 1]; see [`Colour::main`].
    pub share: f32,
    /// The mean luma (Rec. 601) of all pixels, in [0, 1].
    pub brightness: f32,
    /// The mean of red less blue over all pixels, in [-1, 1].
    pub warmth: f32,
}

impl Measures {
    /// Measures an image of `size`, (height, width), whose pixel at (row, column) is `pixel`, in red, green
    /// and blue.
    ///
    /// # Panics
    /// If the image has no pixels.
    pub fn of((height, width): (usize, usize), pixel: impl Fn(usize, usize) -> [u8; 3]) -> Self {
        assert!(height * width > 0, "an image has pixels");
        let (rows, columns) = (middle(height), middle(width));
        let pixel = &pixel;
        let middle = rows.flat_map(|row| columns.clone().map(move |column| pixel(row, column)));
        let (colour, share) = Colour::main(middle);
        let (mut luma, mut warmth) = (0.0, 0.0);
        for row in 0..height {
            for column in 0..width {
                let [red, green, blue] = pixel(row, column).map(f64::from);
                luma += 0.299 * red + 0.587 * green + 0.114 * blue;
                warmth += red - blue;
            }
        }
        let all = 255.0 * (height * width) as f64;
        Self { colour, share, brightness: (luma / all) as f32, warmth: (warmth / all) as f32 }
    }

    /// Measures an image of a data set under a view.
    ///
    /// # Panics
    /// If the index is out of range.
    pub fn of_image(images: &Images, index: usize, view: View) -> Self {
        let (size, plane) = (images.size, images.size * images.size);
        let planes = images.seen(index, view);
        Self::of((size, size), |row, column| {
            [0, 1, 2].map(|channel| planes[channel * plane + row * size + column])
        })
    }
}

/// The half of an axis around its middle.
fn middle(length: usize) -> std::ops::Range<usize> {
    length / 4..length - length / 4
}

/// Whether an image is dark or bright compared with its data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs)] // the names are self-explanatory
pub enum Brightness {
    Dark,
    Medium,
    Bright,
}

impl Brightness {
    /// Its word in captions, if it has one.
    pub const fn word(self) -> Option<&'static str> {
        match self {
            Self::Dark => Some("dark"),
            Self::Medium => None,
            Self::Bright => Some("bright"),
        }
    }
}

/// Whether an image is bluish or reddish compared with its data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs)] // the names are self-explanatory
pub enum Warmth {
    Cold,
    Neutral,
    Warm,
}

impl Warmth {
    /// Its word in captions, if it has one.
    pub const fn word(self) -> Option<&'static str> {
        match self {
            Self::Cold => Some("cold"),
            Self::Neutral => None,
            Self::Warm => Some("warm"),
        }
    }
}

/// A description of an image in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// The main colour of the middle.
    pub colour: Colour,
    /// Whether that colour's share is large enough to describe the subject by it.
    pub clear: bool,
    /// Dark, bright or neither.
    pub brightness: Brightness,
    /// Cold, warm or neither.
    pub warmth: Warmth,
}

/// The thresholds of words: quantiles of a data set's training images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Thresholds {
    /// The share above which a main colour is clear.
    pub share: f32,
    /// Images are dark up to this brightness.
    pub dark: f32,
    /// Images are bright from this brightness on.
    pub bright: f32,
    /// Images are cold up to this warmth.
    pub cold: f32,
    /// Images are warm from this warmth on.
    pub warm: f32,
}

/// The fraction of images that a word for brightness or warmth applies to.
const TAIL: f64 = 0.2;
/// The fraction of images whose main colour is not clear.
const UNCLEAR: f64 = 1.0 / 3.0;

impl Thresholds {
    /// A fifth of the images each are dark, bright, cold and warm; for a third the main colour is not clear.
    ///
    /// # Panics
    /// If there are no images.
    pub fn of(measures: &[Measures]) -> Self {
        let quantile = |quantile: f64, value: fn(&Measures) -> f32| {
            let mut values: Vec<f32> = measures.iter().map(value).collect();
            values.sort_unstable_by(f32::total_cmp);
            values[(quantile * (values.len() - 1) as f64).round() as usize]
        };
        Self {
            share: quantile(UNCLEAR, |measures| measures.share),
            dark: quantile(TAIL, |measures| measures.brightness),
            bright: quantile(1.0 - TAIL, |measures| measures.brightness),
            cold: quantile(TAIL, |measures| measures.warmth),
            warm: quantile(1.0 - TAIL, |measures| measures.warmth),
        }
    }

    /// The words that apply to an image.
    pub fn attributes(&self, measures: &Measures) -> Attributes {
        Attributes {
            colour: measures.colour,
            clear: measures.share >= self.share,
            brightness: match measures.brightness {
                value if value <= self.dark => Brightness::Dark,
                value if value >= self.bright => Brightness::Bright,
                _ => Brightness::Medium,
            },
            warmth: match measures.warmth {
                value if value <= self.cold => Warmth::Cold,
                value if value >= self.warm => Warmth::Warm,
                _ => Warmth::Neutral,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_colour_is_of_the_middle_and_light_is_of_all() {
        // A red square on white, in planes like those of data sets.
        let inside = |row: usize, column: usize| (2..6).contains(&row) && (2..6).contains(&column);
        let place = |at: usize| (at / 8, at % 8);
        let plane =
            |red: bool| (0..64).map(move |at| if inside(place(at).0, place(at).1) && !red { 0 } else { 255 });
        let pixels = plane(true).chain(plane(false)).chain(plane(false)).collect();
        let images = Images::new(Path::new("x"), 8, pixels, vec![0]).unwrap();
        let measures = Measures::of_image(&images, 0, View::default());
        assert_eq!((measures.colour, measures.share), (Colour::Red, 1.0));
        assert!((measures.brightness - (48.0 + 16.0 * 0.299) / 64.0).abs() < 1e-6, "{measures:?}");
        assert!((measures.warmth - 0.25).abs() < 1e-6, "{measures:?}");
        // A mirror image has the same words; one that moves has another middle.
        assert_eq!(Measures::of_image(&images, 0, View::mirrored(true)), measures);
        let moved = Measures::of_image(&images, 0, View { right: 3, ..View::default() });
        assert_eq!((moved.colour, moved.share < 1.0), (Colour::White, true));
        let one = Measures::of((1, 1), |_, _| [0, 0, 255]);
        assert_eq!((one.colour, one.warmth), (Colour::Blue, -1.0));
    }

    #[test]
    fn thresholds_are_quantiles_of_the_images() {
        let measures: Vec<Measures> = (0..1000)
            .map(|i| {
                let x = (i * 7 % 1000) as f32 / 1000.0;
                Measures { colour: Colour::Grey, share: x, brightness: x, warmth: 2.0 * x - 1.0 }
            })
            .collect();
        let thresholds = Thresholds::of(&measures);
        let share = |holds: &dyn Fn(&Attributes) -> bool| {
            let attributes = measures.iter().map(|measures| thresholds.attributes(measures));
            attributes.filter(holds).count()
        };
        assert_eq!(share(&|a| a.brightness == Brightness::Dark), 201);
        assert_eq!(share(&|a| a.brightness == Brightness::Bright), 201);
        assert_eq!(share(&|a| a.warmth == Warmth::Cold), 201);
        assert_eq!(share(&|a| a.warmth == Warmth::Warm), 201);
        assert_eq!(share(&|a| a.clear), 667);
    }
}
