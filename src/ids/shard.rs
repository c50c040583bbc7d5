//! Cuts a list of task IDs into shards, for several machines. A shard has whole ranges, so its tables can be combined with
//! those of the others without encoding a row again.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::hex;
use crate::ids::range_cutter::{RangeLengths, ranges};
use crate::ids::task_ids::TaskIds;

/// One of several parts of a list. The first part has the number 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "ShardNumbers", into = "ShardNumbers")]
pub struct Shard {
    index: u32,
    count: u32,
}

/// A shard as the manifest has it.
#[derive(Debug, Serialize, Deserialize)]
struct ShardNumbers {
    index: u32,
    count: u32,
}

impl From<Shard> for ShardNumbers {
    fn from(Shard { index, count }: Shard) -> Self {
        Self { index, count }
    }
}

impl TryFrom<ShardNumbers> for Shard {
    type Error = InvalidShard;

    fn try_from(ShardNumbers { index, count }: ShardNumbers) -> Result<Self, InvalidShard> {
        Self::new(index, count)
    }
}

/// Why a text or a pair of numbers is not a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidShard {
    /// The text does not consist of two numbers.
    Form,
    /// There are no shards.
    None,
    /// The number of the shard is too large.
    Index {
        /// The number.
        index: u32,
        /// The number of shards.
        count: u32,
    },
}

impl fmt::Display for InvalidShard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => f.write_str("expected a shard like 0/4, which is the first of 4"),
            Self::None => f.write_str("expected at least one shard, like 0/1"),
            Self::Index { index, count } => write!(
                f,
                "shards are counted from 0, so the last of {count} is {}/{count}, not {index}/{count}",
                count - 1
            ),
        }
    }
}

impl std::error::Error for InvalidShard {}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = InvalidShard;

    fn from_str(text: &str) -> Result<Self, InvalidShard> {
        let (index, count) = text.split_once('/').ok_or(InvalidShard::Form)?;
        let number = |text: &str| {
            // `parse` takes a sign too.
            let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
            let number = text.parse().ok().filter(|_| is_number);
            number.ok_or(InvalidShard::Form)
        };
        Self::new(number(index.trim())?, number(count.trim())?)
    }
}

impl Shard {
    /// The shard with a number, from 0, of `count` shards.
    ///
    /// # Errors
    ///
    /// [`InvalidShard`] unless `index` is less than `count`.
    pub fn new(index: u32, count: u32) -> Result<Self, InvalidShard> {
        if count == 0 {
            Err(InvalidShard::None)
        } else if index >= count {
            Err(InvalidShard::Index { index, count })
        } else {
            Ok(Self { index, count })
        }
    }

    /// The number of the shard, from 0.
    pub fn index(self) -> u32 {
        self.index
    }

    /// The number of shards.
    pub fn count(self) -> u32 {
        self.count
    }

    /// The numbers of its ranges, of a list with so many.
    fn ranges(self, ranges: usize) -> Range<usize> {
        // A list has fewer than 2^32 IDs, so the product fits.
        let end = |shards: u32| {
            let end = ranges as u64 * u64::from(shards) / u64::from(self.count);
            usize::try_from(end).unwrap_or(ranges)
        };
        end(self.index)..end(self.index + 1)
    }

    /// Its part of a list.
    pub(crate) fn of(self, list: &TaskIds, lengths: RangeLengths) -> ShardIds {
        let ranges = ranges(list.iter(), lengths);
        let own = ranges.get(self.ranges(ranges.len())).unwrap_or_default();
        let positions = match (own.first(), own.last()) {
            (Some(first), Some(end)) => first.start..end.end,
            _ => 0..0,
        };
        ShardIds {
            ids: list.part(positions),
            place: ShardPlace {
                shard: self,
                list: ListIdentity::of(list),
            },
        }
    }
}

/// What distinguishes a list of IDs from others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListIdentity {
    /// Distinct IDs.
    pub requested: u64,
    /// The SHA-256 of the distinct IDs in their order, one per line, in hexadecimal.
    pub sha256: String,
}

impl ListIdentity {
    /// The identity of a list.
    pub(crate) fn of(list: &TaskIds) -> Self {
        let lines = list.lines().fold(Sha256::new(), Sha256::chain_update);
        Self {
            requested: list.len() as u64,
            sha256: hex::encode(&lines.finalize()),
        }
    }
}

/// Which shard of which list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardPlace {
    /// The shard.
    #[serde(flatten)]
    pub shard: Shard,
    /// The whole list.
    pub list: ListIdentity,
}

/// The IDs of a shard.
#[derive(Debug, Clone)]
pub(crate) struct ShardIds {
    pub(crate) ids: TaskIds,
    pub(crate) place: ShardPlace,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LENGTHS: RangeLengths = RangeLengths { min: 3, max: 6 };

    fn list(ids: usize) -> TaskIds {
        TaskIds::collect((0..ids).map(|number| format!("task_{number}"))).unwrap()
    }

    #[test]
    fn shards_are_counted_from_zero() {
        assert_eq!("0/4".parse(), Shard::new(0, 4));
        assert_eq!(" 3 / 4 ".parse(), Shard::new(3, 4));
        assert_eq!(Shard::new(3, 4).unwrap().to_string(), "3/4");
        assert_eq!(
            "4/4".parse::<Shard>().unwrap_err().to_string(),
            "shards are counted from 0, so the last of 4 is 3/4, not 4/4"
        );
        assert_eq!("0/0".parse::<Shard>(), Err(InvalidShard::None));
        for text in [
            "",
            "1",
            "/",
            "1/",
            "/2",
            "a/b",
            "-1/4",
            "+1/4",
            "1/4/2",
            "0.5/2",
            "0/4294967296",
        ] {
            assert_eq!(text.parse::<Shard>(), Err(InvalidShard::Form), "{text}");
        }
    }

    #[test]
    fn a_shard_keeps_the_number_of_repeated_ids() {
        let list = TaskIds::collect(["task_1", "task_2", "task_1"]).unwrap();
        let shard = Shard::new(1, 2).unwrap().of(&list, LENGTHS);
        assert_eq!((shard.ids.len(), shard.ids.duplicates()), (2, 1));
        assert_eq!(shard.place.list, ListIdentity::of(&list));
        assert_ne!(ListIdentity::of(&list), ListIdentity::of(&self::list(2)));
    }

    proptest! {
        /// So that the ranges of a shard are ranges of the list, and their rows can be copied.
        #[test]
        fn shards_in_order_are_the_list_and_their_ranges_are_its_ranges(ids in 0_usize..200, count in 1_u32..12) {
            let list = list(ids);
            let mut joined: Vec<String> = Vec::new();
            let mut joined_ranges = Vec::new();
            for index in 0..count {
                let shard = Shard::new(index, count).unwrap().of(&list, LENGTHS);
                let start = joined.len();
                let own = ranges(shard.ids.iter(), LENGTHS);
                joined_ranges.extend(own.iter().map(|range| start + range.start..start + range.end));
                joined.extend(shard.ids.iter().map(str::to_owned));
            }
            prop_assert_eq!(joined, list.iter().map(str::to_owned).collect::<Vec<_>>());
            let whole = ranges(list.iter(), LENGTHS);
            let most = whole.len().div_ceil(count as usize);
            prop_assert_eq!(joined_ranges, whole.clone());
            for index in 0..count {
                let own = Shard::new(index, count).unwrap().ranges(whole.len());
                prop_assert!(own.len() <= most);
            }
        }
    }
}
