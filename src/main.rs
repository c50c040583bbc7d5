//! The program; everything is in the library.

use std::process::ExitCode;

/// An export makes and drops buffers of every size, on one thread and another. With this allocator memory grows least
/// with the number of tasks; the time is that of the others (docs/memory.md).
#[cfg(all(unix, target_pointer_width = "64"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Milliseconds after which freed memory goes back to the system. By default it is ten seconds, which are a third
/// of the memory of a run that is over in less; with none, a run takes a tenth longer.
#[cfg(all(unix, target_pointer_width = "64"))]
const FREED_AFTER_MS: isize = 500;

/// Applies [`FREED_AFTER_MS`] to the memory of this thread, and of those that will come.
#[cfg(all(unix, target_pointer_width = "64"))]
fn free_soon() {
    use tikv_jemalloc_ctl::{Access as _, AsName as _};
    for name in [
        &b"arenas.dirty_decay_ms\0"[..],
        &b"arena.0.dirty_decay_ms\0"[..],
    ] {
        // An allocator that does not know it works as well.
        let _ = name.name().write(FREED_AFTER_MS);
    }
}

fn main() -> ExitCode {
    #[cfg(all(unix, target_pointer_width = "64"))]
    free_soon();
    scale_export::cli::dispatch::main().into()
}
