//! The scripts of the page "Many machines", under the launchers themselves: Slurm as one node on this machine,
//! which the test starts and ends, and Open MPI. Each test is skipped, with a line, where its launcher is not
//! installed (Debian: slurm-wlm and munge; openmpi-bin).
#![cfg(target_os = "linux")]

#[path = "cli/program.rs"]
#[allow(dead_code)] // every test file uses its own part
mod program;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use program::Place;

/// 200 images.
const RUN: &str = "condition: PerClass(20), guidance: Cfg(scale: 1.5), batch: 4, npz: true";
const IMAGES: u64 = 200;

/// The script under a heading of the page.
fn script(heading: &str) -> String {
    let page = include_str!("../docs/src/many-machines.md");
    let (_, section) = page.split_once(&format!("\n## {heading}\n")).expect(heading);
    let (_, block) = section.split_once("```sh\n").expect(heading);
    block.split_once("```").expect(heading).0.to_owned()
}

/// Where a program is: a launcher's daemons are not on every user's path.
fn find(program: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&paths).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// Past the test's capture: a test that was skipped should be seen.
fn skip(what: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {what} is not installed");
}

/// The path on which scripts find the program under test.
fn path() -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_nextscale")).parent().unwrap().display();
    format!("{program}:{}", std::env::var("PATH").unwrap_or_default())
}

fn place() -> Place {
    let place = Place::new();
    place.config("run.ron", RUN);
    place
}

/// A shell in the folder, with the program on its path and without the variables of another launcher.
fn shell(place: &Place, script: &str) -> Command {
    let mut command = Command::new("bash");
    command.args(["-c", script]).current_dir(place.path("")).env("PATH", path());
    for name in
        ["RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "SLURM_PROCID", "SLURM_ARRAY_TASK_ID"]
    {
        command.env_remove(name);
    }
    command
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn contents(place: &Place, folder: &str) -> BTreeMap<String, Vec<u8>> {
    let inside = |name: String| {
        let short = name.strip_prefix(folder)?.strip_prefix('/')?.to_owned();
        Some((short, fs::read(place.path(&name)).unwrap()))
    };
    place.files().into_iter().filter_map(inside).collect()
}

/// OUT has the bytes of a run without a launcher.
fn assert_same_as_single(place: &Place) {
    let single = place.run(&["generate", "run.ron", "--out", "single"]);
    assert_eq!(single.code, Some(0), "{single:?}");
    let (found, expected) = (contents(place, "out"), contents(place, "single"));
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, bytes) in &expected {
        assert!(found[name] == *bytes, "{name} differs");
    }
}

#[test]
fn two_ranks_of_mpirun_make_one_run() {
    if find("mpirun").is_none() {
        return skip("Open MPI's mpirun");
    }
    let place = place();
    let script = script("Open MPI").replace("-n 16", "-n 2");
    let mut command = shell(&place, &script);
    // As root in a container, and on one core.
    command.envs([("OMPI_ALLOW_RUN_AS_ROOT", "1"), ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")]);
    command.env("OMPI_MCA_rmaps_base_oversubscribe", "1");
    let ran = command.output().unwrap();
    let told = text(&ran);
    assert!(ran.status.success(), "{told}");
    for rank in 0..2 {
        assert!(told.contains(&format!("shard {rank} of 2, from OMPI_COMM_WORLD_RANK")), "{told}");
    }
    assert_same_as_single(&place);
}

/// A Slurm controller with this machine as its one node.
struct Cluster {
    folder: tempfile::TempDir,
    daemons: Vec<Child>,
}

impl Cluster {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        // munged refuses a socket in a folder that others cannot enter.
        fs::set_permissions(root, fs::Permissions::from_mode(0o755)).unwrap();
        let key: Vec<u8> = (0..1024_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        fs::write(root.join("munge.key"), key).unwrap();
        fs::set_permissions(root.join("munge.key"), fs::Permissions::from_mode(0o400)).unwrap();
        for name in ["state", "spool"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        let said = |program: &str, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).output().unwrap();
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        };
        let (host, user) = (said("hostname", &["-s"]), said("id", &["-un"]));
        let [controller, node] = free_ports();
        let here = root.display();
        let text = format!(
            "ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={here}/munge.socket
CredType=cred/munge
SlurmctldPort={controller}
SlurmdPort={node}
StateSaveLocation={here}/state
SlurmdSpoolDir={here}/spool
SlurmctldPidFile={here}/slurmctld.pid
SlurmdPidFile={here}/slurmd.pid
SlurmctldLogFile={here}/slurmctld.log
SlurmdLogFile={here}/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SlurmdParameters=config_overrides
SlurmdTimeout=300
ReturnToService=2
KillWait=30
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"
        );
        fs::write(root.join("slurm.conf"), text).unwrap();
        let mut cluster = Self { folder, daemons: Vec::new() };
        let in_root = |option: &str, name: &str| format!("--{option}={here}/{name}", here = cluster.path(""));
        let munge = [
            "--foreground".to_owned(),
            "--force".into(),
            in_root("key-file", "munge.key"),
            in_root("socket", "munge.socket"),
            in_root("pid-file", "munged.pid"),
            in_root("seed-file", "munged.seed"),
            in_root("log-file", "munged.log"),
        ];
        let munge: Vec<&str> = munge.iter().map(String::as_str).collect();
        cluster.daemon("munged", &munge);
        cluster.wait("munged", |cluster| Path::new(&cluster.path("munge.socket")).exists());
        cluster.daemon("slurmctld", &["-D", "-c"]);
        cluster.daemon("slurmd", &["-D", "-c"]);
        cluster.wait("Slurm", |cluster| cluster.say("sinfo", &["-h", "-o", "%T"]).contains("idle"));
        cluster
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn daemon(&mut self, program: &str, arguments: &[&str]) {
        let log = fs::File::create(self.path(&format!("{program}.out"))).unwrap();
        let mut command = Command::new(find(program).unwrap());
        command.args(arguments).env("SLURM_CONF", self.path("slurm.conf")).stdin(Stdio::null());
        let daemon = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        self.daemons.push(daemon);
    }

    /// What a client says.
    fn say(&self, program: &str, arguments: &[&str]) -> String {
        text(
            &Command::new(program)
                .args(arguments)
                .env("SLURM_CONF", self.path("slurm.conf"))
                .output()
                .unwrap(),
        )
    }

    fn wait(&self, for_what: &str, is_there: impl Fn(&Self) -> bool) {
        let begin = Instant::now();
        while !is_there(self) {
            if begin.elapsed() > Duration::from_secs(180) {
                let logs = ["munged.out", "munged.log", "slurmctld.log", "slurmd.log"];
                let logs = logs.map(|name| fs::read_to_string(self.path(name)).unwrap_or_default());
                panic!("{for_what}: not after three minutes\n{}", logs.join("\n---\n"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Submits a script, and returns the job's number.
    fn submit(&self, place: &Place, arguments: &[&str]) -> String {
        let mut command = shell(place, "exec sbatch --parsable \"$@\"");
        command.arg("sbatch").args(arguments).env("SLURM_CONF", self.path("slurm.conf"));
        let submitted = command.output().unwrap();
        assert!(submitted.status.success(), "{}", text(&submitted));
        String::from_utf8_lossy(&submitted.stdout).trim().to_owned()
    }

    /// Waits for the end of all jobs. A job that is requeued begins two minutes later unless it is told to.
    fn wait_for_jobs(&self) {
        self.wait("the jobs", |cluster| {
            let jobs = cluster.say("squeue", &["-h", "-o", "%i %T %r"]);
            for job in jobs.lines().filter(|job| job.ends_with("PENDING BeginTime")) {
                cluster.say(
                    "scontrol",
                    &["update", &format!("JobId={}", job.split(' ').next().unwrap()), "StartTime=now"],
                );
            }
            jobs.trim().is_empty()
        });
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.say("scancel", &["--full", "--signal=KILL", "--me"]);
        // slurmd, slurmctld, munged.
        for daemon in self.daemons.iter_mut().rev() {
            let _ = Command::new("kill").arg(daemon.id().to_string()).status();
            let begin = Instant::now();
            while daemon.try_wait().is_ok_and(|ended| ended.is_none())
                && begin.elapsed() < Duration::from_secs(20)
            {
                std::thread::sleep(Duration::from_millis(50));
            }
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

fn free_ports() -> [u16; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// Whether both halves of the images have been begun.
fn both_halves_are_begun(place: &Place) -> bool {
    let firsts: Vec<u64> = fs::read_dir(place.path("out/shards/images"))
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.split('-').next()?.parse().ok())
        .collect();
    firsts.iter().any(|&first| first < IMAGES / 2) && firsts.iter().any(|&first| first >= IMAGES / 2)
}

#[test]
fn slurm_s_tasks_and_a_requeued_array_make_one_run() {
    if ["munged", "slurmctld", "slurmd", "sbatch", "srun"].iter().any(|program| find(program).is_none()) {
        return skip("Slurm (slurm-wlm with munge)");
    }
    let cluster = Cluster::start();

    // Two tasks of one job, and the merge in its body; here without GPUs.
    let place = self::place();
    let tasks = script("Slurm: tasks of one job")
        .replace("--ntasks=16", "--ntasks=2")
        .replace("#SBATCH --gpus-per-task=1\n", "")
        .replace(" --device cuda", "");
    fs::write(place.path("samples.sh"), &tasks).unwrap();
    let job = cluster.submit(&place, &["samples.sh"]);
    cluster.wait_for_jobs();
    let log = fs::read_to_string(place.path(&format!("samples-{job}.log"))).unwrap();
    for task in 0..2 {
        assert!(log.contains(&format!("shard {task} of 2, from SLURM_PROCID")), "{log}");
    }
    assert_same_as_single(&place);

    // Without srun, the body would make half of the images.
    let place = self::place();
    fs::write(place.path("samples.sh"), tasks.replace("srun ", "")).unwrap();
    let job = cluster.submit(&place, &["samples.sh"]);
    cluster.wait_for_jobs();
    let log = fs::read_to_string(place.path(&format!("samples-{job}.log"))).unwrap();
    assert!(log.contains("body of a Slurm job of 2 tasks") && !place.path("out").exists(), "{log}");

    // An array whose tasks are warned before their time ends, and are requeued.
    fs::write(place.path("array.sh"), script("Slurm: an array").replace("--array=0-15", "--array=0-1"))
        .unwrap();
    let job = cluster.submit(&place, &["array.sh"]);
    cluster.wait("pieces of both tasks", |_| both_halves_are_begun(&place));
    let merge = format!("--dependency=afterok:{job}");
    let merging = cluster.submit(&place, &[&merge, "--output=merge.log", "--wrap", "nextscale merge out"]);
    // What --signal=USR1@300 does five minutes before the limit.
    cluster.say("scancel", &["--signal=USR1", &job]);
    cluster.wait_for_jobs();
    let logs = [0, 1].map(|task| fs::read_to_string(place.path(&format!("samples-{task}.log"))).unwrap());
    let mut requeued = 0;
    for (task, log) in logs.iter().enumerate() {
        let shard = format!("shard {task} of 2, from SLURM_ARRAY_TASK_ID and SLURM_PROCID");
        // On a fast machine one may have ended before the other began.
        let stopped = log.matches("stopped by the launcher").count();
        assert_eq!(
            (log.matches(&shard).count(), log.matches("were there already").count()),
            (1 + stopped, stopped),
            "{log}"
        );
        requeued += stopped;
    }
    assert!(requeued > 0, "{}", logs.join("\n---\n"));
    let merged = fs::read_to_string(place.path("merge.log"))
        .unwrap_or_else(|error| panic!("{error}: {}", cluster.say("scontrol", &["show", "job", &merging])));
    assert!(merged.contains(&format!("{IMAGES} images")), "{merged}");
    assert_same_as_single(&place);
}
