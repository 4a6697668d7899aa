use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Error, Result};

/// The size of a token grid in positions. Positions are row-major: `row * width + column`.
///
/// In configs a grid is `n` for n × n, or `(h, w)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Grid {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Grid {
    /// A grid of `height` × `width` positions.
    pub const fn new(height: usize, width: usize) -> Self {
        Self { height, width }
    }

    /// A square grid.
    pub const fn square(side: usize) -> Self {
        Self::new(side, side)
    }

    /// The number of positions, `height · width`.
    pub const fn positions(self) -> usize {
        self.height * self.width
    }
}

impl std::fmt::Display for Grid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}×{}", self.height, self.width)
    }
}

/// Reads `2×3`, `2x3`, and `4` for 4×4.
impl std::str::FromStr for Grid {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let side = |text: &str| text.parse::<usize>().ok();
        let grid = match text.split_once(['×', 'x']) {
            Some((height, width)) => {
                side(height).zip(side(width)).map(|(height, width)| Self::new(height, width))
            }
            None => side(text).map(Self::square),
        };
        grid.ok_or_else(|| {
            Error::Schedule(format!("`{text}` is not a grid; write a side like 4, or rows×columns like 2×3"))
        })
    }
}

impl Serialize for Grid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.height == self.width {
            self.height.serialize(serializer)
        } else {
            (self.height, self.width).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Grid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Grid;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a side like 16, or (height, width)")
            }

            fn visit_u64<E: serde::de::Error>(self, side: u64) -> Result<Grid, E> {
                Ok(Grid::square(side as usize))
            }

            fn visit_i64<E: serde::de::Error>(self, side: i64) -> Result<Grid, E> {
                usize::try_from(side)
                    .map(Grid::square)
                    .map_err(|_| E::invalid_value(serde::de::Unexpected::Signed(side), &self))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Grid, A::Error> {
                let height = seq.next_element()?.ok_or_else(|| serde::de::Error::invalid_length(0, &self))?;
                let width = seq.next_element()?.ok_or_else(|| serde::de::Error::invalid_length(1, &self))?;
                Ok(Grid::new(height, width))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
