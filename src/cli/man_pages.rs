//! Manual pages of the commands, made from their help. Pure.

use clap::Command;
use clap_mangen::Man;

/// The section of programs in the manual.
const SECTION: &str = "1";

/// A manual page.
#[derive(Debug)]
pub(crate) struct ManPage {
    /// The command; empty for the main page.
    pub(crate) command: String,
    /// The name of its file, like `scale-export-verify.1`.
    pub(crate) file_name: String,
    /// Its text, as roff.
    pub(crate) text: String,
}

/// The main page, then the pages of all commands that the help lists.
pub(crate) fn man_pages(main: &Command) -> Vec<ManPage> {
    let listed = main
        .get_subcommands()
        .filter(|command| !command.is_hide_set());
    let main_page = page(main, String::new());
    let pages = listed.map(|command| page(command, command.get_name().to_owned()));
    std::iter::once(main_page).chain(pages).collect()
}

fn page(command: &Command, name: String) -> ManPage {
    let after = command.get_after_long_help().map(ToString::to_string);
    let mut command = command.clone();
    let title = command
        .get_display_name()
        .unwrap_or("scale-export")
        .to_owned();
    if command.get_overridden_usage().is_none() {
        // Otherwise the synopsis lists every option.
        let usage = command.render_usage().to_string();
        let usage = usage.trim_start_matches("Usage:").trim().to_owned();
        command = command.override_usage(usage);
    }
    let command = command
        // The end of the help follows as separate sections.
        .after_help(None::<&str>)
        .after_long_help(None::<&str>);
    let mut text = Vec::new();
    // A `Vec` takes every byte.
    let _ = Man::new(command)
        .title(title.to_uppercase())
        .section(SECTION)
        .source(concat!("scale-export ", env!("CARGO_PKG_VERSION")))
        .manual("scale-export")
        .render(&mut text);
    let mut text = String::from_utf8_lossy(&text).into_owned();
    text.push_str(&sections(after.as_deref().unwrap_or_default()));
    let file_name = format!("{title}.{SECTION}");
    ManPage {
        command: name,
        file_name,
        text,
    }
}

/// The end of a help as sections. A line that is not indented begins one: `Title:`, or `Title: text`.
fn sections(after_help: &str) -> String {
    let mut text = String::new();
    for line in after_help.lines() {
        let title = line
            .split_once(':')
            .filter(|(title, _)| title.starts_with(char::is_alphabetic));
        let content = match title {
            Some((title, rest)) => {
                if !text.is_empty() {
                    text.push_str(".fi\n");
                }
                text.push_str(&format!(".SH \"{}\"\n.nf\n", title.to_uppercase()));
                rest.trim_start()
            }
            None => line.strip_prefix("  ").unwrap_or(line),
        };
        if title.is_none() || !content.is_empty() {
            text.push_str(&escaped(content));
            text.push('\n');
        }
    }
    if !text.is_empty() {
        text.push_str(".fi\n");
    }
    text
}

/// A line of text for roff, which reads `\` as an escape, a bare `-` as a hyphen, and a first `.` or `'` as a request.
fn escaped(line: &str) -> String {
    let text = line.replace('\\', "\\e").replace('-', "\\-");
    match text.chars().next() {
        Some('.' | '\'') => format!("\\&{text}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::command_line::documented_command;

    #[test]
    fn every_listed_command_has_a_page_with_its_options_and_examples() {
        let pages = man_pages(&documented_command());
        let names: Vec<&str> = pages.iter().map(|page| page.file_name.as_str()).collect();
        assert_eq!(names[0], "scale-export.1");
        assert!(names.contains(&"scale-export-verify.1"), "{names:?}");
        assert!(!names.contains(&"scale-export-help.1"), "{names:?}");
        for page in &pages {
            for part in [
                ".TH SCALE-EXPORT",
                ".SH SYNOPSIS",
                ".SH \"EXAMPLES\"",
                "Print help",
            ] {
                assert!(page.text.contains(part), "{part} is not in {}", page.text);
            }
        }
        let main = &pages[0].text;
        // An option that `-h` leaves out.
        let (_, option) = main.split_once("\\fB\\-\\-max\\-body\\fR").unwrap();
        assert!(option.contains("Maximum size of a response"), "{main}");
        assert!(main.contains("SCALE_EXPORT_MAX_BODY"), "{main}");
    }

    #[test]
    fn sections_keep_lines_and_escape_requests() {
        let text = sections("Examples:\n  a:\n      b -x 'c\\d'\n.e\n\nDocumentation: f.md");
        let expected = ".SH \"EXAMPLES\"\n.nf\na:\n    b \\-x 'c\\ed'\n\\&.e\n\n.fi\n\
            .SH \"DOCUMENTATION\"\n.nf\nf.md\n.fi\n";
        assert_eq!(text, expected);
    }
}
