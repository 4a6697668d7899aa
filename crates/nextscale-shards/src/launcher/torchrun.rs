//! torchrun, and others that set the variables of `torch.distributed`.

use super::rank::Rank;
use super::variables::Variables;
use crate::Result;

/// The rank among all workers of all machines.
pub(super) fn rank(variables: &Variables) -> Result<Option<Rank>> {
    Rank::of_pair(variables, "RANK", "WORLD_SIZE", Some("LOCAL_RANK"))
}
