//! The plan of a run as text. Pure.

use crate::cli::export_text::one_per_line;
use crate::cli::value_parsers::rate_text;
use crate::error::Exit;
use crate::jobs::dry_run::DryRun;
use crate::plural::{bytes_text, plural};

/// What a run would do.
pub(crate) fn dry_run_text(plan: &DryRun) -> String {
    let sent = (plan.sent > 0).then(|| {
        let requests = plural(plan.sent, "request");
        format!("{requests} sent for this estimate; nothing was written")
    });
    if plan.requests == 0 && plan.kept == plan.requested && !plan.is_least {
        let kept = match plan.kept {
            0 => "there are no tasks".to_owned(),
            1 => "the task is kept".to_owned(),
            kept => format!("all {kept} tasks are kept"),
        };
        let mut lines = vec![format!("nothing to fetch: {kept}")];
        lines.extend(sent);
        return one_per_line(&lines);
    }
    // A list that does not say how many tasks it has gives a lower bound only.
    let least = if plan.is_least { "at least" } else { "about" };
    let mut lines = vec![match plan.kept {
        0 => format!("tasks: {least} {} to fetch", plan.requested),
        kept => format!(
            "tasks: {} of {} to fetch; {kept} kept from earlier runs",
            plan.requested - kept,
            plan.requested
        ),
    }];
    let mut requests = format!("requests: {least} {}", plan.requests);
    if plan.pages > 0 {
        requests += &format!(
            " ({} single, {} of list endpoints)",
            plan.single,
            plural(plan.pages, "page")
        );
    }
    lines.push(requests);
    lines.push(match (plan.rate, plan.seconds) {
        (Some(rate), Some(seconds)) => {
            let seconds = if seconds < 1.0 {
                "under 1 s".to_owned()
            } else {
                format!("{least} {seconds:.0} s")
            };
            format!("time: {seconds} at {}", rate_text(rate))
        }
        _ => "time: unknown, because no run has learned the rate limit yet".to_owned(),
    });
    lines.push(match plan.bytes {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate"
        )]
        Some(expected) => format!("bytes: {least} {}", bytes_text(expected as u64)),
        None => "bytes: unknown, because no task was fetched yet".to_owned(),
    });
    if plan.exit != Exit::Success {
        lines.push(format!(
            "a run would end with exit code {}, since the tasks to fetch fail",
            plan.exit as u8
        ));
    }
    lines.extend(sent);
    one_per_line(&lines)
}
