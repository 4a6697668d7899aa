use nextscale_core::{Draw, LogitMap, Result, is_cpu};
use nextscale_macros::Settings;

use super::{Moment, Sampler, host, tensor};

/// The most likely value, without randomness.
///
/// The class with the largest logit at every slot, the first of equals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Settings)]
pub struct Argmax;

impl Sampler for Argmax {
    fn draw(&self, logits: &LogitMap, _: &Moment<'_>) -> Result<Draw> {
        if is_cpu(&logits.values().device()) { host::argmax(logits) } else { Ok(on_device(logits)) }
    }
}

pub(super) fn on_device(logits: &LogitMap) -> Draw {
    let [batch, positions, _] = logits.values().dims();
    let alphabet = logits.alphabet();
    let rows = logits.values().clone().reshape([batch * positions * alphabet.slots, alphabet.classes]);
    Draw::tokens(tensor::first_largest(rows).int().reshape([batch, positions, alphabet.slots]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tensor};
    use nextscale_core::{Alphabet, Grid};

    #[test]
    fn bits_are_chosen_slot_by_slot_on_both_routes() {
        let values = [[[0.0f32, 1.0, 3.0, 2.0, 5.0, 5.0]]];
        let values = Tensor::<3>::from_data(values, &Device::flex());
        let logits = LogitMap::new(values, Grid::square(1), Alphabet::bits(3)).unwrap();
        for draw in [host::argmax(&logits).unwrap(), on_device(&logits)] {
            let tokens: Vec<i64> = draw.tokens.into_data().try_into_vec_as().unwrap();
            assert_eq!(tokens, [1, 0, 0]);
            assert!(draw.weights.is_none());
        }
    }
}
