//! The list of IDs that an export was made from.

use std::fs::{self, File};
use std::io::{Error, ErrorKind};
use std::path::Path;

use crate::ids::error::IdsError;
use crate::ids::read::read_published;
use crate::ids::task_ids::TaskIds;
use crate::jobs::verify::error::VerifyError;
use crate::jobs::verify::findings::Finding;
use crate::jobs::verify::report::VerifyResults;
use crate::jobs::verify::verified_export::VerifiedExport;
use crate::plural::plural;
use crate::state::paths::IDS;

/// Whether a file of the state is missing, or only its owner may read it.
pub(crate) fn is_missing(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::PermissionDenied
    )
}

/// Opens a file that this user may read. Opening a pipe would wait for a writer.
fn open_file(path: &Path) -> Result<(), Error> {
    if !fs::metadata(path)?.is_file() {
        return Err(Error::new(ErrorKind::NotFound, "it is not a file"));
    }
    File::open(path).map(|_| ())
}

/// Why this user cannot read a file of the state; `name` is its name in the export.
pub(crate) fn read_error(path: &Path, name: &str) -> String {
    match open_file(path) {
        // It was restored meanwhile.
        Ok(()) => format!("could not read {name}"),
        Err(error) => read_error_text(&error, name),
    }
}

fn read_error_text(error: &Error, name: &str) -> String {
    if error.kind() == ErrorKind::NotFound && error.raw_os_error().is_some() {
        return format!("{name} is missing");
    }
    format!("could not read {name}: {error}")
}

/// The list of IDs of the export; `None` when it is missing.
pub(crate) fn read_list(
    export: VerifiedExport<'_>,
    results: &mut VerifyResults,
) -> Result<Option<TaskIds>, VerifyError> {
    let list = export.state.ids();
    // The state is for its owner only; for other users the list counts as missing.
    match open_file(&list) {
        Ok(()) => {}
        Err(error) if is_missing(&error) => {
            let cause = read_error_text(&error, IDS);
            results.add_unverified(format!(
                "the order and completeness of the IDs, and their failures ({cause})"
            ));
            return Ok(None);
        }
        Err(source) => return Err(VerifyError::Io { path: list, source }),
    }
    let list_bytes = fs::metadata(&list).map(|metadata| metadata.len());
    match read_published(&list) {
        Ok(ids) => {
            let requested = export.manifest.ids.requested;
            if ids.len() as u64 != requested {
                let expected = plural(requested, "ID");
                results.add(Finding::of_file(IDS, &expected, &ids.len().to_string()));
            }
            // The file has only the IDs: no byte order mark, no repetition, and a line feed at the end.
            let bytes: u64 = ids.iter().map(|id| id.len() as u64 + 1).sum();
            let found = list_bytes.unwrap_or_default();
            if bytes != found {
                let expected = format!("{} for these IDs", plural(bytes, "byte"));
                results.add(Finding::of_file(IDS, &expected, &found.to_string()));
            }
            Ok(Some(ids))
        }
        Err(IdsError::Read { error, .. }) => Err(VerifyError::Io {
            path: list,
            source: error,
        }),
        Err(error) => {
            results.add(Finding::of_unreadable(
                IDS,
                "a list of IDs",
                &error.to_string(),
            ));
            Ok(None)
        }
    }
}
