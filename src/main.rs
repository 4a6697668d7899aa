//! The `nextscale` command: every command of [`nextscale::cli`] with what nextscale itself provides; your own
//! program has them with its own rules.

use nextscale::pipeline::Registry;

fn main() -> std::process::ExitCode {
    nextscale::cli::main(Registry::standard())
}
