//! Upstream's key names. A parameter's path through the structs is its key, except that upstream wraps every
//! convolution and norm once more: `encoder.conv_in.weight` is `encoder.conv_in.conv.weight`. Files without
//! the wrapping are read too.

use nextscale_weights::{Result, WeightFile};

/// The first convolution of the decoder, present in every such file.
const MARK: &str = "decoder.conv_in.weight";

/// A path in upstream's naming.
pub(super) fn wrapped(path: &str) -> String {
    let Some((layer, tensor)) = path.rsplit_once('.') else { return path.into() };
    let name = layer.rsplit('.').next().unwrap_or_default();
    let wrapper = if name.starts_with("norm") { "norm" } else { "conv" };
    format!("{layer}.{wrapper}.{tensor}")
}

/// A file's name for the parameter at a path: wrapped or not, whichever exists; a missing one is named in the
/// file's style.
pub(super) fn name(file: &WeightFile, path: &str) -> String {
    let wrapped = wrapped(path);
    let plain = file.info(path).is_some() || file.info(MARK).is_some();
    if plain && file.info(&wrapped).is_none() { path.into() } else { wrapped }
}

/// The file seen from the dictionary that holds the tokenizer: upstream's has it under `vae`, possibly beside
/// others.
pub(super) fn rooted(file: &WeightFile) -> Result<WeightFile> {
    let wrapped = wrapped(MARK);
    for mark in [wrapped.as_str(), MARK] {
        let inside = file.within("vae");
        if file.info(mark).is_none() && inside.info(mark).is_some() {
            return Ok(inside);
        }
        let found = file.rooted(mark)?;
        if found.info(mark).is_some() {
            return Ok(found);
        }
    }
    Ok(file.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn convolutions_and_norms_are_wrapped() {
        for (path, key) in [
            ("encoder.conv_in.weight", "encoder.conv_in.conv.weight"),
            ("decoder.up.1.upsample.conv.bias", "decoder.up.1.upsample.conv.conv.bias"),
            ("encoder.down.0.block.1.norm2.bias", "encoder.down.0.block.1.norm2.norm.bias"),
            ("decoder.norm_out.weight", "decoder.norm_out.norm.weight"),
            ("decoder.mid.block_1.nin_shortcut.weight", "decoder.mid.block_1.nin_shortcut.conv.weight"),
        ] {
            assert_eq!(wrapped(path), key);
        }
    }
}
