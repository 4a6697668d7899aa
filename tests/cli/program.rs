//! Running the program.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A temporary folder for the program.
pub struct Place(tempfile::TempDir);

impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a config of the tiny fixture model; `rest` follows its `model` field.
    pub fn config(&self, name: &str, rest: &str) -> PathBuf {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/var");
        let text = format!(
            "(model: Var(tokenizer: \"{0}/vae.safetensors\", backbone: \"{0}/var_aln.safetensors\", norm_groups: 4),\n{rest})",
            fixtures.display()
        );
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nextscale"));
        command.args(arguments).current_dir(self.0.path()).env("NO_COLOR", "1").env_remove("COLUMNS");
        // The tests may themselves run under a launcher.
        for name in
            ["RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "SLURM_PROCID", "SLURM_ARRAY_TASK_ID"]
        {
            command.env_remove(name);
        }
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.ran(self.command(arguments).output().unwrap())
    }

    pub fn ran(&self, output: Output) -> Ran {
        let text = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).into_owned();
            let text = text.replace(&*self.0.path().to_string_lossy(), "HERE");
            text.replace(env!("CARGO_MANIFEST_DIR"), "PROJECT")
        };
        Ran { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// The program's answers to wrong command lines, without the config's line that names this folder.
    pub fn usage_errors(&self, mistakes: &[&[&str]]) -> String {
        let mut told = String::new();
        for arguments in mistakes {
            let ran = self.run(arguments);
            assert_eq!(ran.code, Some(2), "{arguments:?}: {ran:?}");
            let lines = ran.err.lines().filter(|line| !line.contains("model: Var"));
            told += &format!("{}\n{}\n\n", arguments.join(" "), lines.collect::<Vec<_>>().join("\n"));
        }
        told
    }

    /// Every file below the folder, sorted, without configs.
    pub fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        let mut folders = vec![self.0.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.push(path.strip_prefix(self.0.path()).unwrap().to_string_lossy().into_owned());
                }
            }
        }
        files.sort();
        files
    }
}

/// A command's output and exit code.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}
