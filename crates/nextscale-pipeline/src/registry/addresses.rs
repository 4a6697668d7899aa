//! Addresses of files, and the files: with the feature `hub` from the cache or the network, without it not at
//! all.

use std::path::PathBuf;

use nextscale_config::{Node, Value};

use crate::{Error, Result};

/// Addresses in configs.
pub(super) struct Address;

impl Address {
    /// How they begin.
    pub const SCHEME: &str = "hf://";

    /// The address that a node holds, if it is a string that begins like one.
    ///
    /// # Errors
    /// If the rest is not one; points at the node.
    pub fn is_in(node: &Node) -> Result<Option<String>> {
        let Value::Str(text) = &node.value else { return Ok(None) };
        if !text.starts_with(Self::SCHEME) {
            return Ok(None);
        }
        Self::check(text).map_err(|problem| node.error(problem))?;
        Ok(Some(text.clone()))
    }
}

#[cfg(feature = "hub")]
pub(super) use on::fetch;

#[cfg(feature = "hub")]
mod on {
    use super::*;
    use std::io::Write;
    use std::sync::{Mutex, OnceLock, PoisonError};

    use indicatif::ProgressBar;
    use nextscale_hub::{Environment, Hub, Watch};

    use crate::progress;

    impl Address {
        /// Whether this is one.
        pub fn check(text: &str) -> Result<(), String> {
            nextscale_hub::Address::parse(text).map(drop).map_err(|error| error.to_string())
        }

        /// That of a file in a repository.
        pub fn written(repo: &str, revision: Option<&str>, file: &str) -> Result<String, String> {
            let address = nextscale_hub::Address::new(repo, revision, file);
            address.map(|address| address.to_string()).map_err(|error| error.to_string())
        }
    }

    /// The path of a file on this machine, and its address with the commit.
    ///
    /// # Errors
    /// If it cannot be had; at the node, if the request is at fault.
    pub fn fetch(address: &str, node: &Node) -> Result<(PathBuf, String)> {
        let placed = |error: nextscale_hub::Error| match error.is_usage() {
            true => Error::Config(node.error(error.to_string())),
            false => Error::Fetch { message: error.to_string(), usage: false },
        };
        let address = nextscale_hub::Address::parse(address).map_err(placed)?;
        let found = hub().map_err(placed)?.fetch(&address).map_err(placed)?;
        Ok((found.path, found.address.to_string()))
    }

    /// That of this process.
    fn hub() -> nextscale_hub::Result<&'static Hub> {
        static HUB: OnceLock<Hub> = OnceLock::new();
        if let Some(hub) = HUB.get() {
            return Ok(hub);
        }
        let environment = Environment::of_process()?;
        Ok(HUB.get_or_init(|| Hub::new(environment, Box::new(Bars::default()))))
    }

    /// A bar for each transfer, and lines on standard error.
    #[derive(Default)]
    struct Bars(Mutex<Option<ProgressBar>>);

    impl Watch for Bars {
        fn begin(&self, file: &str, done: u64, total: Option<u64>) {
            let bar = progress::transfer(file);
            if let Some(total) = total {
                bar.set_length(total);
            }
            bar.set_position(done);
            // The rate is of what arrives now.
            bar.reset_eta();
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar);
        }

        fn at(&self, bytes: u64) {
            if let Some(bar) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
                bar.set_position(bytes);
            }
        }

        fn end(&self) {
            if let Some(bar) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
                bar.finish_and_clear();
            }
        }

        fn say(&self, line: &str) {
            // The reader of standard error may be gone.
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    }
}

#[cfg(not(feature = "hub"))]
pub(super) use off::fetch;

#[cfg(not(feature = "hub"))]
mod off {
    use super::*;

    impl Address {
        /// Whether this is one: without the feature, opening says that it cannot be.
        pub fn check(_: &str) -> Result<(), String> {
            Ok(())
        }

        /// That of a file in a repository.
        pub fn written(repo: &str, revision: Option<&str>, file: &str) -> Result<String, String> {
            let at = revision.map_or(String::new(), |revision| format!("@{revision}"));
            Ok(format!("{}{repo}{at}/{file}", Self::SCHEME))
        }
    }

    /// Says that there is no such thing.
    pub fn fetch(address: &str, _: &Node) -> Result<(PathBuf, String)> {
        let message = format!(
            "{address}: this program was built without the feature `hub`; download the file, and give its path"
        );
        Err(Error::Fetch { message, usage: true })
    }
}
