//! The tokenizer: images to tokens, tokens to images, and the canvas of generation between them.

use burn::tensor::Tensor;
use nextscale_core::{Draw, Error as CoreError};
use nextscale_pipeline::Result;
use nextscale_tokenizers::{Tokenizer, vq::MultiScaleVq};

use crate::{Fixture, Fixtures, Gap, Kind, Line, Setting, loading, schedule};

/// The recordings of the tokenizer.
///
/// # Errors
/// If they are missing.
pub fn reference(fixtures: &Fixtures) -> Result<Fixture> {
    fixtures.open("reference_vae.safetensors")
}

/// Every activation of the encoder, and the features f.
///
/// # Errors
/// If a recorded tensor is missing or does not fit the model, or the tokenizer has no encoder.
pub fn encoder(vq: &MultiScaleVq, reference: &Fixture) -> Result<Gap> {
    let Some(encoder) = &vq.vqvae.encoder else {
        return Err(CoreError::Unsupported("the tokenizer was loaded without its encoder".into()).into());
    };
    let image: Tensor<4> = reference.tensor("image", &vq.device())?;
    let mut gap = Gap::default();
    let mut h = encoder.conv_in.forward(image.clone());
    gap.add(&h, reference, "enc.conv_in")?;
    for (i, level) in encoder.down.iter().enumerate() {
        h = level.forward(h);
        gap.add(&h, reference, &format!("enc.down{i}"))?;
    }
    gap.add(&encoder.mid.forward(h), reference, "enc.mid")?;
    gap.add(&encoder.forward(image.clone()), reference, "enc.out")?;
    gap.add(&vq.encode_features(image)?, reference, "f")?;
    Ok(gap)
}

/// The tokens of the reference images.
///
/// # Errors
/// As [`encoder`].
pub fn tokens(vq: &MultiScaleVq, reference: &Fixture) -> Result<Gap> {
    // The trait takes images in [0, 1].
    let images = (reference.tensor::<4>("image", &vq.device())? + 1.0) / 2.0;
    let mut gap = Gap::default();
    for (k, tokens) in vq.encode(images)?.iter().enumerate() {
        gap.add_tokens(tokens, reference, &format!("idx.s{k}"))?;
    }
    Ok(gap)
}

/// Every activation of the decoder; canvases, images and inputs from recorded tokens.
///
/// # Errors
/// As [`encoder`].
pub fn decoder(vq: &MultiScaleVq, reference: &Fixture) -> Result<Gap> {
    let (device, decoder) = (vq.device(), &vq.vqvae.decoder);
    let mut gap = Gap::default();
    let latents = vq.vqvae.post_quant_conv.forward(reference.tensor("f_hat.s3", &device)?);
    gap.add(&latents, reference, "post_quant")?;
    let mut h = decoder.mid.forward(decoder.conv_in.forward(latents.clone()));
    gap.add(&h, reference, "dec.mid")?;
    for (i, level) in decoder.up.iter().enumerate().rev() {
        h = level.forward(h);
        gap.add(&h, reference, &format!("dec.up{i}"))?;
    }
    gap.add(&decoder.forward(latents), reference, "dec.out_unclamped")?;

    let scales = schedule()?.len();
    let tokens: Vec<_> =
        (0..scales).map(|k| reference.tokens(&format!("idx.s{k}"), &device)).collect::<Result<_>>()?;
    for (k, canvas) in vq.pyramid(&tokens)?.into_iter().enumerate() {
        gap.add(&canvas, reference, &format!("f_hat.s{k}"))?;
        let image = vq.decode_features(canvas);
        gap.add(&image, reference, &format!("rec.s{k}"))?;
        if k + 1 == scales {
            gap.add(&image, reference, "rec_from_idx")?;
        }
    }
    gap.add(&vq.features(&tokens)?, reference, "var_input")?;
    gap.add(&vq.features(&tokens[..scales - 1])?, reference, "var_input")?;
    for (k, canvas) in vq.pyramid_native(&tokens)?.into_iter().enumerate() {
        gap.add(&vq.decode_features(canvas), reference, &format!("rec_native.s{k}"))?;
    }
    Ok(gap)
}

/// A recorded run's embeddings, separately; and its canvases, inputs and image, from its tokens or mixes
/// scale by scale.
///
/// # Errors
/// As [`encoder`].
pub fn steps(vq: &MultiScaleVq, reference: &Fixture, run: &str) -> Result<(Gap, Gap)> {
    let (device, scales) = (vq.device(), vq.scales().len());
    let (mut embeddings, mut rest) = (Gap::default(), Gap::default());
    let mut canvas = vq.blank(2);
    for k in 0..scales {
        let name = |part: &str| format!("{run}.s{k}.{part}");
        let mut draw = Draw::tokens(reference.tokens(&name("idx"), &device)?.unsqueeze_dim(2));
        if run == "smooth" {
            draw.weights = Some(reference.tensor(&name("soft_weights"), &device)?);
        }
        let embedding = vq.embed(&draw, k)?;
        embeddings.add(&embedding, reference, &name("h"))?;
        canvas = vq.accumulate(canvas, embedding, k)?;
        rest.add(&canvas.features, reference, &name("f_hat"))?;
        if k + 1 < scales {
            let input = vq.next_input(&canvas, k + 1)?.swap_dims(1, 2);
            let ([batch, channels, _], grid) = (input.dims(), vq.schedule().grid(k + 1));
            let input = input.reshape([batch, channels, grid.height, grid.width]);
            rest.add(&input, reference, &name("next_input"))?;
        }
    }
    rest.add(&vq.decode(&canvas)?, reference, &format!("{run}.image"))?;
    Ok((embeddings, rest))
}

/// The runs whose every embedding was recorded.
pub const STEPPED: [&str; 3] = ["greedy", "sampled", "smooth"];

/// Encoding, tokens, decoding, and what generation needs.
pub fn lines(setting: &Setting<'_>) -> Result<Vec<Line>> {
    let Setting { fixtures, device, dtype, .. } = *setting;
    dtype.check(device)?;
    let vq = loading::tokenizer(fixtures, device)?.decoding_in(dtype);
    let file = reference(fixtures)?;
    let (mut embeddings, mut rest) = (Gap::default(), Gap::default());
    for kind in Kind::ALL {
        let reference = fixtures.reference(kind)?;
        for run in STEPPED {
            let (embedded, others) = steps(&vq, &reference, run)?;
            embeddings.join(&embedded);
            rest.join(&others);
        }
    }
    let mut encoded = encoder(&vq, &file)?;
    encoded.join(&tokens(&vq, &file)?);
    Ok(vec![
        setting.line("tokenizer, encoder and tokens of images", encoded),
        setting.line_of_generation("tokenizer, decoder and images of tokens", decoder(&vq, &file)?),
        setting.line("tokenizer, embeddings of draws", embeddings),
        setting.line_of_generation("tokenizer, canvases, inputs and images of runs", rest),
    ])
}
