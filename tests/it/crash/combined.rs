//! Crashes while shards are combined.

use std::fs;

use scale_export::sandbox::config::SandboxConfig;

use super::{Scenario, assert_success, assert_survives_any_fault, command, words};
use crate::support::{sandbox, task_ids};

/// A combination that replaces an earlier one, of shards with fewer tasks.
fn scenario() -> Scenario {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let combined = |name: &str, tasks: usize| {
        let ids = base.path().join(name).with_extension("txt");
        fs::write(&ids, task_ids(tasks).join("\n")).unwrap();
        let mut arguments = vec!["combine".to_owned()];
        for shard in ["0/2", "1/2"] {
            let out = base.path().join(format!("{name}_{}", &shard[..1]));
            let mut export = words("--tables tasks,messages,projects --rate max --base-url");
            export.push(server.base_url());
            export.extend(["--shard", shard, "--ids"].map(str::to_owned));
            export.push(ids.display().to_string());
            assert_success(&command(&export, &out).output().unwrap(), shard);
            arguments.push(out.display().to_string());
        }
        arguments
    };
    let before = combined("first", 12);
    let after = combined("second", 16);
    let name = "a combination of shards";
    Scenario::new(name, None, Some(before), after, base)
}

#[test]
fn a_kill_or_an_error_at_any_step_of_a_combination_loses_nothing() {
    assert_survives_any_fault(&scenario());
}
