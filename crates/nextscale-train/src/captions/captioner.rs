use super::{
    attributes::{Attributes, Measures, Thresholds},
    colour::Colour,
};
use crate::{
    data::{Dataset, Images, View},
    random::{below, uniform},
};

/// How often an applicable word is used.
const COLOUR: f64 = 0.6;
const BRIGHTNESS: f64 = 0.5;
const WARMTH: f64 = 0.4;
/// How often a caption ends in a full stop.
const STOP: f64 = 0.2;

/// What an image is called.
const IMAGES: [&str; 3] = ["photo", "picture", "image"];

/// Other words for classes of CIFAR-10.
const ALSO: [(&str, &str); 2] = [("automobile", "car"), ("airplane", "plane")];

/// Writes captions of a data set's images.
#[derive(Debug, Clone)]
pub struct Captioner {
    /// The words for every class.
    things: Vec<Vec<String>>,
    thresholds: Thresholds,
    seed: u64,
}

impl Captioner {
    /// Measures all training images; their quantiles are the thresholds of words.
    pub fn new(dataset: &Dataset, seed: u64) -> Self {
        let images = &dataset.train;
        let measures: Vec<Measures> =
            (0..images.len()).map(|index| Measures::of_image(images, index, View::default())).collect();
        let things = dataset.classes.iter().map(|class| {
            let class = class.to_lowercase();
            let also = ALSO.iter().filter(|(name, _)| *name == class).map(|(_, also)| also.to_string());
            std::iter::once(class.clone()).chain(also).collect()
        });
        Self { things: things.collect(), thresholds: Thresholds::of(&measures), seed }
    }

    /// The thresholds of words.
    pub fn thresholds(&self) -> &Thresholds {
        &self.thresholds
    }

    /// A caption of an image of these classes under a view. Which applicable words are used, and
    /// how, is drawn from the seed, differently for every `turn`, such as an epoch.
    ///
    /// # Panics
    /// If the index is out of range.
    pub fn caption(&self, images: &Images, index: usize, view: View, turn: u64) -> String {
        let attributes = self.thresholds.attributes(&Measures::of_image(images, index, view));
        let class = usize::from(images.labels[index]);
        self.describe(class, &attributes, &[self.seed, index as u64, turn])
    }

    /// A caption for a class with these attributes, drawn from a key.
    ///
    /// # Panics
    /// If the class is out of range.
    pub fn describe(&self, class: usize, attributes: &Attributes, key: &[u64]) -> String {
        let choice = |number: u64| [key, &[number]].concat();
        let says = |number: u64, share: f64| uniform(&choice(number)) < share;
        let things = &self.things[class];
        let thing = &things[below(things.len(), &choice(0))];
        let colour = (attributes.clear && says(1, COLOUR)).then_some(attributes.colour);
        let subject = colour.map_or_else(|| thing.clone(), |colour| format!("{colour} {thing}"));
        let light: Vec<&str> = [
            attributes.brightness.word().filter(|_| says(2, BRIGHTNESS)),
            attributes.warmth.word().filter(|_| says(3, WARMTH)),
        ]
        .into_iter()
        .flatten()
        .collect();
        let image = IMAGES[below(IMAGES.len(), &choice(4))];
        let form = below(4, &choice(5));
        let light = light.join(", ");
        let a = with_article;
        let mut caption = match (light.as_str(), form) {
            ("", 0 | 1) => a(&subject),
            ("", 2) => format!("{} of {}", a(image), a(&subject)),
            ("", _) => subject,
            (light, 0 | 1) => format!("{} of {}", a(&format!("{light} {image}")), a(&subject)),
            (light, 2) => format!("{} in {}", a(&subject), a(&format!("{light} {image}"))),
            (light, _) => format!("{}, {light}", a(&subject)),
        };
        if says(6, STOP) {
            caption.push('.');
        }
        caption
    }

    /// For every name of a class, a caption with as many words as any.
    pub fn longest(&self) -> impl Iterator<Item = String> {
        self.things.iter().flatten().map(|thing| format!("an orange {thing} in a dark, cold picture."))
    }

    /// Texts that together contain every word of every caption, for making a vocabulary.
    pub fn vocabulary(&self) -> Vec<String> {
        let things = self.things.iter().flatten().map(|thing| with_article(thing));
        let colours = Colour::ALL.iter().map(|colour| with_article(colour.word()));
        let images = IMAGES.iter().map(|image| format!("a dark, cold {image} of an"));
        let rest = ["in a bright, warm image.".to_owned()];
        things.chain(colours).chain(images).chain(rest).collect()
    }
}

fn with_article(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {noun}")
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path};

    use super::*;
    use crate::captions::{Asked, Brightness, Warmth};

    /// Red, dark blue and white images in turn, labelled automobile and bird.
    fn dataset() -> Dataset {
        let plane = |value: u8| vec![value; 16];
        let colours = [[200, 20, 20], [10, 20, 90], [250, 250, 250]];
        let pixels: Vec<u8> = (0..30).flat_map(|i| colours[i % 3].map(plane).concat()).collect();
        let labels = (0..30).map(|i| i % 2).collect();
        let images = Images::new(Path::new("x"), 4, pixels, labels).unwrap();
        let classes = ["automobile", "bird"].map(String::from).to_vec();
        Dataset { train: images.clone(), test: images, classes }
    }

    fn caption(captioner: &Captioner, index: usize, turn: u64) -> String {
        captioner.caption(&dataset().train, index, View::default(), turn)
    }

    #[test]
    fn captions_say_only_what_holds_and_in_time_all_of_it() {
        let captioner = Captioner::new(&dataset(), 1);
        let mut said = BTreeSet::new();
        for index in 0..30 {
            for turn in 0..100 {
                let caption = caption(&captioner, index, turn);
                let bird = index % 2 == 1;
                assert_eq!(caption.contains("bird"), bird, "{caption}");
                assert_eq!(caption.contains("automobile") || caption.contains("car"), !bird, "{caption}");
                let asked = Asked::of(&caption);
                let colour = [Colour::Red, Colour::Blue, Colour::White][index % 3];
                assert!(asked.colour.is_none_or(|asked| asked == colour), "{caption}");
                let dark = [None, Some(Brightness::Dark), Some(Brightness::Bright)][index % 3];
                assert!(asked.brightness.is_none() || asked.brightness == dark, "{caption}");
                let warm = [Some(Warmth::Warm), Some(Warmth::Cold), None][index % 3];
                assert!(asked.warmth.is_none() || asked.warmth == warm, "{caption}");
                said.insert(caption);
            }
        }
        for expected in [
            "a red car",
            "bird",
            "a photo of a bird",
            "an image of an automobile",
            "a dark photo of a bird",
            "a dark, cold picture of a blue automobile",
            "a white bird, bright",
            "a bird in a bright image",
            "a photo of a bird.",
        ] {
            assert!(said.contains(expected), "{expected}");
        }
    }

    #[test]
    fn captions_follow_the_seed_the_image_and_the_turn() {
        let captions = |seed, turn| {
            let captioner = Captioner::new(&dataset(), seed);
            (0..30).map(|index| caption(&captioner, index, turn)).collect::<Vec<_>>()
        };
        assert_eq!(captions(1, 0), captions(1, 0));
        assert_ne!(captions(1, 0), captions(2, 0));
        assert_ne!(captions(1, 0), captions(1, 1));
    }

    #[test]
    fn the_vocabulary_has_every_word() {
        let captioner = Captioner::new(&dataset(), 1);
        let words = |text: &str| -> Vec<String> {
            text.split([' ', ',', '.']).filter(|word| !word.is_empty()).map(String::from).collect()
        };
        let known: BTreeSet<String> = captioner.vocabulary().iter().flat_map(|text| words(text)).collect();
        let longest = captioner.longest().map(|text| words(&text).len()).max().unwrap();
        for index in 0..30 {
            for turn in 0..100 {
                let caption = caption(&captioner, index, turn);
                assert!(words(&caption).len() <= longest, "{caption}");
                assert!(words(&caption).iter().all(|word| known.contains(word)), "{caption}");
            }
        }
        assert!(Colour::ALL.iter().all(|colour| known.contains(colour.word())));
    }
}
