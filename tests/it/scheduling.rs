//! Examples for schedulers, and the exit codes and commands in the documentation for operators.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use scale_export::sandbox::config::SandboxConfig;
use scale_export::sandbox::server::Sandbox;
use serde_json::Value;

use crate::support::{KEY, manifest, print_note, program, python, root, sandbox};

pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

pub(crate) fn leave_out(what: &str) {
    print_note(&format!("left out: {what}"));
}

pub(crate) fn text(output: &Output) -> String {
    let both = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// The first column of a table of exit codes, and the rest of the row.
fn rows_of_codes(document: &str) -> BTreeMap<i32, String> {
    let mut rows = BTreeMap::new();
    for line in document.lines() {
        let Some((codes, rest)) = line
            .strip_prefix("| ")
            .and_then(|row| row.split_once(" | "))
        else {
            continue;
        };
        let codes: Result<Vec<i32>, _> = codes.split(", ").map(str::parse).collect();
        for code in codes.unwrap_or_default() {
            assert!(rows.insert(code, rest.to_owned()).is_none(), "{code} twice");
        }
    }
    rows
}

/// For each exit code, whether a scheduler should try again, from `docs/exit_codes.md`.
pub(crate) fn is_retried() -> BTreeMap<i32, bool> {
    let rows = rows_of_codes(&read("docs/exit_codes.md"));
    let again = rows.into_iter().map(|(code, rest)| {
        let last = rest.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        assert!(["yes", "no"].contains(&last), "{code}: {last}");
        (code, last == "yes")
    });
    again.collect()
}

#[test]
fn every_exit_code_is_explained_to_operators() {
    let codes: Vec<i32> = is_retried().into_keys().collect();
    assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 8, 129, 130, 143]);
}

/// The directory of a scheduled run.
pub(crate) fn prepare(base: &Path) {
    fs::write(base.join("ids.txt"), "task_1\ntask_2\n").unwrap();
    fs::write(base.join("key"), format!("{KEY}\n")).unwrap();
}

/// A shell with the environment of cron.
fn shell(command: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", command])
        .env_clear()
        .env("PATH", "/usr/bin:/bin");
    shell
}

/// Sets the base URL, and a rate without waits.
pub(crate) fn against<'c>(command: &'c mut Command, server: &Sandbox) -> &'c mut Command {
    command
        .env("SCALE_API_URL", server.base_url())
        .env("SCALE_EXPORT_RATE", "max")
}

pub(crate) fn moved(command: &str, program: &str, base: &Path) -> String {
    command
        .replace("/srv/scale", &base.display().to_string())
        .replace("/usr/local/bin/scale-export", program)
}

/// The metrics of a run with exit code 0, where the examples write them.
fn assert_metrics(base: &Path) {
    let metrics = fs::read_to_string(base.join("scale_export.prom")).unwrap();
    let is_success =
        |line: &str| line.starts_with("scale_export_last_run_exit_code") && line.ends_with(" 0");
    assert!(metrics.lines().any(is_success), "{metrics}");
}

fn assert_exported(output: &Output, out: &Path) {
    assert!(output.status.success(), "{}", text(output));
    assert_eq!(manifest(out)["ids"]["exported"], 2);
}

/// The command of the export in the crontab, and that of the report.
fn crontab_commands() -> [String; 2] {
    let crontab = read("examples/crontab");
    let entries = crontab
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
    let entries: Vec<&str> = entries.collect();
    // cron ends the command at a bare %, and accepts at most 999 characters.
    let is_accepted = |entry: &&str| !entry.contains('%') && entry.len() < 1000;
    assert!(entries.iter().all(is_accepted));
    let variable = crontab
        .lines()
        .find_map(|line| line.strip_prefix("EXPORT="));
    // Five fields of time, then the command.
    let commands = entries.into_iter().map(|entry| {
        let command = entry.splitn(6, ' ').last().unwrap();
        command.replace("$EXPORT", variable.unwrap().trim_matches('"'))
    });
    commands.collect::<Vec<_>>().try_into().unwrap()
}

#[test]
fn the_crontab_runs() {
    let base = tempfile::tempdir().unwrap();
    prepare(base.path());
    let server = sandbox(SandboxConfig::default());
    let program = env!("CARGO_BIN_EXE_scale-export");
    let commands = crontab_commands();
    let [export, report] = commands.map(|command| moved(&command, program, base.path()));
    let output = against(&mut shell(&export), &server).output().unwrap();
    assert_exported(&output, &base.path().join("export"));
    assert_eq!(text(&output), "", "cron mails any output");
    assert_metrics(base.path());
    let output = shell(&report).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(text(&output), "", "cron mails any output");
    assert!(base.path().join("report.html").exists());
}

fn write_script(path: &Path, script: &str) {
    fs::write(path, format!("#!/bin/sh\n{script}")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Runs the command of the crontab with a mock program that exits with these codes, one after another. Returns the exit
/// code, the output, how often the program ran, and how often the command waited for an hour.
fn crontab_meets(codes: &[i32]) -> (i32, String, usize, usize) {
    let base = tempfile::tempdir().unwrap();
    let at = |name: &str| base.path().join(name);
    fs::create_dir(at("export")).unwrap();
    fs::write(at("export/failures.jsonl"), "the failures\n").unwrap();
    let lines = |name: &str| fs::read_to_string(at(name)).map_or(0, |text| text.lines().count());
    let codes: Vec<String> = codes.iter().map(ToString::to_string).collect();
    fs::write(at("codes"), codes.join("\n") + "\n").unwrap();
    let script = "[ \"$1\" != status ] || { echo the status; exit 0; }\n\
                  cd \"${0%/*}\"; echo >> runs; exit $(sed -n \"$(wc -l < runs)p\" codes)\n";
    write_script(&at("program"), script);
    let script = "[ $1 -eq 0 ] || { [ $1 -eq 3600 ] && echo >> \"${0%/*}/waits\"; }\n";
    write_script(&at("sleep"), script);
    let program = at("program").display().to_string();
    let [export, _] = crontab_commands();
    let output = shell(&moved(&export, &program, base.path()))
        .env("PATH", format!("{}:/usr/bin:/bin", base.path().display()))
        .output()
        .unwrap();
    let code = output.status.code().unwrap();
    (code, text(&output), lines("runs"), lines("waits"))
}

#[test]
fn the_crontab_handles_exit_codes() {
    for (&code, &again) in &is_retried() {
        // A run that was stopped by a signal must not start again within the hour.
        let again = again && code < 128;
        let (exit, printed, runs, waits) = crontab_meets(&[code, 0]);
        let expected = if again { (0, 2, 1) } else { (code, 1, 0) };
        assert_eq!((exit, runs, waits), expected, "exit code {code}: {printed}");
        assert_eq!(printed.is_empty(), exit == 0, "exit code {code}: {printed}");
        assert_eq!(printed.contains("the failures"), exit == 3);
        assert_eq!(printed.contains("the status"), exit != 0);
    }
    let (exit, printed, runs, waits) = crontab_meets(&[5; 9]);
    assert_eq!((exit, runs, waits), (5, 6, 5), "{printed}");
    let (exit, printed, runs, _) = crontab_meets(&[5, 3]);
    assert_eq!((exit, runs), (3, 2));
    assert!(printed.contains("the failures"));
}

/// The status that the service prints after a run.
fn assert_status(base: &Path, program: &str) {
    let command = setting("ExecStopPost").join(" ");
    // A failure of this command is not one of the service.
    let command = moved(command.strip_prefix('-').unwrap(), program, base);
    let output = shell(&command).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert!(!output.stdout.is_empty());
}

/// The values of a setting in the service file.
fn setting(name: &str) -> Vec<String> {
    let service = read("examples/scale-export.service");
    let prefix = format!("{name}=");
    let value = service.lines().find_map(|line| line.strip_prefix(&prefix));
    value.unwrap().split(' ').map(str::to_owned).collect()
}

#[test]
fn the_service_runs_and_handles_exit_codes() {
    let base = tempfile::tempdir().unwrap();
    prepare(base.path());
    let server = sandbox(SandboxConfig::default());
    let program = env!("CARGO_BIN_EXE_scale-export");
    let command = moved(&setting("ExecStart").join(" "), program, base.path());
    // The directory of credentials that systemd sets.
    let command = command.replace(
        "%d/scale-key",
        &base.path().join("key").display().to_string(),
    );
    let output = against(&mut shell(&command), &server).output().unwrap();
    assert_exported(&output, &base.path().join("export"));
    assert_metrics(base.path());
    assert_status(base.path(), program);

    assert_eq!(setting("Restart"), ["on-failure"]);
    let success = setting("SuccessExitStatus");
    assert_eq!(success, ["129", "130", "143"], "stopped by hand");
    let prevented = setting("RestartPreventExitStatus");
    // 0 is not a failure, and the export never exits with 7.
    for (code, again) in is_retried() {
        if ![0, 7, 129, 130, 143].contains(&code) {
            assert_eq!(prevented.contains(&code.to_string()), !again, "{code}");
        }
    }
}

#[test]
fn systemd_accepts_the_units() {
    let base = tempfile::tempdir().unwrap();
    let units = ["scale-export.service", "scale-export.timer"].map(|name| {
        let unit = read(&format!("examples/{name}"));
        let unit = unit.replace(
            "/usr/local/bin/scale-export",
            env!("CARGO_BIN_EXE_scale-export"),
        );
        let path = base.path().join(name);
        fs::write(&path, unit).unwrap();
        path
    });
    let check = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .args(units)
        .output();
    let Ok(output) = check else {
        return leave_out("a check of the systemd units: systemd-analyze is not on this machine");
    };
    // systemd reports and ignores unknown names, with exit code 0.
    let printed = text(&output);
    let complaints: Vec<&str> = printed
        .lines()
        .filter(|line| line.contains("scale-export"))
        .collect();
    assert!(
        output.status.success() && complaints.is_empty(),
        "{complaints:?}"
    );
}

/// The action of a `podFailurePolicy` for an exit code: that of the first rule that matches.
pub(crate) fn action<'p>(policy: &'p Value, container: &Value, code: i32) -> &'p str {
    let rules = policy["rules"].as_array().unwrap();
    let rule = rules.iter().find(|rule| {
        let codes = &rule["onExitCodes"];
        let values = codes["values"].as_array();
        values.is_some_and(|values| {
            assert_eq!(codes["containerName"], container["name"]);
            values.contains(&code.into()) == (codes["operator"] == "In")
        })
    });
    rule.unwrap()["action"].as_str().unwrap()
}

/// The arguments of a container. Each path among them is on a volume.
pub(crate) fn arguments(container: &Value) -> Vec<String> {
    let mounts = container["volumeMounts"].as_array().unwrap();
    let args = container["args"].as_array().unwrap().iter();
    let args = args.map(|arg| arg.as_str().unwrap().to_owned());
    args.inspect(|arg| {
        let path = arg.split_once("=/").map(|(_, path)| path);
        let is_mounted = |path: &str| {
            mounts.iter().any(|mount| {
                let below = mount["mountPath"].as_str().unwrap()[1..].to_owned() + "/";
                path.starts_with(&below)
            })
        };
        let is_reachable = path.or(arg.strip_prefix('/')).is_none_or(is_mounted);
        assert!(is_reachable, "{arg} is on no volume");
    })
    .collect()
}

/// The resources in a file of Kubernetes, which fit its schemas.
pub(crate) fn resources(path: &str) -> Vec<Value> {
    let output = python()
        .arg(root().join("tests/consumers/kubernetes.py"))
        .arg(root().join(path))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_cron_job_is_valid_runs_and_handles_exit_codes() {
    let resources = resources("examples/kubernetes-cronjob.yaml");
    let cron_job = resources
        .iter()
        .find(|resource| resource["kind"] == "CronJob");
    let cron_job = &cron_job.unwrap()["spec"];
    assert_eq!(cron_job["concurrencyPolicy"], "Forbid");
    let job = &cron_job["jobTemplate"]["spec"];
    let pod = &job["template"]["spec"];
    let container = &pod["containers"][0];
    // A policy by exit code requires this setting.
    assert_eq!(pod["restartPolicy"], "Never");
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);

    let policy = &job["podFailurePolicy"];
    // This rule comes before the exit codes, since an evicted pod exits with 143.
    assert_eq!(policy["rules"][0]["action"], "Ignore");
    assert_eq!(
        policy["rules"][0]["onPodConditions"][0]["type"],
        "DisruptionTarget"
    );
    for (code, again) in is_retried().into_iter().filter(|(code, _)| *code != 0) {
        let expected = if again { "Count" } else { "FailJob" };
        assert_eq!(
            action(policy, container, code),
            expected,
            "exit code {code}"
        );
    }
    assert_eq!(action(policy, container, 137), "Count");

    let base = tempfile::tempdir().unwrap();
    prepare(base.path());
    let at = |name: &str| base.path().join(name).display().to_string();
    let args = arguments(container).into_iter().map(|arg| {
        arg.replace("/etc/scale/ids/ids.txt", &at("ids.txt"))
            .replace("/etc/scale/key/key", &at("key"))
            .replace("/data", &at(""))
    });
    let server = sandbox(SandboxConfig::default());
    let args: Vec<String> = args.collect();
    // As the command in the first lines of the file.
    let mut check = program();
    let checked = against(check.arg("check").args(&args), &server);
    let checked = checked.output().unwrap();
    assert!(checked.status.success(), "{}", text(&checked));
    assert!(!base.path().join("export").exists());
    let output = against(program().args(args), &server).output().unwrap();
    assert_exported(&output, &base.path().join("export"));
    assert!(base.path().join("summary.json").exists());
    assert_metrics(base.path());
}

/// The expected behavior of the DAG for each exit code, and below zero for a signal.
fn verdicts() -> BTreeMap<i32, &'static str> {
    let verdict = |(code, again)| {
        let other = match code {
            0 => "done",
            3 => "some_failed",
            _ => "fail",
        };
        (code, if again { "again" } else { other })
    };
    let mut verdicts: BTreeMap<_, _> = is_retried().into_iter().map(verdict).collect();
    verdicts.extend([(-9, "again"), (101, "fail")]);
    verdicts
}

#[test]
fn the_dag_runs_the_program_and_maps_exit_codes() {
    // Without Airflow: the imported names are empty, and the functions of the file are called.
    let script = "import json, sys, types\n\
        for name in 'airflow', 'airflow.sdk', 'airflow.sdk.exceptions':\n\
        \x20   sys.modules[name] = types.ModuleType(name)\n\
        sdk, exceptions = sys.modules['airflow.sdk'], sys.modules['airflow.sdk.exceptions']\n\
        sdk.dag, sdk.task = lambda **options: lambda function: lambda: None, None\n\
        exceptions.AirflowException = exceptions.AirflowFailException = None\n\
        names = {}\n\
        exec(compile(open(sys.argv[1]).read(), sys.argv[1], 'exec'), names)\n\
        code, summary = names['run'](names['EXPORT'])\n\
        for offline in 'CHANGES', 'REPORT': assert names['run'](names[offline])[0] == 0, offline\n\
        print(code, summary['exported'], 'log:', names['run']([names['PROGRAM'], '--no-such'])[0])\n\
        for code in sys.argv[2:]: print(names['what_to_do'](int(code)))\n";
    let base = tempfile::tempdir().unwrap();
    prepare(base.path());
    let program = env!("CARGO_BIN_EXE_scale-export");
    let dag = base.path().join("dag.py");
    let source = read("examples/airflow_dag.py");
    fs::write(&dag, moved(&source, program, base.path())).unwrap();
    let server = sandbox(SandboxConfig::default());
    let verdicts = verdicts();
    let output = against(&mut python(), &server)
        .args(["-c", script])
        .arg(dag)
        .args(verdicts.keys().map(ToString::to_string))
        .output()
        .unwrap();
    assert_exported(&output, &base.path().join("export"));
    let printed = text(&output);
    assert!(printed.contains("Exported 2 of 2"), "no log: {printed}");
    let (_, printed) = printed.split_once("0 2 log: 2\n").unwrap();
    let expected: Vec<&str> = verdicts.into_values().collect();
    assert_eq!(printed.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn the_dag_runs_in_airflow() {
    let Some(python) = std::env::var_os("SCALE_EXPORT_TEST_AIRFLOW") else {
        return leave_out("a run of the Airflow DAG: `make test` installs Airflow for it");
    };
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(python)
        .arg(root().join("tests/consumers/airflow_dag.py"))
        .arg(root().join("examples/airflow_dag.py"))
        .arg(home.path())
        .args(
            verdicts()
                .iter()
                .map(|(code, action)| format!("{code}={action}")),
        )
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn the_commands_for_operators_run() {
    let pages = ["docs/schedule.md", "docs/operations.md"]
        .map(read)
        .concat();
    let blocks: Vec<&str> = pages
        .split("```sh\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(blocks.len() >= 5, "{blocks:?}");
    if Command::new("jq").arg("--version").output().is_err() {
        return leave_out(
            "the commands of docs/schedule.md and docs/operations.md: jq is not on this machine",
        );
    }
    let base = tempfile::tempdir().unwrap();
    prepare(base.path());
    let bin = base.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let program = env!("CARGO_BIN_EXE_scale-export");
    std::os::unix::fs::symlink(program, bin.join("scale-export")).unwrap();
    let server = sandbox(SandboxConfig::default());
    let mut printed = String::new();
    for block in blocks {
        let command = format!("set -eu\n{}", moved(block, program, base.path()));
        let output = against(&mut shell(&command), &server)
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
            .output()
            .unwrap();
        assert!(output.status.success(), "{block}\n{}", text(&output));
        printed += &text(&output);
    }
    // The counts of IDs, the result of the run, and the verification of the copy.
    for part in ["2\t0\t0\n", "\"exit_code\": 0", "moved: all files match"] {
        assert!(printed.contains(part), "{part} is not in {printed}");
    }
}
