use super::{
    agreement::{Agreement, Asked},
    attributes::Attributes,
};

/// How often images show what their prompts ask for, for each kind of word. A kind that no prompt mentions is
/// `None`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adherence {
    /// Whether the main colour of the middle is the requested one.
    pub colour: Option<Agreement>,
    /// Whether images are dark or bright as requested; an image that is neither agrees with neither word.
    pub brightness: Option<Agreement>,
    /// Whether images are cold or warm as requested; an image that is neither agrees with neither word.
    pub warmth: Option<Agreement>,
}

impl Adherence {
    /// From what was requested and what was measured, image by image.
    pub fn of(images: &[(Asked, Attributes)]) -> Self {
        let images = || images.iter();
        Self {
            colour: Agreement::of(images().filter_map(|(asked, found)| Some((asked.colour?, found.colour)))),
            brightness: Agreement::of(
                images().filter_map(|(asked, found)| Some((asked.brightness?, found.brightness))),
            ),
            warmth: Agreement::of(images().filter_map(|(asked, found)| Some((asked.warmth?, found.warmth)))),
        }
    }

    /// Each kind with its name.
    pub fn kinds(&self) -> [(&'static str, Option<Agreement>); 3] {
        [("colour", self.colour), ("brightness", self.brightness), ("warmth", self.warmth)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::captions::{Brightness, Colour, Warmth};

    #[test]
    fn words_are_compared_with_what_is_measured_where_there_are_any() {
        let found = |colour, brightness| Attributes { colour, clear: true, brightness, warmth: Warmth::Cold };
        let images = [
            (Asked::of("a red truck"), found(Colour::Red, Brightness::Dark)),
            (Asked::of("a blue ship"), found(Colour::Grey, Brightness::Bright)),
            (Asked::of("a dark photo of a red truck"), found(Colour::Red, Brightness::Dark)),
            (Asked::of("a bright photo of a bird"), found(Colour::Blue, Brightness::Medium)),
            (Asked::of("a bird"), found(Colour::Blue, Brightness::Bright)),
        ];
        let adherence = Adherence::of(&images);
        let counts = |kind: Option<Agreement>| kind.map(|kind| (kind.agreed, kind.images));
        assert_eq!(counts(adherence.colour), Some((2, 3)));
        assert_eq!(counts(adherence.brightness), Some((1, 2)));
        assert_eq!(adherence.warmth, None);
        assert_eq!(adherence.kinds()[1], ("brightness", adherence.brightness));
    }
}
