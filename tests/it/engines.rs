//! Examples that run the shards of a list on Kubernetes, Airflow, Spark and Ray. `make distributed` runs the last two with
//! their clusters.

use std::collections::BTreeMap;
use std::fs;
use std::iter;
use std::path::{Path, PathBuf};
use std::process::Command;

use scale_export::sandbox::config::SandboxConfig;
use scale_export::sandbox::server::Sandbox;
use serde_json::Value;

use crate::ranges::RANGE_TASKS;
use crate::scheduling::{
    action, against, arguments, is_retried, leave_out, moved, prepare, read, resources, text,
};
use crate::support::{program, published, python, root, sandbox, task_ids};

/// The minimum length of ranges in these tests, so that four shards of 60 tasks have some each.
const RANGE_LENGTH: &str = "4";
const TASKS: usize = 60;
/// The number of shards in the examples.
const SHARDS: usize = 4;

/// A server, and the directory of the examples with a list and a key.
fn prepared() -> (tempfile::TempDir, Sandbox) {
    let base = tempfile::tempdir().unwrap();
    prepare(base.path());
    write_list(base.path(), &task_ids(TASKS));
    (base, sandbox(SandboxConfig::default()))
}

fn write_list(base: &Path, ids: &[String]) {
    fs::write(base.join("ids.txt"), ids.join("\n") + "\n").unwrap();
}

/// Adds what the program needs in this test to a command.
fn in_test<'c>(command: &'c mut Command, server: &Sandbox) -> &'c mut Command {
    against(command, server).env(RANGE_TASKS, RANGE_LENGTH)
}

/// What one run over the whole list publishes.
fn single_run(base: &Path, server: &Sandbox) -> BTreeMap<String, Vec<u8>> {
    let out = base.join("single");
    let mut command = program();
    in_test(&mut command, server)
        .arg("--ids")
        .arg(base.join("ids.txt"))
        .arg("--api-key-file")
        .arg(base.join("key"))
        .arg("--out")
        .arg(&out);
    let output = command.output().unwrap();
    assert!(
        matches!(output.status.code(), Some(0 | 3)),
        "{}",
        text(&output)
    );
    published(&out)
}

/// Every shard has tasks, and the combined export is that of one run.
fn assert_combined(base: &Path, server: &Sandbox) {
    for index in 0..SHARDS {
        let tasks = base.join(format!("shards/{index}/.scale-export/ids.txt"));
        assert!(fs::read_to_string(tasks).unwrap().lines().count() > 1);
    }
    assert!(published(&base.join("export")) == single_run(base, server));
}

/// Whether an engine retries a shard after an exit code. 6 is retried on another machine, which can have the volume.
fn retries_shard(code: i32) -> bool {
    is_retried().get(&code).copied().unwrap_or(code < 0) || code == 6
}

fn job<'r>(resources: &'r [Value], name: &str) -> &'r Value {
    let job = resources
        .iter()
        .find(|resource| resource["kind"] == "Job" && resource["metadata"]["name"] == name);
    &job.unwrap()["spec"]
}

/// Exit codes of a program in a container: those of the program, and those of a process that was aborted or killed.
fn container_codes() -> impl Iterator<Item = (i32, bool)> {
    let codes: Vec<i32> = is_retried().into_keys().filter(|code| *code != 0).collect();
    let own = codes.into_iter().map(|code| (code, retries_shard(code)));
    own.chain([(134, true), (137, true)])
}

#[test]
fn the_indexed_job_exports_all_shards_and_the_second_job_combines_them() {
    let resources = resources("examples/kubernetes-shards.yaml");
    assert_eq!(resources[0]["spec"]["accessModes"][0], "ReadWriteMany");
    let indexed = job(&resources, "scale-shards");
    assert_eq!(indexed["completionMode"], "Indexed");
    assert_eq!(indexed["completions"], SHARDS);
    let pod = &indexed["template"]["spec"];
    // The policies by exit code and by index require this setting.
    assert_eq!(pod["restartPolicy"], "Never");
    let shard = &pod["containers"][0];
    assert!(indexed["backoffLimitPerIndex"].as_u64().unwrap() > 0);
    for (code, again) in container_codes() {
        let expected = if again { "Count" } else { "FailIndex" };
        let policy = &indexed["podFailurePolicy"];
        assert_eq!(action(policy, shard, code), expected, "exit code {code}");
    }

    let (base, server) = prepared();
    let in_pod = |container: &Value, index: usize| {
        let data = base.path().display().to_string();
        let args = arguments(container).into_iter().map(|arg| {
            arg.replace("$(JOB_COMPLETION_INDEX)", &index.to_string())
                .replace("/etc/scale/key/key", &format!("{data}/key"))
                .replace("/data", &data)
        });
        let output = in_test(program().args(args), &server).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    };
    let combine = job(&resources, "scale-combine");
    assert_eq!(combine["suspend"], true);
    let second_pod = &combine["template"]["spec"];
    assert_eq!(second_pod["restartPolicy"], "Never");
    // A failed ID fails neither a shard nor the second job. More IDs move tasks from most shards to others.
    let failing = || iter::once("no_such_task".to_owned());
    for ids in [TASKS, 2 * TASKS] {
        let ids: Vec<String> = failing().chain(task_ids(ids)).collect();
        write_list(base.path(), &ids);
        for index in (0..SHARDS).rev() {
            in_pod(shard, index);
        }
        in_pod(&second_pod["initContainers"][0], 0);
        in_pod(&second_pod["containers"][0], 0);
    }
    assert_combined(base.path(), &server);
    assert!(base.path().join("summary.json").exists());
    assert!(base.path().join("scale_export.prom").exists());
}

/// An example with the paths of a test, in the directory of the test.
fn example(name: &str, base: &Path, program: &str) -> PathBuf {
    let path = base.join(name);
    let source = moved(&read(&format!("examples/{name}")), program, base);
    fs::write(&path, source).unwrap();
    path
}

#[test]
fn the_dag_of_shards_runs_in_airflow() {
    let Some(airflow) = std::env::var_os("SCALE_EXPORT_TEST_AIRFLOW") else {
        return leave_out(
            "a run of the Airflow DAG of shards: `make test` installs Airflow for it",
        );
    };
    let (base, server) = prepared();
    let program = env!("CARGO_BIN_EXE_scale-export");
    let codes = is_retried().into_keys().chain([-9, 101]).map(|code| {
        let expected = match code {
            0 => "done",
            3 => "some_failed",
            code if retries_shard(code) => "again",
            _ => "fail",
        };
        format!("{code}={expected}")
    });
    let mut command = Command::new(airflow);
    let output = in_test(&mut command, &server)
        .arg(root().join("tests/consumers/airflow_shards.py"))
        .arg(example("airflow_shards.py", base.path(), program))
        .arg(program)
        .args(codes)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert_combined(base.path(), &server);
}

/// Runs a job without its engine, and compares what it does for each exit code.
fn run_without_engine(name: &str) {
    let (base, server) = prepared();
    let program = env!("CARGO_BIN_EXE_scale-export");
    let codes: Vec<i32> = is_retried().into_keys().chain([-9, 101]).collect();
    let output = in_test(&mut python(), &server)
        .arg(root().join("tests/consumers/engine_jobs.py"))
        .args([
            example(name, base.path(), program).as_path(),
            Path::new(program),
        ])
        .args(codes.iter().map(ToString::to_string))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let found = stdout.lines().filter_map(|line| line.strip_prefix("= "));
    let expected = codes.iter().map(|code| match code {
        code if retries_shard(*code) => format!("{code} retried"),
        code => format!("{code} returned {code}"),
    });
    assert_eq!(
        found.collect::<Vec<_>>(),
        expected.collect::<Vec<_>>(),
        "{}",
        text(&output)
    );
    assert_combined(base.path(), &server);
}

#[test]
fn the_spark_job_exports_all_shards_and_maps_exit_codes() {
    run_without_engine("spark_shards.py");
}

#[test]
fn the_ray_job_exports_all_shards_and_maps_exit_codes() {
    run_without_engine("ray_shards.py");
}
