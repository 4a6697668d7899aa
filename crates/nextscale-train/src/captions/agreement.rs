use std::collections::BTreeMap;

use super::{
    attributes::{Brightness, Warmth},
    colour::Colour,
};

/// What a prompt asks for, according to its words; the last word of a kind counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asked {
    /// A colour.
    pub colour: Option<Colour>,
    /// Dark or bright.
    pub brightness: Option<Brightness>,
    /// Cold or warm.
    pub warmth: Option<Warmth>,
}

impl Asked {
    /// From a prompt in any case and with any punctuation.
    pub fn of(prompt: &str) -> Self {
        let mut asked = Self::default();
        for word in prompt.to_lowercase().split(|c: char| !c.is_alphanumeric()) {
            asked.colour = Colour::ALL.into_iter().find(|colour| colour.word() == word).or(asked.colour);
            asked.brightness = [Brightness::Dark, Brightness::Bright]
                .into_iter()
                .find(|brightness| brightness.word() == Some(word))
                .or(asked.brightness);
            asked.warmth = [Warmth::Cold, Warmth::Warm]
                .into_iter()
                .find(|warmth| warmth.word() == Some(word))
                .or(asked.warmth);
        }
        asked
    }
}

/// How often the measurement of an image agrees with its prompt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Agreement {
    /// The images.
    pub images: usize,
    /// Those that agree.
    pub agreed: usize,
    /// The rate of agreement by chance: that of random pairs of a prompt and an image. With only one prompt
    /// it is the rate itself, so use several.
    pub chance: f64,
}

impl Agreement {
    /// From requests and measurements, image by image; `None` without images.
    pub fn of<W: Ord>(pairs: impl IntoIterator<Item = (W, W)>) -> Option<Self> {
        let (mut asked, mut measured) = (BTreeMap::<W, usize>::new(), BTreeMap::<W, usize>::new());
        let (mut images, mut agreed) = (0, 0);
        for (request, found) in pairs {
            images += 1;
            agreed += usize::from(request == found);
            *asked.entry(request).or_default() += 1;
            *measured.entry(found).or_default() += 1;
        }
        let all = images as f64 * images as f64;
        let chance = asked
            .iter()
            .map(|(word, &count)| count as f64 * measured.get(word).copied().unwrap_or(0) as f64 / all);
        (images > 0).then(|| Self { images, agreed, chance: chance.sum() })
    }

    /// The fraction of images that agree.
    pub fn rate(&self) -> f64 {
        self.agreed as f64 / self.images as f64
    }

    /// The 95 % interval of the rate (Wilson, "Probable inference, the law of succession, and statistical
    /// inference", 1927).
    pub fn interval(&self) -> [f64; 2] {
        const Z: f64 = 1.959_963_984_540_054;
        let (images, rate) = (self.images as f64, self.rate());
        let centre = rate + Z * Z / (2.0 * images);
        let half = Z * (rate * (1.0 - rate) / images + Z * Z / (4.0 * images * images)).sqrt();
        [-1.0, 1.0].map(|side| (centre + side * half) / (1.0 + Z * Z / images))
    }

    /// The rate, and its interval's ends, in multiples of chance.
    pub fn times_chance(&self) -> (f64, [f64; 2]) {
        (self.rate() / self.chance, self.interval().map(|end| end / self.chance))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_prompt_are_found() {
        let asked = Asked::of("A dark, COLD photo of a Red truck.");
        let expected = Asked {
            colour: Some(Colour::Red),
            brightness: Some(Brightness::Dark),
            warmth: Some(Warmth::Cold),
        };
        assert_eq!(asked, expected);
        assert_eq!(Asked::of("a redder, darkest truck"), Asked::default());
        assert_eq!(Asked::of("bright greys, then grey").colour, Some(Colour::Grey));
    }

    #[test]
    fn agreement_stands_beside_that_of_shuffled_pairs() {
        // Half of the images are red, whatever the prompt.
        let deaf = (0..100).map(|i| (i % 2, i / 50));
        let agreement = Agreement::of(deaf).unwrap();
        assert_eq!((agreement.images, agreement.agreed, agreement.chance), (100, 50, 0.5));
        assert_eq!(agreement.times_chance().0, 1.0);
        let heard = Agreement::of((0..100).map(|i| (i % 4, i % 4))).unwrap();
        assert_eq!((heard.rate(), heard.chance), (1.0, 0.25));
        assert_eq!(Agreement::of::<u8>([]), None);
        // 20 of 100, by the published formula.
        let [low, high] = Agreement { images: 100, agreed: 20, chance: 0.1 }.interval();
        assert!((low - 0.133_367).abs() < 1e-5 && (high - 0.288_829).abs() < 1e-5, "{low} {high}");
        let none = Agreement { images: 10, agreed: 0, chance: 0.1 }.interval();
        assert!(none[0].abs() < 1e-12 && none[1] > 0.2, "{none:?}");
    }
}
