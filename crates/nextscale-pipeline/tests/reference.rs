//! The whole loop compared with upstream's numbers: greedy, sampled with recorded noise, `more_smooth`, in-
//! and out-painting, with both kinds of AdaLN.

mod common;

use burn::tensor::Device;
use common::Reference;
use nextscale_core::Grid;
use nextscale_generate::edit::{Keep, Region, mask};
use nextscale_parity::{Fixtures, Kind, generation::generated, loading};

fn check(run: &str) {
    let fixtures = Fixtures::compiled_in();
    for kind in Kind::ALL {
        let model = loading::model(&fixtures, kind, &Device::flex()).unwrap();
        let generated = generated(&fixtures, kind, &model, run).unwrap();
        let (values, tokens) = (generated.values, generated.tokens);
        assert_eq!(tokens.differing, 0, "{kind:?} {run}");
        let tolerance = if run == "smooth" { 2e-3 } else { 5e-4 };
        assert!(values.largest <= tolerance, "{kind:?} {run}: {} > {tolerance}", values.largest);
        // Guided logits and canvases of four scales, and the images; tokens, and the mask if there is one.
        assert_eq!((values.tensors, tokens.tensors), (9, if run.ends_with("paint") { 5 } else { 4 }));
    }
}

#[test]
fn greedy_runs_are_upstreams() {
    check("greedy");
}

#[test]
fn sampled_runs_are_upstreams_given_its_noise() {
    check("sampled");
}

#[test]
fn smooth_runs_are_upstreams_given_its_noise() {
    check("smooth");
}

#[test]
fn painting_a_box_is_upstreams() {
    check("inpaint");
}

#[test]
fn keeping_a_box_is_upstreams() {
    check("outpaint");
}

#[test]
fn masks_of_the_published_scales_are_upstreams() {
    let reference = Reference::open("interpolate.safetensors");
    let region = Region { rows: (0.1, 0.8), columns: (0.1, 0.8) };
    let lists: [(&str, &[usize]); 2] =
        [("m256", &[1, 2, 3, 4, 5, 6, 8, 10, 13, 16]), ("m512", &[1, 2, 3, 4, 6, 9, 13, 18, 24, 32])];
    for (list, sides) in lists {
        for (what, keep) in [("inpaint", Keep::Outside), ("outpaint", Keep::Inside)] {
            let finest = Grid::square(*sides.last().unwrap());
            let kept =
                |name: String| reference.floats(&name).into_iter().map(|k| k == 1.0).collect::<Vec<_>>();
            let full = mask(finest, &region, keep);
            assert_eq!(full, kept(format!("{list}.{what}.full")));
            for (k, &side) in sides.iter().enumerate() {
                let resized = nextscale_generate::edit::resize(&full, finest, Grid::square(side));
                let name = format!("{list}.{what}.{side}");
                assert_eq!(resized, kept(name.clone()), "{name}, scale {k}");
            }
        }
    }
}
