//! The `nextscale` command: every command of [`nextscale::cli`] with what nextscale itself has, as a program of one's own has
//! them with its own rules.

use nextscale::pipeline::Registry;

fn main() -> std::process::ExitCode {
    nextscale::cli::main(Registry::standard())
}
