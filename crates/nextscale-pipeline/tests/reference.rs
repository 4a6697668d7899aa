//! The whole loop against upstream's numbers: greedy, sampled with recorded noise, `more_smooth`, in- and out-painting,
//! with both kinds of AdaLN.

mod common;

use std::sync::Arc;

use common::{Record, Reference, assert_near, floats, given_tokens, model};
use nextscale_core::Grid;
use nextscale_guidance::{Cfg, Strength};
use nextscale_pipeline::edit::{Edit, Keep, Region, mask};
use nextscale_pipeline::random::{Choice, Noise, Place};
use nextscale_pipeline::sampler::{Argmax, Sampler, TopKTopP};
use nextscale_pipeline::{Batch, Generator, Stop};

/// The noise that a run of upstream's used.
struct Recorded {
    choice: Vec<Vec<f32>>,
    smoothing: Vec<Vec<f32>>,
}

impl Recorded {
    fn of(reference: &Reference, run: &str) -> Self {
        let read = |what: &str| (0..4).map(|k| reference.floats(&format!("{run}.s{k}.{what}"))).collect();
        match run {
            "sampled" => Self { choice: read("exp_noise"), smoothing: Vec::new() },
            "smooth" => Self { choice: read("exp_noise"), smoothing: read("exp_noise_gumbel") },
            _ => Self { choice: Vec::new(), smoothing: Vec::new() },
        }
    }
}

impl Noise for Recorded {
    fn choice(&self, place: &Place<'_>) -> Choice {
        Choice::Race(self.choice[place.scale].clone())
    }

    fn exponential(&self, place: &Place<'_>) -> Vec<f32> {
        self.smoothing[place.scale].clone()
    }
}

fn check(kind: &str, run: &str, sampler: impl Sampler + 'static, edit: Option<(Region, Keep)>) {
    let reference = Reference::open(&format!("reference_{kind}.safetensors"));
    let cfg = f64::from(reference.floats("cfg")[0]);
    let model = model(kind);
    let noise = Arc::new(Recorded::of(&reference, run));
    let rule = Arc::new(Cfg::scale(Strength::Ramp(cfg)).unwrap());
    let mut generator = Generator::new(model.clone(), rule, Arc::new(sampler), noise).unwrap();
    let mut labels = "labels".to_owned();
    if let Some((region, keep)) = edit {
        let mask = mask(Grid::square(4), &region, keep);
        let expected: Vec<bool> =
            reference.floats(&format!("{run}.mask")).iter().map(|&k| k == 1.0).collect();
        assert_eq!(mask, expected);
        generator = generator.with_edit(Edit::new(&*model.tokenizer, &given_tokens(), &mask).unwrap());
        labels = format!("{run}.labels");
    }
    let conditions = reference.conditions(&labels);
    let mut record = Record::default();
    let batch = Batch { images: &[0, 1], conditions: &conditions };
    let images = generator.batch(batch, &mut record, &Stop::new()).unwrap();

    let tolerance = if run == "smooth" { 2e-3 } else { 5e-4 };
    for k in 0..4 {
        let name = |what: &str| format!("{run}.s{k}.{what}");
        assert_near(
            &record.guided[k],
            &reference.floats(&name("logits_cfg")),
            tolerance,
            &name("logits_cfg"),
        );
        assert_eq!(record.tokens[k], reference.integers(&name("idx")), "{kind} {}", name("idx"));
        assert_near(&record.canvas[k], &reference.floats(&name("f_hat")), tolerance, &name("f_hat"));
    }
    assert_near(&floats(&images), &reference.floats(&format!("{run}.image")), tolerance, run);
}

fn filtered(more_smooth: bool) -> TopKTopP {
    TopKTopP { top_k: 20, top_p: 0.9, more_smooth, ..TopKTopP::default() }
}

#[test]
fn greedy_runs_are_upstreams() {
    check("aln", "greedy", Argmax, None);
    check("saln", "greedy", Argmax, None);
}

#[test]
fn sampled_runs_are_upstreams_given_its_noise() {
    check("aln", "sampled", filtered(false), None);
    check("saln", "sampled", filtered(false), None);
}

#[test]
fn smooth_runs_are_upstreams_given_its_noise() {
    check("aln", "smooth", filtered(true), None);
    check("saln", "smooth", filtered(true), None);
}

#[test]
fn painting_a_box_is_upstreams() {
    let region = Region { rows: (0.25, 0.75), columns: (0.25, 0.75) };
    check("aln", "inpaint", Argmax, Some((region, Keep::Outside)));
    check("saln", "inpaint", Argmax, Some((region, Keep::Outside)));
}

#[test]
fn keeping_a_box_is_upstreams() {
    let region = Region { rows: (0.25, 1.0), columns: (0.5, 1.0) };
    check("aln", "outpaint", Argmax, Some((region, Keep::Inside)));
    check("saln", "outpaint", Argmax, Some((region, Keep::Inside)));
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
                let resized = nextscale_pipeline::edit::resize(&full, finest, Grid::square(side));
                let name = format!("{list}.{what}.{side}");
                assert_eq!(resized, kept(name.clone()), "{name}, scale {k}");
            }
        }
    }
}
