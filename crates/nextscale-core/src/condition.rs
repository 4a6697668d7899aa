/// What one image should show, as a user writes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Condition {
    /// A class, from 0.
    Class(usize),
    /// A text.
    Prompt(String),
    /// Nothing: the unconditional model.
    Null,
    /// A condition with a negative: what guidance guides away from in place of [`Condition::Null`].
    Negative {
        /// What the image should show.
        shown: Box<Condition>,
        /// What it should not show.
        avoided: Box<Condition>,
    },
}

impl Condition {
    /// This condition with `avoided` in place of the null condition in the unconditional pass. Replaces
    /// an earlier negative.
    #[must_use]
    pub fn avoiding(self, avoided: Condition) -> Self {
        Self::Negative { shown: Box::new(self.shown().clone()), avoided: Box::new(avoided.shown().clone()) }
    }

    /// What the image should show.
    pub fn shown(&self) -> &Condition {
        match self {
            Self::Negative { shown, .. } => shown.shown(),
            other => other,
        }
    }

    /// What guidance guides away from: the negative, or [`Condition::Null`] if there is none.
    pub fn avoided(&self) -> &Condition {
        match self {
            Self::Negative { avoided, .. } => avoided.shown(),
            _ => &Self::Null,
        }
    }
}

impl std::fmt::Display for Condition {
    /// For messages: `class 3`, `"a red truck"`, `null`, `class 3 without class 5`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Class(class) => write!(f, "class {class}"),
            Self::Prompt(text) => write!(f, "{text:?}"),
            Self::Null => f.write_str("null"),
            Self::Negative { shown, avoided } => write!(f, "{shown} without {avoided}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negative_stands_in_place_of_null() {
        let ship = Condition::Class(8);
        assert_eq!((ship.shown(), ship.avoided()), (&ship, &Condition::Null));
        let prompt = Condition::Prompt("a ship".into()).avoiding(Condition::Prompt("blur".into()));
        assert_eq!(prompt.avoided(), &Condition::Prompt("blur".into()));
        let again = prompt.avoiding(ship.clone());
        assert_eq!((again.shown(), again.avoided()), (&Condition::Prompt("a ship".into()), &ship));
        assert_eq!(again.to_string(), "\"a ship\" without class 8");
    }
}
