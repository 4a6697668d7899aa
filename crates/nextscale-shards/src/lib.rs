//! One run on many machines, started by the user's own launcher.
//!
//! A worker learns its [`Shard`] from the command line or from its launcher's variables ([`Placement`]), claims
//! the images of its share that nobody has made ([`ShardFolder::claim`]), and writes them in pieces that appear
//! by rename. Pieces are named by their images, so that a later run with another number of shards keeps them.
//! [`tiles`] says whether they are the whole run.
//!
//! Knows nothing of burn, models or images.

mod claims;
mod error;
#[cfg(test)]
mod fixtures;
mod folder;
mod launcher;
mod name;
mod record;
mod shard;
mod tiling;

pub use claims::{Claim, Claims};
pub use error::{Result, ShardError};
pub use folder::{Piece, RECORD, ShardFolder};
pub use launcher::{Ask, Chosen, Placement, Variables, variables};
pub use record::{FORMAT, Fact, Record};
pub use shard::Shard;
pub use tiling::tiles;
