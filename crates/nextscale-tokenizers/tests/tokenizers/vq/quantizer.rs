use nextscale_core::ScaleSchedule;
use nextscale_tokenizers::vq::phi_index;

use super::fixtures::{assert_close, file, ints, json, tensor, tokenizer};

#[test]
fn the_published_scale_lists_quantise_as_upstream_does() {
    let reference = file("quantizer.safetensors");
    for (list, sides) in
        [("q256", [1, 2, 3, 4, 5, 6, 8, 10, 13, 16]), ("q512", [1, 2, 3, 4, 6, 9, 13, 18, 24, 32])]
    {
        let vq = tokenizer("vae.safetensors", ScaleSchedule::square(&sides).unwrap());
        let f = tensor::<4>(&reference, &format!("{list}.f"));
        let found = vq.vqvae.quantize.encode(f, vq.scales());
        for (k, tokens) in found.iter().enumerate() {
            let expected =
                reference.int_tensor::<2>(&format!("{list}.idx.s{k}"), &burn::tensor::Device::flex());
            assert_eq!(ints(tokens.clone()), ints(expected.unwrap()), "{list} scale {k}");
        }
        for (k, canvas) in vq.pyramid(&found).unwrap().into_iter().enumerate() {
            let name = format!("{list}.f_hat.s{k}");
            if reference.info(&name).is_some() {
                assert_close(&reference, &name, canvas, 1e-5);
            }
        }
        assert_close(&reference, &format!("{list}.var_input"), vq.features(&found).unwrap(), 1e-5);
        let phi =
            reference.int_tensor::<1>(&format!("{list}.phi_index"), &burn::tensor::Device::flex()).unwrap();
        assert_eq!(ints(phi), (0..10).map(|k| vq.scales().phi(k).unwrap() as i64).collect::<Vec<_>>());
    }
}

#[test]
fn phi_indices_agree_with_upstream_for_all_tabulated_counts() {
    let info = json("info.json");
    let mut rows = 0;
    for (count, table) in info["phi_index"].as_object().unwrap() {
        for (scales, expected) in table.as_object().unwrap() {
            let (count, scales) = (count.parse().unwrap(), scales.parse().unwrap());
            let expected: Vec<usize> =
                expected.as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as usize).collect();
            let found: Vec<_> = (0..scales).map(|k| phi_index(count, k, scales)).collect();
            assert_eq!(found, expected, "{count} φ, {scales} scales");
            rows += 1;
        }
    }
    assert!(rows >= 90, "{rows} rows");
}
