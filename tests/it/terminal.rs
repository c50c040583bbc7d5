//! What a person sees in a terminal: progress, colors, interruptions, prompts.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use scale_export::sandbox::config::SandboxConfig;
use scale_export::sandbox::limit_models::{LimitPlan, TimeSpan};
use scale_export::sandbox::server::Sandbox;

use crate::support::terminal::{Screen, Session};
use crate::support::{KEY, export, program, sandbox, task_ids};

/// A server with so many milliseconds before each response.
fn slow(milliseconds: u64) -> Sandbox {
    sandbox(SandboxConfig {
        latency: Duration::from_millis(milliseconds),
        ..SandboxConfig::default()
    })
}

fn command(server: &Sandbox, out: &Path, ids: usize) -> Command {
    let list = out.with_extension("ids");
    std::fs::write(&list, task_ids(ids).join("\n")).unwrap();
    let mut command = program();
    command
        .env("SCALE_API_KEY", KEY)
        .args(["--rate", "max", "--base-url", &server.base_url(), "--ids"])
        .arg(list)
        .arg("--out")
        .arg(out);
    command
}

/// Whether a line is the progress.
fn is_progress(line: &str) -> bool {
    line.contains("tasks/s") || line.contains('%')
}

fn is_fetching(screen: &Screen) -> bool {
    screen.lines().iter().any(|line| line.contains("tasks/s"))
}

/// A final screen without what differs between runs.
fn recorded(screen: &Screen, base: &Path) -> String {
    let text = screen.lines().join("\n");
    let text = text.replace(&base.display().to_string(), "BASE");
    let is_digit = |letter: char| letter.is_ascii_digit() || letter == '.';
    let words = text.split_inclusive([' ', '\n']).map(|word| {
        let is_number = word.contains('.')
            && word
                .trim_matches(['(', ')', ';', ' '])
                .chars()
                .all(is_digit);
        if is_number {
            "N ".to_owned()
        } else {
            word.to_owned()
        }
    });
    words.collect()
}

#[test]
fn progress_is_one_line_at_every_width() {
    let base = tempfile::tempdir().unwrap();
    for columns in [120, 60, 30] {
        let server = slow(20);
        let out = base.path().join(columns.to_string());
        let mut run = command(&server, &out, 400);
        run.args(["--concurrency", "4"]);
        let mut session = Session::start(&run, columns);
        let mut lines = Vec::new();
        while let Some(screen) = session.read() {
            let now = screen.lines();
            if now.iter().any(|line| line.starts_with("Exported")) {
                break;
            }
            assert!(now.len() <= 1, "{now:?}");
            lines.extend(now);
        }
        let (screen, status) = session.finish();
        assert!(status.success());
        let has = |part: &str| lines.iter().any(|line| line.contains(part));
        assert!(has("%") && has(" tasks/s") && has(" s left"), "{lines:?}");
        assert!(columns < 60 || has(" requests/s"), "{lines:?}");
        assert!(columns < 120 || has("[###"), "{lines:?}");
        assert!(
            !screen.lines().iter().any(|line| is_progress(line)),
            "{:?}",
            screen.lines()
        );
    }
}

#[test]
fn the_end_of_a_run_is_as_recorded() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig {
        failed_ids: vec!["not_found=task_3".parse().unwrap()],
        ..SandboxConfig::default()
    });
    let mut run = command(&server, &base.path().join("out"), 30);
    run.args(["--color", "never", "--refresh", "none"]);
    let (screen, status) = Session::start(&run, 120).finish();
    assert_eq!(status.code(), Some(3));
    insta::assert_snapshot!("export_with_failures", recorded(&screen, base.path()));
    let (screen, _) = Session::start(&run, 120).finish();
    insta::assert_snapshot!("export_again", recorded(&screen, base.path()));
    let mut verify = program();
    verify.arg("verify").arg(base.path().join("out"));
    let (screen, status) = Session::start(&verify, 200).finish();
    assert!(status.success());
    insta::assert_snapshot!("verify", recorded(&screen, base.path()));
}

#[test]
fn an_interruption_leaves_no_progress_line() {
    let base = tempfile::tempdir().unwrap();
    for columns in [80, 30] {
        let server = slow(20);
        let out = base.path().join(columns.to_string());
        let mut run = command(&server, &out, 1_000);
        run.args(["--concurrency", "4"]);
        let mut session = Session::start(&run, columns);
        assert!(session.read_until(is_fetching));
        session.send("\u{3}");
        let (screen, status) = session.finish();
        assert_eq!(status.code(), Some(130));
        let lines = screen.lines();
        assert!(lines[0].starts_with("interrupted: "), "{lines:?}");
        let text = lines.concat();
        assert!(text.contains("no tables were written"), "{text}");
        assert!(!text.contains(" left") && !text.contains("^C"), "{text}");
        assert!(!lines.iter().any(|line| is_progress(line)), "{lines:?}");
    }
}

#[cfg(debug_assertions)] // Only debug builds have numbered steps.
#[test]
fn a_second_interruption_leaves_no_progress_line() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let mut run = command(&server, &base.path().join("out"), 10);
    // The disk hangs as the responses are to be synced.
    run.args(["--concurrency", "1"])
        .env("SCALE_EXPORT_FAILPOINT", "journal:14:hang");
    let mut session = Session::start(&run, 80);
    assert!(session.read_until(|_| server.requests() == 10));
    std::thread::sleep(Duration::from_millis(500));
    session.send("\u{3}");
    let is_stopping = |screen: &Screen| screen.lines().concat().contains("Stopping");
    assert!(session.read_until(is_stopping));
    session.send("\u{3}");
    let (screen, status) = session.finish();
    assert_eq!(status.code(), Some(130));
    assert_eq!(screen.lines(), Vec::<String>::new());
}

/// The longest time left in a progress line, in seconds.
fn time_left(line: &str) -> Option<u64> {
    let (before, _) = line.split_once(" left")?;
    let words: Vec<&str> = before
        .split(' ')
        .rev()
        .take_while(|word| !word.is_empty())
        .collect();
    let mut seconds = 0;
    for pair in words.chunks(2) {
        let [unit, count] = pair else { continue };
        let scale = match *unit {
            "s" => 1,
            "min" => 60,
            _ => 3_600,
        };
        seconds += scale * count.parse::<u64>().unwrap();
    }
    Some(seconds)
}

#[test]
fn a_stopped_process_does_not_change_the_time_left() {
    let base = tempfile::tempdir().unwrap();
    let server = slow(20);
    let mut run = command(&server, &base.path().join("out"), 800);
    run.args(["--concurrency", "1"]);
    let mut session = Session::start(&run, 120);
    let knows = |screen: &Screen| screen.lines().iter().any(|line| time_left(line).is_some());
    assert!(session.read_until(knows));
    let pid = Pid::from_child(&session.child);
    kill_process(pid, Signal::STOP).unwrap();
    std::thread::sleep(Duration::from_secs(8));
    kill_process(pid, Signal::CONT).unwrap();
    let resumed = Instant::now();
    let mut before = None;
    let mut worst = 0;
    while resumed.elapsed() < Duration::from_secs(3) {
        let Some(screen) = session.read() else { break };
        let left = screen.lines().iter().find_map(|line| time_left(line));
        before = before.or(left);
        worst = worst.max(left.unwrap_or_default());
    }
    session.send("\u{3}");
    session.finish();
    // At 50 tasks per second or fewer, 800 tasks take about 20 s; over the pause it would be more than a minute.
    assert!(before.is_some() && worst < 60, "{worst} s");
}

#[test]
fn progress_during_an_outage_shows_when_the_run_gives_up() {
    let base = tempfile::tempdir().unwrap();
    let second = Duration::from_secs(1);
    let server = sandbox(SandboxConfig {
        latency: Duration::from_millis(20),
        limits: LimitPlan {
            outages: vec![TimeSpan {
                from: second,
                until: second * 7,
            }],
            ..LimitPlan::default()
        },
        ..SandboxConfig::default()
    });
    let mut run = command(&server, &base.path().join("out"), 500);
    run.args(["--concurrency", "4"]);
    let mut session = Session::start(&run, 120);
    let is_outage = |screen: &Screen| {
        let lines = screen.lines();
        let line = lines
            .iter()
            .find(|line| line.contains("API not responding for "));
        line.is_some_and(|line| line.contains(", giving up after 5 min") && !line.contains(" left"))
    };
    assert!(session.read_until(is_outage));
    assert!(session.read_until(is_fetching));
    let (screen, status) = session.finish();
    assert!(status.success(), "{:?}", screen.lines());
}

#[test]
fn colors_follow_the_terminal_the_variables_and_the_option() {
    const RED: &str = "\u{1b}[1;31merror:\u{1b}[0m";
    for (variables, options, has_color) in [
        (&[][..], &[][..], true),
        (&[("NO_COLOR", "1")], &[], false),
        (&[("TERM", "dumb")], &[], false),
        (&[], &["--color", "never"], false),
        (&[("NO_COLOR", "1")], &["--color=always"], true),
    ] {
        let mut run = program();
        run.envs(variables.iter().copied())
            .args(options)
            .arg("--wibble");
        let (screen, status) = Session::start(&run, 80).finish();
        assert_eq!(status.code(), Some(2));
        let output = &screen.output;
        assert_eq!(
            output.contains(RED),
            has_color,
            "{variables:?} {options:?}: {output}"
        );
    }
    for (variables, options, has_color) in [
        (&[][..], &[][..], false),
        (&[("CLICOLOR_FORCE", "1")], &[], true),
        (&[], &["--color", "always"], true),
    ] {
        let mut run = program();
        run.envs(variables.iter().copied())
            .args(options)
            .arg("--wibble");
        let printed = String::from_utf8(run.output().unwrap().stderr).unwrap();
        assert_eq!(
            printed.contains(RED),
            has_color,
            "{variables:?} {options:?}: {printed}"
        );
    }
}

#[test]
fn the_bar_is_ascii_where_the_locale_is_not_utf_8() {
    let base = tempfile::tempdir().unwrap();
    for (locale, part) in [("C", "#-"), ("C.UTF-8", "░░")] {
        let server = slow(20);
        let mut run = command(&server, &base.path().join(locale), 50);
        run.args(["--concurrency", "1"]).env("LANG", locale);
        let (screen, status) = Session::start(&run, 120).finish();
        assert!(status.success());
        assert!(screen.output.contains(part), "{locale}: {}", screen.output);
        assert!(locale != "C" || screen.output.is_ascii());
    }
}

#[test]
fn a_command_that_reads_a_terminal_prints_a_note() {
    let base = tempfile::tempdir().unwrap();
    let mut run = program();
    run.args(["--sandbox", "--ids", "-", "--out"])
        .arg(base.path().join("out"));
    let mut session = Session::start(&run, 120);
    let asks = |screen: &Screen| {
        let lines = screen.lines().concat();
        lines.contains("reading task IDs from standard input; end with Ctrl-D")
    };
    assert!(session.read_until(asks));
    session.send("task_1\n\u{4}");
    let (screen, status) = session.finish();
    assert!(status.success(), "{:?}", screen.lines());
}

#[test]
fn log_lines_have_timestamps_where_stderr_is_not_a_terminal() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    export(&server, base.path(), "out", &task_ids(3), &[]);
    let (_, output) = export(&server, base.path(), "out", &task_ids(5), &[]);
    let printed = String::from_utf8(output.stderr).unwrap();
    let (time, text) = printed.lines().next().unwrap().split_once(' ').unwrap();
    assert!(time.parse::<jiff::Timestamp>().is_ok(), "{printed}");
    let (kept, rest) = text.split_once(" of 5 tasks kept; fetching ").unwrap();
    let (fetched, counts) = rest.split_once(' ').unwrap();
    let [kept, fetched] = [kept, fetched].map(|count| count.parse::<usize>().unwrap());
    assert_eq!(kept + fetched, 5, "{printed}");
    assert_eq!(counts, format!("({} not final, 0 failed, 2 new)", 3 - kept));
    assert!(printed.contains("\nExported 5 of 5 tasks"), "{printed}");
}
