//! The plan of a run as text. Pure.

use crate::cli::export_text::one_per_line;
use crate::cli::value_parsers::rate_text;
use crate::jobs::dry_run::DryRun;
use crate::plural::{bytes_text, plural};

/// What a run would do.
pub(crate) fn dry_run_text(plan: &DryRun) -> String {
    let asked = (plan.asked > 0).then(|| {
        let requests = plural(plan.asked, "request");
        format!("{requests} sent for this estimate; nothing was written")
    });
    if plan.requests == 0 && plan.held == plan.requested && !plan.is_least {
        let kept = match plan.held {
            0 => "there are no tasks".to_owned(),
            1 => "the task is kept".to_owned(),
            held => format!("all {held} tasks are kept"),
        };
        let mut lines = vec![format!("nothing to fetch: {kept}")];
        lines.extend(asked);
        return one_per_line(&lines);
    }
    let least = if plan.is_least { "at least" } else { "about" };
    let mut lines = vec![match plan.held {
        0 => format!("tasks: {least} {} to fetch", plan.requested),
        held => format!(
            "tasks: {} of {} to fetch; {held} kept from earlier runs",
            plan.requested - held,
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
    lines.extend(asked);
    one_per_line(&lines)
}
