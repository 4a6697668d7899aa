//! mpirun of Open MPI, and prterun, the launcher inside its version 5.

use super::rank::Rank;
use super::variables::{Variables, number};
use crate::{Result, ShardError};

/// The rank of mpirun. `OMPI_UNIVERSE_SIZE` is the number of slots and not of ranks.
pub(super) fn rank(variables: &Variables) -> Result<Option<Rank>> {
    Rank::of_pair(
        variables,
        "OMPI_COMM_WORLD_RANK",
        "OMPI_COMM_WORLD_SIZE",
        Some("OMPI_COMM_WORLD_LOCAL_RANK"),
    )
}

/// The rank of prterun, which does not say of how many.
pub(super) fn prterun(variables: &Variables, shards: Option<u64>) -> Result<Option<Rank>> {
    // With other launchers it accompanies their own variables.
    if ["OMPI_COMM_WORLD_RANK", "SLURM_STEP_ID"].iter().any(|name| variables.contains_key(*name)) {
        return Ok(None);
    }
    let Some(rank) = number(variables, "PMIX_RANK")? else { return Ok(None) };
    match shards {
        Some(shards) => Rank::of_index("PMIX_RANK", rank, shards).map(Some),
        None => Err(ShardError::Refused(format!(
            "PMIX_RANK is {rank}, and its launcher does not say of how many; add --shards n, or use mpirun, or say \
             --shard none for the whole run"
        ))),
    }
}
