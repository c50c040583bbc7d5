//! The environment variables that give options their values.

use std::collections::BTreeMap;

/// Where the values of options come from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origins {
    /// For each option with its value from the environment: the variable.
    pub(crate) variables: BTreeMap<String, String>,
    /// The command; none for an export.
    pub(crate) command: Option<String>,
}

impl Origins {
    /// What the user gave: the variable, or the option itself.
    pub(crate) fn name<'o>(&'o self, option: &'o str) -> &'o str {
        self.variable(option).unwrap_or(option)
    }

    /// The variable that gives an option its value.
    pub(crate) fn variable(&self, option: &str) -> Option<&str> {
        self.variables.get(option).map(String::as_str)
    }

    /// What contains the value of an option, for an error about it.
    pub(crate) fn place(&self, option: &str) -> &'static str {
        match self.variable(option) {
            Some(_) => "environment",
            None => "command line",
        }
    }

    /// A hint at the help of the command.
    pub(crate) fn see_help(&self) -> String {
        see_help(self.command.as_deref())
    }
}

/// A hint at the help of a command; none for an export.
pub(crate) fn see_help(command: Option<&str>) -> String {
    match command {
        Some(command) => format!("see scale-export {command} --help"),
        None => "see scale-export --help".to_owned(),
    }
}
