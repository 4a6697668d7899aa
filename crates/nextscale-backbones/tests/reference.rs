//! Logits against upstream's numbers, through the public interface.

use burn::tensor::Device;
use nextscale_parity::backbone::{cached, teacher_forced};
use nextscale_parity::{Fixtures, Kind, RUNS, loading};

const TOLERANCE: f64 = 1e-4;

#[test]
fn recorded_runs_give_upstreams_logits() {
    let fixtures = Fixtures::compiled_in();
    for kind in Kind::ALL {
        let model = loading::backbone(&fixtures, kind, &Device::flex()).unwrap();
        let reference = fixtures.reference(kind).unwrap();
        for run in RUNS {
            let gap = cached(&model, &reference, run).unwrap();
            assert_eq!(gap.tensors, 4);
            assert!(gap.largest <= TOLERANCE, "{kind:?} {run}: off by {:e}", gap.largest);
        }
        let gap = teacher_forced(&model, &reference).unwrap();
        assert_eq!(gap.tensors, 2);
        assert!(gap.largest <= TOLERANCE, "{kind:?}: off by {:e}", gap.largest);
    }
}
