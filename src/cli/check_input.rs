//! From the options of the command line to what `check` starts from: each part is read, whatever is wrong with the
//! others.

use crate::api::api_key::{KEY_VARIABLE, key_form};
use crate::cli::args::ExportArgs;
use crate::cli::error::CommandError;
use crate::cli::export_options::{
    ChosenTasks, SandboxServer, named, options_builder, read_tasks, refuse_key, task_sources,
};
use crate::cli::option_origins::is_set;
use crate::cli::output_options::{OutputOptions, output_options, warnings_of_skipped};
use crate::cli::publish_place::{PublishPlace, export_place};
use crate::ids::shard::ShardPlace;
use crate::ids::shown::shown_path;
use crate::ids::task_ids::TaskIds;
use crate::jobs::check::check_line::{CheckLine, CheckName};
use crate::jobs::check::preflight::CheckInput;
use crate::jobs::export_builder::ResolvedOptions;
use crate::jobs::export_defaults::URL_VARIABLE;
use crate::jobs::options_error::OptionsError;
use crate::plural::plural;

/// The source of values that belong to the server in this process.
const SANDBOX: &str = "the sandbox";

/// What `check` starts from.
pub(crate) fn check_input(
    args: &ExportArgs,
    sandbox: Option<SandboxServer>,
) -> Result<CheckInput, CommandError> {
    refuse_key(&args.api.server)?;
    let origins = &args.display.origins;
    let is_sandbox = sandbox.is_some();
    // In the order of a run, so that the first line that fails is what a run would end with.
    let lists = task_sources(args);
    let output = export_place((&args.output).into(), origins)
        .and_then(|place| Ok((place, output_options(&args.output, origins)?)));
    let chosen = lists.and_then(|lists| read_tasks(args, lists));
    let tasks = tasks_line(args, &chosen);
    let output_line = output
        .as_ref()
        .err()
        .map(|error| CheckLine::failed(CheckName::Output, error));
    let builder = options_builder(
        args,
        // The builder needs a value. The line above reports what is wrong with the real one.
        output.unwrap_or_else(|_| (PublishPlace::none(), OutputOptions::none())),
        chosen.unwrap_or_default(),
        sandbox,
    );
    let named = |error| named(error, origins);
    let ResolvedOptions {
        mut options,
        ca_file,
        base_url,
        api_key,
    } = builder.resolve().map_err(named)?;
    let failed = |name, result: Result<(), OptionsError>| {
        let error = result.err().map(named)?;
        Some(CheckLine::failed(name, &error))
    };
    // Shown at their line, and not once more in the log.
    let warnings = std::mem::take(&mut options.warnings);
    let key = failed(CheckName::Key, api_key).unwrap_or_else(|| {
        let source = key_source(args, is_sandbox);
        let form = key_form(&options.fetch.client.api_key);
        let text = format!("{source}, {form}");
        match warnings.into_iter().next() {
            None => CheckLine::passed(CheckName::Key, text),
            Some(warning) => CheckLine::warned(CheckName::Key, text, warning),
        }
    });
    let tasks = match options.shard {
        Some(ShardPlace { shard, .. }) if !tasks.is_failed() => {
            let own = plural(options.ids.len() as u64, "ID");
            CheckLine {
                detail: format!("{}; shard {shard} has {own}", tasks.detail),
                ..tasks
            }
        }
        _ => tasks,
    };
    Ok(CheckInput {
        url_source: url_source(args, is_sandbox),
        tasks,
        key,
        url: failed(CheckName::Url, base_url),
        certificates: failed(CheckName::Certificates, ca_file),
        output: output_line,
        options,
    })
}

/// What is known of the tasks: their number, repeated IDs, cells without an ID, and IDs that look like mistakes.
fn tasks_line(args: &ExportArgs, chosen: &Result<ChosenTasks, CommandError>) -> CheckLine {
    let name = CheckName::Tasks;
    let ChosenTasks { lists, read } = match chosen {
        Ok(chosen) => chosen,
        Err(error) => return CheckLine::failed(name, error),
    };
    if !lists.is_empty() {
        let named: Vec<String> = lists
            .iter()
            .map(|list| format!("{} `{}`", list.kind.as_str(), list.name))
            .collect();
        return CheckLine::passed(name, format!("those of {}", named.join(", ")));
    }
    let files: Vec<String> = args
        .ids
        .iter()
        .map(|path| format!("`{}`", shown_path(path)))
        .collect();
    let mut text = plural(read.ids.len() as u64, "ID");
    if !files.is_empty() {
        text += &format!(" in {}", files.join(", "));
    }
    if read.ids.duplicates() > 0 {
        text += &format!(", {}", plural(read.ids.duplicates(), "duplicate"));
    }
    let mut warnings = warnings_of_skipped(&read.skipped);
    warnings.extend(suspicious(&read.ids, &args.list.id_column));
    if warnings.is_empty() {
        CheckLine::passed(name, text)
    } else {
        CheckLine::warned(name, text, warnings.join("; "))
    }
}

/// A warning about IDs that would be refused in a plain-text list; `None` if there are none.
fn suspicious(ids: &TaskIds, column: &str) -> Option<String> {
    let mut mistakes = ids
        .iter()
        .filter_map(|id| crate::ids::mistake::find_mistake(id, column));
    let first = mistakes.next()?;
    // The first one names the problem, and a list of thousands would hide the other lines.
    let others = mistakes.count();
    let more = match others {
        0 => String::new(),
        others => format!(", and {others} more"),
    };
    Some(format!("one ID looks like a mistake: {first}{more}"))
}

/// The option or variable that the key comes from.
fn key_source(args: &ExportArgs, is_sandbox: bool) -> String {
    if is_sandbox {
        return SANDBOX.to_owned();
    }
    let origins = &args.display.origins;
    let server = &args.api.server;
    if let Some(path) = &server.api_key_file {
        let option = origins.name("--api-key-file");
        format!("`{}` ({option})", shown_path(path))
    } else if server.api_key_command.is_some() {
        origins.name("--api-key-command").to_owned()
    } else {
        KEY_VARIABLE.to_owned()
    }
}

/// The option or variable that the base URL comes from.
fn url_source(args: &ExportArgs, is_sandbox: bool) -> String {
    if is_sandbox {
        SANDBOX.to_owned()
    } else if args.api.server.base_url.is_some() {
        args.display.origins.name("--base-url").to_owned()
    } else if is_set(URL_VARIABLE) {
        URL_VARIABLE.to_owned()
    } else {
        "the default".to_owned()
    }
}
