//! Configuration files: what they set, what precedes them, and what they must not set.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use scale_export::sandbox::config::SandboxConfig;

use crate::support::server::{Server, task_response};
use crate::support::{KEY, manifest, program, sandbox};

/// A user with an empty home, in an empty directory.
struct User {
    base: tempfile::TempDir,
}

impl User {
    fn new() -> Self {
        let base = tempfile::tempdir().unwrap();
        fs::create_dir_all(base.path().join("config/scale-export")).unwrap();
        fs::create_dir(base.path().join("work")).unwrap();
        Self { base }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.base.path().join(name)
    }

    /// Writes the file of the user's configuration directory.
    fn user_file(&self, text: &str) -> &Self {
        fs::write(self.path("config/scale-export/scale-export.toml"), text).unwrap();
        self
    }

    /// Writes the file of the current directory.
    fn current_file(&self, text: &str) -> &Self {
        fs::write(self.path("work/scale-export.toml"), text).unwrap();
        self
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program();
        command
            .env("XDG_CONFIG_HOME", self.path("config"))
            .current_dir(self.path("work"))
            .env("SCALE_EXPORT_PROGRESS", "never")
            .args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn assert_code(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}", stderr(output));
}

/// Fails unless the run ended with 2, an error with the reason, and a hint.
fn assert_refused(output: &Output, reason: &str, hint: &str) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    let (error, rest) = text.split_once("\nhint: ").unwrap();
    assert!(error.contains(reason), "{text}");
    assert!(rest.contains(hint), "{text}");
}

#[test]
fn a_run_needs_only_its_files() {
    let server = sandbox(SandboxConfig::default());
    let user = User::new();
    user.user_file(&format!(
        "base_url = '{}'\napi_key_file = 'key'\n",
        server.base_url()
    ))
    .current_file(
        "ids = 'list/ids.txt'\nout = 'export'\ntables = ['tasks', 'messages']\nrate = 'max'\n",
    );
    fs::write(user.path("config/scale-export/key"), KEY).unwrap();
    fs::create_dir(user.path("work/list")).unwrap();
    fs::write(user.path("work/list/ids.txt"), "task_1\ntask_2\n").unwrap();
    assert_code(&user.run(&[]), 0);
    let manifest = manifest(&user.path("work/export"));
    assert_eq!(manifest["ids"]["requested"], 2);
    let tables: Vec<&String> = manifest["tables"].as_object().unwrap().keys().collect();
    assert_eq!(tables, ["messages", "tasks"]);
    // From another directory, with the file by its name: paths are relative to the file.
    let other = user.path("config");
    let mut command = user.command(&["--config"]);
    command
        .arg(user.path("work/scale-export.toml"))
        .current_dir(&other);
    let output = command
        .env("SCALE_API_KEY", KEY)
        .args(["--base-url", &server.base_url()])
        .output()
        .unwrap();
    assert_code(&output, 0);
    assert!(!other.join("export").exists());
}

#[test]
fn the_command_line_precedes_variables_and_variables_precede_profiles_and_files() {
    let server = sandbox(SandboxConfig::default());
    let user = User::new();
    let base = format!("base_url = '{}'\n", server.base_url());
    let profile = "[profile.csv]\nformat = 'csv'\nid = 'task_3'\n";
    user.user_file(&format!(
        "{base}out = 'a'\nid = ['task_1', 'task_2']\n{profile}"
    ));
    let out = |name: &str| user.path(&format!("config/scale-export/{name}"));
    let run = |variables: &[(&str, &str)], arguments: &[&str]| {
        let mut command = user.command(arguments);
        command.env("SCALE_API_KEY", KEY);
        command.envs(variables.iter().copied());
        assert_code(&command.output().unwrap(), 0);
    };
    let requested = |out: &Path| manifest(out)["ids"]["requested"].clone();
    run(&[], &[]);
    assert_eq!(requested(&out("a")), 2);
    // The profile.
    let b = out("b").display().to_string();
    run(&[], &["--profile", "csv", "--out", &b]);
    assert_eq!(manifest(&out("b"))["options"]["format"], "csv");
    assert_eq!(requested(&out("b")), 1);
    // A variable precedes the profile, and the command line precedes both. Other ways to name tasks are replaced too.
    let c = out("c").display().to_string();
    let variables = [
        ("SCALE_EXPORT_PROFILE", "csv"),
        ("SCALE_EXPORT_FORMAT", "parquet"),
        ("SCALE_EXPORT_OUT", &c),
    ];
    fs::write(user.path("work/ids.txt"), "task_4\ntask_5\ntask_6\n").unwrap();
    run(&variables, &["--ids", "ids.txt"]);
    assert_eq!(manifest(&out("c"))["options"]["format"], "parquet");
    assert_eq!(requested(&out("c")), 3);
}

#[test]
fn an_empty_variable_does_not_hide_a_file() {
    let server = sandbox(SandboxConfig::default());
    let user = User::new();
    user.user_file(&format!(
        "base_url = '{}'\nid = 'task_1'\nout = 'out'",
        server.base_url()
    ));
    let output = user
        .command(&[])
        .env("SCALE_API_KEY", KEY)
        .envs([("SCALE_EXPORT_OUT", ""), ("SCALE_EXPORT_ID", "")])
        .output()
        .unwrap();
    assert_code(&output, 0);
    assert!(user.path("config/scale-export/out/manifest.json").exists());
}

#[test]
fn variables_of_the_api_precede_files() {
    let right = sandbox(SandboxConfig::default());
    let wrong = Server::start(task_response);
    let user = User::new();
    user.user_file(&format!(
        "base_url = 'http://{}'\napi_key_file = 'missing'\n",
        wrong.address
    ));
    let output = user
        .command(&["--id", "task_1", "--out", "out"])
        .env("SCALE_API_KEY", KEY)
        .env("SCALE_API_URL", right.base_url())
        .output()
        .unwrap();
    assert_code(&output, 0);
    assert!(wrong.seen().is_empty());
}

#[test]
fn a_file_in_the_current_directory_cannot_choose_the_server_the_key_or_a_program() {
    let attacker = Server::start(task_response);
    let user = User::new();
    let url = format!("http://{}", attacker.address);
    for (line, name) in [
        (format!("base_url = '{url}'"), "base_url"),
        (format!("base-url = '{url}'"), "base_url"),
        (
            "api_key_command = 'touch ran'".to_owned(),
            "api_key_command",
        ),
        ("api_key_file = '/etc/passwd'".to_owned(), "api_key_file"),
        ("ca_file = 'ca.pem'".to_owned(), "ca_file"),
        ("allow_http = true".to_owned(), "allow_http"),
        (format!("[profile.p]\nbase_url = '{url}'"), "base_url"),
    ] {
        user.current_file(&line);
        let mut command = user.command(&["--id", "task_1", "--out", "out"]);
        let output = command.env("SCALE_API_KEY", KEY).output().unwrap();
        let reason = format!("a file in the current directory cannot set `{name}`");
        assert_refused(&output, &reason, "--config scale-export.toml");
    }
    assert!(attacker.seen().is_empty());
    assert!(!user.path("work/ran").exists());
    // The user can name the file.
    user.current_file(&format!("base_url = '{url}'"));
    let arguments = [
        "--id",
        "task_1",
        "--out",
        "out",
        "--config",
        "scale-export.toml",
    ];
    let output = user
        .command(&arguments)
        .env("SCALE_API_KEY", KEY)
        .output()
        .unwrap();
    assert_code(&output, 0);
    assert_eq!(attacker.seen().len(), 1);
}

#[test]
fn mistakes_in_files_are_named_with_file_and_line() {
    let user = User::new();
    for (text, arguments, reason, hint) in [
        (
            "\nraet = 1",
            &[][..],
            "`scale-export.toml`, line 2: unknown option `raet`",
            "did you mean `rate`?",
        ),
        (
            "rate = 'fast'",
            &[],
            "invalid value `fast` for `rate` in scale-export.toml (line 1): expected requests per second",
            "see scale-export --help",
        ),
        (
            "[profile.p]\nformat = 'parqet'",
            &["--profile", "p"],
            "invalid value `parqet` for `format` of profile p in scale-export.toml (line 2)",
            "did you mean `parquet`?",
        ),
        (
            "rate = 1\n[profile.prod]",
            &["--profile", "prd"],
            "could not find the profile `prd`",
            "did you mean `prod`?",
        ),
        ("rate = [1, 2]", &[], "`rate` has one value", "brackets"),
        (
            "rate = {a = 1}",
            &[],
            "the value of `rate` is a table",
            "docs/configuration.md",
        ),
        ("rate 1", &[], "not valid TOML", "docs/configuration.md"),
        ("config = 'x'", &[], "unknown option `config`", ""),
        ("help = true", &[], "unknown option `help`", ""),
        (
            "api_key = 'live_0123456789abcdef0123'",
            &[],
            "the API key must not be in a configuration file",
            "api_key_file",
        ),
        (
            "batch = 'a'\nproject = 'b'",
            &[],
            "`project` in scale-export.toml (line 2) cannot be used with `batch` in scale-export.toml (line 1)",
            "",
        ),
        (
            "fail_fast = true\nmax_failures = 3",
            &[],
            "`fail_fast` in scale-export.toml (line 1) cannot be used with",
            "",
        ),
    ] {
        user.current_file(text);
        let output = user.run(&[&["--id", "task_1", "--out", "out"], arguments].concat());
        let is_list = text.starts_with("batch");
        let output = if is_list {
            user.run(&["--out", "out"])
        } else {
            output
        };
        assert_refused(&output, reason, hint);
        assert!(!stderr(&output).contains("live_"), "{}", stderr(&output));
    }
    // Nothing of it is read for the help.
    assert_code(&user.run(&["--help"]), 0);
    let mut schema = program();
    schema
        .current_dir(user.path("work"))
        .args(["schema", "tasks"]);
    assert_code(&schema.output().unwrap(), 0);
    for (arguments, reason) in [
        (
            &["--config", "missing.toml"][..],
            "`missing.toml`: No such file",
        ),
        (&["--config", "."], "`.`: is a directory"),
    ] {
        assert_refused(&user.run(arguments), reason, "--config");
    }
}

#[test]
fn a_file_that_other_users_can_write_is_refused_and_a_pipe_is_not_waited_for() {
    let user = User::new();
    user.current_file("rate = 5\n");
    let path = user.path("work/scale-export.toml");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let output = user.run(&["--id", "task_1", "--out", "out"]);
    assert_refused(
        &output,
        "every user of this machine can write it",
        "chmod o-w",
    );
    fs::remove_file(&path).unwrap();
    let status = Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(status.success());
    let output = user.run(&["--id", "task_1", "--out", "out", "--sandbox"]);
    assert_code(&output, 0);
}

#[test]
fn a_program_gives_the_key_and_its_mistakes_are_named() {
    let server = sandbox(SandboxConfig::default());
    let user = User::new();
    let run = |command: &str| {
        user.user_file(&format!(
            "base_url = '{}'\napi_key_command = \"{command}\"\n",
            server.base_url()
        ));
        user.run(&["--id", "task_1", "--out", "out"])
    };
    assert_code(&run(&format!("printf '%s\\\\n' '{KEY}'")), 0);
    for (command, reason) in [
        ("false", "`false` ended with exit status: 1"),
        ("no-such-program", "`no-such-program` could not be started"),
        ("echo 'a", "an opening quote without a closing one"),
        ("", "it is empty"),
        ("true", "the output of the command for the key is empty"),
        ("sh -c 'echo live_a; echo b'", "has several lines"),
        ("yes live_0123456789abcdef0123", "ended with signal: 13"),
    ] {
        let output = run(command);
        assert_refused(&output, reason, "");
        assert!(!stderr(&output).contains("live_"), "{}", stderr(&output));
    }
    let output = user.run(&[
        "--id",
        "task_1",
        "--out",
        "out",
        "--api-key-file",
        "missing",
    ]);
    assert_refused(&output, "`missing`: No such file", "");
    let both = ["--api-key-file", "a", "--api-key-command", "b"];
    let output = user.run(&[&["--id", "task_1", "--out", "out"], &both[..]].concat());
    assert_refused(
        &output,
        "--api-key-file cannot be used with --api-key-command",
        "",
    );
}

#[test]
fn a_check_shows_where_each_value_comes_from() {
    let server = sandbox(SandboxConfig::default());
    let user = User::new();
    user.user_file("out = 'export'\n[profile.slow]\nrate = 5\n");
    let output = user
        .command(&["check", "--id", "task_1", "--profile", "slow", "--json"])
        .env("SCALE_API_KEY", KEY)
        .env("SCALE_API_URL", server.base_url())
        .env("SCALE_EXPORT_FORMAT", "csv")
        .output()
        .unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let options: Vec<[&str; 3]> = report["options"]
        .as_array()
        .unwrap()
        .iter()
        .map(|option| ["name", "value", "source"].map(|key| option[key].as_str().unwrap()))
        .collect();
    let file = user.path("config/scale-export/scale-export.toml");
    let out = user.path("config/scale-export/export");
    let of_file = |name: &str, line: usize| format!("{name} in {} (line {line})", file.display());
    let url = server.base_url();
    let expected = [
        ["--base-url", &url, "SCALE_API_URL"],
        ["--format", "csv", "SCALE_EXPORT_FORMAT"],
        ["--id", "task_1", "--id"],
        ["--out", out.to_str().unwrap(), &of_file("`out`", 1)],
        ["--plan", "ids", "SCALE_EXPORT_PLAN"],
        ["--profile", "slow", "--profile"],
        ["--rate", "5", &of_file("`rate` of profile slow", 3)],
    ];
    for option in expected {
        assert!(options.contains(&option), "{option:?}\n{options:#?}");
    }
}
