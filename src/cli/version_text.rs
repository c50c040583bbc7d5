//! What `--version` prints, and with `-v` what identifies a build and the formats that it writes.

use std::ffi::OsString;

use crate::journal::format::JournalVersion;
use crate::publish::manifest::{ENCODING_VERSION, FORMAT_VERSION};
use crate::tables::table::SCHEMA_VERSION;

/// The commit of the source, or `unknown`.
const COMMIT: &str = env!("SCALE_EXPORT_COMMIT");

/// The target triple of the build.
const TARGET: &str = env!("SCALE_EXPORT_TARGET");

/// The version of the program, and that of its tables.
pub(crate) fn version() -> String {
    format!("{} (schema {SCHEMA_VERSION})", env!("CARGO_PKG_VERSION"))
}

/// The line of `--version`.
pub(crate) fn version_line() -> String {
    format!("scale-export {}\n", version())
}

/// The lines of `--version -v`: the program, then one `name: value` per line.
pub(crate) fn version_details() -> String {
    let line = version_line();
    let journal = JournalVersion::LATEST as u32;
    format!(
        "{line}\
         commit: {COMMIT}\n\
         target: {TARGET}\n\
         schema: {SCHEMA_VERSION}\n\
         encoding: {ENCODING_VERSION}\n\
         manifest: {FORMAT_VERSION}\n\
         journal: {journal}\n"
    )
}

/// Whether `-v` or `--verbose` stands beside the option that prints the version, in any order or as `-vV`.
pub(crate) fn wants_version_details(arguments: &[OsString]) -> bool {
    let is_verbose = |argument: &OsString| {
        let text = argument.to_str().unwrap_or_default();
        let letters = text.strip_prefix('-').unwrap_or_default();
        text == "--verbose"
            || (letters.contains('v') && letters.chars().all(|letter| "vV".contains(letter)))
    };
    arguments.iter().any(is_verbose)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_printed_with_the_verbose_option_in_any_place() {
        let wants = |arguments: &[&str]| {
            let arguments: Vec<OsString> = arguments.iter().map(Into::into).collect();
            wants_version_details(&arguments)
        };
        for arguments in [
            &["--version", "-v"][..],
            &["-v", "--version"],
            &["-V", "--verbose"],
            &["-vV"],
            &["-Vv"],
        ] {
            assert!(wants(arguments), "{arguments:?}");
        }
        for arguments in [
            &["--version"][..],
            &["-V"],
            &["-V", "-"],
            &["-V", "verbose"],
        ] {
            assert!(!wants(arguments), "{arguments:?}");
        }
    }
}
