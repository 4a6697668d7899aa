//! srun's steps, and the body of a batch script, which looks like the first task of one.

use super::rank::Rank;
use super::variables::{Variables, number};
use crate::{Result, ShardError};

/// Marks a step: the body of a batch script has all of a task's other variables.
const STEP: &str = "SLURM_STEP_ID";

/// The rank in a step.
pub(super) fn rank(variables: &Variables) -> Result<Option<Rank>> {
    if !variables.contains_key(STEP) {
        return Ok(None);
    }
    let size = "SLURM_STEP_NUM_TASKS";
    let size = if variables.contains_key(size) { size } else { "SLURM_NTASKS" };
    Rank::of_pair(variables, "SLURM_PROCID", size, Some("SLURM_LOCALID"))
}

/// Refuses the body of a batch script of several tasks: as "task 0 of 4" it would quietly make a quarter of the
/// images, and as a whole run leave the other tasks idle.
pub(super) fn refuse_body(variables: &Variables) -> Result<()> {
    if variables.contains_key(STEP) || !variables.contains_key("SLURM_PROCID") {
        return Ok(());
    }
    match number(variables, "SLURM_NTASKS")? {
        Some(tasks) if tasks > 1 => Err(ShardError::Refused(format!(
            "this is the body of a Slurm job of {tasks} tasks, and not one of them: start the command with srun, which makes \
             {tasks} workers; or say --shard i/n, or --shard none for the whole run here"
        ))),
        _ => Ok(()),
    }
}
