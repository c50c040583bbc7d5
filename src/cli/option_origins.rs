//! Where the values of options come from.

use std::collections::BTreeMap;

use crate::jobs::export_defaults::URL_VARIABLE;

/// The place of a value, the weaker first: a stronger one has precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum OptionPlace {
    /// The value is the default.
    Default,
    /// A configuration file: the number of its layer.
    File(usize),
    /// An environment variable.
    Variable,
    /// The command line.
    CommandLine,
}

/// Where one value comes from.
#[derive(Debug, Clone)]
pub(crate) struct OptionOrigin {
    pub(crate) place: OptionPlace,
    /// What the user gave, for messages: the option, the variable, or the line of the file.
    pub(crate) name: String,
    /// The value as given; several are joined with commas.
    pub(crate) value: String,
}

impl OptionPlace {
    /// The name of the place, for an error about a value.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Default | Self::CommandLine => "command line",
            Self::File(_) => "configuration",
            Self::Variable => "environment",
        }
    }
}

/// Where the values of options come from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origins {
    /// For each option that has a value other than its default, by its name with `--`.
    values: BTreeMap<String, OptionOrigin>,
    /// The command; none for an export.
    command: Option<String>,
}

impl Origins {
    /// The origins of the options of a command; none is the export.
    pub(crate) fn new(
        values: impl IntoIterator<Item = (String, OptionOrigin)>,
        command: Option<String>,
    ) -> Self {
        let mut origins = Self {
            values: values.into_iter().collect(),
            command,
        };
        // This variable has its name from the API's own clients, and is weaker than the option and its variable.
        if origins.place("--base-url") < OptionPlace::Variable && is_set(URL_VARIABLE) {
            let origin = OptionOrigin {
                place: OptionPlace::Variable,
                name: URL_VARIABLE.to_owned(),
                value: std::env::var_os(URL_VARIABLE)
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
            };
            origins.values.insert("--base-url".to_owned(), origin);
        }
        origins
    }

    /// What the user gave: the variable, the line of a file, or the option itself.
    pub(crate) fn name<'o>(&'o self, option: &'o str) -> &'o str {
        self.values
            .get(option)
            .map_or(option, |origin| origin.name.as_str())
    }

    /// The variable or the line of a file that gives an option its value.
    pub(crate) fn source(&self, option: &str) -> Option<&str> {
        let origin = self.values.get(option)?;
        (origin.place != OptionPlace::CommandLine).then_some(origin.name.as_str())
    }

    /// The place of the value of an option.
    pub(crate) fn place(&self, option: &str) -> OptionPlace {
        self.values
            .get(option)
            .map_or(OptionPlace::Default, |origin| origin.place)
    }

    /// The options that have a value other than their default, in the order of their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &OptionOrigin)> {
        self.values
            .iter()
            .map(|(option, origin)| (option.as_str(), origin))
    }

    /// A hint at the help of the command.
    pub(crate) fn see_help(&self) -> String {
        see_help(self.command.as_deref())
    }
}

/// Whether a variable has a value. An empty one counts as unset.
pub(crate) fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

/// A hint at the help of a command; none for an export.
pub(crate) fn see_help(command: Option<&str>) -> String {
    match command {
        Some(command) => format!("see scale-export {command} --help"),
        None => "see scale-export --help".to_owned(),
    }
}
