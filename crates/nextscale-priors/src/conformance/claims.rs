use nextscale_core::Grid;

use crate::{Operator, Prior};

/// What a prior promises beyond what every prior must, and on which grids it can be tried.
#[derive(Debug, Clone, PartialEq)]
pub struct PriorClaims {
    pub(super) linear: bool,
    pub(super) channelwise: bool,
    pub(super) grids: Vec<(Grid, Grid)>,
    pub(super) channels: usize,
}

impl PriorClaims {
    /// The default: channels do not mix, and the prior is linear if its operators are separable.
    pub fn of(prior: &(impl Prior + ?Sized)) -> Self {
        let pairs = [
            ((1, 1), (1, 1)),
            ((1, 1), (2, 2)),
            ((2, 2), (3, 3)),
            ((1, 4), (3, 4)),
            ((4, 2), (4, 2)),
            ((3, 5), (4, 7)),
            ((2, 3), (7, 3)),
            ((8, 8), (13, 10)),
        ];
        let grid = |(height, width)| Grid::new(height, width);
        let grids: Vec<_> = pairs.into_iter().map(|(from, to)| (grid(from), grid(to))).collect();
        let separable =
            |&(from, to): &(Grid, Grid)| matches!(prior.operator(from, to), Ok(Operator::Separable { .. }));
        Self { linear: grids.iter().all(separable), channelwise: true, grids, channels: 6 }
    }

    /// Claims that it is linear although its operator is a function; a separable one always is.
    #[must_use]
    pub fn linear(self) -> Self {
        Self { linear: true, ..self }
    }

    /// Withdraws the promise that a channel's result depends only on that channel.
    #[must_use]
    pub fn mixing_channels(self) -> Self {
        Self { channelwise: false, ..self }
    }

    /// The prior works only on these pairs of a coarse and a fine grid.
    #[must_use]
    pub fn grids(self, grids: impl IntoIterator<Item = (Grid, Grid)>) -> Self {
        Self { grids: grids.into_iter().collect(), ..self }
    }

    /// The prior works only on logits with this many channels.
    #[must_use]
    pub fn channels(self, channels: usize) -> Self {
        Self { channels, ..self }
    }

    /// Whether it is linear.
    pub fn is_linear(&self) -> bool {
        self.linear
    }

    /// Whether channels do not mix.
    pub fn is_channelwise(&self) -> bool {
        self.channelwise
    }
}
