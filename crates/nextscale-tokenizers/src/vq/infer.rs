use nextscale_core::Dtype;
use nextscale_weights::{ExpectedTensors, Result, WeightFile};

use super::{PhiKind, Vqvae, VqvaeConfig, keys};
use crate::autoencoder::{Layout, NormGroups, Tensors};
use burn::tensor::Device;

/// The name of a list of this model's tensors in errors.
const MODEL: &str = "a VQVAE";

/// Counts hits in upstream's training; nothing reads it.
pub(super) const HITS: &str = "quantize.ema_vocab_hit_SV";

impl VqvaeConfig {
    /// Infers the architecture from a file's header. Tensors do not show the norm groups: they are
    /// `norm_groups`, or come from the file's metadata, or are upstream's 32. Likewise φ's ratio,
    /// for which upstream has 0.5.
    ///
    /// # Errors
    /// If the tensors that determine the sizes are missing or impossible, with their names and
    /// shapes.
    pub fn infer(file: &WeightFile, norm_groups: Option<usize>) -> Result<Self> {
        let file = &file.rooted("quantize.embedding.weight")?;
        let tensors = named(file);
        let [vocabulary, latent_channels] = tensors.shape("quantize.embedding.weight")?;
        let setting = |name: &str| file.metadata().get(name);
        let norm_groups =
            norm_groups.or_else(|| setting("norm_groups").and_then(|text| text.parse().ok())).unwrap_or(32);
        let layout = Layout::infer(&tensors, latent_channels, NormGroups::Fixed(norm_groups))?;
        Ok(Self {
            channels: layout.channels,
            multipliers: layout.multipliers,
            encoder_blocks: layout.encoder_blocks,
            decoder_blocks: layout.decoder_blocks,
            attention: layout.attention,
            mid_attention: layout.mid_attention,
            latent_channels,
            vocabulary,
            phi: phi(&tensors),
            phi_ratio: setting("phi_ratio").and_then(|text| text.parse().ok()).unwrap_or(0.5),
            norm_groups,
        })
    }

    /// How many scales the file's φ has a convolution for, if each has its own; otherwise 1, because the
    /// tensors are the same for any number.
    pub fn phi_count(&self, file: &WeightFile) -> usize {
        match self.phi {
            PhiKind::PerScale => named(file).count(|i| format!("quantize.quant_resi.{i}.weight")),
            _ => 1,
        }
    }

    /// The bytes of its weights without the encoder on a device other than the CPU that decodes in this type;
    /// `scales` as for [`expected`](Self::expected).
    pub fn bytes_on_devices(&self, scales: usize, dtype: Dtype) -> u128 {
        let expected = self.expected(scales, false);
        let numbers = expected.iter().map(|(key, shape)| {
            let size = if is_stored_in(key) { dtype.size() } else { size_of::<f32>() };
            shape.iter().fold(size as u128, |bytes, &size| bytes.saturating_mul(size as u128))
        });
        numbers.sum()
    }

    /// The tensors of a checkpoint of this architecture, by upstream's keys; `scales` matters if φ differs
    /// per scale. Upstream's unused counter of hits may be absent.
    pub fn expected(&self, scales: usize, with_encoder: bool) -> ExpectedTensors {
        let empty = Vqvae::empty(self, scales, with_encoder, &Device::flex());
        let mut expected = ExpectedTensors::new(MODEL).ignore(HITS);
        for (key, shape) in keys::shapes(&empty, self.phi) {
            expected.insert(key, shape);
        }
        expected
    }
}

/// Whether a tensor is of the decoder's convolutions, which [`decoding_in`](super::MultiScaleVq::decoding_in) stores in
/// its type: not of norms, nor of the convolution that produces the image.
fn is_stored_in(key: &str) -> bool {
    let module = key.rsplit('.').nth(1).unwrap_or_default();
    key.starts_with("decoder.") && !module.starts_with("norm") && module != "conv_out"
}

/// Whether a file has the encoder's half.
pub(super) fn has_encoder(file: &WeightFile) -> bool {
    file.names().any(|name| name.starts_with("encoder.") || name.starts_with("quant_conv."))
}

/// The file's tensors, whose names are the parameters' paths.
fn named(file: &WeightFile) -> Tensors<'_> {
    Tensors { file, model: MODEL, name: |_, path| path.into() }
}

fn phi(tensors: &Tensors<'_>) -> PhiKind {
    let nearest = tensors.count(|i| format!("quantize.quant_resi.qresi_ls.{i}.weight"));
    let each = tensors.count(|i| format!("quantize.quant_resi.{i}.weight"));
    if nearest > 0 {
        PhiKind::Nearest(nearest)
    } else if each > 0 {
        PhiKind::PerScale
    } else if tensors.has("quantize.quant_resi.qresi.weight") {
        PhiKind::One
    } else {
        PhiKind::Identity
    }
}
