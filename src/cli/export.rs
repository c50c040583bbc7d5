//! The main job: from options to a finished export. Depends on the files of this folder.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use secrecy::SecretString;

use super::args::{ExportArgs, FormatArg, OutputArgs, PlanArg, RefreshArg};
use super::checker::Checker;
use super::jobs::{run, tell_dry_run, tell_export, with_summary};
use super::run::{Failure, KEY_VARIABLE, UsageError};
use crate::error::Exit;
use crate::event::{Event, Events};
use crate::export::{ExportOptions, Refresh, dry_run, export};
use crate::fetch::{
    CheckBody, FetchOptions, ListFilter, ListKind, ListSource, MaxFailures, Plan, Rate,
};
use crate::ids::{ReadIds, SkippedCells, read_ids};
use crate::output::Format;
use crate::sandbox::{Sandbox, SandboxConfig};
use crate::tables;

/// Where the API is, when nobody says otherwise.
const DEFAULT_BASE_URL: &str = "https://api.scale.com";

/// An environment variable with a name of its own.
const URL_VARIABLE: &str = "SCALE_API_URL";

/// An answer that stops coming for this long will not go on.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// What stands for the sandbox's address, whose port is another one each time.
const SANDBOX_LABEL: &str = "sandbox";

/// Runs the main job.
pub(super) fn run_export(args: &ExportArgs) -> Result<Exit, Failure> {
    let reads: Vec<_> = args.ids.iter().chain(&args.api_key_file).cloned().collect();
    with_summary(&args.display, &reads, args.output.out.as_deref(), || {
        let started = Instant::now();
        let sandbox = args
            .sandbox
            .then(|| Sandbox::start(SandboxConfig::default()))
            .transpose()
            .map_err(|error| Box::new(error) as Failure)?;
        let (options, skipped) = export_options(args, sandbox.as_ref())?;
        let checker: Arc<dyn CheckBody> = Arc::new(Checker::new(
            options.keep_secrets,
            options.fetch.api_key.clone(),
        ));
        if args.dry_run {
            return run(
                &args.display,
                false,
                |events, stop| {
                    warn_of_skipped(&skipped, events);
                    dry_run(&options, &checker, events, stop)
                },
                |done, signals| tell_dry_run(done, signals, &args.display),
            );
        }
        run(
            &args.display,
            false,
            |events, stop| {
                warn_of_skipped(&skipped, events);
                export(&options, &checker, events, stop)
            },
            |ended, signals| {
                tell_export(
                    ended,
                    signals,
                    &args.display,
                    &options.out,
                    started.elapsed(),
                )
            },
        )
    })
}

/// Reports the cells of lists that hold no ID.
pub(super) fn warn_of_skipped(skipped: &[SkippedCells], events: &Events) {
    for cells in skipped {
        events.send(Event::Warning(cells.to_string()));
    }
}

/// The options of an export, and what was skipped in the lists of IDs.
fn export_options(
    args: &ExportArgs,
    sandbox: Option<&Sandbox>,
) -> Result<(ExportOptions, Vec<SkippedCells>), Failure> {
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
    } = output(&args.output)?;
    let ReadIds { ids, skipped } = if lists.is_empty() {
        read_ids(&args.ids, &args.id, &args.list.id_column)
            .map_err(|error| Box::new(error) as Failure)?
    } else {
        ReadIds::default()
    };
    let (base_url, api_key) = match sandbox {
        Some(sandbox) => (
            sandbox.base_url(),
            SecretString::from(sandbox.key().to_owned()),
        ),
        None => (
            base_url(args),
            read_key(args.api_key_file.as_deref()).map_err(usage)?,
        ),
    };
    let implied_rate = if sandbox.is_some() {
        Rate::Max
    } else {
        Rate::Learned
    };
    let given = |values: &[String]| {
        values
            .iter()
            .filter(|value| !value.is_empty())
            .cloned()
            .collect()
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
        base_url_label: sandbox.map(|_| SANDBOX_LABEL.to_owned()),
        fetch: FetchOptions {
            base_url,
            api_key,
            expand: given(&args.expand),
            opts: given(&args.opts),
            concurrency: args.concurrency.into(),
            plan: match args.plan {
                PlanArg::Auto => Plan::Auto,
                PlanArg::Ids => Plan::Ids,
                PlanArg::Lists => Plan::Lists,
            },
            rate: args.rate.unwrap_or(implied_rate),
            remembered: None,
            timeout: args.timeout,
            connect_timeout: args.connect_timeout,
            read_timeout: args.timeout.min(READ_TIMEOUT),
            max_retries: args.max_retries,
            retry_timeout: args.retry_timeout,
            max_body: args.max_body,
            max_failures: if args.fail_fast {
                Some(MaxFailures::Count(0))
            } else {
                args.max_failures
            },
            ca_file: args.ca_file.clone(),
            proxy: sandbox.is_none(),
        },
    };
    Ok((options, skipped))
}

/// The lists that the tasks are taken from, if they are.
fn lists(args: &ExportArgs) -> Result<Vec<ListSource>, UsageError> {
    let conflict = |one: &str, other: &str| {
        UsageError::CommandLine(format!("{one} cannot be used with {other}"))
    };
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
    let Some((kind, option, names)) = given.next() else {
        return if filter.is_empty() {
            Ok(Vec::new())
        } else {
            Err(UsageError::Missing(
                "--project or --batch",
                "--status, --completed-after and --completed-before choose among their tasks",
            ))
        };
    };
    if let Some((_, other, _)) = given.next() {
        return Err(conflict(option, other));
    }
    if !args.ids.is_empty() || !args.id.is_empty() {
        return Err(conflict(option, "--ids"));
    }
    if *kind == ListKind::Delivery && !filter.is_empty() {
        let filters = "--status, --completed-after or --completed-before";
        return Err(conflict(option, filters));
    }
    if names.iter().any(|name| name.trim().is_empty()) {
        return Err(UsageError::CommandLine(format!("{option} is empty")));
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

/// What the options of the output say, checked.
pub(super) struct Output {
    pub(super) out: std::path::PathBuf,
    pub(super) format: Format,
    pub(super) tables: Vec<String>,
}

/// Checks the options of the output.
pub(super) fn output(args: &OutputArgs) -> Result<Output, Failure> {
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
    if let Some(unknown) = args.tables.iter().find(|name| tables::find(name).is_none()) {
        return Err(usage(UsageError::Table(unknown.clone())));
    }
    let format = match args.format {
        FormatArg::Parquet => Format::Parquet,
        FormatArg::Csv => Format::Csv,
    };
    Ok(Output {
        out,
        format,
        tables: args.tables.clone(),
    })
}

fn base_url(args: &ExportArgs) -> String {
    let url = args
        .base_url
        .clone()
        .or_else(|| std::env::var(URL_VARIABLE).ok());
    url.filter(|url| !url.is_empty()).map_or_else(
        || DEFAULT_BASE_URL.to_owned(),
        |url| url.trim_end_matches('/').to_owned(),
    )
}

fn read_key(file: Option<&Path>) -> Result<SecretString, UsageError> {
    let (key, from) = match file {
        Some(path) => {
            let key = std::fs::read_to_string(path)
                .map_err(|error| UsageError::Key(format!("`{}`: {error}", path.display())))?;
            (key, format!("`{}`", path.display()))
        }
        None => match std::env::var(KEY_VARIABLE) {
            Ok(key) => (key, KEY_VARIABLE.to_owned()),
            Err(_) => return Err(UsageError::Key(format!("{KEY_VARIABLE} is not set"))),
        },
    };
    let key = key.trim();
    if key.is_empty() {
        return Err(UsageError::Key(format!("{from} is empty")));
    }
    Ok(SecretString::from(key.to_owned()))
}
