use nextscale_core::{BatchConditions, Condition, ConditionRows, PassCondition, PassPlan, Passes, Result};

/// Turns conditions into what a backbone reads: rows of a table of classes, or embeddings from a text
/// encoder.
pub trait Conditioner: Send + Sync {
    /// The rows of a batch in one pass, one per image.
    ///
    /// # Errors
    /// If a condition is of a kind that the model does not take, or is out of range.
    fn rows(&self, conditions: &[Condition], side: PassCondition) -> Result<ConditionRows>;
}

/// The rows of every side that a plan runs, computed once, before the loop.
///
/// # Errors
/// If there is no condition, and those of [`Conditioner::rows`].
pub fn prepare(
    conditioner: &dyn Conditioner,
    conditions: &[Condition],
    plan: &PassPlan,
) -> Result<BatchConditions> {
    prepare_for(conditioner, conditions, &plan.all())
}

/// The same of every side that some passes run.
///
/// # Errors
/// As [`prepare`].
pub fn prepare_for(
    conditioner: &dyn Conditioner,
    conditions: &[Condition],
    passes: &Passes,
) -> Result<BatchConditions> {
    let mut sides: Vec<PassCondition> = passes.iter().flat_map(|pass| pass.sides()).collect();
    sides.sort_unstable();
    sides.dedup();
    let rows = sides.into_iter().map(|side| Ok((side, conditioner.rows(conditions, side)?)));
    BatchConditions::new(conditions.len(), rows.collect::<Result<Vec<_>>>()?)
}

/// The condition of an image in one pass.
pub fn of_side(condition: &Condition, side: PassCondition) -> &Condition {
    match side {
        PassCondition::Given => condition.shown(),
        PassCondition::Negative => condition.avoided(),
        PassCondition::Null => &Condition::Null,
    }
}
