//! mpiexec of MPICH and its descendants, by the variables of PMI.

use super::rank::Rank;
use super::variables::Variables;
use crate::Result;

/// The rank of mpiexec.hydra or mpiexec.gforker. Slurm's `--mpi=pmi2` sets the same variables.
pub(super) fn rank(variables: &Variables) -> Result<Option<Rank>> {
    Rank::of_pair(variables, "PMI_RANK", "PMI_SIZE", Some("MPI_LOCALRANKID"))
}
