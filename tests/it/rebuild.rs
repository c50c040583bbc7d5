//! Nothing is lost: arbitrary tasks go into the tables of both formats and come back the same.

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use scale_export::output::Format;

use crate::support::round_trip::check;
use crate::support::tasks::{TASK_ID, task};

/// Cases of each test, unless `PROPTEST_CASES` says otherwise.
const CASES: u32 = 5_000;

/// Bytes that a task is made of.
const MAX_CHOICES: usize = 1_500;

fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    let is_given = std::env::var_os("PROPTEST_CASES").is_some();
    ProptestConfig {
        cases: if is_given { default.cases } else { CASES },
        max_shrink_iters: 4_096,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
            "tests/it/rebuild.regressions",
        ))),
        ..default
    }
}

fn choices() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..MAX_CHOICES)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn arbitrary_tasks_come_back_from_parquet(bytes in choices()) {
        let json = task(&bytes);
        let checked = check(Some(Format::Parquet), TASK_ID, &json);
        prop_assert!(checked.is_ok(), "{}\n{json}", checked.unwrap_err());
    }

    #[test]
    fn arbitrary_tasks_come_back_from_csv(bytes in choices()) {
        let json = task(&bytes);
        let checked = check(Some(Format::Csv), TASK_ID, &json);
        prop_assert!(checked.is_ok(), "{}\n{json}", checked.unwrap_err());
    }
}
