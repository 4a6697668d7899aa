use serde::Deserialize;

/// What a transformer's `config.json` says of what its tensors do not show, or show too.
#[derive(Debug, Clone, Default, Deserialize)]
#[allow(missing_docs)] // upstream's names
pub struct Described {
    pub model_type: Option<String>,
    pub context_token: Option<usize>,
    pub context_dim: Option<usize>,
    pub depth: Option<usize>,
    pub embed_dim: Option<usize>,
    pub num_heads: Option<usize>,
    pub patch_nums: Option<PatchNums>,
    pub mlp_type: Option<String>,
    pub attn_type: Option<String>,
    pub sep_aln_pooling_mode: Option<String>,
    pub use_cross_attn: Option<bool>,
    pub num_sampling_steps: Option<Steps>,
}

/// The sides of the scales: a list, or a text of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum PatchNums {
    /// As a list.
    List(Vec<usize>),
    /// As a text, `1_2_3` or `1,2,3`.
    Text(String),
}

/// The steps of the diffusion sampler: a number, or a text of one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Steps {
    /// As a number.
    Number(usize),
    /// As a text.
    Text(String),
}

impl PatchNums {
    /// The sides; `None` if the text is not a list of them.
    pub fn sides(&self) -> Option<Vec<usize>> {
        match self {
            Self::List(sides) => Some(sides.clone()),
            Self::Text(text) => text.split(['_', ',', ' ']).map(|side| side.trim().parse().ok()).collect(),
        }
    }
}

impl Steps {
    /// The number; `None` if the text is none.
    pub fn number(&self) -> Option<usize> {
        match self {
            Self::Number(steps) => Some(*steps),
            Self::Text(text) => text.trim().parse().ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_either_form() {
        let read = |text: &str| serde_json::from_str::<Described>(text).unwrap();
        for text in
            [r#"{"patch_nums": [1, 2, 13]}"#, r#"{"patch_nums": "1_2_13"}"#, r#"{"patch_nums": "1, 2,13"}"#]
        {
            let sides = read(&text.replace(", 2", ",2")).patch_nums.unwrap().sides();
            assert_eq!(sides, Some(vec![1, 2, 13]), "{text}");
        }
        assert_eq!(PatchNums::Text("1_b".into()).sides(), None);
        for text in [r#"{"num_sampling_steps": "8"}"#, r#"{"num_sampling_steps": 8}"#] {
            assert_eq!(read(text).num_sampling_steps.unwrap().number(), Some(8));
        }
        assert_eq!(Steps::Text("ddim25".into()).number(), None);
    }
}
