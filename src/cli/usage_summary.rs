//! The summary and the metrics of a command line that cannot be read.

use crate::cli::command_line::{file_args, job_of_arguments};
use crate::cli::error::{CommandError, UsageError};
use crate::cli::lifecycle::{JobFiles, JobOutput};

/// Writes the files of `--summary` and `--metrics`, as far as they can be found among the arguments, and returns the
/// error: a scheduler that reads these files learns of every end.
pub(crate) fn record_usage_error(error: UsageError) -> CommandError {
    let error = CommandError::from(error);
    let Some(args) = file_args() else {
        return error;
    };
    let job = job_of_arguments();
    let metrics = args.metrics.metrics.as_deref();
    let files = JobFiles {
        job,
        display: &args.display,
        // Other commands have no such options, so the words belong to something else.
        metrics: metrics.filter(|_| job.publishes()),
        reads: &[],
        directory: args.output.out.as_deref().filter(|_| job.publishes()),
    };
    // The error of the command line matters more than that of a file.
    if let Ok(output) = JobOutput::prepare(&files) {
        output.record(&error);
    }
    error
}
