//! Reads the text of a configuration file: option names with their values, and profiles. Pure.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The table whose members are the profiles.
const PROFILES: &str = "profile";

/// The values of one option, as they would stand on the command line, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigValue {
    /// One value, or the items of an array.
    pub(crate) values: Vec<String>,
    /// Whether the file has an array.
    pub(crate) is_array: bool,
    /// The line in the file, from 1.
    pub(crate) line: usize,
}

/// Options with their values. Names have `-` between words, as on the command line.
pub(crate) type ConfigValues = BTreeMap<String, ConfigValue>;

/// What a file contains.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ConfigText {
    /// The values outside of profiles.
    pub(crate) base: ConfigValues,
    /// The values of each profile.
    pub(crate) profiles: BTreeMap<String, ConfigValues>,
}

/// Why a text is not a configuration. The message repeats no value of the file: that can be a secret.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ConfigMistake {
    /// The line, from 1.
    pub(crate) line: usize,
    /// What is wrong.
    pub(crate) reason: String,
}

/// Reads a file.
pub(crate) fn parse(text: &str) -> Result<ConfigText, ConfigMistake> {
    let lines = LineNumbers(text);
    let table = DeTable::parse(text).map_err(|error| ConfigMistake {
        line: lines.of(&error.span().unwrap_or_default()),
        reason: format!("the file is not valid TOML: {}", error.message()),
    })?;
    let mut config = ConfigText::default();
    for (name, value) in table.get_ref() {
        if name.get_ref() != PROFILES {
            insert(&mut config.base, name, value, &lines)?;
            continue;
        }
        let profiles = value.get_ref().as_table().ok_or_else(|| ConfigMistake {
            line: lines.of(&name.span()),
            reason: format!("`{PROFILES}` is not a table: write [{PROFILES}.NAME] above the options of a profile"),
        })?;
        for (profile, options) in profiles {
            let options = options.get_ref().as_table().ok_or_else(|| ConfigMistake {
                line: lines.of(&profile.span()),
                reason: format!("the profile `{}` is not a table", profile.get_ref()),
            })?;
            let values = config
                .profiles
                .entry(profile.get_ref().to_string())
                .or_default();
            for (name, value) in options {
                insert(values, name, value, &lines)?;
            }
        }
    }
    Ok(config)
}

/// Adds an option. `base_url` and `base-url` are one name.
fn insert(
    values: &mut ConfigValues,
    name: &Spanned<std::borrow::Cow<'_, str>>,
    value: &Spanned<DeValue<'_>>,
    lines: &LineNumbers<'_>,
) -> Result<(), ConfigMistake> {
    let line = lines.of(&name.span());
    let option = name.get_ref().replace('_', "-");
    let wrong = |what: &str| ConfigMistake {
        line,
        reason: format!("the value of `{}` is {what}", name.get_ref()),
    };
    let (texts, is_array) = match value.get_ref() {
        DeValue::Array(items) => {
            let texts: Option<Vec<String>> =
                items.iter().map(|item| scalar(item.get_ref())).collect();
            let texts = texts.ok_or_else(|| wrong("an array of tables or arrays"))?;
            (texts, true)
        }
        value => {
            let text = scalar(value).ok_or_else(|| wrong("a table"))?;
            (vec![text], false)
        }
    };
    let value = ConfigValue {
        values: texts,
        is_array,
        line,
    };
    // For TOML these are two names, so it accepts both.
    if values.insert(option, value).is_some() {
        return Err(ConfigMistake {
            line,
            reason: format!("`{}` is there twice, with `_` and with `-`", name.get_ref()),
        });
    }
    Ok(())
}

/// The text of a value that is not an array or a table.
fn scalar(value: &DeValue<'_>) -> Option<String> {
    Some(match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) | DeValue::Table(_) => return None,
    })
}

/// The lines of a text.
struct LineNumbers<'t>(&'t str);

impl LineNumbers<'_> {
    /// The line of the first byte of a range, from 1.
    fn of(&self, span: &Range<usize>) -> usize {
        let before = self.0.as_bytes().get(..span.start).unwrap_or_default();
        memchr::memchr_iter(b'\n', before).count() + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(values: &[&str], is_array: bool, line: usize) -> ConfigValue {
        ConfigValue {
            values: values.iter().map(|&text| text.to_owned()).collect(),
            is_array,
            line,
        }
    }

    #[test]
    fn values_of_every_type_and_profiles_are_read() {
        let text = "\
# a comment
out = 'export'
rate = 50
base-url = \"https://example.org\"
tables = ['tasks', 'messages']
refresh_all = true
completed_after = 2024-01-31

[profile.prod]
rate = 0.5
[profile.'a b']
";
        let config = parse(text).unwrap();
        let base = [
            ("base-url", value(&["https://example.org"], false, 4)),
            ("completed-after", value(&["2024-01-31"], false, 7)),
            ("out", value(&["export"], false, 2)),
            ("rate", value(&["50"], false, 3)),
            ("refresh-all", value(&["true"], false, 6)),
            ("tables", value(&["tasks", "messages"], true, 5)),
        ];
        let base = base.map(|(name, value)| (name.to_owned(), value));
        assert_eq!(config.base, BTreeMap::from(base));
        assert_eq!(config.profiles["prod"]["rate"], value(&["0.5"], false, 10));
        assert!(config.profiles["a b"].is_empty());
        assert_eq!(parse("").unwrap(), ConfigText::default());
    }

    #[test]
    fn a_mistake_names_its_line_and_repeats_no_value() {
        for (text, line, part) in [
            ("rate = 50\nout = live_secret", 2, "not valid TOML"),
            ("\nout = 'a'\nout = 'live_secret'", 3, "not valid TOML"),
            ("base-url = 'a'\nbase_url = 'live_secret'", 2, "there twice"),
            ("profile = 'live_secret'", 1, "not a table"),
            ("[profile]\nprod = 'live_secret'", 2, "not a table"),
            ("[network]\nrate = 50", 1, "`network` is a table"),
            ("out = [['live_secret']]", 1, "array of tables or arrays"),
        ] {
            let mistake = parse(text).unwrap_err();
            assert_eq!(mistake.line, line, "{text}: {mistake:?}");
            let shown = mistake.reason.replace("the value of ", "");
            assert!(shown.contains(part), "{text}: {mistake:?}");
            assert!(!mistake.reason.contains("live_"), "{text}: {mistake:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,60}") {
            let _ = parse(&text);
            let _ = parse(&format!("[profile.x]\n{text} = {text}"));
        }
    }
}
