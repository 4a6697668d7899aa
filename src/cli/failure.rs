//! How a command fails, with its exit code.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use miette::Report;

use crate::config::{Node, Value};
use crate::files::words_of_missing;
use crate::shards::ShardError;
use crate::{ablation, metrics, pipeline, train};

/// No model of HART has a name: its files are folders, which another program downloads.
const OF_HART: &str = "paths start at the config's folder; there `hf download mit-han-lab/hart-0.7b-1024px --local-dir hart-0.7b-1024px` \
                       downloads HART, and `hf download mit-han-lab/Qwen2-VL-1.5B-Instruct --local-dir Qwen2-VL-1.5B-Instruct` the model \
                       that reads its prompts";

/// The models in a config's `model` or `guides`.
fn models_in(node: &Node) -> Vec<&Node> {
    let Value::List(guides) = &node.value else { return vec![node] };
    let models = guides.iter().filter_map(|guide| match &guide.value {
        Value::Tuple { items, .. } => items.last(),
        _ => None,
    });
    models.collect()
}

/// A command's failure: one message for people, and one code for scripts.
#[derive(Debug)]
pub enum Failure {
    /// The command line or a config is wrong: exit code 2.
    Usage(Report),
    /// They name a file or folder that is not there: exit code 2.
    Missing {
        /// The file.
        path: PathBuf,
        /// The message.
        report: Report,
    },
    /// The run failed: exit code 1.
    Run(Report),
    /// The user stopped it, and what is on disk can be resumed: exit code 130, as in shells for Ctrl-C.
    Stopped(Report),
    /// A worker should be started again, because its launcher stopped it or it waits for others: exit code 75,
    /// `EX_TEMPFAIL` of sysexits.h, which launchers can be told to requeue.
    Requeue(Report),
}

impl Failure {
    /// A usage failure from any error.
    pub fn usage(error: impl Into<Report>) -> Self {
        Self::Usage(error.into())
    }

    /// A file or folder that is not there.
    pub fn missing(path: &Path) -> Self {
        Self::Missing { path: path.into(), report: miette::miette!("{}", words_of_missing(path)) }
    }

    /// The same with a remedy, if a file is not there.
    #[must_use]
    pub fn with_remedy(self, help: &str) -> Self {
        match self {
            Self::Missing { path, report } => {
                Self::Missing { path, report: miette::miette!(help = help, "{report}") }
            }
            other => other,
        }
    }

    /// The same with the place where a config names a file that is not there; paths in it are relative to
    /// `folder`.
    #[must_use]
    pub fn placed(self, config: &Node, folder: &Path) -> Self {
        let Self::Missing { path, report } = self else { return self };
        // An ablation looks from an absolute folder.
        let from = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let absolute = std::path::absolute(from).unwrap_or_else(|_| from.into());
        let find = |tree: &Node| {
            [folder, absolute.as_path()].into_iter().find_map(|folder| tree.naming(&path, folder).cloned())
        };
        let Some(node) = find(config) else { return Self::Missing { path, report } };
        let models = ["model", "guides", "base.model", "base.guides", "run.model", "run.guides"];
        let mut models = models.iter().filter_map(|path| config.get(path).ok()).flat_map(models_in);
        let help = match models.find(|model| find(model).is_some()) {
            Some(model) if model.name() == Some("Hart") => OF_HART,
            Some(_) => {
                "paths start at the config's folder; `nextscale models` lists models whose files are downloaded by name"
            }
            None => "paths start at the config's folder",
        };
        Self::usage(node.error(words_of_missing(&path)).with_help(help))
    }

    /// The same with the name of the file whose settings are wrong, if the message does not show a place in
    /// it.
    pub fn of_file(self, file: &Path) -> Self {
        match self {
            Self::Usage(report) if report.source_code().is_none() => {
                let words = report.to_string();
                let named = words.contains(&*file.to_string_lossy());
                if named {
                    Self::Usage(report)
                } else {
                    Self::Usage(miette::miette!("{}: {words}", file.display()))
                }
            }
            other => other,
        }
    }

    /// The message.
    pub fn report(&self) -> &Report {
        match self {
            Self::Usage(report)
            | Self::Missing { report, .. }
            | Self::Run(report)
            | Self::Stopped(report)
            | Self::Requeue(report) => report,
        }
    }

    /// The exit code.
    pub fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Usage(_) | Self::Missing { .. } => 2,
            Self::Run(_) => 1,
            Self::Stopped(_) => 130,
            Self::Requeue(_) => 75,
        })
    }
}

impl From<pipeline::Error> for Failure {
    fn from(error: pipeline::Error) -> Self {
        if let Some(path) = error.missing() {
            return Self::missing(path);
        }
        let usage = error.is_usage();
        match error {
            pipeline::Error::Stopped => Self::Stopped(miette::miette!("{error}")),
            pipeline::Error::Config(error) => Self::usage(error),
            pipeline::Error::Train(error) => error.into(),
            error if usage => Self::Usage(miette::miette!("{error}")),
            error => Self::Run(miette::miette!("{error}")),
        }
    }
}

impl From<ablation::Error> for Failure {
    fn from(error: ablation::Error) -> Self {
        if let Some(path) = error.missing() {
            return Self::missing(path);
        }
        let (usage, stop) = (error.is_usage(), error.is_stop());
        match error {
            error if stop => Self::Stopped(miette::miette!("{error}")),
            ablation::Error::Config(error) | ablation::Error::Pipeline(pipeline::Error::Config(error)) => {
                Self::usage(error)
            }
            error @ ablation::Error::Waiting { .. } => Self::Requeue(miette::miette!("{error}")),
            error if usage => Self::Usage(miette::miette!("{error}")),
            error => Self::Run(miette::miette!("{error}")),
        }
    }
}

impl From<train::Error> for Failure {
    fn from(error: train::Error) -> Self {
        if let Some(path) = error.missing() {
            return Self::missing(path);
        }
        let usage = error.is_usage();
        if let train::Error::Stopped { .. } = error {
            return Self::Stopped(miette::miette!(help = "repeat the command to resume", "{error}"));
        }
        let report = miette::miette!("{error}");
        if usage { Self::Usage(report) } else { Self::Run(report) }
    }
}

/// How a failure of a measure, or of its images, ends a command.
pub fn failure(error: metrics::Error) -> Failure {
    if let Some(path) = error.missing() {
        return Failure::missing(path);
    }
    let report = miette::miette!("{error}");
    match error {
        metrics::Error::Stopped => Failure::Stopped(report),
        error if error.is_usage() => Failure::Usage(report),
        _ => Failure::Run(report),
    }
}

impl From<metrics::Error> for Failure {
    fn from(error: metrics::Error) -> Self {
        failure(error)
    }
}

impl From<ShardError> for Failure {
    fn from(error: ShardError) -> Self {
        match error {
            ShardError::Refused(_) => Self::Usage(miette::miette!("{error}")),
            ShardError::Io { .. } => Self::Run(miette::miette!("{error}")),
        }
    }
}
