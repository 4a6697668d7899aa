//! Files of Hugging Face repositories by name: `hf://FoundationVision/var/var_d16.pth`.
//!
//! They are kept in the cache that Python's `huggingface_hub` uses, in its layout and under its locks: what
//! either has downloaded, the other finds. A download resumes after an interruption, is checked against the
//! hash that the server announces, and appears in the cache only when it is complete.
//!
//! The crate `hf-hub` 0.5 is not used, because (read in its source): it looks up a commit in `refs/`, where
//! Python writes branches only, so that it downloads again what Python's cache has; it appends the whole file
//! to a partial one if the server ignores `Range`; it verifies no hash; its locks are not Python's; and of the
//! environment it reads `HF_HOME` and `HF_ENDPOINT` only.
//!
//! ```no_run
//! use nextscale_hub::{Address, Environment, Hub, Silent};
//!
//! let hub = Hub::new(Environment::of_process()?, Box::new(Silent));
//! let found = hub.fetch(&Address::parse("hf://FoundationVision/var/var_d16.pth")?)?;
//! println!("{} is {}", found.address, found.path.display());
//! # Ok::<(), nextscale_hub::Error>(())
//! ```

mod address;
mod cache;
mod client;
mod digest;
mod download;
mod environment;
mod error;
mod fetch;
mod watch;

pub use address::{Address, SCHEME};
pub use cache::{Cache, CachedFile};
pub use digest::Digest;
pub use environment::{Environment, Token};
pub use error::{Error, Result};
pub use fetch::{Fetched, Hub};
pub use watch::{Silent, Watch};
