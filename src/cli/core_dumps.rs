//! Keeps the memory of this process, which holds the API key, out of core dumps.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The largest core file, in bytes. On Linux 1 is smaller than any core and also stops the programs that cores are piped to,
/// which a limit of 0 does not stop: see core(5) and `do_coredump` of the kernel.
const MAX_CORE_BYTES: u64 = if cfg!(target_os = "linux") { 1 } else { 0 };

/// Disables core dumps for the rest of this process. Where that is not permitted, the run continues with them.
pub(crate) fn forbid() {
    let before = getrlimit(Resource::Core);
    // A process without privileges can lower a limit, and cannot raise it.
    let limit = before
        .maximum
        .map_or(MAX_CORE_BYTES, |most| most.min(MAX_CORE_BYTES));
    let _ = setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(limit),
            maximum: Some(limit),
        },
    );
}
