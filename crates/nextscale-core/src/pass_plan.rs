use crate::{Error, Pass, PassModel, Passes, Prefix, Result, ScaleSchedule};

/// Which passes run at which scale, and whose logits are requested.
///
/// With a causal cache, a pass that is needed at some scale also runs at every earlier scale, where its head
/// is skipped, and stops after the last scale that needs it. A model without a cache runs a pass only where
/// its logits are requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassPlan {
    wanted: Vec<Passes>,
    run: Vec<Passes>,
}

impl PassPlan {
    /// A plan for models with a causal cache, from the passes requested at each scale.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the number of entries is not the schedule's, or a scale requests no pass.
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
        Ok(Self::cached(wanted))
    }

    fn cached(wanted: Vec<Passes>) -> Self {
        let mut run = wanted.clone();
        for k in (0..run.len().saturating_sub(1)).rev() {
            run[k] = run[k].clone().union(run[k + 1].clone());
        }
        Self { wanted, run }
    }

    /// The passes whose logits are requested at scale `k`.
    pub fn wanted(&self, k: usize) -> &Passes {
        &self.wanted[k]
    }

    /// The passes that run at scale `k`: with a cache, those requested at it or at a later scale.
    pub fn run(&self, k: usize) -> &Passes {
        &self.run[k]
    }

    /// Every pass that runs at some scale.
    pub fn all(&self) -> Passes {
        self.run.iter().flatten().cloned().collect()
    }

    /// The number of scales.
    #[allow(clippy::len_without_is_empty)] // a schedule is never empty
    pub fn len(&self) -> usize {
        self.wanted.len()
    }

    /// The last scale at which a pass is requested, if any.
    pub fn last(&self) -> Option<usize> {
        self.wanted.iter().rposition(|passes| !passes.is_empty())
    }

    /// The models and prefixes of all passes, without duplicates: one session each. The drawn prefix comes
    /// before corrupted copies, and the main model before others.
    pub fn sessions(&self) -> Vec<(PassModel, Prefix)> {
        let mut sessions: Vec<_> = self.all().iter().map(|pass| (pass.model.clone(), pass.prefix)).collect();
        sessions.dedup();
        sessions
    }

    /// The passes of one model, on any prefix.
    pub fn of_model(&self, model: &PassModel) -> Passes {
        self.all().iter().filter(|pass| pass.model == *model).cloned().collect()
    }

    /// The part of the plan that one session carries out. It may request nothing at a scale.
    pub fn of_session(&self, model: &PassModel, prefix: &Prefix, cached: bool) -> Self {
        let of = |passes: &Passes| -> Passes {
            let own = |pass: &&Pass| pass.model == *model && pass.prefix == *prefix;
            passes.iter().filter(own).cloned().collect()
        };
        let wanted: Vec<Passes> = self.wanted.iter().map(of).collect();
        if cached { Self::cached(wanted) } else { Self { run: wanted.clone(), wanted } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Corruption, Replacement};

    fn run(plan: &PassPlan) -> Vec<&Passes> {
        (0..plan.len()).map(|k| plan.run(k)).collect()
    }

    #[test]
    fn a_pass_runs_up_to_the_last_scale_that_wants_it() {
        let schedule = ScaleSchedule::square(&[1, 2, 3, 4]).unwrap();
        let (one, both) = (Passes::CONDITIONAL, Passes::BOTH);
        let plan =
            PassPlan::new(vec![one.clone(), one.clone(), both.clone(), one.clone()], &schedule).unwrap();
        assert_eq!(run(&plan), [&both, &both, &both, &one]);
        assert_eq!(plan.wanted(0), &one);
        assert_eq!(plan.sessions(), [(PassModel::Main, Prefix::Drawn)]);
    }

    #[test]
    fn sessions_carry_out_their_own_passes() {
        let schedule = ScaleSchedule::square(&[1, 2, 3]).unwrap();
        let prefix = Prefix::Corrupted(Corruption::new(0.5, Replacement::OtherPosition).unwrap());
        let corrupted = Pass::CONDITIONAL.on(prefix);
        let with = Passes::BOTH.union(corrupted.clone().into());
        let plan = PassPlan::new(vec![Passes::CONDITIONAL, with, Passes::CONDITIONAL], &schedule).unwrap();
        assert_eq!(plan.sessions(), [(PassModel::Main, Prefix::Drawn), (PassModel::Main, prefix)]);
        let own: Passes = corrupted.into();
        let cached = plan.of_session(&PassModel::Main, &prefix, true);
        assert_eq!((run(&cached), cached.last()), (vec![&own, &own, &Passes::NONE], Some(1)));
        let uncached = plan.of_session(&PassModel::Main, &prefix, false);
        assert_eq!(run(&uncached), [&Passes::NONE, &own, &Passes::NONE]);
        assert_eq!(plan.of_model(&PassModel::Main), plan.all());
        assert!(plan.of_model(&PassModel::Named("weak".into())).is_empty());
        let drawn = plan.of_session(&PassModel::Main, &Prefix::Drawn, true);
        assert_eq!(run(&drawn), [&Passes::BOTH, &Passes::BOTH, &Passes::CONDITIONAL]);
    }

    #[test]
    fn a_scale_without_a_pass_is_refused() {
        let schedule = ScaleSchedule::square(&[1, 2]).unwrap();
        assert!(PassPlan::new(vec![Passes::BOTH], &schedule).is_err());
        let error = PassPlan::new(vec![Passes::BOTH, Passes::NONE], &schedule).unwrap_err().to_string();
        assert!(error.contains("no pass at scale 1"), "{error}");
    }
}
