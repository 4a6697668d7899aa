//! Upstream's key names. The path of a parameter through the structs is its key, except for φ, whose key
//! depends on how it is shared.

use burn::tensor::{Device, TensorData};

use super::{PhiKind, Vqvae};
use crate::autoencoder::parameters;

/// The key for a parameter's path.
fn key(path: &str, phi: PhiKind) -> String {
    match path.strip_prefix("quantize.quant_resi.convs.") {
        None => path.into(),
        Some(rest) => match phi {
            PhiKind::PerScale => format!("quantize.quant_resi.{rest}"),
            PhiKind::Nearest(_) => format!("quantize.quant_resi.qresi_ls.{rest}"),
            PhiKind::One | PhiKind::Identity => {
                let name = rest.split_once('.').map_or(rest, |(_, name)| name);
                format!("quantize.quant_resi.qresi.{name}")
            }
        },
    }
}

/// Every key with its shape, without creating values.
pub(super) fn shapes(vqvae: &Vqvae, phi: PhiKind) -> Vec<(String, Vec<usize>)> {
    parameters::shapes(vqvae, |path| key(path, phi))
}

/// Every key with its values.
pub(super) fn values(vqvae: &Vqvae, phi: PhiKind) -> Vec<(String, TensorData)> {
    parameters::values(vqvae, |path| key(path, phi))
}

/// Sets every parameter to the values that `supply` returns for its key and shape, one after the other, on
/// `device`.
///
/// # Errors
/// The first error of `supply`.
pub(super) fn fill<E>(
    vqvae: Vqvae,
    phi: PhiKind,
    device: &Device,
    supply: impl FnMut(&str, &[usize]) -> Result<Vec<f32>, E>,
) -> Result<Vqvae, E> {
    parameters::fill(vqvae, |path| key(path, phi), device, supply)
}
