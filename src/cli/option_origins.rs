//! Where the values of options come from.

use std::collections::BTreeMap;

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
}

/// For each option that has a value other than its default, by its name with `--`: where the value comes from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origins(BTreeMap<String, OptionOrigin>);

impl Origins {
    /// What the user gave: the variable, the line of a file, or the option itself.
    pub(crate) fn name<'o>(&'o self, option: &'o str) -> &'o str {
        self.0
            .get(option)
            .map_or(option, |origin| origin.name.as_str())
    }

    /// The place of the value of an option.
    pub(crate) fn place(&self, option: &str) -> OptionPlace {
        self.0
            .get(option)
            .map_or(OptionPlace::Default, |origin| origin.place)
    }
}

impl FromIterator<(String, OptionOrigin)> for Origins {
    fn from_iter<I: IntoIterator<Item = (String, OptionOrigin)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}
