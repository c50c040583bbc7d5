//! The list endpoints that tasks are taken from: a project, a batch or a delivery, with filters.

use std::path::Path;

use crate::api::list_request::{ListFilter, ListKind, ListSource};
use crate::cli::args::{ExportArgs, SourceArgs};
use crate::cli::error::UsageError;
use crate::cli::option_origins::Origins;
use crate::shell_quoting::shell_quoted;

/// The lists that the tasks of an export are taken from; none with IDs.
pub(crate) fn export_sources(args: &ExportArgs) -> Result<Vec<ListSource>, UsageError> {
    let origins = &args.display.origins;
    let lists = list_sources(&args.source, origins)?;
    let has_ids = !args.ids.is_empty() || !args.id.is_empty();
    let Some(list) = lists.first() else {
        return Ok(lists);
    };
    let option = option_of(list.kind);
    if has_ids {
        let ids = if args.ids.is_empty() { "--id" } else { "--ids" };
        return Err(UsageError::conflict(origins, option, ids));
    }
    if let Some(shard) = args.shard {
        return Err(UsageError::CommandLine {
            place: origins.place("--shard").as_str(),
            reason: format!(
                "{} cannot be used with {}: only a list of IDs has shards",
                origins.name("--shard"),
                origins.name(option)
            ),
            hint: format!(
                "write the IDs to a file for all shards: scale-export ids {option} {} > ids.txt, then --ids ids.txt --shard {shard}",
                shell_quoted(Path::new(&list.name))
            ),
        });
    }
    Ok(lists)
}

/// The option that names lists of a kind.
fn option_of(kind: ListKind) -> &'static str {
    match kind {
        ListKind::Project => "--project",
        ListKind::Batch => "--batch",
        ListKind::Delivery => "--delivery",
    }
}

/// The lists that the options name.
pub(crate) fn list_sources(
    args: &SourceArgs,
    origins: &Origins,
) -> Result<Vec<ListSource>, UsageError> {
    let conflict = |one: &str, other: &str| UsageError::conflict(origins, one, other);
    let kinds = [
        (ListKind::Project, &args.project),
        (ListKind::Batch, &args.batch),
        (ListKind::Delivery, &args.delivery),
    ]
    .map(|(kind, names)| (kind, option_of(kind), names));
    let mut chosen = kinds.iter().filter(|(_, _, names)| !names.is_empty());
    let filter = ListFilter {
        status: args.status.clone(),
        completed_after: args.completed_after.clone(),
        completed_before: args.completed_before.clone(),
    };
    let filters = [
        ("--status", &filter.status),
        ("--completed-after", &filter.completed_after),
        ("--completed-before", &filter.completed_before),
    ];
    refuse_reversed(&filter, origins)?;
    let first_filter = filters.iter().find(|(_, value)| value.is_some());
    let Some((kind, option, names)) = chosen.next() else {
        return first_filter.map_or(Ok(Vec::new()), |(filter, _)| {
            let place = origins.place(filter).as_str();
            let filter = origins.name(filter);
            Err(UsageError::CommandLine {
                place,
                reason: format!("{filter} needs --project or --batch"),
                hint: format!("{filter} selects tasks of a project or batch"),
            })
        });
    };
    if let Some((_, other, _)) = chosen.next() {
        return Err(conflict(option, other));
    }
    // The API has no filters for the tasks of a delivery.
    if let (ListKind::Delivery, Some((filter, _))) = (kind, first_filter) {
        return Err(conflict(option, filter));
    }
    if names.iter().any(|name| name.trim().is_empty()) {
        return Err(UsageError::empty(origins, option));
    }
    let mut lists: Vec<ListSource> = Vec::new();
    for name in *names {
        let list = ListSource {
            kind: *kind,
            name: name.trim().to_owned(),
            filter: filter.clone(),
        };
        // A list that is named twice would be read twice, for the same tasks.
        if !lists.contains(&list) {
            lists.push(list);
        }
    }
    Ok(lists)
}

/// Refuses an empty range of times.
fn refuse_reversed(filter: &ListFilter, origins: &Origins) -> Result<(), UsageError> {
    let time = |text: &Option<String>| text.as_ref()?.parse::<jiff::Timestamp>().ok();
    let (after, before) = (&filter.completed_after, &filter.completed_before);
    let (Some(from), Some(until)) = (time(after), time(before)) else {
        return Ok(());
    };
    if from < until {
        return Ok(());
    }
    let place = origins.place("--completed-after").as_str();
    let (after, before) = (
        origins.name("--completed-after"),
        origins.name("--completed-before"),
    );
    Err(UsageError::CommandLine {
        place,
        reason: format!("{after} ({from}) is not before {before} ({until})"),
        hint: format!("give an earlier time with {after}, or a later one with {before}"),
    })
}
