//! What the command lines of both races have in common.

use clap::builder::TypedValueParser;

/// At least 1.
pub fn positive() -> impl TypedValueParser<Value = usize> {
    clap::value_parser!(u32).range(1..).map(|number| number as usize)
}

/// Whether there is nothing to do, which is said: among all benches, most people have no torch.
pub fn skipped(bench: &str) -> bool {
    let asked = std::env::args().any(|argument| argument == "--help" || argument.starts_with("--python"));
    if !asked {
        println!(
            "{bench}: skipped; it needs a Python with torch: cargo bench --bench {bench} -- --python PYTHON"
        );
    }
    !asked
}
