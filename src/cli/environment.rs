//! The environment variables that give options their values.

use std::collections::BTreeMap;

/// For each option with its value from the environment: the variable.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origins(BTreeMap<String, String>);

impl Origins {
    /// What the user gave: the variable, or the option itself.
    pub(crate) fn name<'o>(&'o self, option: &'o str) -> &'o str {
        self.0.get(option).map_or(option, String::as_str)
    }
}

impl FromIterator<(String, String)> for Origins {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}
