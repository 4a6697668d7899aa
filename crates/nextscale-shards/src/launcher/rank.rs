use super::variables::{Variables, number};
use crate::{Result, ShardError};

/// One of several processes, as a launcher numbers them from 0.
#[derive(Debug, Clone)]
pub(super) struct Rank {
    pub rank: u64,
    pub size: u64,
    /// Its number on its machine.
    pub local: Option<usize>,
    /// The variable that the rank is from.
    pub from: String,
}

impl Rank {
    /// From a pair of variables; `None` unless both are set.
    pub fn of_pair(
        variables: &Variables,
        rank: &str,
        size: &str,
        local: Option<&str>,
    ) -> Result<Option<Self>> {
        if [rank, size].iter().any(|name| !variables.contains_key(*name)) {
            return Ok(None);
        }
        let (Some(found), Some(of)) = (number(variables, rank)?, number(variables, size)?) else {
            return Ok(None);
        };
        if of == 0 {
            return Err(ShardError::Refused(format!("{size} is 0; correct it, or say --shard i/n")));
        }
        if found >= of {
            return Err(ShardError::Refused(format!(
                "{rank} is {found} and {size} {of}: ranks count from 0 to {}; correct them, or say --shard i/n",
                of - 1
            )));
        }
        let local = match local {
            Some(name) => number(variables, name)?.map(|local| local as usize),
            None => None,
        };
        Ok(Some(Self { rank: found, size: of, local, from: rank.into() }))
    }

    /// An index without a size, which `--shards` gives.
    pub fn of_index(name: &str, index: u64, shards: u64) -> Result<Self> {
        if index >= shards {
            return Err(ShardError::Refused(format!(
                "{name} is {index} of --shards {shards}: shards count from 0 to {}; number the jobs from 0, or say --shard i/n",
                shards - 1
            )));
        }
        Ok(Self { rank: index, size: shards, local: None, from: name.into() })
    }

    /// A rank in a job of an array: every job of the array has all ranks.
    pub fn within(array: Option<Self>, rank: Option<Self>) -> Option<Self> {
        match (array, rank) {
            (Some(array), Some(rank)) => Some(Self {
                rank: array.rank * rank.size + rank.rank,
                size: array.size.saturating_mul(rank.size),
                local: rank.local,
                from: format!("{} and {}", array.from, rank.from),
            }),
            (array, rank) => array.or(rank),
        }
    }
}
