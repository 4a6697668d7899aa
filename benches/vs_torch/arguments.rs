//! What the command lines of both races share.

use clap::builder::TypedValueParser;

/// At least 1.
pub fn positive() -> impl TypedValueParser<Value = usize> {
    clap::value_parser!(u32).range(1..).map(|number| number as usize)
}

/// Whether there is nothing to do, in which case a message says so: most people who run all benches have no
/// torch.
pub fn skipped(bench: &str) -> bool {
    let asked = std::env::args().any(|argument| argument == "--help" || argument.starts_with("--python"));
    if !asked {
        println!(
            "{bench}: skipped; it needs a Python with torch: cargo bench --bench {bench} -- --python PYTHON"
        );
    }
    !asked
}
