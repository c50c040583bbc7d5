//! Exports tasks from a Rust program, here from the mock API:
//!
//! ```sh
//! cargo run --example export -- demo/
//! ```

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example speaks to the person who runs it"
)]

use std::error::Error;
use std::path::Path;

use scale_export::{
    CancellationToken, Event, Events, ExportOptions, JobEnd, Sandbox, SandboxConfig, TaskIds,
    export,
};

fn main() -> Result<(), Box<dyn Error>> {
    let out = std::env::args().nth(1).unwrap_or_else(|| "demo".to_owned());
    let exported = run(Path::new(&out))?;
    println!("{exported} tasks exported to {out}");
    Ok(())
}

/// Exports three tasks into a directory. Returns how many are in the tables.
pub(crate) fn run(out: &Path) -> Result<u64, Box<dyn Error>> {
    // With the real API, leave out the last four options: the key is read from SCALE_API_KEY. The label stands for the
    // base URL, whose port differs between runs.
    let sandbox = Sandbox::start(SandboxConfig::default())?;
    let options = ExportOptions::builder(out)
        .ids(TaskIds::collect(["task_1", "task_2", "task_3"])?)
        .base_url(sandbox.base_url())
        .base_url_label("sandbox")
        .api_key(sandbox.key())
        .server_in_process(true)
        .build()?;

    // Events arrive on a channel, so that a progress display can run beside the job.
    let (events, received) = Events::channel();
    let end = export(&options, &events, &CancellationToken::new())?;
    drop(events);
    for event in received {
        if let Event::Warning(text) = event {
            eprintln!("warning: {text}");
        }
    }
    match end {
        JobEnd::Done(report) => Ok(report.exported),
        JobEnd::Stopped(_) => Err("the export was stopped".into()),
    }
}
