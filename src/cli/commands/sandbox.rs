//! `sandbox`: a mock server of the API, for demonstrations and tests.

use crate::api::api_key::KEY_VARIABLE;
use crate::cli::error::CommandError;
use crate::cli::messages::{print, write_text};
use crate::cli::sandbox_args::SandboxArgs;
use crate::cli::signals::Signals;
use crate::error::Exit;
use crate::plural::plural;
use crate::printable::printable;
use crate::sandbox::config::SandboxConfig;
use crate::sandbox::limit_models::{Limit, LimitPlan};
use crate::sandbox::server::Sandbox;

/// Serves until a signal ends it.
pub(crate) fn run_sandbox(args: SandboxArgs) -> Result<Exit, CommandError> {
    let mut limits = args.limit;
    limits.extend(args.rate_limit.map(|rate| match args.burst {
        Some(burst) => Limit::TokenBucket { rate, burst },
        None => Limit::token_bucket(rate),
    }));
    let mut changes = args.limit_change;
    // Options may be given in any order, and limits change in the order of time.
    changes.sort_by_key(|(time, _)| *time);
    let config = SandboxConfig {
        port: args.port,
        key: args.key,
        tasks: args.tasks,
        from: args.from,
        seed: args.seed,
        drift: args.drift,
        batch_size: args.batch_size,
        limits: LimitPlan {
            limits,
            changes,
            other_clients: args.other_client,
            outages: args.outage,
        },
        retry_after: args.retry_after,
        quota_headers: args.quota_headers,
        latency: args.latency,
        latency_jitter: args.latency_jitter.unwrap_or_default(),
        list_faults: args.list_fault,
        faults: args.fault,
        failed_ids: args.fail_id,
    };
    let sandbox = Sandbox::start(config)?;
    // The address alone, on standard output, so that a script can read it.
    print(&format!("{}\n", sandbox.base_url()))?;
    let signals = Signals::watch()?;
    write_text(&format!(
        "The mock server is running. Try it in another terminal:\n  {KEY_VARIABLE}={} scale-export --base-url {} --id task_1 --id task_2 --out demo/\nPress Ctrl-C to stop it.",
        printable(sandbox.key()),
        sandbox.base_url()
    ));
    signals.wait();
    write_text(&format!(
        "{}, {} with response 429",
        plural(sandbox.requests(), "request"),
        sandbox.rejected()
    ));
    Ok(Exit::Success)
}
