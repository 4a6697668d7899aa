//! Options chosen before sets are compared.

use crate::kid::KidOptions;
use crate::precision_recall::Neighbours;

/// How sets are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EvaluateOptions {
    /// The kernel distance's subsets.
    pub kid: KidOptions,
    /// The neighbourhoods of precision, recall, density and coverage.
    pub neighbours: Neighbours,
}
