//! The table of `benches/vs_torch`, which has no tests of its own.

#[allow(dead_code)] // the protocol of the two programs
#[path = "../benches/vs_torch/protocol.rs"]
mod protocol;
#[path = "../benches/vs_torch/table.rs"]
mod table;

use nextscale::config::Document;
use nextscale::pipeline::Registry;
use protocol::{GUIDANCES, INFINITY_GUIDANCES, Seconds};
use table::{Measured, Table};

/// A run of this many seconds in total, a quarter of them the rule's and half the transformer's.
fn run(total: f64) -> Seconds {
    let quarter = total / 4.0;
    Seconds {
        total,
        transformer: 2.0 * quarter,
        guidance: quarter,
        sampling: 0.5 * quarter,
        canvas: 0.0,
        decode: 0.5 * quarter,
    }
}

#[test]
fn medians_are_compared_and_shares_are_run_by_run() {
    let ours = Measured {
        cfg: [4.0, 2.0, 8.0].map(run).to_vec(),
        cfg_ssg: [5.0, 4.0, 8.0].map(run).to_vec(),
        ssg: [1.0, 1.0, 4.0].map(run).to_vec(),
        load_seconds: 0.5,
        start_seconds: 0.75,
        peak_bytes: None,
    };
    let theirs = Measured {
        cfg: [8.0, 16.0, 8.0].map(run).to_vec(),
        cfg_ssg: [8.0, 16.0, 8.0].map(run).to_vec(),
        ssg: [2.0, 4.0, 2.0].map(run).to_vec(),
        load_seconds: 2.0,
        start_seconds: 3.0,
        peak_bytes: Some(2_500_000_000),
    };
    insta::assert_snapshot!(Table { ours, theirs });
}

#[test]
fn the_guidances_are_rules() {
    for (name, rule) in GUIDANCES.into_iter().chain(INFINITY_GUIDANCES) {
        let node = Document::parse("vs_torch.ron", rule).unwrap();
        assert!(Registry::standard().rule(&node).is_ok(), "{name}: {rule}");
    }
}
