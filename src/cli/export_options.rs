//! From the options of the command line to those of an export: checks, defaults, the API key, warnings.

use secrecy::SecretString;

use crate::api::api_key::{ApiKey, read_key};
use crate::api::certificates::{Authorities, CaFile};
use crate::api::options::ClientOptions;
use crate::cli::args::{ExportArgs, PlanArg, RefreshArg};
use crate::cli::environment::URL_VARIABLE;
use crate::cli::error::{CommandError, UsageError};
use crate::cli::list_sources::list_sources;
use crate::cli::messages::announce_stdin;
use crate::cli::output_options::{
    OutputOptions, guard_options, non_empty, output, warnings_of_skipped,
};
use crate::cli::suggest::{did_you_mean, nearest_name};
use crate::fetch::options::FetchOptions;
use crate::flatten::task::TASK_STATUSES;
use crate::ids::read::{ReadIds, read_ids};
use crate::jobs::export_builder::{DEFAULT_BASE_URL, DEFAULT_OPTS, READ_TIMEOUT};
use crate::jobs::export_options::{ExportOptions, Refresh};
use crate::lists::list_planner::ListPlan;
use crate::pacer::types::Rate;
use crate::publish::guard::{Allowance, GuardOptions};

/// Values of `--expand` that the API is known to have.
const KNOWN_EXPAND: [&str; 2] = ["project", "batch"];

/// Stored instead of the sandbox's address, whose port differs between runs.
const SANDBOX_LABEL: &str = "sandbox";

/// The sandbox in this process.
pub(crate) struct SandboxServer {
    pub(crate) base_url: String,
    pub(crate) api_key: SecretString,
}

/// The server of an export, and what a request to it carries.
struct Endpoint {
    base_url: String,
    api_key: SecretString,
    expand: Vec<String>,
    opts: Vec<String>,
    ca_file: Option<CaFile>,
    /// Whether it is the sandbox in this process.
    is_sandbox: bool,
}

/// The options of an export, and warnings about them.
pub(crate) fn export_options(
    args: &ExportArgs,
    sandbox: Option<SandboxServer>,
) -> Result<(ExportOptions, Vec<String>), CommandError> {
    if args.api.api_key.is_some() {
        return Err(UsageError::KeyOnCommandLine.into());
    }
    let lists = list_sources(args)?;
    if args.ids.is_empty() && args.id.is_empty() && lists.is_empty() {
        return Err(UsageError::Missing(
            "--ids",
            "try: scale-export --ids ids.txt --out dir/, or --project, --batch or --delivery instead of --ids",
        )
        .into());
    }
    let OutputOptions {
        out,
        format,
        tables,
    } = output(&args.output, &args.origins)?;
    let ReadIds { ids, skipped } = if lists.is_empty() {
        announce_stdin(&args.ids, "task IDs", &args.display);
        read_ids(&args.ids, &args.id, &args.list.id_column)?
    } else {
        ReadIds::default()
    };
    let mut warnings = warnings_of_skipped(&skipped);
    let endpoint = endpoint(args, sandbox, &mut warnings)?;
    let options = ExportOptions {
        ids,
        lists,
        out,
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
        base_url_label: endpoint.is_sandbox.then(|| SANDBOX_LABEL.to_owned()),
        plan: match args.plan {
            PlanArg::Auto => ListPlan::Auto,
            PlanArg::Ids => ListPlan::Ids,
            PlanArg::Lists => ListPlan::Lists,
        },
        fetch: fetch_options(args, endpoint),
    };
    Ok((options, warnings))
}

/// Reads the key and the CA certificates, and warns about values that the API is not known to have.
fn endpoint(
    args: &ExportArgs,
    sandbox: Option<SandboxServer>,
    warnings: &mut Vec<String>,
) -> Result<Endpoint, CommandError> {
    let ca_file = args
        .network
        .ca_file
        .as_deref()
        .map(CaFile::read)
        .transpose()?;
    let is_sandbox = sandbox.is_some();
    let (base_url, api_key) = if let Some(sandbox) = sandbox {
        (sandbox.base_url, sandbox.api_key)
    } else {
        let base_url = base_url(args)?;
        let ApiKey { secret, warning } = read_key(args.api.api_key_file.as_deref())?;
        warnings.extend(warning);
        (base_url, secret)
    };
    let (expand, opts) = (non_empty(&args.api.expand), non_empty(&args.api.opts));
    let status: Vec<String> = args.status.iter().cloned().collect();
    for (option, values, known) in [
        ("--expand", &expand, &KNOWN_EXPAND[..]),
        ("--opts", &opts, &DEFAULT_OPTS[..]),
        ("--status", &status, &TASK_STATUSES[..]),
    ] {
        let option = args.origins.name(option);
        warnings.extend(warnings_of_unknown(option, values, known));
    }
    Ok(Endpoint {
        base_url,
        api_key,
        expand,
        opts,
        ca_file,
        is_sandbox,
    })
}

fn fetch_options(args: &ExportArgs, endpoint: Endpoint) -> FetchOptions {
    let Endpoint {
        base_url,
        api_key,
        expand,
        opts,
        ca_file,
        is_sandbox,
    } = endpoint;
    let (implied_rate, authorities) = if is_sandbox {
        (Rate::Max, Authorities::System)
    } else {
        (Rate::Learned, Authorities::read())
    };
    FetchOptions {
        client: ClientOptions {
            base_url,
            api_key,
            expand,
            opts,
            concurrency: args.network.concurrency.into(),
            timeout: args.network.timeout,
            connect_timeout: args.network.connect_timeout,
            read_timeout: args.network.timeout.min(READ_TIMEOUT),
            max_body: args.network.max_body,
            ca_file,
            authorities,
            proxy: !is_sandbox,
            allow_http: args.api.allow_http,
        },
        rate: args.network.rate.unwrap_or(implied_rate),
        max_retries: args.network.max_retries,
        retry_timeout: args.network.retry_timeout,
        fail_fast: args.fail_fast,
        drop_missing: args.guard.drop_missing,
    }
}

fn base_url(args: &ExportArgs) -> Result<String, UsageError> {
    let hint = format!("without it, the API is at {DEFAULT_BASE_URL}");
    let (name, url) = match &args.api.base_url {
        Some(url) => (args.origins.name("--base-url"), url.clone()),
        None => match std::env::var_os(URL_VARIABLE) {
            Some(url) if !url.is_empty() => match url.into_string() {
                Ok(url) => (URL_VARIABLE, url),
                // The default would send the key to a host that the user did not name.
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

/// A warning for each value that the API does not document. The value is sent all the same: the
/// API can support more than its documentation says.
fn warnings_of_unknown(option: &str, values: &[String], known: &[&str]) -> Vec<String> {
    let unknown = values
        .iter()
        .filter(|value| !known.contains(&value.as_str()));
    unknown
        .map(|value| {
            let rest = format!("the known values are {}", known.join(", "));
            let hint = did_you_mean(nearest_name(value, known.iter().copied()), &rest);
            format!("`{value}` of {option} is not a known value: {hint}")
        })
        .collect()
}
