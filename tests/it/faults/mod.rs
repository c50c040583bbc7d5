//! Network faults: the program against a server that has each of them. The measurements are the table in
//! `docs/faults.md`.

mod connections;
mod measure;
mod messages;
mod mixed;
mod outages;
mod responses;
mod retry_after;

use std::fs;
use std::sync::Mutex;

use measure::Row;

use crate::support::root;

/// Set to regenerate the table instead of comparing it.
const BLESS: &str = "BLESS";

/// Cases that run at the same time. Most of them wait most of the time.
const WORKERS: usize = 12;

/// A case to be measured.
type Case = Box<dyn Fn() -> Row + Send + Sync>;

/// Measures all cases, several at the same time. The rows are in order.
fn measure_all(cases: &[Case]) -> Vec<Row> {
    let next = Mutex::new(cases.iter().enumerate());
    let rows = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let taken = next.lock().unwrap().next();
                    let Some((index, case)) = taken else { return };
                    let row = case();
                    rows.lock().unwrap().push((index, row));
                }
            });
        }
    });
    let mut rows = rows.into_inner().unwrap();
    rows.sort_by_key(|(index, _)| *index);
    rows.into_iter().map(|(_, row)| row).collect()
}

#[test]
fn the_table_of_faults_has_the_measured_results() {
    const BEGIN: &str = "<!-- faults -->\n";
    const END: &str = "<!-- end of faults -->";
    let cases: Vec<Case> = connections::cases()
        .into_iter()
        .chain(responses::cases())
        .chain(retry_after::cases())
        .chain(outages::cases())
        .collect();
    let rows = measure_all(&cases);
    assert_eq!(rows.len(), cases.len());
    let rows: String = rows.iter().map(Row::to_markdown).collect();
    let expected = format!("{}{rows}", Row::HEADER);
    let path = root().join("docs/faults.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (found, after) = rest.split_once(END).unwrap();
    if std::env::var_os(BLESS).is_some() {
        fs::write(&path, format!("{before}{BEGIN}{expected}{END}{after}")).unwrap();
        return;
    }
    for (found, expected) in found.lines().zip(expected.lines()) {
        assert_eq!(found, expected, "run `make bless`");
    }
    assert_eq!(found, expected, "run `make bless`");
}
