//! The texts of a run.

use std::collections::BTreeSet;

use burn::tensor::{Device, Tensor, TensorData};
use nextscale_core::Condition;
use nextscale_core::random::{fnv1a, splitmix64};

/// Every text of a run: the prompts in the images' order, then the negative prompts.
pub(crate) fn prompts(conditions: &[Condition]) -> Vec<&str> {
    let shown = conditions.iter().filter_map(|condition| text(condition.shown()));
    let avoided: BTreeSet<&str> =
        conditions.iter().filter_map(|condition| text(condition.avoided())).collect();
    shown.chain(avoided).collect()
}

fn text(condition: &Condition) -> Option<&str> {
    match condition {
        Condition::Prompt(text) => Some(text),
        _ => None,
    }
}

/// Rows in place of an encoder's for each prompt of a run, `[rows, width]`, uniform around zero with variance
/// 1; `rows` gives their number.
pub(crate) fn random_rows(
    conditions: &[Condition],
    width: usize,
    rows: impl Fn(&str) -> usize,
    device: &Device,
) -> Vec<(String, Tensor<2>)> {
    let row = |prompt: &str| {
        let count = rows(prompt);
        let start = fnv1a(prompt);
        let value = |i| {
            let unit = (splitmix64(start, i) >> 11) as f64 / (1u64 << 53) as f64;
            ((2.0 * unit - 1.0) * 3f64.sqrt()) as f32
        };
        let values: Vec<f32> = (0..(count * width) as u64).map(value).collect();
        (prompt.to_owned(), Tensor::from_data(TensorData::new(values, [count, width]), device))
    };
    let mut prompts = prompts(conditions);
    prompts.sort_unstable();
    prompts.dedup();
    prompts.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_those_of_the_images_and_then_the_negatives() {
        let prompt = |text: &str| Condition::Prompt(text.into());
        let conditions = [
            prompt("b").avoiding(prompt("x")),
            prompt("a"),
            Condition::Null,
            prompt("a").avoiding(prompt("x")),
        ];
        assert_eq!(prompts(&conditions), ["b", "a", "a", "x"]);
    }
}
