//! What stderr and stdout can show: color, characters beyond ASCII, a progress line, and its width.

use std::io::IsTerminal as _;
use std::sync::OnceLock;

use crate::cli::shared_args::ColorArg;

/// Columns where the terminal does not report its width, and where stderr is not a terminal.
const DEFAULT_COLUMNS: usize = 80;

/// The facts about a stream that do not change during a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terminal {
    /// Whether the stream is a terminal that can move its cursor.
    pub(crate) is_interactive: bool,
    pub(crate) has_color: bool,
    pub(crate) has_unicode: bool,
}

static STDERR: OnceLock<Terminal> = OnceLock::new();
static STDOUT: OnceLock<Terminal> = OnceLock::new();

/// Sets what `--color` says. Only the first call has an effect.
pub(crate) fn choose_color(color: ColorArg) {
    let _ = STDERR.set(detect_stderr(color));
    let _ = STDOUT.set(detect_stdout(color));
}

/// The facts about stderr.
pub(crate) fn stderr() -> Terminal {
    *STDERR.get_or_init(|| detect_stderr(ColorArg::Auto))
}

/// The facts about stdout.
pub(crate) fn stdout() -> Terminal {
    *STDOUT.get_or_init(|| detect_stdout(ColorArg::Auto))
}

/// Columns of stderr now: a window can change its size.
pub(crate) fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stderr());
    let columns = size.map_or(0, |size| usize::from(size.ws_col));
    // A pseudo-terminal whose window has no size reports 0.
    if columns == 0 {
        DEFAULT_COLUMNS
    } else {
        columns
    }
}

fn detect_stderr(color: ColorArg) -> Terminal {
    detect(color, std::io::stderr().is_terminal(), variable)
}

fn detect_stdout(color: ColorArg) -> Terminal {
    detect(color, std::io::stdout().is_terminal(), variable)
}

/// The value of an environment variable that is not empty.
fn variable(name: &str) -> Option<String> {
    let value = std::env::var_os(name)?;
    let value = value.to_string_lossy().into_owned();
    Some(value).filter(|value| !value.is_empty())
}

/// See <https://no-color.org> and <https://bixense.com/clicolors>; the locale as in setlocale(3).
fn detect(
    color: ColorArg,
    is_terminal: bool,
    variable: impl Fn(&str) -> Option<String>,
) -> Terminal {
    // The progress line moves the cursor, which a dumb terminal cannot do.
    let is_terminal = is_terminal && variable("TERM").is_none_or(|term| term != "dumb");
    let has_color = match color {
        ColorArg::Always => true,
        ColorArg::Never => false,
        // It takes precedence over CLICOLOR_FORCE, and --color over both.
        ColorArg::Auto if variable("NO_COLOR").is_some() => false,
        ColorArg::Auto => {
            is_terminal || variable("CLICOLOR_FORCE").is_some_and(|value| value != "0")
        }
    };
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(&variable);
    let has_unicode = locale.is_some_and(|locale| {
        // Systems write the encoding in different ways: `C.UTF-8`, `de_DE.utf8`.
        let locale = locale.to_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    });
    Terminal {
        is_interactive: is_terminal,
        has_color,
        has_unicode,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(color: ColorArg, is_terminal: bool, variables: &[(&str, &str)]) -> Terminal {
        detect(color, is_terminal, |name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn color_follows_the_option_then_the_variables_then_the_terminal() {
        let (auto, always, never) = (ColorArg::Auto, ColorArg::Always, ColorArg::Never);
        for (color, is_terminal, variables, expected) in [
            (auto, true, &[][..], true),
            (auto, false, &[], false),
            (auto, true, &[("NO_COLOR", "1")], false),
            (auto, true, &[("TERM", "dumb")], false),
            (auto, false, &[("CLICOLOR_FORCE", "1")], true),
            (auto, false, &[("CLICOLOR_FORCE", "0")], false),
            (auto, true, &[("CLICOLOR_FORCE", "0")], true),
            (
                auto,
                false,
                &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")],
                false,
            ),
            (always, false, &[("NO_COLOR", "1")], true),
            (never, true, &[("CLICOLOR_FORCE", "1")], false),
        ] {
            let terminal = with(color, is_terminal, variables);
            assert_eq!(terminal.has_color, expected, "{color:?} {variables:?}");
        }
    }

    #[test]
    fn the_first_locale_variable_counts() {
        for (variables, expected) in [
            (&[][..], false),
            (&[("LANG", "C.UTF-8")], true),
            (&[("LANG", "de_DE.utf8")], true),
            (&[("LANG", "C.UTF-8"), ("LC_ALL", "C")], false),
            (&[("LANG", "C"), ("LC_CTYPE", "en_US.UTF-8")], true),
        ] {
            let terminal = with(ColorArg::Auto, true, variables);
            assert_eq!(terminal.has_unicode, expected, "{variables:?}");
        }
    }
}
