use crate::{Error, LogitMap, Result, ScaleSchedule};

/// One way of running a backbone at a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Pass {
    /// With the image's condition.
    Conditional,
    /// With the null condition.
    Unconditional,
}

impl Pass {
    /// Every pass, in the order in which a backbone stacks them.
    pub const ALL: [Pass; 2] = [Pass::Conditional, Pass::Unconditional];

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Passes(u8);

impl Passes {
    /// No pass.
    pub const NONE: Self = Self(0);
    /// The conditional pass alone.
    pub const CONDITIONAL: Self = Self(1 << Pass::Conditional as u8);
    /// The unconditional pass alone.
    pub const UNCONDITIONAL: Self = Self(1 << Pass::Unconditional as u8);
    /// Both passes of classifier-free guidance.
    pub const BOTH: Self = Self(Self::CONDITIONAL.0 | Self::UNCONDITIONAL.0);

    /// The passes of either set.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether `pass` is in the set.
    pub fn contains(self, pass: Pass) -> bool {
        self.0 & pass.bit() != 0
    }

    /// Whether all of `other` is in the set.
    pub const fn contains_all(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The passes of the set, in stacking order.
    pub fn iter(self) -> impl Iterator<Item = Pass> {
        Pass::ALL.into_iter().filter(move |pass| self.contains(*pass))
    }

    /// The number of passes.
    pub fn len(self) -> usize {
        self.iter().count()
    }
}

impl FromIterator<Pass> for Passes {
    fn from_iter<I: IntoIterator<Item = Pass>>(passes: I) -> Self {
        Self(passes.into_iter().fold(0, |bits, pass| bits | pass.bit()))
    }
}

/// Which passes run at which scale, and of which the logits are wanted.
///
/// With a causal cache a pass that is needed at some scale also runs at every scale before it (its head is skipped
/// there); after the last scale that needs it, it stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassPlan {
    wanted: Vec<Passes>,
    run: Vec<Passes>,
}

impl PassPlan {
    /// A plan from the passes whose logits are wanted at each scale, one entry a scale.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the number of entries is not the schedule's, or a scale wants no pass.
    pub fn new(wanted: Vec<Passes>, schedule: &ScaleSchedule) -> Result<Self> {
        if wanted.len() != schedule.len() {
            return Err(Error::Unsupported(format!(
                "a pass plan of {} scales for a schedule of {}",
                wanted.len(),
                schedule.len()
            )));
        }
        if let Some(k) = wanted.iter().position(|passes| passes.is_empty()) {
            return Err(Error::Unsupported(format!(
                "the rule needs no pass at scale {k}; it must need at least one"
            )));
        }
        let mut run = wanted.clone();
        for k in (0..run.len() - 1).rev() {
            run[k] = run[k].union(run[k + 1]);
        }
        Ok(Self { wanted, run })
    }

    /// The passes whose logits are wanted at scale `k`.
    pub fn wanted(&self, k: usize) -> Passes {
        self.wanted[k]
    }

    /// The passes that run at scale `k`: what it or a later scale wants.
    pub fn run(&self, k: usize) -> Passes {
        self.run[k]
    }

    /// The number of scales.
    #[allow(clippy::len_without_is_empty)] // a schedule is never empty
    pub fn len(&self) -> usize {
        self.wanted.len()
    }
}

/// The logits of the passes that the plan wants at a scale.
#[derive(Debug, Clone, Default)]
pub struct PassLogits {
    /// Of the conditional pass, if wanted.
    pub conditional: Option<LogitMap>,
    /// Of the unconditional pass, if wanted.
    pub unconditional: Option<LogitMap>,
}

impl PassLogits {
    /// The logits of `pass`, if it was wanted.
    pub fn get(&self, pass: Pass) -> Option<&LogitMap> {
        match pass {
            Pass::Conditional => self.conditional.as_ref(),
            Pass::Unconditional => self.unconditional.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_runs_up_to_the_last_scale_that_wants_it() {
        let schedule = ScaleSchedule::square(&[1, 2, 3, 4]).unwrap();
        let (one, both) = (Passes::CONDITIONAL, Passes::BOTH);
        let plan = PassPlan::new(vec![one, one, both, one], &schedule).unwrap();
        assert_eq!((0..4).map(|k| plan.run(k)).collect::<Vec<_>>(), [both, both, both, one]);
        assert_eq!(plan.wanted(0), one);
    }

    #[test]
    fn sets_know_their_members() {
        assert_eq!(Passes::BOTH.iter().collect::<Vec<_>>(), Pass::ALL);
        assert!(!Passes::CONDITIONAL.contains(Pass::Unconditional));
        assert_eq!(Pass::ALL.into_iter().collect::<Passes>(), Passes::BOTH);
    }
}
