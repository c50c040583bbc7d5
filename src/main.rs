//! The program. Its code is in the library.

use std::process::ExitCode;

/// An export allocates and frees buffers of every size on several threads. With this allocator, memory grows least with
/// the number of tasks; the time is the same as with others (docs/memory.md).
#[cfg(all(unix, target_pointer_width = "64"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Milliseconds after which freed memory returns to the system. With the default of ten seconds, a third of the
/// memory of a shorter run is freed memory; with 0, a run takes a tenth longer.
#[cfg(all(unix, target_pointer_width = "64"))]
const FREED_AFTER_MS: isize = 500;

/// Applies [`FREED_AFTER_MS`] to the memory of this thread and of later ones.
#[cfg(all(unix, target_pointer_width = "64"))]
fn free_soon() {
    use tikv_jemalloc_ctl::{Access as _, AsName as _};
    for name in [
        &b"arenas.dirty_decay_ms\0"[..],
        &b"arena.0.dirty_decay_ms\0"[..],
    ] {
        // An allocator without this setting works as well.
        let _ = name.name().write(FREED_AFTER_MS);
    }
}

fn main() -> ExitCode {
    #[cfg(all(unix, target_pointer_width = "64"))]
    free_soon();
    scale_export::cli::dispatch::main().into()
}
