//! Combines the values of configuration files. Pure.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use crate::cli::config::error::ConfigError;
use crate::cli::config::location::{ConfigFile, ConfigPlace};
use crate::cli::config::text::{ConfigValue, ConfigValues};
use crate::cli::suggest::{did_you_mean, nearest_name};

/// Options that decide where the key comes from, where it is sent, or what runs. A file in the current directory can come
/// with a project of other people, so it cannot set them.
const GUARDED: [&str; 5] = [
    "api-key-command",
    "api-key-file",
    "base-url",
    "ca-file",
    "allow-http",
];

/// What a file can give an option.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OptionShape {
    /// Whether the value is a path, which is relative to the file.
    pub(crate) is_path: bool,
    /// Whether it has several values: an array.
    pub(crate) takes_many: bool,
}

/// The options that a file can have, by their names without `--`.
pub(crate) type KnownOptions = BTreeMap<String, OptionShape>;

/// The value of an option from a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfiguredOption {
    pub(crate) values: Vec<OsString>,
    /// Which option of which file, for messages.
    pub(crate) source: String,
    /// The number of the layer. Values of a higher layer replace those of a lower one.
    pub(crate) layer: usize,
}

/// The options that the files set.
pub(crate) type ConfiguredOptions = BTreeMap<String, ConfiguredOption>;

/// Combines files, the weaker first. The values of the profile replace those outside of profiles, whatever their file.
pub(crate) fn combine(
    files: &[ConfigFile],
    profile: Option<&str>,
    known: &KnownOptions,
) -> Result<ConfiguredOptions, ConfigError> {
    // All profiles are checked, so that a mistake shows before the profile is needed.
    for file in files {
        let profiles = file.text.profiles.values();
        for values in profiles.chain([&file.text.base]) {
            check(file, values, known)?;
        }
    }
    let base = files.iter().map(|file| (file, None, Some(&file.text.base)));
    let of_profile = files.iter().map(|file| {
        (
            file,
            profile,
            profile.and_then(|name| file.text.profiles.get(name)),
        )
    });
    let mut options = ConfiguredOptions::new();
    let mut has_profile = false;
    for (layer, (file, profile, values)) in base.chain(of_profile).enumerate() {
        has_profile |= profile.is_some() && values.is_some();
        for (name, value) in values.into_iter().flatten() {
            let is_path = known.get(name).is_some_and(|shape| shape.is_path);
            let values = value.values.iter().map(|text| {
                if is_path {
                    relative_to(&file.path, text)
                } else {
                    text.into()
                }
            });
            let option = ConfiguredOption {
                values: values.collect(),
                source: source(file, profile, name, value),
                layer,
            };
            options.insert(name.clone(), option);
        }
    }
    match profile {
        // A profile that no file has would silently select nothing.
        Some(name) if !has_profile => Err(unknown_profile(files, name)),
        _ => Ok(options),
    }
}

/// Which option of which file.
fn source(file: &ConfigFile, profile: Option<&str>, name: &str, value: &ConfigValue) -> String {
    let profile = profile.map_or_else(String::new, |profile| format!(" of profile {profile}"));
    let name = name.replace('-', "_");
    let (path, line) = (file.path.display(), value.line);
    format!("`{name}`{profile} in {path} (line {line})")
}

/// A path of a file, which is relative to the directory of the file. `-` and URLs stay.
fn relative_to(file: &Path, text: &str) -> OsString {
    match file.parent() {
        Some(directory) if text != "-" && !text.contains("://") => directory.join(text).into(),
        _ => text.into(),
    }
}

/// Whether a file in the current directory cannot give an option this value. A bucket as the output would get all tasks, with
/// the credentials of the user.
fn is_guarded(name: &str, value: &ConfigValue) -> bool {
    let has_url = || value.values.iter().any(|text| text.contains("://"));
    GUARDED.contains(&name) || (["out", "delta"].contains(&name) && has_url())
}

/// Refuses options that do not exist, that a file in this place cannot set, and values of the wrong shape.
fn check(
    file: &ConfigFile,
    values: &ConfigValues,
    known: &KnownOptions,
) -> Result<(), ConfigError> {
    for (name, value) in values {
        let shown = name.replace('-', "_");
        let refused = |reason: String, hint: String| ConfigError::Text {
            path: file.path.clone(),
            line: value.line,
            reason,
            hint,
        };
        if name == "api-key" {
            return Err(refused(
                "the API key must not be in a configuration file".to_owned(),
                "name a file with api_key_file, or a program with api_key_command".to_owned(),
            ));
        }
        let Some(shape) = known.get(name) else {
            let names = known.keys().map(String::as_str);
            let near = nearest_name(name, names).map(|near| near.replace('-', "_"));
            return Err(refused(
                format!("unknown option `{shown}`"),
                did_you_mean(near, "see scale-export --help"),
            ));
        };
        if file.place == ConfigPlace::Current && is_guarded(name, value) {
            let what = if GUARDED.contains(&name.as_str()) {
                ""
            } else {
                " to a URL"
            };
            return Err(refused(
                format!("a file in the current directory cannot set `{shown}`{what}"),
                format!(
                    "set it in the file of your user, or name this file: --config {}",
                    file.path.display()
                ),
            ));
        }
        if value.is_array && !shape.takes_many {
            return Err(refused(
                format!("`{shown}` has one value"),
                format!("remove the brackets: {shown} = …"),
            ));
        }
        if shape.is_path && value.values.iter().any(String::is_empty) {
            return Err(refused(
                format!("the value of `{shown}` is empty"),
                "remove the line, or name a file or directory".to_owned(),
            ));
        }
    }
    Ok(())
}

fn unknown_profile(files: &[ConfigFile], name: &str) -> ConfigError {
    let known = files.iter().flat_map(|file| file.text.profiles.keys());
    let mut known: Vec<String> = known.cloned().collect();
    known.sort();
    known.dedup();
    ConfigError::Profile {
        name: name.to_owned(),
        known,
        files: files.iter().map(|file| file.path.clone()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::config::text::parse;
    use crate::error::Explain as _;

    fn file(path: &str, place: ConfigPlace, text: &str) -> ConfigFile {
        ConfigFile {
            path: path.into(),
            place,
            text: parse(text).unwrap(),
        }
    }

    fn known() -> KnownOptions {
        [
            ("out", true, false),
            ("ids", true, true),
            ("rate", false, false),
            ("tables", false, true),
            ("base-url", false, false),
        ]
        .into_iter()
        .map(|(name, is_path, takes_many)| {
            let shape = OptionShape {
                is_path,
                takes_many,
            };
            (name.to_owned(), shape)
        })
        .collect()
    }

    #[test]
    fn the_profile_precedes_and_the_file_of_the_current_directory_precedes_that_of_the_user() {
        let files = [
            file(
                "/home/u/.config/scale-export/scale-export.toml",
                ConfigPlace::User,
                "rate = 1\nout = 'a'\nbase_url = 'https://a'\n[profile.p]\nout = 'c'\nrate = 3",
            ),
            file(
                "scale-export.toml",
                ConfigPlace::Current,
                "rate = 2\nids = ['x', '-', '/y']\n[profile.p]\nrate = 4",
            ),
        ];
        let values = |profile: Option<&str>| -> Vec<(String, Vec<OsString>, usize)> {
            let options = combine(&files, profile, &known()).unwrap();
            let options = options.into_iter();
            options
                .map(|(name, option)| (name, option.values, option.layer))
                .collect()
        };
        let line = |name: &str, texts: &[&str], layer: usize| {
            let texts = texts.iter().map(OsString::from).collect();
            (name.to_owned(), texts, layer)
        };
        let config = "/home/u/.config/scale-export";
        assert_eq!(
            values(None),
            [
                line("base-url", &["https://a"], 0),
                line("ids", &["x", "-", "/y"], 1),
                line("out", &[&format!("{config}/a")], 0),
                line("rate", &["2"], 1),
            ]
        );
        assert_eq!(
            values(Some("p")),
            [
                line("base-url", &["https://a"], 0),
                line("ids", &["x", "-", "/y"], 1),
                line("out", &[&format!("{config}/c")], 2),
                line("rate", &["4"], 3),
            ]
        );
        let options = combine(&files, Some("p"), &known()).unwrap();
        assert_eq!(
            options["rate"].source,
            "`rate` of profile p in scale-export.toml (line 4)"
        );
    }

    #[test]
    fn mistakes_are_refused_in_every_profile_with_a_hint() {
        for (text, reason, hint) in [
            ("raet = 1", "unknown option `raet`", "did you mean `rate`?"),
            ("[profile.q]\nbase = 1", "unknown option `base`", "--help"),
            ("rate = [1, 2]", "`rate` has one value", "brackets"),
            ("out = ''", "the value of `out` is empty", "remove"),
            ("api_key = 'live_x'", "must not be in", "api_key_file"),
            (
                "base_url = 'https://evil'",
                "a file in the current directory cannot set `base_url`",
                "--config scale-export.toml",
            ),
            (
                "out = 's3://others/exports'",
                "a file in the current directory cannot set `out` to a URL",
                "--config scale-export.toml",
            ),
        ] {
            let files = [file("scale-export.toml", ConfigPlace::Current, text)];
            let error = combine(&files, None, &known()).unwrap_err();
            assert!(error.to_string().contains(reason), "{text}: {error}");
            assert!(error.hint().unwrap().contains(hint), "{text}");
        }
        let files = [file("a.toml", ConfigPlace::Named, "[profile.prod]")];
        let error = combine(&files, Some("prd"), &known()).unwrap_err();
        assert!(error.hint().unwrap().contains("did you mean `prod`?"));
        let error = combine(&[], Some("prod"), &known()).unwrap_err();
        assert!(error.hint().unwrap().contains("--config"));
    }
}
