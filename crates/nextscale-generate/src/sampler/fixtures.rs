//! Both implementations of the sampler compared with upstream's numbers and with each other.

use std::fs;

use burn::tensor::{Device, Tensor, TensorData};
use nextscale_core::{Alphabet, Grid, LogitMap, ScaleSchedule};
use nextscale_guidance::Strength;
use nextscale_kernels::categorical::Row;
use proptest::prelude::*;
use safetensors::SafeTensors;

use super::drawing::Drawing;
use super::temperature::Temperature;
use super::{
    BitTemperature, EntropyTemperature, Filter, MinP, Moment, PerScale, TopKTopP, host, smooth, tensor,
};
use crate::host::{floats, integers};
use nextscale_core::noise::{Choice, Counter, Noise, Place};

fn fixture(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/var/");
    fs::read(format!("{folder}{name}")).unwrap()
}

fn values(file: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    bytemuck::pod_collect_to_vec(file.tensor(name).unwrap().data())
}

fn rows(values: Vec<f32>, classes: usize) -> Tensor<2> {
    let count = values.len() / classes;
    Tensor::from_data(TensorData::new(values, [count, classes]), &Device::flex())
}

/// The filter in both implementations.
fn filtered(logits: &[f32], classes: usize, filter: Filter) -> [Vec<f32>; 2] {
    let mut row = Row::default();
    let on_host = logits.chunks(classes).flat_map(|logits| {
        row.set(logits, 1.0);
        filter.apply(&mut row);
        row.logits().to_vec()
    });
    let on_host = on_host.collect();
    [on_host, floats(tensor::filter(rows(logits.to_vec(), classes), &filter)).unwrap()]
}

#[test]
fn filters_are_upstreams() {
    let bytes = fixture("sampling.safetensors");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut compared = 0;
    for (name, view) in file.tensors() {
        // `big.k900_p0.96`
        let Some((group, settings)) = name.split_once(".k") else { continue };
        let (k, p) = settings.split_once("_p").unwrap();
        let filter = Filter { top_k: k.parse().unwrap(), top_p: p.parse().unwrap(), min_p: 0.0 };
        let logits = values(&file, &format!("{group}.logits"));
        for found in filtered(&logits, *view.shape().last().unwrap(), filter) {
            assert_eq!(found, values(&file, &name), "{name}");
        }
        compared += 1;
    }
    assert!(compared >= 10, "only {compared} settings in the fixture");
}

/// Probabilities of bits after upstream's filters, which limit top-k to the two existing values.
#[test]
fn filters_of_bits_are_upstreams() {
    let bytes = fixture("../infinity/sampling.safetensors");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let logits = values(&file, "logits");
    let mut removed = 0;
    for (name, top_k, top_p) in [("k0.p0.9", 0, 0.9), ("k1.p0.0", 1, 0.0), ("k900.p0.97", 2, 0.97)] {
        let expected = values(&file, &format!("probs.{name}"));
        removed += expected.iter().filter(|probability| **probability == 0.0).count();
        for found in filtered(&logits, 2, Filter { top_k, top_p, min_p: 0.0 }) {
            for (found, expected) in found.chunks(2).zip(expected.chunks(2)) {
                let weights = [found[0], found[1]].map(|logit| (logit - found[0].max(found[1])).exp());
                for (weight, expected) in weights.iter().zip(expected) {
                    let probability = weight / (weights[0] + weights[1]);
                    assert_eq!(probability == 0.0, *expected == 0.0, "{name}");
                    assert!((probability - expected).abs() < 1e-6, "{name}: {probability} for {expected}");
                }
            }
        }
    }
    assert!(removed > 80, "only {removed} values are removed in the fixture");
}

struct Recorded<'a> {
    race: Vec<f32>,
    gumbel: &'a [f32],
}

impl Noise for Recorded<'_> {
    fn choice(&self, _: &Place<'_>) -> Choice {
        Choice::Race(self.race.clone())
    }

    fn exponential(&self, _: &Place<'_>) -> Vec<f32> {
        self.gumbel.to_vec()
    }
}

#[test]
fn races_are_upstreams() {
    let bytes = fixture("sampling.safetensors");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let noise = Recorded { race: values(&file, "race.exp_noise"), gumbel: &[] };
    let logits =
        Tensor::<3>::from_data(TensorData::new(values(&file, "small.logits"), [2, 5, 64]), &Device::flex());
    let logits = LogitMap::new(logits, Grid::new(1, 5), Alphabet::codes(64)).unwrap();
    let schedule = ScaleSchedule::new(vec![Grid::new(1, 5)]).unwrap();
    let moment = Moment { scale: 0, schedule: &schedule, images: &[0, 1], noise: &noise };
    let sampler = TopKTopP { top_k: 20.into(), top_p: 0.9.into(), ..TopKTopP::default() };
    let expected: Vec<i64> = bytemuck::pod_collect_to_vec(file.tensor("race.idx").unwrap().data());
    for draw in [
        sampler.at(moment.scale, &schedule).on_host(&logits, &moment).unwrap(),
        sampler.at(moment.scale, &schedule).on_device(&logits, &moment),
    ] {
        assert_eq!(integers(draw.tokens).unwrap(), expected);
    }
}

#[test]
fn smoothing_is_upstreams() {
    for kind in ["aln", "saln"] {
        let bytes = fixture(&format!("reference_{kind}.safetensors"));
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let schedule = ScaleSchedule::square(&[1, 2, 3, 4]).unwrap();
        for k in 0..4 {
            let read = |what: &str| values(&file, &format!("smooth.s{k}.{what}"));
            let tau = smooth::temperature(schedule.progress(k)) as f32;
            assert!((tau - read("gumbel_tau")[0]).abs() < 1e-6);
            let gumbel = read("exp_noise_gumbel");
            let noise = Recorded { race: read("exp_noise"), gumbel: &gumbel };
            let grid = schedule.grid(k);
            let logits = Tensor::<3>::from_data(
                TensorData::new(read("logits_cfg"), [2, grid.positions(), 64]),
                &Device::flex(),
            );
            let logits = LogitMap::new(logits, grid, Alphabet::codes(64)).unwrap();
            let moment = Moment { scale: k, schedule: &schedule, images: &[0, 1], noise: &noise };
            let sampler =
                TopKTopP { top_k: 20.into(), top_p: 0.9.into(), more_smooth: true, ..TopKTopP::default() };
            let expected: Vec<i64> =
                bytemuck::pod_collect_to_vec(file.tensor(&format!("smooth.s{k}.idx")).unwrap().data());
            for draw in [
                sampler.at(moment.scale, &schedule).on_host(&logits, &moment).unwrap(),
                sampler.at(moment.scale, &schedule).on_device(&logits, &moment),
            ] {
                assert_eq!(integers(draw.tokens).unwrap(), expected);
                let weights = floats(draw.weights.unwrap()).unwrap();
                let worst =
                    weights.iter().zip(read("soft_weights")).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(worst < 1e-4, "scale {k}: {worst}");
            }
        }
    }
}

#[test]
fn logits_are_left_as_they_are_and_temperature_comes_first() {
    let schedule = ScaleSchedule::square(&[1, 2]).unwrap();
    let values = Tensor::<3>::from_data([[[0.0f32, 2.0, 1.0]]], &Device::flex());
    let logits = LogitMap::new(values, Grid::square(1), Alphabet::codes(3)).unwrap();
    let noise = Counter::new(3);
    let images: Vec<u64> = vec![0];
    let moment = Moment { scale: 0, schedule: &schedule, images: &images, noise: &noise };
    let cold =
        TopKTopP { top_k: 2.into(), temperature: Strength::List(vec![0.01, 1.0]), ..TopKTopP::default() };
    for draw in [
        cold.at(moment.scale, &schedule).on_host(&logits, &moment).unwrap(),
        cold.at(moment.scale, &schedule).on_device(&logits, &moment),
    ] {
        assert_eq!(integers(draw.tokens).unwrap(), [1]);
    }
    assert_eq!(floats(logits.into_values()).unwrap(), [0.0, 2.0, 1.0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Values on a coarse grid, so that ties are common and no probability is within rounding of a threshold.
    #[test]
    fn routes_agree(
        seed in any::<u64>(),
        top_k in 0usize..30,
        top_p in prop::sample::select(vec![0.0, 0.3, 0.77, 0.95, 1.0]),
        temperature in prop::sample::select(vec![1.0, 0.7, 2.5]),
        bits in any::<bool>(),
    ) {
        let alphabet = if bits { Alphabet::bits(15) } else { Alphabet::codes(30) };
        let top_k = top_k.min(alphabet.classes);
        let images = [4, 9];
        let place = Place { scale: 1, images: &images, positions: 6, alphabet: Alphabet::codes(30) };
        let Choice::Uniforms(levels) = Counter::new(seed).choice(&Place { alphabet: Alphabet::bits(30), ..place }) else {
            unreachable!()
        };
        let levels: Vec<f32> = levels.iter().map(|u| (u * 23.0).floor() * 0.31).collect();
        let values = Tensor::<3>::from_data(TensorData::new(levels, [2, 6, 30]), &Device::flex());
        let logits = LogitMap::new(values, Grid::new(2, 3), alphabet).unwrap();
        let schedule = ScaleSchedule::new(vec![Grid::square(1), Grid::new(2, 3)]).unwrap();
        let noise = Counter::new(seed);
        let moment = Moment { scale: 1, schedule: &schedule, images: &images, noise: &noise };
        let sampler = TopKTopP {
            top_k: top_k.into(),
            top_p: top_p.into(),
            temperature: Strength::Constant(temperature),
            more_smooth: true,
            smooth_held: None,
        };
        let (host, device) = (sampler.at(moment.scale, &schedule).on_host(&logits, &moment).unwrap(), sampler.at(moment.scale, &schedule).on_device(&logits, &moment));
        prop_assert_eq!(integers(host.tokens).unwrap(), integers(device.tokens).unwrap());
        let pairs = floats(host.weights.unwrap()).unwrap().into_iter().zip(floats(device.weights.unwrap()).unwrap());
        for (a, b) in pairs {
            prop_assert!((a - b).abs() < 1e-4, "{a} {b}");
        }
        prop_assert_eq!(
            integers(host::argmax(&logits).unwrap().tokens).unwrap(),
            integers(super::argmax::on_device(&logits).tokens).unwrap()
        );
    }

    #[test]
    fn routes_agree_under_other_filters_and_temperatures(seed in any::<u64>(), bits in any::<bool>()) {
        let alphabet = if bits { Alphabet::bits(15) } else { Alphabet::codes(30) };
        let images = [4, 9];
        let schedule = ScaleSchedule::new(vec![Grid::square(1), Grid::new(2, 3)]).unwrap();
        let noise = Counter::new(seed);
        let moment = Moment { scale: 1, schedule: &schedule, images: &images, noise: &noise };
        let place = Place { scale: 1, images: &images, positions: 6, alphabet: Alphabet::bits(30) };
        let Choice::Uniforms(levels) = noise.choice(&place) else { unreachable!() };
        let levels: Vec<f32> = levels.iter().map(|u| (u * 23.0).floor() * 0.31).collect();
        let values = Tensor::<3>::from_data(TensorData::new(levels, [2, 6, 30]), &Device::flex());
        let logits = LogitMap::new(values, Grid::new(2, 3), alphabet).unwrap();
        let entropy = EntropyTemperature {
            base: 1.5, decay: 1.0, floor: 0.4, top_k: PerScale::List(vec![0, 2]), top_p: 0.0.into(),
        };
        let least = PerScale::List(vec![0.0, 0.2]);
        let drawings = [
            MinP { min_p: least, temperature: 1.3.into() }.at(1, &schedule),
            entropy.at(1),
            BitTemperature { temperature: 0.7.into(), confidence: 0.8 }.at(1, &schedule),
        ];
        for drawing in drawings {
            let (host, device) = (drawing.on_host(&logits, &moment).unwrap(), drawing.on_device(&logits, &moment));
            let pairs = integers(host.tokens).unwrap().into_iter().zip(integers(device.tokens).unwrap());
            let other = pairs.filter(|(host, device)| host != device).count();
            prop_assert!(other <= 1, "{} of the draws differ", other);
        }
    }
}

#[test]
fn lists_over_scales_hold_at_their_scale() {
    let schedule = ScaleSchedule::square(&[1, 2, 3]).unwrap();
    let sampler = TopKTopP {
        top_k: PerScale::List(vec![900, 5, 1]),
        top_p: PerScale::List(vec![0.96, 0.5, 0.0]),
        temperature: Strength::List(vec![1.0, 0.5, 2.0]),
        ..TopKTopP::default()
    };
    for (k, (top_k, top_p, temperature)) in
        [(900, 0.96, 1.0), (5, 0.5, 0.5), (1, 0.0, 2.0)].into_iter().enumerate()
    {
        let expected = Drawing {
            temperature: Temperature::Constant(temperature),
            filter: Filter { top_k, top_p, min_p: 0.0 },
            more_smooth: false,
            smooth_held: 0,
        };
        assert_eq!(sampler.at(k, &schedule), expected);
    }
    let refused = |sampler: TopKTopP| {
        let alphabet = Alphabet::codes(64);
        super::Sampler::check(&sampler, &schedule, alphabet).unwrap_err().to_string()
    };
    assert!(refused(sampler).contains("top_k: 900 is more than the 64"));
    let short = TopKTopP { top_p: PerScale::List(vec![0.5]), ..TopKTopP::default() };
    assert!(refused(short).contains("top_p: the list has 1 numbers for 3 scales"));
}
