//! How it was measured, once, and how to cite it.

use maud::html;

use super::Section;
use crate::report::Report;
use crate::report::words::{citation, facts, protocols};

/// Everything that values depend on.
pub(super) fn protocol(report: &Report) -> Section {
    let body = html! {
        dl.facts { @for (what, value) in facts(report) { div { dt { (what) } dd { (value) } } } }
        @for (names, protocol) in protocols(report) {
            p { strong { (names.join(", ")) } ": " (protocol) "." }
        }
        @for measured in &report.measures {
            @if let Some(caution) = &measured.caution { p.caution { strong { "(!) " (measured.measure.name) } ": " (caution) "." } }
        }
    };
    Section { title: "Protocol", id: "protocol", body }
}

/// What a paper would state about it.
pub(super) fn section(report: &Report) -> Section {
    let body = html! {
        p { "Versions, hashes and the command that reproduces these numbers. Click to select all." }
        pre { code { (citation(report)) } }
    };
    Section { title: "How to cite this run", id: "cite", body }
}
