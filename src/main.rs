//! The program; everything is in the library.

use std::process::ExitCode;

/// An export makes and drops millions of short-lived buffers of every size on all threads. The
/// system's allocator on Linux scatters them until the process grows by a third; with
/// this one, memory grows by a tenth from ten thousand tasks to a hundred thousand (docs/memory.md).
#[cfg(all(unix, target_pointer_width = "64"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    scale_export::cli::main().into()
}
