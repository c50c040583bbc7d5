//! The library without the command line: the example of the documentation, and what a caller relies on.

use std::fs;

use scale_export::{
    CancellationToken, Events, ExportOptions, JobEnd, Sandbox, SandboxConfig, SavedWork, Table,
    TableSelection, TaskIds, VerifyOptions, export, verify,
};

#[expect(dead_code, reason = "its `main` is for people")]
#[path = "../../examples/export.rs"]
mod example;

fn options(out: &std::path::Path, sandbox: &Sandbox) -> scale_export::ExportOptionsBuilder {
    ExportOptions::builder(out)
        .ids(TaskIds::collect(["task_1", "task_2"]).unwrap())
        .base_url(sandbox.base_url())
        .api_key(sandbox.key())
        .server_in_process(true)
}

#[test]
fn the_example_exports_its_tasks() {
    let base = tempfile::tempdir().unwrap();
    assert_eq!(example::run(base.path()).unwrap(), 3);
    assert!(base.path().join("tasks.parquet").is_file());
}

#[test]
fn an_export_of_a_selection_is_verified() {
    let base = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(SandboxConfig::default()).unwrap();
    let tables = [Table::Tasks, Table::Messages];
    let options = options(base.path(), &sandbox)
        .tables(tables.into_iter().collect::<TableSelection>())
        .build()
        .unwrap();
    let cancel = CancellationToken::new();
    let JobEnd::Done(report) = export(&options, &Events::none(), &cancel).unwrap() else {
        panic!("it was not stopped");
    };
    assert_eq!((report.exported, report.failed), (2, 0));
    let JobEnd::Done(report) =
        verify(&VerifyOptions::of(base.path()), &Events::none(), &cancel).unwrap()
    else {
        panic!("it was not stopped");
    };
    assert_eq!((report.tasks, report.findings), (2, 0));
}

#[test]
fn a_cancelled_run_reports_what_it_saved() {
    let base = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(SandboxConfig::default()).unwrap();
    let options = options(base.path(), &sandbox).build().unwrap();
    let cancel = CancellationToken::new();
    cancel.cancel();
    let end = export(&options, &Events::none(), &cancel).unwrap();
    assert!(matches!(
        end,
        JobEnd::Stopped(SavedWork::Nothing | SavedWork::Fetched(_))
    ));
    assert!(!base.path().join("manifest.json").exists());
    let last = fs::read_to_string(base.path().join(".scale-export/last_run.json")).unwrap();
    assert!(last.contains("\"exit_code\": 130"), "{last}");
}

#[test]
fn without_a_key_the_error_names_the_variable() {
    // The variable is not set where tests run.
    let error = ExportOptions::builder("out").build().unwrap_err();
    assert_eq!(
        error.to_string(),
        "could not read the API key: SCALE_API_KEY is not set"
    );
}
