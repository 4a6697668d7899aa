use burn::tensor::Device;
use nextscale_weights::{ExpectedTensors, Result, WeightFile};

use super::{
    BsqVae, BsqVaeConfig,
    keys::{name, rooted},
};
use crate::autoencoder::{Layout, NormGroups, Tensors, parameters};

/// The name of a list of this model's tensors in errors.
const MODEL: &str = "a bitwise tokenizer";

impl BsqVaeConfig {
    /// Whether a file is a bitwise tokenizer, judging by its names.
    pub fn is_of(file: &WeightFile) -> bool {
        rooted(file).is_ok_and(|file| {
            let tensors = Tensors { file: &file, model: MODEL, name };
            let has_codebook = file.info("quantize.embedding.weight").is_some();
            tensors.has("decoder.conv_in.weight")
                && tensors.has("decoder.mid.block_1.conv1.weight")
                && !has_codebook
        })
    }

    /// Infers the architecture from a file's header. Tensors do not show the norm groups: they are
    /// `norm_groups`, or come from the file's metadata, or are upstream's.
    ///
    /// # Errors
    /// If the tensors that determine the sizes are missing or impossible, with their names and
    /// shapes.
    pub fn infer(file: &WeightFile, norm_groups: Option<usize>) -> Result<Self> {
        let file = &rooted(file)?;
        let tensors = Tensors { file, model: MODEL, name };
        let [_, bits, ..] = tensors.shape::<4>("decoder.conv_in.weight")?;
        let said = || file.metadata().get("norm_groups").and_then(|text| text.parse().ok());
        let norm_groups = norm_groups.or_else(said);
        // The rule for norms is not checked, because it is not in the file.
        let layout = Layout::infer(&tensors, bits, NormGroups::ByChannels)?;
        Ok(Self {
            channels: layout.channels,
            multipliers: layout.multipliers,
            encoder_blocks: layout.encoder_blocks,
            decoder_blocks: layout.decoder_blocks,
            bits,
            norm_groups,
        })
    }

    /// The tensors that `file` must have for this architecture, by its own names. The masks from which
    /// upstream makes unused integer labels may be absent.
    pub(super) fn expected(&self, file: &WeightFile, with_encoder: bool) -> ExpectedTensors {
        let empty = BsqVae::empty(self, with_encoder, &Device::flex());
        let mut expected =
            ExpectedTensors::new(MODEL).ignore("quantizer.lfq.mask").ignore("quantize.lfq.mask");
        for (name, shape) in parameters::shapes(&empty, |path| name(file, path)) {
            expected.insert(name, shape);
        }
        expected
    }
}

/// Whether a file holds the encoder.
pub(super) fn has_encoder(file: &WeightFile) -> bool {
    file.names().any(|name| name.starts_with("encoder."))
}
