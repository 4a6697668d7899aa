//! Arrays of jobs: one number for each job, and not always a size.

use super::rank::Rank;
use super::variables::{Variables, number};
use crate::{Result, ShardError};

/// Arrays of which a job sees only its own index.
const INDICES: [(&str, &str); 4] = [
    ("AWS_BATCH_JOB_ARRAY_INDEX", "AWS Batch"),
    ("PBS_ARRAY_INDEX", "PBS"),
    ("PBS_ARRAYID", "Torque"),
    ("LSB_JOBINDEX", "LSF"),
];
/// The index of a pod in an indexed job.
const KUBERNETES: &str = "JOB_COMPLETION_INDEX";

/// A job's place in its array. With `shards` the index itself counts, of that many. `has_ranks`: another
/// launcher runs inside the job.
pub(super) fn find(variables: &Variables, shards: Option<u64>, has_ranks: bool) -> Result<Option<Rank>> {
    if let Some(found) = slurm(variables, shards)? {
        return Ok(Some(found));
    }
    if let Some(found) = sge(variables, shards)? {
        return Ok(Some(found));
    }
    for (name, system) in INDICES {
        // LSF has 0 outside of arrays, whose indices count from 1.
        let Some(index) = number(variables, name)?.filter(|&index| name != "LSB_JOBINDEX" || index > 0)
        else {
            continue;
        };
        return of_index(name, system, index, shards).map(Some);
    }
    match number(variables, KUBERNETES)? {
        // The variables of torch.distributed in a pod count over all pods.
        Some(index) if !has_ranks => of_index(KUBERNETES, "Kubernetes", index, shards).map(Some),
        _ => Ok(None),
    }
}

fn of_index(name: &str, system: &str, index: u64, shards: Option<u64>) -> Result<Rank> {
    match shards {
        Some(shards) => Rank::of_index(name, index, shards),
        None => Err(ShardError::Refused(format!(
            "{name} is {index}, and {system} does not tell a job of how many; add --shards n, or say --shard i/n, or \
             --shard none for the whole run"
        ))),
    }
}

fn slurm(variables: &Variables, shards: Option<u64>) -> Result<Option<Rank>> {
    const NAME: &str = "SLURM_ARRAY_TASK_ID";
    let Some(index) = number(variables, NAME)? else { return Ok(None) };
    if let Some(shards) = shards {
        return Rank::of_index(NAME, index, shards).map(Some);
    }
    let dense =
        Dense::read(variables, ["SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_MAX", "SLURM_ARRAY_TASK_STEP"])?;
    let Some(count) = number(variables, "SLURM_ARRAY_TASK_COUNT")? else {
        return Err(unset("SLURM_ARRAY_TASK_COUNT"));
    };
    if count == 1 {
        // The one job that failed of a larger array, or an array of one.
        return Err(ShardError::Refused(format!(
            "--array={index} is an array of one job, which may be one of a larger one: add --shards n, of how many, or say \
             --shard i/n, or --shard none for the whole run"
        )));
    }
    if dense.count() != Some(count) {
        return Err(ShardError::Refused(format!(
            "the array has gaps: {count} jobs from {} to {}, so that a job's number is not its shard; use --array=0-{}, or \
             add --shards n to take the numbers as they are",
            dense.first,
            dense.last,
            count.saturating_sub(1)
        )));
    }
    dense.rank(NAME, index).map(Some)
}

fn sge(variables: &Variables, shards: Option<u64>) -> Result<Option<Rank>> {
    const NAME: &str = "SGE_TASK_ID";
    if variables.get(NAME).is_none_or(|text| text == "undefined") {
        return Ok(None);
    }
    let Some(index) = number(variables, NAME)? else { return Ok(None) };
    match shards {
        Some(shards) => Rank::of_index(NAME, index, shards).map(Some),
        None => Dense::read(variables, ["SGE_TASK_FIRST", "SGE_TASK_LAST", "SGE_TASK_STEPSIZE"])?
            .rank(NAME, index)
            .map(Some),
    }
}

/// An array without gaps: first, first + step, …, last.
struct Dense {
    first: u64,
    last: u64,
    step: u64,
}

impl Dense {
    fn read(variables: &Variables, names: [&str; 3]) -> Result<Self> {
        let mut values = [0; 3];
        for (value, name) in values.iter_mut().zip(names) {
            *value = number(variables, name)?.ok_or_else(|| unset(name))?;
        }
        let [first, last, step] = values;
        Ok(Self { first, last, step: step.max(1) })
    }

    fn count(&self) -> Option<u64> {
        ((self.last.checked_sub(self.first)?) / self.step).checked_add(1)
    }

    fn rank(&self, name: &str, index: u64) -> Result<Rank> {
        let Self { first, last, step } = self;
        let place = index.checked_sub(*first).filter(|from| from % step == 0).map(|from| from / step);
        match (place, self.count()) {
            (Some(place), Some(count)) if place < count => {
                Ok(Rank { rank: place, size: count, local: None, from: name.into() })
            }
            _ => Err(ShardError::Refused(format!(
                "{name} is {index}, which is not in its array from {first} to {last}, every {step}; say --shard i/n"
            ))),
        }
    }
}

fn unset(name: &str) -> ShardError {
    ShardError::Refused(format!("{name} is not set, and the array's other variables are; say --shard i/n"))
}
