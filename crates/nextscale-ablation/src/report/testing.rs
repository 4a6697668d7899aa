//! A small report for tests: a baseline, a rule at two strengths, a control.

use super::{Completion, Curve, Measured, Report, Scatter, Value};
use crate::cost::{Times, Work};
use crate::judge::{Better, Measure};
use crate::plan::Pixels;
use crate::reference::Reference;
use crate::stats::Difference;
use crate::store::{Manifest, Planned};
use crate::why::{Bands, ScaleNumbers, Traced};

pub(super) const CELLS: usize = 4;

fn cell(name: &str, variant: &str, swept: &[(&str, &str)], guidance: &str) -> Planned {
    let swept: Vec<(String, String)> =
        swept.iter().map(|&(path, value)| (path.to_owned(), value.to_owned())).collect();
    Planned {
        name: name.into(),
        variant: variant.into(),
        id: format!("{:016x}", name.len()),
        model: "Shipped(\"cifar10\")".into(),
        weights: "0123abcd".into(),
        guidance: guidance.into(),
        sampling: "TopKTopP()".into(),
        pixels: Pixels::AsTheyAre,
        shows: vec!["cat".into(), "dog".into()],
        classes: vec![Some(3), Some(5)],
        config: format!("(\n    guidance: {guidance},\n)\n"),
        settings: swept.clone(),
        swept,
        work: Some(Work {
            passes: if name == "none" { 1.0 } else { 2.0 },
            caches: if name == "none" { 1 } else { 2 },
        }),
        chosen: None,
    }
}

/// Values with differences from the first; half the width of every interval.
fn measured(of: usize, leads: bool, name: &str, better: Better, values: [f64; CELLS], half: f64) -> Measured {
    let value = |(i, &value): (usize, &f64)| Value {
        value,
        pooled: value,
        seeds: (0..5).map(|seed| value + half * (f64::from(seed) - 2.0)).collect(),
        interval: Some((value - half, value + half)),
        difference: (i > 0).then(|| {
            let difference = value - values[0];
            Difference { value: difference, low: Some(difference - half), high: Some(difference + half) }
        }),
    };
    Measured {
        measure: Measure::new(name, better, format!("what {name} measures")),
        leads,
        of,
        protocol: format!("protocol {of}"),
        caution: None,
        values: values.iter().enumerate().map(value).collect(),
    }
}

pub(super) fn report() -> Report {
    let times = |first: f64| {
        Some(Times {
            milliseconds: vec![first, first + 1.0, first + 2.0],
            threads: 2,
            cache_bytes: Some(1_500_000),
        })
    };
    let axis = "guidance.scale";
    let ablation = Manifest {
        name: "guidance".into(),
        version: "0.1.0, results 4".into(),
        device: "cpu".into(),
        scales: vec![(1, 1), (2, 2)],
        seeds: vec![0, 1, 2, 3, 4],
        samples: 20,
        baseline: 0,
        measures: vec!["Pixels".into(), "Lite0".into(), "Probe".into()],
        folder: "configs".into(),
        reference: Some(Reference::Shipped("cifar10".into())),
        tuned: None,
        traces: 4,
        completion: Some("real (sha256 00ff…) as Labels([3])".into()),
        command: Some("nextscale ablate guidance.ron --quick".into()),
        times: Some("4 images at once".into()),
        file_hash: Some("fe".repeat(32)),
        cells: vec![
            cell("none", "none", &[], "Conditional"),
            cell("cfg, scale = 0.5", "cfg", &[(axis, "0.5")], "Cfg(scale: 0.5)"),
            cell("cfg, scale = 2", "cfg", &[(axis, "2")], "Cfg(scale: 2)"),
            cell("control | zero", "control | zero", &[], "Ssg(prior: Zero, beta: 0.5)"),
        ],
    };
    let mut fd = measured(1, true, "FD-Lite0", Better::Lower, [652.0, 640.0, 605.0, 655.0], 8.0);
    fd.caution = Some("rank-deficient covariance: 20 images for 1280 features".into());
    let measures = vec![
        measured(1, true, "KID-Lite0", Better::Lower, [0.040, 0.031, 0.025, 0.041], 0.004),
        measured(1, true, "Recall-Lite0", Better::Higher, [0.50, 0.49, 0.31, 0.50], 0.05),
        fd,
        measured(2, true, "Probe accuracy-Lite0", Better::Higher, [0.55, 0.70, 0.88, 0.52], 0.02),
        measured(0, false, "pixel mean", Better::Neither, [120.0, 121.0, 118.0, 120.0], 0.5),
    ];
    let scale = |k: f64, prior| ScaleNumbers {
        entropy: 5.0 - k,
        changed: 0.1 * k,
        correction: 0.2 * k,
        logits: Bands(vec![3.0, 1.0, 0.1]),
        prior,
        residual: None,
        nyquist: Some(1),
    };
    let traced =
        Traced { images: 4, scales: vec![scale(0.0, None), scale(1.0, Some(Bands(vec![2.0, 0.5, 0.01])))] };
    let completion = |distance: f64, base: Option<f64>| {
        let difference = base.map(|base| Difference {
            value: distance - base,
            low: Some(distance - base - 1.0),
            high: Some(distance - base + 1.0),
        });
        Some(vec![Completion { kept: 1, distance, difference }])
    };
    Report {
        interval: "95 % by Student's t over 5 seeds".into(),
        scatters: Scatter::chosen(&measures, &ablation),
        measures,
        curves: vec![Curve {
            title: "Spectral amplitude over the reference's".into(),
            x: "cycles a pixel".into(),
            y: "ratio".into(),
            cells: (0..CELLS).map(|i| vec![(0.1, 1.0), (0.5, 1.0 + 0.1 * i as f64)]).collect(),
        }],
        traces: vec![Some(traced.clone()), Some(traced.clone()), Some(traced), None],
        completions: vec![
            completion(20.0, None),
            completion(18.0, Some(20.0)),
            completion(22.0, Some(20.0)),
            completion(20.5, Some(20.0)),
        ],
        times: vec![times(10.0), times(18.0), times(19.0), None],
        ablation,
    }
}
