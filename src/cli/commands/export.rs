//! The main job: from options to a finished export. Depends on the files of this folder.

use std::time::{Duration, Instant};

use secrecy::SecretString;

use crate::api::certificates::{Authorities, CaFile};
use crate::api::list_request::{ListFilter, ListKind, ListSource};
use crate::api::options::ClientOptions;
use crate::cli::api_key::{Key, read_key};
use crate::cli::args::{ExportArgs, FormatArg, GuardArgs, OutputArgs, PlanArg, RefreshArg};
use crate::cli::command_line::Origins;
use crate::cli::core_dumps;
use crate::cli::dispatch::{Failure, UsageError};
use crate::cli::lifecycle::{Job, error_json, run, tell_dry_run, tell_export, with_summary};
use crate::cli::suggest::{did_you_mean, nearest_name};
use crate::encode::table_writers::Format;
use crate::error::Exit;
use crate::event::{Event, Events};
use crate::fetch::options::FetchOptions;
use crate::flatten::task::TASK_STATUSES;
use crate::ids::list::SkippedCells;
use crate::ids::read::{ReadIds, read_ids};
use crate::jobs::dry_run::dry_run;
use crate::jobs::export::{ExportOptions, Refresh, export};
use crate::lists::list_planner::ListPlan;
use crate::pacer::types::Rate;
use crate::publish::guard::{Allowance, GuardOptions};
use crate::sandbox::config::SandboxConfig;
use crate::sandbox::server::Sandbox;
use crate::tables::table;

/// Where the API is, when nobody says otherwise.
const DEFAULT_BASE_URL: &str = "https://api.scale.com";

/// Values of `--expand` that the API is known to have.
const KNOWN_EXPAND: [&str; 2] = ["project", "batch"];

/// Values of `--opts` that the API is known to have.
const KNOWN_OPTS: [&str; 3] = [
    "annotation_details",
    "attachment_details",
    "model_parameters",
];

/// An environment variable with a name of its own.
const URL_VARIABLE: &str = "SCALE_API_URL";

/// An answer that stops coming for this long will not go on.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// What stands for the sandbox's address, whose port is another one each time.
const SANDBOX_LABEL: &str = "sandbox";

/// Runs the main job.
pub(crate) fn run_export(args: &ExportArgs) -> Result<Exit, Failure> {
    let reads: Vec<_> = args.ids.iter().chain(&args.api_key_file).cloned().collect();
    with_summary(&args.display, &reads, args.output.out.as_deref(), || {
        let started = Instant::now();
        core_dumps::forbid();
        let sandbox = args
            .sandbox
            .then(|| Sandbox::start(SandboxConfig::default()))
            .transpose()
            .map_err(|error| Box::new(error) as Failure)?;
        let (options, warnings) = export_options(args, sandbox.as_ref())?;
        let job = Job {
            out: &options.out,
            tolerate: options.guard.tolerate,
            started,
        };
        if args.dry_run {
            return run(
                &args.display,
                false,
                |events, signals| {
                    warn(&warnings, events);
                    dry_run(&options, events, &signals.cancel)
                },
                |done, signals| tell_dry_run(done, signals, &args.display),
            );
        }
        run(
            &args.display,
            false,
            |events, signals| {
                warn(&warnings, events);
                export(&options, events, &signals.cancel, |ended| match ended {
                    Ok(ended) => job.end(ended, signals).1,
                    Err(error) => error_json(error),
                })
            },
            |ended, signals| tell_export(&ended, signals, &args.display, &job),
        )
    })
}

/// What an export must be like to be published.
pub(crate) fn guard_options(args: &GuardArgs) -> GuardOptions {
    let GuardArgs {
        max_failures,
        tolerate,
        max_shrink,
        drop_missing,
    } = *args;
    GuardOptions {
        max_failures,
        tolerate,
        max_shrink,
        drop_missing,
    }
}

/// Reports what was found while the options were read.
pub(crate) fn warn(warnings: &[String], events: &Events) {
    for warning in warnings {
        events.send(Event::Warning(warning.clone()));
    }
}

/// The cells of lists that hold no ID, as warnings.
pub(crate) fn warnings_of_skipped(skipped: &[SkippedCells]) -> Vec<String> {
    skipped.iter().map(SkippedCells::to_string).collect()
}

/// The options of an export, and what a person should know of them.
fn export_options(
    args: &ExportArgs,
    sandbox: Option<&Sandbox>,
) -> Result<(ExportOptions, Vec<String>), Failure> {
    let usage = |error: UsageError| Box::new(error) as Failure;
    if args.api_key.is_some() {
        return Err(usage(UsageError::KeyOnCommandLine));
    }
    let lists = lists(args).map_err(usage)?;
    if args.ids.is_empty() && args.id.is_empty() && lists.is_empty() {
        return Err(usage(UsageError::Missing(
            "--ids",
            "try: scale-export --ids ids.txt --out dir/, or --project, --batch or --delivery in place of --ids",
        )));
    }
    let Output {
        out,
        format,
        tables,
    } = output(&args.output, &args.origins)?;
    let ReadIds { ids, skipped } = if lists.is_empty() {
        read_ids(&args.ids, &args.id, &args.list.id_column)
            .map_err(|error| Box::new(error) as Failure)?
    } else {
        ReadIds::default()
    };
    let mut warnings = warnings_of_skipped(&skipped);
    let ca_file = args.ca_file.as_deref().map(CaFile::read).transpose();
    let ca_file = ca_file.map_err(|error| Box::new(error) as Failure)?;
    let (base_url, api_key) = if let Some(sandbox) = sandbox {
        let key = SecretString::from(sandbox.key().to_owned());
        (sandbox.base_url(), key)
    } else {
        let base_url = base_url(args).map_err(usage)?;
        let key = read_key(args.api_key_file.as_deref()).map_err(usage)?;
        let Key { secret, warning } = key;
        warnings.extend(warning);
        (base_url, secret)
    };
    let (expand, opts) = (given(&args.expand), given(&args.opts));
    let status: Vec<String> = args.status.iter().cloned().collect();
    for (option, values, known) in [
        ("--expand", &expand, &KNOWN_EXPAND[..]),
        ("--opts", &opts, &KNOWN_OPTS[..]),
        ("--status", &status, &TASK_STATUSES[..]),
    ] {
        warnings.extend(warnings_of_unknown(
            args.origins.name(option),
            values,
            known,
        ));
    }
    let implied_rate = if sandbox.is_some() {
        Rate::Max
    } else {
        Rate::Learned
    };
    let options = ExportOptions {
        ids,
        lists,
        out: out.clone(),
        format,
        tables,
        refresh: match args.refresh {
            RefreshArg::Pending => Refresh::Pending,
            RefreshArg::All => Refresh::All,
            RefreshArg::None => Refresh::None,
        },
        prune: args.prune,
        force: args.output.force,
        keep_secrets: args.output.keep_secrets,
        guard: GuardOptions {
            max_failures: if args.fail_fast {
                Some(Allowance::Count(0))
            } else {
                args.guard.max_failures
            },
            ..guard_options(&args.guard)
        },
        base_url_label: sandbox.map(|_| SANDBOX_LABEL.to_owned()),
        plan: match args.plan {
            PlanArg::Auto => ListPlan::Auto,
            PlanArg::Ids => ListPlan::Ids,
            PlanArg::Lists => ListPlan::Lists,
        },
        fetch: FetchOptions {
            client: ClientOptions {
                base_url,
                api_key,
                expand,
                opts,
                concurrency: args.concurrency.into(),
                timeout: args.timeout,
                connect_timeout: args.connect_timeout,
                read_timeout: args.timeout.min(READ_TIMEOUT),
                max_body: args.max_body,
                ca_file,
                authorities: if sandbox.is_some() {
                    Authorities::System
                } else {
                    Authorities::read()
                },
                proxy: sandbox.is_none(),
                allow_http: args.allow_http,
            },
            rate: args.rate.unwrap_or(implied_rate),
            max_retries: args.max_retries,
            retry_timeout: args.retry_timeout,
            fail_fast: args.fail_fast,
            drop_missing: args.guard.drop_missing,
        },
    };
    Ok((options, warnings))
}

/// The lists that the tasks are taken from, if they are.
fn lists(args: &ExportArgs) -> Result<Vec<ListSource>, UsageError> {
    let conflict = |one: &str, other: &str| UsageError::conflict(&args.origins, one, other);
    let kinds = [
        (ListKind::Project, "--project", &args.project),
        (ListKind::Batch, "--batch", &args.batch),
        (ListKind::Delivery, "--delivery", &args.delivery),
    ];
    let mut given = kinds.iter().filter(|(_, _, names)| !names.is_empty());
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
    refuse_reversed(&filter, &args.origins)?;
    let first_filter = filters.iter().find(|(_, value)| value.is_some());
    let Some((kind, option, names)) = given.next() else {
        return first_filter.map_or(Ok(Vec::new()), |(filter, _)| {
            let filter = args.origins.name(filter);
            Err(UsageError::CommandLine {
                place: "command line",
                reason: format!("{filter} needs --project or --batch"),
                hint: format!("{filter} chooses among the tasks of a project or batch"),
            })
        });
    };
    if let Some((_, other, _)) = given.next() {
        return Err(conflict(option, other));
    }
    if !args.ids.is_empty() || !args.id.is_empty() {
        let other = if args.ids.is_empty() { "--id" } else { "--ids" };
        return Err(conflict(option, other));
    }
    if let (ListKind::Delivery, Some((filter, _))) = (kind, first_filter) {
        return Err(conflict(option, filter));
    }
    if names.iter().any(|name| name.trim().is_empty()) {
        let reason = format!("{} is empty", args.origins.name(option));
        return Err(UsageError::command_line(reason));
    }
    let mut lists: Vec<ListSource> = Vec::new();
    for name in *names {
        let list = ListSource {
            kind: *kind,
            name: name.trim().to_owned(),
            filter: filter.clone(),
        };
        if !lists.contains(&list) {
            lists.push(list);
        }
    }
    Ok(lists)
}

/// Refuses a range of times in which no task can be.
fn refuse_reversed(filter: &ListFilter, origins: &Origins) -> Result<(), UsageError> {
    let time = |text: &Option<String>| text.as_ref()?.parse::<jiff::Timestamp>().ok();
    let (after, before) = (&filter.completed_after, &filter.completed_before);
    let (Some(from), Some(until)) = (time(after), time(before)) else {
        return Ok(());
    };
    if from < until {
        return Ok(());
    }
    let (after, before) = (
        origins.name("--completed-after"),
        origins.name("--completed-before"),
    );
    Err(UsageError::CommandLine {
        place: "command line",
        reason: format!("{after} ({from}) is not before {before} ({until})"),
        hint: format!("give an earlier time with {after}, or a later one with {before}"),
    })
}

/// What the options of the output say, checked.
pub(crate) struct Output {
    pub(crate) out: std::path::PathBuf,
    pub(crate) format: Format,
    pub(crate) tables: Vec<String>,
}

/// Checks the options of the output.
pub(crate) fn output(args: &OutputArgs, origins: &Origins) -> Result<Output, Failure> {
    let usage = |error: UsageError| Box::new(error) as Failure;
    let out = args.out.clone().ok_or_else(|| {
        usage(UsageError::Missing(
            "--out",
            "name a directory for the tables: --out dir/",
        ))
    })?;
    if out.to_string_lossy().contains("://") {
        return Err(usage(UsageError::ObjectStore(out)));
    }
    let option = origins.name("--tables");
    let tables = given(&args.tables);
    if tables.is_empty() && !args.tables.is_empty() {
        return Err(usage(UsageError::command_line(format!(
            "{option} is empty"
        ))));
    }
    if let Some(unknown) = tables.iter().find(|name| table::find(name).is_none()) {
        return Err(usage(UsageError::Table {
            name: unknown.clone(),
            option: Some(option.to_owned()),
        }));
    }
    let format = match args.format {
        FormatArg::Parquet => Format::Parquet,
        FormatArg::Csv => Format::Csv,
    };
    Ok(Output {
        out,
        format,
        tables,
    })
}

fn base_url(args: &ExportArgs) -> Result<String, UsageError> {
    let hint = format!("leave it out for {DEFAULT_BASE_URL}");
    let (name, url) = match &args.base_url {
        Some(url) => (args.origins.name("--base-url"), url.clone()),
        None => match std::env::var_os(URL_VARIABLE) {
            Some(url) if !url.is_empty() => match url.into_string() {
                Ok(url) => (URL_VARIABLE, url),
                // The default in its place would send the key to a host that the user did not name.
                Err(_) => return Err(UsageError::not_utf8(URL_VARIABLE, hint)),
            },
            _ => return Ok(DEFAULT_BASE_URL.to_owned()),
        },
    };
    let url = url.trim().trim_end_matches('/');
    if url.is_empty() {
        return Err(UsageError::CommandLine {
            place: "command line",
            reason: format!("{name} is empty"),
            hint,
        });
    }
    Ok(url.to_owned())
}

/// Items of a list that are not empty: the others are what is left of a comma too many.
fn given(items: &[String]) -> Vec<String> {
    let given = items.iter().filter(|item| !item.is_empty());
    given.cloned().collect()
}

/// A warning for each value that the API is not known to have. It is sent nevertheless: the API may have learned it.
fn warnings_of_unknown(option: &str, values: &[String], known: &[&str]) -> Vec<String> {
    let unknown = values
        .iter()
        .filter(|value| !known.contains(&value.as_str()));
    unknown
        .map(|value| {
            let rest = format!("known are {}", known.join(", "));
            let hint = did_you_mean(nearest_name(value, known.iter().copied()), &rest);
            format!("`{value}` of {option} is not a known value: {hint}")
        })
        .collect()
}
