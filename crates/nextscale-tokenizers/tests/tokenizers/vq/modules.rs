use nextscale_tokenizers::autoencoder::{AttnBlock, Downsample, ResnetBlock, Upsample};
use nextscale_tokenizers::vq::PhiBank;

use super::fixtures::{assert_close, conv, file, norm, tensor};

const TOLERANCE: f32 = 1e-5;

#[test]
fn resnet_blocks_agree_with_upstream() {
    let file = file("modules.safetensors");
    for name in ["resnet_32_64", "resnet_32_32"] {
        let at = |part: &str| format!("{name}.w.{part}.");
        let block = ResnetBlock {
            norm1: norm(&file, &at("norm1"), 32),
            conv1: conv(&file, &at("conv1")),
            norm2: norm(&file, &at("norm2"), 32),
            conv2: conv(&file, &at("conv2")),
            nin_shortcut: (name == "resnet_32_64").then(|| conv(&file, &at("nin_shortcut"))),
        };
        let out = block.forward(tensor(&file, &format!("{name}.in")));
        assert_close(&file, &format!("{name}.out"), out, TOLERANCE);
    }
}

#[test]
fn attention_agrees_with_upstream_on_a_grid_that_is_not_square() {
    let file = file("modules.safetensors");
    let block = AttnBlock {
        norm: norm(&file, "attn_64.w.norm.", 32),
        qkv: conv(&file, "attn_64.w.qkv."),
        proj_out: conv(&file, "attn_64.w.proj_out."),
    };
    assert_close(&file, "attn_64.out", block.forward(tensor(&file, "attn_64.in")), TOLERANCE);
}

#[test]
fn down_and_upsampling_agree_with_upstream_for_even_and_odd_sizes() {
    let file = file("modules.safetensors");
    for name in ["down_8_even", "down_8_odd"] {
        let down = Downsample { conv: conv(&file, &format!("{name}.w.conv.")) };
        let out = down.forward(tensor(&file, &format!("{name}.in")));
        assert_close(&file, &format!("{name}.out"), out, TOLERANCE);
    }
    let up = Upsample { conv: conv(&file, "up_8.w.conv.") };
    assert_close(&file, "up_8.out", up.forward(tensor(&file, "up_8.in")), TOLERANCE);
}

#[test]
fn phi_agrees_with_upstream() {
    let file = file("modules.safetensors");
    let phi = PhiBank { convs: vec![conv(&file, "phi_8.w.")], ratio: 0.5 };
    assert_close(&file, "phi_8.out", phi.forward(tensor(&file, "phi_8.in"), Some(0)), TOLERANCE);
}
