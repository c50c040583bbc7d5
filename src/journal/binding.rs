//! A journal is bound to the options that its responses were requested with.

use std::collections::BTreeSet;
use std::path::Path;

use crate::journal::error::JournalError;
use crate::journal::format::JournalOptions;

/// Refuses to mix responses that were requested with other options.
pub(crate) fn refuse_other(
    path: &Path,
    before: &JournalOptions,
    now: &JournalOptions,
) -> Result<(), JournalError> {
    if before.copied {
        return Err(JournalError::Copied {
            path: path.to_owned(),
        });
    }
    let list = |names: &[String]| {
        let names: Vec<&str> = distinct(names).into_iter().collect();
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(",")
        }
    };
    let differs = |option: &str, before: String, now: String| {
        (before != now).then(|| JournalError::Options {
            path: path.to_owned(),
            option: option.into(),
            before,
            now,
        })
    };
    let difference = differs("--base-url", before.base_url.clone(), now.base_url.clone())
        .or_else(|| differs("--expand", list(&before.expand), list(&now.expand)))
        .or_else(|| differs("--opts", list(&before.opts), list(&now.opts)))
        .or_else(|| {
            let text = |keep: bool| keep.to_string();
            differs(
                "--keep-secrets",
                text(before.keep_secrets),
                text(now.keep_secrets),
            )
        });
    difference.map_or(Ok(()), Err)
}

/// The distinct names of a list: neither their order nor a repetition changes a response.
pub fn distinct(names: &[String]) -> BTreeSet<&str> {
    names.iter().map(String::as_str).collect()
}
