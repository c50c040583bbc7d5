//! All Delta tables of an export: checks them before a run, and commits the tables that changed.
//!
//! ```text
//! for each table
//!   upload    messages/messages-<digest>.parquet    no version names it yet
//!   commit    messages/_delta_log/<version>.json    removes the files before, and adds this one
//! ```
//!
//! After an interruption at any point, the next run does what is missing: a table that consists of the file is left as it
//! is.

use std::path::Path;
use std::thread;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::bucket::bucket_url::BucketUrl;
use crate::bucket::object_name::{content_name, path_of_content};
use crate::bucket::store::StoredObject;
use crate::bucket::store_options::StoreOptions;
use crate::delta::delta_error::DeltaError;
use crate::delta::delta_store::{DeltaStore, folder_of};
use crate::delta::delta_table::{CommitEnd, NextFile, TablePlace, TableVersion, create};
use crate::event::{Event, Events};
use crate::publish::guard::{Allowance, ResponseSource, Shrink, check_shrink};
use crate::publish::manifest::Manifest;
use crate::tables::table::{Table, TableInfo};

/// The folder of a table's log.
const LOG: &str = "_delta_log/";

/// Attempts to commit while other programs maintain the table. Each of their commits needs one more.
const COMMIT_ATTEMPTS: u32 = 5;

/// The pause after an attempt that a store refused although the table did not change, for each attempt.
const PAUSE: Duration = Duration::from_millis(300);

/// The Delta tables at a place.
#[derive(Debug)]
pub(crate) struct DeltaLake {
    store: DeltaStore,
    events: Events,
}

/// A table of an export, as the place had it when the run started.
#[derive(Debug)]
pub(crate) struct TableBefore {
    place: TablePlace,
    version: Option<TableVersion>,
    /// The objects in its directory, with their names there.
    objects: Vec<StoredObject>,
}

/// A local export whose tables are to be committed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExportTables<'e> {
    /// Its directory.
    pub(crate) directory: &'e Path,
    pub(crate) manifest: &'e Manifest,
    /// Tasks of the Delta table that may disappear.
    pub(crate) max_shrink: Allowance,
}

impl TableBefore {
    /// The URL of the table, for messages.
    pub(crate) fn url(&self) -> &str {
        &self.place.url
    }
}

impl DeltaLake {
    /// The tables at a place. Fails if its store ignores conditions. When `cancel` is cancelled, operations end with
    /// [`DeltaError::Interrupted`].
    pub(crate) fn open(
        url: &BucketUrl,
        options: &StoreOptions,
        events: &Events,
        cancel: &CancellationToken,
    ) -> Result<Self, DeltaError> {
        let store = DeltaStore::open(url, options, cancel)?;
        store.probe()?;
        Ok(Self {
            store,
            events: events.clone(),
        })
    }

    /// Reads a table, and checks that a run may commit to it. With `force`, it can be one of another program.
    pub(crate) fn check(
        &self,
        table: &'static TableInfo,
        force: bool,
    ) -> Result<TableBefore, DeltaError> {
        let place = self.store.place(table)?;
        let objects = self.store.objects(table)?;
        let refuse = |what| {
            let url = place.url.clone();
            Err(DeltaError::Taken { url, what })
        };
        if !has_log(&objects) {
            let is_own = |object: &StoredObject| path_of_content(&object.name).is_some();
            if !force && !objects.iter().all(is_own) {
                return refuse("files");
            }
            return Ok(TableBefore {
                place,
                version: None,
                objects,
            });
        }
        let read_place = place.clone();
        let version = self.store.wait_for(move |engine| {
            let version = TableVersion::read(engine, &read_place)?;
            // A table of others is refused as such, whatever its columns.
            if version.own_commits.is_some() || force {
                version.check(engine, &read_place)?;
            }
            Ok(version)
        })?;
        if version.own_commits.is_none() && !force {
            return refuse("a Delta table");
        }
        Ok(TableBefore {
            place,
            version: Some(version),
            objects,
        })
    }

    /// Commits a table, unless it consists of the file already. Returns the new version.
    pub(crate) fn commit(
        &self,
        before: TableBefore,
        export: ExportTables<'_>,
    ) -> Result<Option<u64>, DeltaError> {
        let TableBefore {
            place,
            version,
            objects,
        } = before;
        let mut tables = export.manifest.tables.iter();
        let published = tables.find(|(name, _)| name == place.table.name);
        let Some([published]) = published.map(|(_, table)| table.files.as_slice()) else {
            return Ok(None);
        };
        let name = content_name(&published.file);
        let bytes = published.file.bytes;
        if place.table.table == Table::Tasks
            && let Some(version) = &version
            && !version.is_only(&name)
        {
            refuse_shrink(&place, version, export)?;
        }
        let local = export.directory.join(&published.file.path);
        let object = format!("{}{name}", folder_of(place.table));
        let upload = || {
            self.store.upload(local.clone(), bytes, object.clone())?;
            let text = format!("uploaded {object}, {bytes} bytes");
            self.events.send(Event::Detail(text));
            Ok::<_, DeltaError>(())
        };
        let is_stored = |objects: &[StoredObject]| {
            let is_it = |found: &StoredObject| found.name == name && found.bytes == bytes;
            objects.iter().any(is_it)
        };
        let relies_on_stored = is_stored(&objects);
        if !relies_on_stored {
            // Also where the table consists of a file that is missing or damaged.
            upload()?;
        }
        if version
            .as_ref()
            .is_some_and(|version| version.is_only(&name))
        {
            return Ok(None);
        }
        let publication = export.manifest.publication.as_ref();
        let next = NextFile {
            name: name.clone(),
            bytes,
            local: local.clone(),
            publication: publication.map(ToString::to_string).unwrap_or_default(),
        };
        let committed = self.commit_next(&place, version, &next)?;
        // A program that cleans the table can have deleted a file that only earlier versions had.
        if relies_on_stored && !is_stored(&self.store.objects(place.table)?) {
            upload()?;
        }
        Ok(committed)
    }

    /// Commits a table whose file is uploaded.
    fn commit_next(
        &self,
        place: &TablePlace,
        version: Option<TableVersion>,
        next: &NextFile,
    ) -> Result<Option<u64>, DeltaError> {
        let own_commits = version.as_ref().and_then(|version| version.own_commits);
        let mut current = version;
        for attempt in 1..=COMMIT_ATTEMPTS {
            let (tried, number) = self.commit_once(place, current, next)?;
            if let CommitEnd::Committed {
                version,
                checkpoint,
            } = tried
            {
                if let Err(error) = checkpoint {
                    // Readers read more of the log, and a later commit tries again.
                    self.events.send(Event::Warning(error.to_string()));
                }
                return Ok(Some(version));
            }
            let found = if has_log(&self.store.objects(place.table)?) {
                Some(self.store.read(place)?)
            } else {
                None
            };
            if let Some(found) = &found {
                if found.is_only(&next.name) {
                    // The response to the own commit was lost, or another run committed the same.
                    return Ok(None);
                }
                if found.own_commits != own_commits {
                    break;
                }
            }
            if found.as_ref().map(TableVersion::number) == number {
                // A store can refuse a write because another one was under way, which has failed since.
                thread::sleep(PAUSE * attempt);
            }
            current = found;
        }
        Err(DeltaError::Overtaken {
            url: place.url.clone(),
        })
    }

    /// One attempt, and the number of the version that it replaces.
    fn commit_once(
        &self,
        place: &TablePlace,
        version: Option<TableVersion>,
        next: &NextFile,
    ) -> Result<(CommitEnd, Option<u64>), DeltaError> {
        let (place, next) = (place.clone(), next.clone());
        let number = version.as_ref().map(TableVersion::number);
        let end = self.store.wait_for(move |engine| match version {
            None => create(engine, &place, &next),
            Some(version) => version.replace(engine, &place, &next),
        })?;
        Ok((end, number))
    }
}

fn has_log(objects: &[StoredObject]) -> bool {
    objects.iter().any(|object| object.name.starts_with(LOG))
}

/// Applies the guard by the numbers of tasks: the IDs in the Delta table are not known.
fn refuse_shrink(
    place: &TablePlace,
    version: &TableVersion,
    export: ExportTables<'_>,
) -> Result<(), DeltaError> {
    let ExportTables {
        manifest,
        max_shrink,
        ..
    } = export;
    let url = place.url.clone();
    let rows: Option<u64> = version.files.iter().map(|file| file.rows).sum();
    let Some(before) = rows else {
        return if max_shrink.is_everything() {
            Ok(())
        } else {
            Err(DeltaError::UnknownRows { url })
        };
    };
    let missing = before.saturating_sub(manifest.ids.exported);
    let shrink = Shrink { before, missing };
    let requested = manifest.ids.requested;
    let checked = check_shrink(max_shrink, ResponseSource::Api, requested, shrink);
    checked.map_err(|_| DeltaError::Shrunk {
        url,
        before,
        missing,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::encode::format::Format;
    use crate::jobs::publish_targets::PublishTargets;
    use crate::jobs::reflatten::{FlattenOptions, flatten};
    use crate::publish::guard::GuardOptions;
    use crate::tables::selection::TableSelection;

    /// An export of tasks with these IDs, and Delta tables beside it.
    struct Place {
        base: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            let base = tempfile::tempdir().unwrap();
            fs::create_dir(base.path().join("lake")).unwrap();
            Self { base }
        }

        fn log(&self, version: u64) -> PathBuf {
            let name = format!("lake/tasks/{LOG}{version:020}.json");
            self.base.path().join(name)
        }

        fn lake(&self) -> DeltaLake {
            let url = self.base.path().join("lake").display().to_string();
            let url = BucketUrl::directory(&url);
            let options = StoreOptions::of_environment();
            let cancel = CancellationToken::new();
            DeltaLake::open(&url, &options, &Events::none(), &cancel).unwrap()
        }

        fn export(&self, ids: &[&str]) -> (PathBuf, Manifest) {
            let out = self.base.path().join(ids.join("-"));
            let source = self.base.path().join("tasks.jsonl");
            let lines = ids.iter().map(|id| format!("{{\"task_id\":\"{id}\"}}\n"));
            fs::write(&source, lines.collect::<String>()).unwrap();
            let options = FlattenOptions {
                sources: vec![source],
                ids: None,
                out: out.clone(),
                targets: PublishTargets::default(),
                format: Format::Parquet,
                tables: TableSelection::all(),
                threads: 1,
                force: false,
                keep_secrets: false,
                guard: GuardOptions::default(),
            };
            flatten(&options, &Events::none(), &CancellationToken::new()).unwrap();
            let manifest = Manifest::sound(&out).unwrap();
            (out, manifest)
        }

        /// Commits the table of tasks, which was read before.
        fn commit(&self, before: TableBefore, ids: &[&str]) -> Result<Option<u64>, DeltaError> {
            let (directory, manifest) = self.export(ids);
            let export = ExportTables {
                directory: &directory,
                manifest: &manifest,
                max_shrink: Allowance::Percent(20.0),
            };
            self.lake().commit(before, export)
        }

        fn check(&self) -> Result<TableBefore, DeltaError> {
            self.lake().check(Table::Tasks.info(), false)
        }
    }

    #[test]
    fn a_table_that_consists_of_the_file_gets_no_version() {
        let place = Place::new();
        assert_eq!(
            place.commit(place.check().unwrap(), &["a"]).unwrap(),
            Some(0)
        );
        assert_eq!(place.commit(place.check().unwrap(), &["a"]).unwrap(), None);
        assert_eq!(
            place.commit(place.check().unwrap(), &["a", "b"]).unwrap(),
            Some(1)
        );
        // The file of an earlier version, which is still there.
        assert_eq!(
            place.commit(place.check().unwrap(), &["a"]).unwrap(),
            Some(2)
        );
        assert!(place.check().unwrap().version.unwrap().own_commits == Some(3));
    }

    #[test]
    fn of_two_runs_that_read_the_same_version_one_commits() {
        let place = Place::new();
        // The first version, and a later one.
        for ids in [["a"], ["c"]] {
            let (one, other) = (place.check().unwrap(), place.check().unwrap());
            assert!(place.commit(one, &ids).unwrap().is_some());
            let error = place.commit(other, &["d", "e"]).unwrap_err();
            assert!(matches!(error, DeltaError::Overtaken { .. }), "{error}");
        }
        // Another run that commits the same export does not conflict.
        let (one, other) = (place.check().unwrap(), place.check().unwrap());
        assert_eq!(place.commit(one, &["f"]).unwrap(), Some(2));
        assert_eq!(place.commit(other, &["f"]).unwrap(), None);
    }

    #[test]
    fn a_commit_of_a_program_that_maintains_the_table_does_not_conflict() {
        let place = Place::new();
        place.commit(place.check().unwrap(), &["a"]).unwrap();
        let before = place.check().unwrap();
        let maintenance = r#"{"commitInfo":{"timestamp":1,"operation":"VACUUM END"}}"#;
        fs::write(place.log(1), maintenance).unwrap();
        assert_eq!(place.commit(before, &["b"]).unwrap(), Some(2));
    }

    #[test]
    fn a_table_of_another_program_or_with_other_columns_is_refused() {
        let place = Place::new();
        place.commit(place.check().unwrap(), &["a"]).unwrap();
        let log = fs::read_to_string(place.log(0)).unwrap();
        let without = |word: &str| -> String {
            let lines = log.lines().filter(|line| !line.starts_with(word));
            lines.map(|line| format!("{line}\n")).collect()
        };
        fs::write(place.log(0), without("{\"txn\"")).unwrap();
        let error = place.check().unwrap_err();
        assert!(matches!(error, DeltaError::Taken { .. }), "{error}");
        assert!(place.lake().check(Table::Tasks.info(), true).is_ok());
        let column = r#"{\"name\":\"thread_count\",\"type\":\"integer\""#;
        assert!(log.contains(column), "{log}");
        let other = log.replace(column, r#"{\"name\":\"thread_count\",\"type\":\"string\""#);
        fs::write(place.log(0), other).unwrap();
        let error = place.check().unwrap_err();
        assert!(
            error
                .to_string()
                .contains("`thread_count` has the type string"),
            "{error}"
        );
        // A column that the table lacks is added.
        let shorter = log.replace(column, r#"{\"name\":\"older\",\"type\":\"integer\""#);
        fs::write(place.log(0), shorter).unwrap();
        assert_eq!(
            place.commit(place.check().unwrap(), &["b"]).unwrap(),
            Some(1)
        );
        let log = fs::read_to_string(place.log(1)).unwrap();
        assert!(
            log.contains("thread_count") && log.contains("older"),
            "{log}"
        );
    }

    #[test]
    fn a_file_that_is_missing_or_damaged_is_uploaded_again() {
        let place = Place::new();
        place.commit(place.check().unwrap(), &["a"]).unwrap();
        let file = place.check().unwrap().version.unwrap().files.remove(0);
        let file = place.base.path().join("lake/tasks").join(file.path);
        let whole = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        assert_eq!(place.commit(place.check().unwrap(), &["a"]).unwrap(), None);
        assert_eq!(fs::read(&file).unwrap(), whole);
        fs::write(&file, "").unwrap();
        assert_eq!(place.commit(place.check().unwrap(), &["a"]).unwrap(), None);
        assert_eq!(fs::read(&file).unwrap(), whole);
    }

    #[test]
    fn rows_that_another_program_deleted_with_a_vector_come_back() {
        let place = Place::new();
        place.commit(place.check().unwrap(), &["a", "b"]).unwrap();
        let log = fs::read_to_string(place.log(0)).unwrap();
        let added = log
            .lines()
            .find(|line| line.starts_with("{\"add\""))
            .unwrap();
        let mut add: serde_json::Value = serde_json::from_str(added).unwrap();
        let path = add["add"]["path"].clone();
        add["add"]["deletionVector"] = serde_json::json!({
            "storageType": "i", "pathOrInlineDv": "wi5b=000010000siXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L",
            "sizeInBytes": 40, "cardinality": 1,
        });
        let remove = serde_json::json!({"remove": {"path": path, "deletionTimestamp": 1, "dataChange": true}});
        let protocol = r#"{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["deletionVectors"],"writerFeatures":["deletionVectors"]}}"#;
        let info = r#"{"commitInfo":{"timestamp":1,"operation":"DELETE"}}"#;
        fs::write(
            place.log(1),
            format!("{info}\n{protocol}\n{remove}\n{add}\n"),
        )
        .unwrap();
        assert_eq!(
            place.commit(place.check().unwrap(), &["a", "b"]).unwrap(),
            Some(2)
        );
        assert_eq!(
            place.commit(place.check().unwrap(), &["a", "b"]).unwrap(),
            None
        );
    }

    #[test]
    fn a_table_to_which_rows_can_only_be_added_is_refused_before_anything_is_fetched() {
        let place = Place::new();
        place.commit(place.check().unwrap(), &["a"]).unwrap();
        let log = fs::read_to_string(place.log(0)).unwrap();
        let set = log.replace(
            r#""configuration":{}"#,
            r#""configuration":{"delta.appendOnly":"true"}"#,
        );
        let set = set.replace(
            r#""writerFeatures":[]"#,
            r#""writerFeatures":["appendOnly"]"#,
        );
        assert!(set != log, "{log}");
        fs::write(place.log(0), set).unwrap();
        let error = place.check().unwrap_err();
        assert!(error.to_string().contains("delta.appendOnly"), "{error}");
    }

    #[test]
    fn rows_that_the_log_does_not_count_are_not_replaced() {
        let place = Place::new();
        place.commit(place.check().unwrap(), &["a", "b"]).unwrap();
        let log = fs::read_to_string(place.log(0)).unwrap();
        let (head, statistics) = log.split_once(",\"stats\"").unwrap();
        let rest = statistics.split_once("}\"}}").unwrap().1;
        fs::write(place.log(0), format!("{head}}}}}{rest}")).unwrap();
        let error = place.commit(place.check().unwrap(), &["a"]).unwrap_err();
        assert!(matches!(error, DeltaError::UnknownRows { .. }), "{error}");
    }

    #[test]
    fn a_log_that_is_damaged_is_an_error_with_the_table() {
        let place = Place::new();
        place.commit(place.check().unwrap(), &["a"]).unwrap();
        for damage in ["", "{", "{\"add\":1}"] {
            fs::write(place.log(0), damage).unwrap();
            let error = place.check().unwrap_err();
            let shown = error.to_string();
            assert!(
                shown.starts_with("could not read the Delta table `"),
                "{shown}"
            );
            assert!(!shown.contains("backtrace"), "{shown}");
        }
    }

    #[test]
    fn a_table_with_many_more_tasks_is_not_replaced() {
        let place = Place::new();
        let many: Vec<String> = (0..50).map(|number| format!("t{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        place.commit(place.check().unwrap(), &many).unwrap();
        let error = place.commit(place.check().unwrap(), &["a"]).unwrap_err();
        assert!(
            matches!(
                error,
                DeltaError::Shrunk {
                    before: 50,
                    missing: 49,
                    ..
                }
            ),
            "{error}"
        );
    }
}
