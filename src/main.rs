//! The program; everything is in the library.

use std::process::ExitCode;

/// An export makes and drops millions of short-lived buffers of every size on all threads. From ten
/// thousand tasks to a hundred thousand, memory grows by a third with the system's allocator on Linux
/// and by less than half of that with this one, which also takes less time (docs/memory.md).
#[cfg(all(unix, target_pointer_width = "64"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    scale_export::cli::main().into()
}
