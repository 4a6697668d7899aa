//! The `nextscale` command; `src/cli/` has one file a command.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before any thread exists: large tensors would otherwise fault in fresh pages at every step.
    nextscale::kernels::allocator::tune();
    cli::main()
}
