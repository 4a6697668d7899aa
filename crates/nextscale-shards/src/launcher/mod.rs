//! Which shard a process is, from the command line or its launcher's variables.
//!
//! The command line wins: it is the only thing that a resubmission cannot change. Then the launcher nearest to
//! the process: torchrun, Open MPI or MPICH, and only then the Slurm step around them. An array of jobs
//! multiplies with the ranks inside each of its jobs.

mod arrays;
mod mpich;
mod open_mpi;
mod rank;
mod slurm;
mod torchrun;
mod variables;

pub use variables::{Variables, variables};

use std::str::FromStr;

use crate::{Result, Shard, ShardError};
use rank::Rank;

/// What a command line says of shards.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ask {
    /// `--shard`.
    pub shard: Option<Chosen>,
    /// `--shards`: how many there are, for launchers that give a process only its number.
    pub shards: Option<u64>,
}

/// The value of `--shard`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chosen {
    /// `i/n`.
    Shard(Shard),
    /// `none`: the whole run, whatever a launcher says.
    Whole,
}

impl FromStr for Chosen {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "none" => Ok(Self::Whole),
            _ => text.parse().map(Self::Shard),
        }
    }
}

/// A process's place among the workers of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// Its share; `None` if it makes the whole run.
    pub shard: Option<Shard>,
    /// What said so: `--shard`, or the names of variables. Empty if nothing did.
    pub from: String,
    /// The process's number among those of its machine, if a launcher gives it.
    pub local_rank: Option<usize>,
}

impl Placement {
    /// The place of a process with these variables.
    ///
    /// # Errors
    /// If variables contradict each other, or say that there are several workers but not which this is, or of
    /// how many; the message has the remedy.
    pub fn find(ask: Ask, variables: &Variables) -> Result<Self> {
        if ask.shards == Some(0) {
            return Err(ShardError::Refused("--shards must be 1 or more".into()));
        }
        match ask.shard {
            Some(chosen) => {
                // What was chosen does not depend on a launcher's mistakes.
                let local_rank = nearest(variables).ok().flatten().and_then(|rank| rank.local);
                let shard = match chosen {
                    Chosen::Shard(shard) => Some(shard),
                    Chosen::Whole => None,
                };
                if let (Some(shard), Some(shards)) = (shard, ask.shards)
                    && shard.count() != shards
                {
                    return Err(ShardError::Refused(format!(
                        "--shard says {} shards and --shards {shards}; leave out --shards",
                        shard.count()
                    )));
                }
                Ok(Self { shard, from: "--shard".into(), local_rank })
            }
            None => Self::launched(ask.shards, variables),
        }
    }

    fn launched(shards: Option<u64>, variables: &Variables) -> Result<Self> {
        let near = nearest(variables)?;
        let array = arrays::find(variables, shards, near.is_some())?;
        let alone = match (&near, &array) {
            (None, None) => open_mpi::prterun(variables, shards)?,
            _ => None,
        };
        if near.is_none() && alone.is_none() {
            slurm::refuse_body(variables)?;
        }
        let near = near.or(alone);
        let ranks_asked = shards.filter(|_| array.is_none());
        let local_rank = near.as_ref().and_then(|rank| rank.local);
        let Some(rank) = Rank::within(array, near) else {
            return match shards {
                Some(_) => Err(ShardError::Refused(
                    "--shards is given, and no launcher's variable says which of them this process is; add --shard i/n".into(),
                )),
                None => Ok(Self { shard: None, from: String::new(), local_rank }),
            };
        };
        if let Some(shards) = ranks_asked.filter(|&shards| shards != rank.size) {
            return Err(ShardError::Refused(format!(
                "--shards says {shards}, and {} says {} workers; leave out --shards, or say --shard i/n",
                rank.from, rank.size
            )));
        }
        // A world of one is a plain run.
        let shard = if rank.size == 1 { None } else { Some(Shard::new(rank.rank, rank.size)?) };
        Ok(Self { shard, from: rank.from, local_rank })
    }
}

/// The rank that the launcher nearest to the process gave it.
fn nearest(variables: &Variables) -> Result<Option<Rank>> {
    let slurm = slurm::rank(variables)?;
    // `srun --mpi=pmi2` has variables of both kinds, and they are one launcher's.
    let mpich = mpich::rank(variables)?.filter(|mpich| {
        slurm.as_ref().is_none_or(|slurm| (slurm.rank, slurm.size) != (mpich.rank, mpich.size))
    });
    let inner: Vec<Rank> =
        [torchrun::rank(variables)?, open_mpi::rank(variables)?, mpich].into_iter().flatten().collect();
    if let [first, rest @ ..] = &inner[..]
        && let Some(other) = rest.iter().find(|other| (other.rank, other.size) != (first.rank, first.size))
    {
        return Err(ShardError::Refused(format!(
            "two launchers are nested and disagree: {} says {} of {}, {} says {} of {}; say which shard this is with --shard i/n",
            first.from, first.rank, first.size, other.from, other.rank, other.size
        )));
    }
    Ok(inner.into_iter().next().or(slurm))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(variables: &[(&str, &str)]) -> Variables {
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn find(variables: &[(&str, &str)]) -> Result<Placement> {
        Placement::find(Ask::default(), &map(variables))
    }

    /// `i/n from`, or `whole`, or the error.
    fn told(variables: &[(&str, &str)], shards: Option<u64>) -> String {
        match Placement::find(Ask { shard: None, shards }, &map(variables)) {
            Ok(Placement { shard: Some(shard), from, .. }) => format!("{shard}, from {from}"),
            Ok(Placement { shard: None, .. }) => "whole".into(),
            Err(error) => error.to_string(),
        }
    }

    const STEP: [(&str, &str); 5] = [
        ("SLURM_PROCID", "2"),
        ("SLURM_STEP_NUM_TASKS", "4"),
        ("SLURM_NTASKS", "4"),
        ("SLURM_STEP_ID", "0"),
        ("SLURM_LOCALID", "1"),
    ];
    const BODY: [(&str, &str); 3] = [("SLURM_PROCID", "0"), ("SLURM_NTASKS", "4"), ("SLURM_LOCALID", "0")];
    const ARRAY: [(&str, &str); 5] = [
        ("SLURM_ARRAY_TASK_ID", "3"),
        ("SLURM_ARRAY_TASK_MIN", "0"),
        ("SLURM_ARRAY_TASK_MAX", "7"),
        ("SLURM_ARRAY_TASK_STEP", "1"),
        ("SLURM_ARRAY_TASK_COUNT", "8"),
    ];

    #[test]
    fn each_launcher_says_rank_size_and_place() {
        let torchrun = [("RANK", "5"), ("WORLD_SIZE", "8"), ("LOCAL_RANK", "1"), ("GROUP_RANK", "2")];
        let place = find(&torchrun).unwrap();
        assert_eq!((place.shard, &*place.from), (Some(Shard::new(5, 8).unwrap()), "RANK"));
        assert_eq!(place.local_rank, Some(1));
        let place = find(&STEP).unwrap();
        assert_eq!((place.shard, &*place.from), (Some(Shard::new(2, 4).unwrap()), "SLURM_PROCID"));
        assert_eq!(place.local_rank, Some(1));
        let mpirun = [
            ("OMPI_COMM_WORLD_RANK", "3"),
            ("OMPI_COMM_WORLD_SIZE", "4"),
            ("OMPI_COMM_WORLD_LOCAL_RANK", "1"),
            ("OMPI_UNIVERSE_SIZE", "2"),
            ("PMIX_RANK", "3"),
        ];
        let place = find(&mpirun).unwrap();
        assert_eq!((place.shard, &*place.from), (Some(Shard::new(3, 4).unwrap()), "OMPI_COMM_WORLD_RANK"));
        assert_eq!(place.local_rank, Some(1));
        let hydra =
            [("PMI_RANK", "1"), ("PMI_SIZE", "4"), ("MPI_LOCALRANKID", "0"), ("MPI_LOCALNRANKS", "2")];
        let place = find(&hydra).unwrap();
        assert_eq!((place.shard, &*place.from), (Some(Shard::new(1, 4).unwrap()), "PMI_RANK"));
        assert_eq!(place.local_rank, Some(0));
        // mpiexec.gforker.
        let place = find(&[("PMI_RANK", "1"), ("PMI_SIZE", "2"), ("MPI_UNIVERSE_SIZE", "-1")]).unwrap();
        assert_eq!((place.shard.map(Shard::index), place.local_rank), (Some(1), None));
    }

    #[test]
    fn without_a_launcher_a_run_is_whole_and_so_is_a_world_of_one() {
        for variables in [
            &[][..],
            &[("HOME", "/home/x"), ("PARALLEL_SEQ", "3"), ("PARALLEL_JOBSLOT", "1")],
            // Half of a pair is somebody else's variable.
            &[("WORLD_SIZE", "4")],
            &[("RANK", "4")],
            &[("RANK", "0"), ("WORLD_SIZE", "1")],
            &[("OMPI_COMM_WORLD_RANK", "0"), ("OMPI_COMM_WORLD_SIZE", "1"), ("PMIX_RANK", "0")],
            // `srun -n 1 … &` in a loop: the folder's lock keeps them apart.
            &[("SLURM_PROCID", "0"), ("SLURM_STEP_NUM_TASKS", "1"), ("SLURM_STEP_ID", "3")],
            // The shell of salloc: a size without a rank.
            &[("SLURM_NTASKS", "4")],
            // A batch body of one task.
            &[("SLURM_PROCID", "0"), ("SLURM_NTASKS", "1")],
            &[("SLURM_PROCID", "0")],
            &[("SGE_TASK_ID", "undefined")],
            &[("LSB_JOBINDEX", "0")],
        ] {
            assert_eq!(told(variables, None), "whole", "{variables:?}");
        }
    }

    #[test]
    fn what_the_command_line_says_wins() {
        let ask = |shard: &str| Ask { shard: Some(shard.parse().unwrap()), shards: None };
        let torchrun = map(&[("RANK", "9"), ("WORLD_SIZE", "4"), ("LOCAL_RANK", "2")]);
        let place = Placement::find(ask("3/10"), &torchrun).unwrap();
        assert_eq!((place.shard, &*place.from), (Some(Shard::new(3, 10).unwrap()), "--shard"));
        assert!(Placement::find(Ask::default(), &torchrun).is_err());
        let place = Placement::find(ask("none"), &map(&STEP)).unwrap();
        assert_eq!((place.shard, place.local_rank), (None, Some(1)));
        // Even in the body, and of one.
        assert_eq!(Placement::find(ask("0/1"), &map(&BODY)).unwrap().shard, Some(Shard::new(0, 1).unwrap()));
        let both = Ask { shards: Some(4), ..ask("3/10") };
        assert!(Placement::find(both, &map(&[])).unwrap_err().to_string().contains("leave out --shards"));
        let none = Ask { shards: Some(0), ..Ask::default() };
        assert!(Placement::find(none, &map(&[])).unwrap_err().to_string().contains("must be 1 or more"));
    }

    #[test]
    fn variables_that_contradict_each_other_are_refused() {
        for (variables, expected) in [
            (
                &[("RANK", "5"), ("WORLD_SIZE", "4")][..],
                "RANK is 5 and WORLD_SIZE 4: ranks count from 0 to 3; correct them, or say --shard i/n",
            ),
            (&[("RANK", "0"), ("WORLD_SIZE", "0")], "WORLD_SIZE is 0"),
            (&[("RANK", "x"), ("WORLD_SIZE", "4")], "RANK is `x`, which is not a number"),
            (&[("PMI_RANK", "4"), ("PMI_SIZE", "4")], "PMI_RANK is 4 and PMI_SIZE 4"),
            (
                &[("OMPI_COMM_WORLD_RANK", "-1"), ("OMPI_COMM_WORLD_SIZE", "4")],
                "OMPI_COMM_WORLD_RANK is `-1`",
            ),
            // torchrun around mpirun.
            (
                &[
                    ("RANK", "1"),
                    ("WORLD_SIZE", "2"),
                    ("OMPI_COMM_WORLD_RANK", "0"),
                    ("OMPI_COMM_WORLD_SIZE", "1"),
                ],
                "two launchers are nested and disagree: RANK says 1 of 2, OMPI_COMM_WORLD_RANK says 0 of 1",
            ),
        ] {
            let error = told(variables, None);
            assert!(error.contains(expected), "{variables:?}: {error}");
        }
    }

    /// Seen: mpirun, hydra and torchrun in a Slurm job leave the variables of the body, or of a hidden step.
    #[test]
    fn the_launcher_nearest_to_the_process_is_believed() {
        let body = &BODY[..];
        for (inner, expected) in [
            ([("RANK", "1"), ("WORLD_SIZE", "2")], "shard 1 of 2, from RANK"),
            (
                [("OMPI_COMM_WORLD_RANK", "3"), ("OMPI_COMM_WORLD_SIZE", "4")],
                "shard 3 of 4, from OMPI_COMM_WORLD_RANK",
            ),
            ([("PMI_RANK", "3"), ("PMI_SIZE", "4")], "shard 3 of 4, from PMI_RANK"),
        ] {
            assert_eq!(told(&[body, &inner].concat(), None), expected);
            let hidden = [
                ("SLURM_PROCID", "1"),
                ("SLURM_STEP_NUM_TASKS", "2"),
                ("SLURM_STEP_ID", "0"),
                ("SLURM_NTASKS", "2"),
            ];
            assert_eq!(told(&[&hidden[..], &inner].concat(), None), expected);
        }
        // `srun --mpi=pmi2` around torchrun: PMI is Slurm's own, and outer.
        let pmi2 = [&STEP[..], &[("PMI_RANK", "2"), ("PMI_SIZE", "4")]].concat();
        assert_eq!(told(&pmi2, None), "shard 2 of 4, from SLURM_PROCID");
        let both = [&pmi2[..], &[("RANK", "5"), ("WORLD_SIZE", "8")]].concat();
        assert_eq!(told(&both, None), "shard 5 of 8, from RANK");
        // `srun --mpi=pmix`.
        let pmix = [&STEP[..], &[("PMIX_RANK", "2")]].concat();
        assert_eq!(told(&pmix, None), "shard 2 of 4, from SLURM_PROCID");
    }

    #[test]
    fn a_batch_body_without_a_step_is_refused() {
        let error = told(&BODY, None);
        assert!(error.contains("body of a Slurm job of 4 tasks") && error.contains("srun"), "{error}");
        assert!(error.contains("--shard none"), "{error}");
        let error = told(&[&BODY[..], &ARRAY[..]].concat(), None);
        assert!(error.contains("body of a Slurm job of 4 tasks"), "{error}");
        // A batch script may ask for nodes and tasks on each; a step's size is in its own variable.
        let old = [("SLURM_PROCID", "1"), ("SLURM_NTASKS", "4"), ("SLURM_STEP_ID", "0")];
        assert_eq!(told(&old, None), "shard 1 of 4, from SLURM_PROCID");
    }

    #[test]
    fn an_array_is_a_launcher_and_multiplies_with_ranks() {
        assert_eq!(told(&ARRAY, None), "shard 3 of 8, from SLURM_ARRAY_TASK_ID");
        let both = [&ARRAY[..], &STEP[..]].concat();
        assert_eq!(told(&both, None), "shard 14 of 32, from SLURM_ARRAY_TASK_ID and SLURM_PROCID");
        // One rank in each: `--array=0-7` with `srun -n 1`.
        let one = [("SLURM_PROCID", "0"), ("SLURM_STEP_NUM_TASKS", "1"), ("SLURM_STEP_ID", "0")];
        assert_eq!(
            told(&[&ARRAY[..], &one].concat(), None),
            "shard 3 of 8, from SLURM_ARRAY_TASK_ID and SLURM_PROCID"
        );
        // Its body, which has a rank and no size.
        assert_eq!(
            told(&[&ARRAY[..], &[("SLURM_PROCID", "0")]].concat(), None),
            "shard 3 of 8, from SLURM_ARRAY_TASK_ID"
        );
        let array = |id: &str, first: &str, last: &str, step: &str, count: &str| {
            let names = ["ID", "MIN", "MAX", "STEP", "COUNT"].map(|name| format!("SLURM_ARRAY_TASK_{name}"));
            let values = [id, first, last, step, count];
            names.into_iter().zip(values).map(|(name, value)| (name, value.to_owned())).collect::<Variables>()
        };
        let told =
            |variables: &Variables, shards| match Placement::find(Ask { shard: None, shards }, variables) {
                Ok(place) => place.shard.map_or("whole".into(), |shard| shard.to_string()),
                Err(error) => error.to_string(),
            };
        // From one, and with a step.
        assert_eq!(told(&array("10", "1", "10", "1", "10"), None), "shard 9 of 10");
        assert_eq!(told(&array("5", "1", "9", "4", "3"), None), "shard 1 of 3");
        // `--array=3,7,9`.
        let gaps = array("7", "3", "9", "1", "3");
        let error = told(&gaps, None);
        assert!(error.contains("has gaps: 3 jobs from 3 to 9"), "{error}");
        assert_eq!(told(&gaps, Some(10)), "shard 7 of 10");
        // `--array=7`, the one that is missing of a larger array.
        let alone = array("7", "7", "7", "1", "1");
        let error = told(&alone, None);
        assert!(error.contains("--shards n") && error.contains("--array=7"), "{error}");
        assert_eq!(told(&alone, Some(8)), "shard 7 of 8");
        let error = told(&alone, Some(7));
        assert!(
            error.contains("SLURM_ARRAY_TASK_ID is 7 of --shards 7: shards count from 0 to 6"),
            "{error}"
        );
        let mut torn = array("7", "0", "9", "1", "10");
        torn.remove("SLURM_ARRAY_TASK_MAX");
        assert!(told(&torn, None).contains("SLURM_ARRAY_TASK_MAX"));
    }

    #[test]
    fn arrays_that_do_not_say_of_how_many_need_a_number() {
        for name in [
            "AWS_BATCH_JOB_ARRAY_INDEX",
            "PBS_ARRAY_INDEX",
            "PBS_ARRAYID",
            "LSB_JOBINDEX",
            "JOB_COMPLETION_INDEX",
        ] {
            let variables = [(name, "3")];
            let error = told(&variables, None);
            assert!(error.contains(name) && error.contains("--shards n"), "{error}");
            assert_eq!(told(&variables, Some(4)), format!("shard 3 of 4, from {name}"));
            assert!(told(&variables, Some(3)).contains("shards count from 0 to 2"), "{name}");
        }
        let sge = [
            ("SGE_TASK_ID", "5"),
            ("SGE_TASK_FIRST", "1"),
            ("SGE_TASK_LAST", "9"),
            ("SGE_TASK_STEPSIZE", "2"),
        ];
        assert_eq!(told(&sge, None), "shard 2 of 5, from SGE_TASK_ID");
        // prterun, Open MPI 5's own launcher.
        let error = told(&[("PMIX_RANK", "1")], None);
        assert!(error.contains("PMIX_RANK is 1") && error.contains("--shards n"), "{error}");
        assert_eq!(told(&[("PMIX_RANK", "1")], Some(2)), "shard 1 of 2, from PMIX_RANK");
        // Inside an indexed job a launcher's own numbers are the nearer ones.
        let nested = [("JOB_COMPLETION_INDEX", "1"), ("RANK", "5"), ("WORLD_SIZE", "8")];
        assert_eq!(told(&nested, None), "shard 5 of 8, from RANK");
        assert!(told(&[], Some(4)).contains("add --shard i/n"));
        assert!(
            told(&[("RANK", "1"), ("WORLD_SIZE", "2")], Some(4)).contains("--shards says 4, and RANK says 2")
        );
    }
}
