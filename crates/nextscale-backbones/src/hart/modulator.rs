use burn::{
    module::{Module, Param},
    tensor::Tensor,
};

use super::config::{HartConfig, Modulated};
use crate::transformer::{
    Linear, Named,
    adaln::Modulation,
    keys::{Supply, Value, linear, list_linear},
    ops,
};

/// The source of a block's modulation.
#[derive(Module, Debug)]
pub enum HartModulator {
    /// An offset, `[6, width]`, added to the text's vector.
    Offset(Param<Tensor<2>>),
    /// A projection of SiLU of the text's vector, `width → 6·width`.
    Projection(Linear),
}

impl HartModulator {
    pub(super) fn build<S: Supply>(
        supply: &mut S,
        prefix: &str,
        config: &HartConfig,
    ) -> Result<Option<Self>, S::Error> {
        let width = config.width;
        Ok(match config.modulated {
            Modulated::Nothing => None,
            Modulated::ByOffset => {
                Some(Self::Offset(supply.param(&format!("{prefix}scale_shift_table"), [6, width])?))
            }
            Modulated::ByProjection(_) => {
                Some(Self::Projection(linear(supply, &format!("{prefix}ada_lin.1"), width, 6 * width)?))
            }
        })
    }

    pub(super) fn list<'a>(&'a self, prefix: &str, names: &mut Vec<Named<'a>>) {
        match self {
            Self::Offset(table) => {
                names.push(Named::new(format!("{prefix}scale_shift_table"), Value::Table(table)));
            }
            Self::Projection(layer) => list_linear(layer, &format!("{prefix}ada_lin.1"), names),
        }
    }

    /// The modulation for texts' vectors `[rows, 1, width]`.
    pub(super) fn modulate(&self, pooled: &Tensor<3>) -> Modulation {
        Modulation::split(match self {
            Self::Offset(table) => {
                let [six, width] = table.dims();
                pooled.clone().repeat_dim(2, six) + table.val().reshape([1, 1, six * width])
            }
            Self::Projection(layer) => layer.forward(ops::silu(pooled.clone())),
        })
    }
}
