use std::borrow::Cow;

use crate::Pass;

/// A set of passes, in stacking order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Passes(Cow<'static, [Pass]>);

impl Passes {
    /// No pass.
    pub const NONE: Self = Self(Cow::Borrowed(&[]));
    /// The conditional pass only.
    pub const CONDITIONAL: Self = Self(Cow::Borrowed(&[Pass::CONDITIONAL]));
    /// The unconditional pass only.
    pub const UNCONDITIONAL: Self = Self(Cow::Borrowed(&[Pass::UNCONDITIONAL]));
    /// Both passes of classifier-free guidance.
    pub const BOTH: Self = Self(Cow::Borrowed(&[Pass::CONDITIONAL, Pass::UNCONDITIONAL]));

    /// The passes of either set.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        if self.contains_all(&other) {
            return self;
        }
        if self.is_empty() {
            return other;
        }
        self.iter().chain(other.iter()).cloned().collect()
    }

    /// Whether `pass` is in the set.
    pub fn contains(&self, pass: &Pass) -> bool {
        self.0.binary_search(pass).is_ok()
    }

    /// Whether the set contains all of `other`.
    pub fn contains_all(&self, other: &Self) -> bool {
        other.iter().all(|pass| self.contains(pass))
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The passes of the set, in stacking order.
    pub fn iter(&self) -> std::slice::Iter<'_, Pass> {
        self.0.iter()
    }

    /// The number of passes.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl FromIterator<Pass> for Passes {
    fn from_iter<I: IntoIterator<Item = Pass>>(passes: I) -> Self {
        let mut passes: Vec<Pass> = passes.into_iter().collect();
        passes.sort_unstable();
        passes.dedup();
        Self(Cow::Owned(passes))
    }
}

impl From<Pass> for Passes {
    fn from(pass: Pass) -> Self {
        Self(Cow::Owned(vec![pass]))
    }
}

impl<'a> IntoIterator for &'a Passes {
    type Item = &'a Pass;
    type IntoIter = std::slice::Iter<'a, Pass>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PassCondition, PassModel};

    #[test]
    fn sets_know_their_members() {
        assert!(!Passes::CONDITIONAL.contains(&Pass::UNCONDITIONAL));
        let both: Passes =
            [Pass::UNCONDITIONAL, Pass::CONDITIONAL, Pass::UNCONDITIONAL].into_iter().collect();
        assert_eq!(both, Passes::BOTH);
        assert_eq!(Passes::UNCONDITIONAL.union(Passes::CONDITIONAL), Passes::BOTH);
        assert_eq!(Passes::NONE.union(Passes::BOTH), Passes::BOTH);
        let weak = Pass::CONDITIONAL.of(PassModel::Named("weak".into()));
        let three = Passes::BOTH.union(weak.clone().into()).union(Pass::main(PassCondition::Null).into());
        assert_eq!((three.len(), three.contains(&weak)), (4, true));
        assert!(three.contains_all(&Passes::BOTH) && !Passes::BOTH.contains_all(&three));
    }
}
