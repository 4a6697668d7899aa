//! `--shard` and `--shards`, as the commands that many processes can share have them.

use std::path::{Path, PathBuf};

use crate::core::Dtype;
use crate::pipeline::device::{DeviceChoice, arithmetic, kind_and_type};
use crate::pipeline::version;
use crate::pipeline::{Stop, Worker};
use crate::shards::{Ask, Chosen, Fact, Placement, variables};
use burn::tensor::Device;

use super::interrupt::{is_by_launcher, on_interrupt_of_shard};
use super::{Failure, say};

/// Which share of the images this process makes.
#[derive(Debug, clap::Args)]
pub struct ShardArgs {
    /// Make only the I-th of N shards of the images, counted from 0, for `nextscale merge`; `none` makes all of
    /// them, whatever a launcher says [default: what torchrun, srun, mpirun, mpiexec or an array of jobs says]
    #[arg(long, value_name = "I/N|none")]
    shard: Option<Chosen>,
    /// The number of shards, where the launcher tells a process only which is its: Kubernetes, AWS Batch, PBS,
    /// LSF, a part of a Slurm array
    #[arg(long, value_name = "N", conflicts_with = "shard")]
    shards: Option<u64>,
}

impl ShardArgs {
    /// Whether the command line has any of them.
    pub fn is_given(&self) -> bool {
        self.shard.is_some() || self.shards.is_some()
    }

    /// This process's place; a share is told on standard error. From here on a launcher's signal asks to stop.
    pub fn place(&self) -> Result<Place, Failure> {
        let placement = Placement::find(Ask { shard: self.shard, shards: self.shards }, &variables())?;
        let worker = placement.shard.map(|shard| Worker { shard, from: placement.from.clone() });
        let stop = Stop::new();
        if let Some(worker) = &worker {
            say::note(format_args!("{worker}"));
            let stop = stop.clone();
            on_interrupt_of_shard(move || stop.request())?;
        }
        Ok(Place { worker, local_rank: placement.local_rank, stop })
    }
}

/// Where a process is among those of its launcher.
pub struct Place {
    /// Its share; `None` if it does everything.
    pub worker: Option<Worker>,
    /// For a worker's launcher to stop it.
    pub stop: Stop,
    local_rank: Option<usize>,
}

impl Place {
    /// The device of this process.
    pub fn device(&self, choice: DeviceChoice) -> Result<DeviceChoice, Failure> {
        Ok(choice.of_rank(self.local_rank)?)
    }
}

/// A worker that a launcher stopped is to be started again, and says so by its exit code.
pub fn requeued(failure: Failure) -> Failure {
    match failure {
        Failure::Stopped(_) if is_by_launcher() => Failure::Requeue(miette::miette!(
            "stopped by the launcher; finished batches are kept, and the same shard goes on where it is started again"
        )),
        other => other,
    }
}

/// What a worker did of its share of `what` ("images"): made, found and left to others.
pub fn tell_share(worker: &Worker, what: &str, [made, found, elsewhere]: [u64; 3], out: &Path) {
    let mut told = format!("{}: {made} {what}", worker.shard);
    if found > 0 {
        told += &format!("; {found} were there already");
    }
    if elsewhere > 0 {
        told += &format!("; {elsewhere} are being made by other workers");
    }
    say::out(format_args!("{told}; when all shards are made: nextscale merge {}\n", out.display()));
}

/// The folder of the shards of a file.
pub fn folder_of_file(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!("{name}.shards"))
}

/// What must be the same for all workers that write a file: the program and the device.
pub fn facts(device: &Device) -> Vec<Fact> {
    let again = "run all shards on devices of one kind, or name another file";
    vec![
        Fact::new("version of this program", version::words())
            .or("remove these shards, or name another file"),
        Fact::new("device", kind_and_type(device, Dtype::F32)).or(again),
        Fact::new("arithmetic", arithmetic(device, Dtype::F32)).or(
            "start every shard with the same NEXTSCALE_ROUTE (every x86-64 processor with FMA has `fma`), or name another \
             file",
        ),
    ]
}
