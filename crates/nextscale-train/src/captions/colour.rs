use std::fmt;

use serde::{Deserialize, Serialize};

/// A colour with a common name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs)] // the names are self-explanatory
pub enum Colour {
    Red,
    Orange,
    Yellow,
    Green,
    Blue,
    Pink,
    Brown,
    White,
    Grey,
    Black,
}

impl Colour {
    /// All of them, in order.
    pub const ALL: [Self; 10] = [
        Self::Red,
        Self::Orange,
        Self::Yellow,
        Self::Green,
        Self::Blue,
        Self::Pink,
        Self::Brown,
        Self::White,
        Self::Grey,
        Self::Black,
    ];

    /// Its name in captions.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Red => "red",
            Self::Orange => "orange",
            Self::Yellow => "yellow",
            Self::Green => "green",
            Self::Blue => "blue",
            Self::Pink => "pink",
            Self::Brown => "brown",
            Self::White => "white",
            Self::Grey => "grey",
            Self::Black => "black",
        }
    }

    /// The name of a pixel's colour, by its hue, saturation and value.
    pub fn of_pixel(pixel: [u8; 3]) -> Self {
        let [red, green, blue] = pixel.map(|channel| f32::from(channel) / 255.0);
        let value = red.max(green).max(blue);
        let chroma = value - red.min(green).min(blue);
        if value < 0.2 {
            return Self::Black;
        }
        let saturation = chroma / value;
        if saturation < 0.2 || chroma < 0.08 {
            return if value > 0.8 { Self::White } else { Self::Grey };
        }
        // In degrees: red is 0, green 120, blue 240.
        let hue = 60.0
            * if value == red {
                ((green - blue) / chroma).rem_euclid(6.0)
            } else if value == green {
                (blue - red) / chroma + 2.0
            } else {
                (red - green) / chroma + 4.0
            };
        match hue {
            _ if !(15.0..345.0).contains(&hue) && saturation >= 0.5 && value >= 0.3 => Self::Red,
            _ if !(15.0..330.0).contains(&hue) && value >= 0.65 => Self::Pink,
            _ if (260.0..345.0).contains(&hue) => Self::Pink,
            15.0..40.0 if saturation >= 0.6 && value >= 0.65 => Self::Orange,
            40.0..70.0 if saturation >= 0.35 && value >= 0.5 => Self::Yellow,
            45.0..170.0 => Self::Green,
            170.0..260.0 => Self::Blue,
            // Dark or dull reds, oranges and yellows.
            _ => Self::Brown,
        }
    }

    /// The weight of a pixel of this colour: strong colours are conspicuous, greys and browns are everywhere.
    const fn weight(self) -> f32 {
        match self {
            Self::Red | Self::Orange | Self::Yellow | Self::Pink => 2.0,
            Self::Green | Self::Blue => 1.5,
            Self::Brown | Self::White => 1.0,
            Self::Grey | Self::Black => 0.8,
        }
    }

    /// The main colour of pixels and its share of their weights, in (0, 1]; grey without pixels.
    pub fn main(pixels: impl IntoIterator<Item = [u8; 3]>) -> (Self, f32) {
        let mut weights = [0.0_f32; Self::ALL.len()];
        for pixel in pixels {
            let colour = Self::of_pixel(pixel);
            weights[colour as usize] += colour.weight();
        }
        let total: f32 = weights.iter().sum();
        let heavier = |best: Self, other: Self| {
            if weights[other as usize] > weights[best as usize] { other } else { best }
        };
        let main = Self::ALL.into_iter().fold(Self::Grey, heavier);
        (main, if total > 0.0 { weights[main as usize] / total } else { 1.0 })
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_colours_have_their_names() {
        for (pixel, colour) in [
            ([200, 20, 20], Colour::Red),
            ([240, 130, 20], Colour::Orange),
            ([230, 210, 40], Colour::Yellow),
            ([40, 140, 50], Colour::Green),
            ([40, 80, 200], Colour::Blue),
            ([120, 170, 230], Colour::Blue),
            ([250, 150, 190], Colour::Pink),
            ([110, 70, 40], Colour::Brown),
            ([245, 245, 240], Colour::White),
            ([128, 128, 128], Colour::Grey),
            ([10, 10, 20], Colour::Black),
        ] {
            assert_eq!(Colour::of_pixel(pixel), colour, "{pixel:?}");
        }
    }

    #[test]
    fn every_pixel_has_a_colour_and_every_colour_a_pixel() {
        let levels = || (0..=255u8).step_by(15);
        let found: std::collections::BTreeSet<_> = levels()
            .flat_map(|r| levels().flat_map(move |g| levels().map(move |b| Colour::of_pixel([r, g, b]))))
            .collect();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), Colour::ALL);
        assert!(Colour::ALL.iter().enumerate().all(|(i, colour)| *colour as usize == i));
    }

    #[test]
    fn a_strong_colour_outweighs_as_much_grey() {
        let (red, grey) = ([200, 20, 20], [128; 3]);
        let half = [[red; 5], [grey; 5]].concat();
        assert_eq!(Colour::main(half), (Colour::Red, 10.0 / 14.0));
        assert_eq!(Colour::main([grey; 9].into_iter().chain([red])).0, Colour::Grey);
        assert_eq!(Colour::main([]), (Colour::Grey, 1.0));
    }
}
