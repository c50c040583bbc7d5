//! The lines that need no network: URL, proxy, certificates, output, saved responses, space.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use crate::api::certificates::Authorities;
use crate::api::client::{ClientParts, TaskClient};
use crate::api::options::ClientOptions;
use crate::api::proxy::Proxy;
use crate::event::Events;
use crate::jobs::check::check_line::{CheckLine, CheckName};
use crate::jobs::earlier_work::{EarlierWork, read_earlier};
use crate::jobs::error::ExportError;
use crate::jobs::export_options::ExportOptions;
use crate::jobs::limits::SpaceWatch;
use crate::output_error::OutputError;
use crate::plural::{bytes_text, plural};
use crate::publish::manifest::Manifest;
use crate::publish::output_dir::{OutputDirectory, nearest_existing};
use crate::state::lock::Lock;
use crate::state::paths::StateDir;

/// A client that requests can be sent with, and the lines about its parts.
#[derive(Debug)]
pub(crate) struct CheckedClient {
    pub(crate) lines: Vec<CheckLine>,
    /// `None` if a part of it failed.
    pub(crate) client: Option<TaskClient>,
}

/// Checks the URL, the proxy and the certificates. `source` names the option or variable with the URL.
pub(crate) fn check_client(options: &ClientOptions, source: &str) -> CheckedClient {
    let ClientParts { proxy, client } = match TaskClient::in_parts(options) {
        Ok(parts) => parts,
        Err(error) => {
            let why = "the URL cannot be used";
            return CheckedClient {
                lines: vec![
                    CheckLine::failed(CheckName::Url, &error),
                    CheckLine::skipped(CheckName::Proxy, why),
                    CheckLine::skipped(CheckName::Certificates, why),
                ],
                client: None,
            };
        }
    };
    let url = format!("{} ({source})", options.base_url);
    let lines = vec![
        CheckLine::passed(CheckName::Url, url),
        match &proxy {
            Ok(proxy) => CheckLine::passed(CheckName::Proxy, proxy_text(proxy.as_ref())),
            Err(error) => CheckLine::failed(CheckName::Proxy, error),
        },
        match &client {
            Ok(client) => certificates_line(options, client),
            Err(error) => CheckLine::failed(CheckName::Certificates, error),
        },
    ];
    CheckedClient {
        lines,
        // Without the proxy, requests would go another way than those of a run.
        client: client.ok().filter(|_| proxy.is_ok()),
    }
}

fn proxy_text(proxy: Option<&Proxy>) -> String {
    match proxy {
        None => "none".to_owned(),
        Some(proxy) => format!("{} ({})", proxy.shown(), proxy.variable),
    }
}

fn certificates_line(options: &ClientOptions, client: &TaskClient) -> CheckLine {
    let mut parts = Vec::new();
    if let Some(file) = &options.ca_file {
        parts.push(format!("those of `{}`", file.path.display()));
    }
    match &options.authorities {
        Authorities::Named(certificates) => parts.push(format!(
            "{} of {}, instead of the system's",
            plural(certificates.len() as u64, "certificate"),
            Authorities::variables().join(" and ")
        )),
        Authorities::System | Authorities::TooLarge { .. } => {
            parts.push("the system's".to_owned());
        }
    }
    let text = if client.is_tls() {
        parts.join(", and ")
    } else {
        "not needed for http://".to_owned()
    };
    CheckLine::passed(CheckName::Certificates, text)
}

/// Checks the output directory and its lock.
pub(crate) fn check_output(options: &ExportOptions) -> Vec<CheckLine> {
    let out = &options.out;
    let files = OutputDirectory::check_files(out, options.selection(), options.force);
    if let Some(error) = files.as_ref().err().filter(|_| !is_directory(out)) {
        let failed = CheckLine::failed(CheckName::Output, error);
        let lock = CheckLine::skipped(CheckName::Lock, "the output directory is missing");
        return vec![failed, lock];
    }
    let lock = Lock::refuse_held(out, &StateDir::of_output(out));
    let shown = out.display();
    let line = |name, result: Result<(), OutputError>, text: String| match result {
        Ok(()) => CheckLine::passed(name, text),
        Err(error) => CheckLine::failed(name, &error),
    };
    let found = if out.exists() {
        format!("`{shown}` can be written")
    } else {
        format!("`{shown}` can be created")
    };
    vec![
        line(CheckName::Output, files, found),
        line(CheckName::Lock, lock, "free".to_owned()),
    ]
}

/// Whether a path is a directory, or can become one.
pub(crate) fn is_directory(path: &Path) -> bool {
    nearest_existing(path).is_dir()
}

/// The saved responses of an output directory, and the lines about them and the space that is left.
#[derive(Debug)]
pub(crate) struct CheckedWork {
    pub(crate) lines: Vec<CheckLine>,
    /// `None` if the saved responses cannot be used.
    pub(crate) earlier: Option<EarlierWork>,
}

/// Checks the saved responses and the space. `has_tasks` says whether the list of IDs could be read.
pub(crate) fn check_work(
    options: &ExportOptions,
    has_tasks: bool,
    cancel: &CancellationToken,
) -> Result<CheckedWork, ExportError> {
    let earlier = match read_earlier(options, cancel) {
        Ok(earlier) => earlier,
        Err(interrupted @ ExportError::Interrupted(_)) => return Err(interrupted),
        Err(error) => {
            let why = "the saved responses cannot be used";
            return Ok(CheckedWork {
                lines: vec![
                    CheckLine::failed(CheckName::Saved, &error),
                    CheckLine::skipped(CheckName::Space, why),
                ],
                earlier: None,
            });
        }
    };
    let lines = vec![
        CheckLine::passed(CheckName::Saved, saved_text(options, &earlier, has_tasks)),
        space_line(options, &earlier, has_tasks),
    ];
    Ok(CheckedWork {
        lines,
        earlier: Some(earlier),
    })
}

fn saved_text(options: &ExportOptions, earlier: &EarlierWork, has_tasks: bool) -> String {
    if earlier.reader.is_none() {
        return "none yet".to_owned();
    }
    let size = &earlier.size;
    let kept = if has_tasks && options.lists.is_empty() {
        let listed = size.kept + size.wanted;
        format!(", {} of {} kept", size.kept, plural(listed as u64, "task"))
    } else {
        String::new()
    };
    format!(
        "requested with the same options{kept}, {}",
        bytes_text(size.journal_bytes)
    )
}

fn space_line(options: &ExportOptions, earlier: &EarlierWork, has_tasks: bool) -> CheckLine {
    let published = Manifest::sound(&options.out);
    let watch = SpaceWatch::new(
        &options.out,
        earlier.size,
        options.format,
        published.as_ref(),
        &Events::none(),
    );
    let Some(estimate) = watch.estimate(0) else {
        let text = "the file system does not report it";
        return CheckLine::passed(CheckName::Space, text);
    };
    let free = bytes_text(estimate.free);
    if !has_tasks || !options.lists.is_empty() {
        let text = format!("{free} free; how much is needed depends on the number of tasks");
        return CheckLine::passed(CheckName::Space, text);
    }
    if estimate.needed > estimate.free {
        // A run only warns, because this is an estimate.
        let hint = "free space, or choose another disk with --out; if the disk fills up, a run ends with exit code 6";
        return CheckLine::warned(CheckName::Space, estimate.shortage(&options.out), hint);
    }
    let needed = bytes_text(estimate.needed);
    CheckLine::passed(
        CheckName::Space,
        format!("about {needed} needed, {free} free"),
    )
}

/// The line about the limit of open files, for an error of it.
pub(crate) fn open_files_line(result: Result<usize, &ExportError>) -> CheckLine {
    match result {
        Ok(concurrency) => {
            let text = format!(
                "enough for {} at a time",
                plural(concurrency as u64, "request")
            );
            CheckLine::passed(CheckName::OpenFiles, text)
        }
        Err(error) => CheckLine::failed(CheckName::OpenFiles, error),
    }
}
