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

use std::path::{Path, PathBuf};
use std::sync::Arc;

use delta_kernel_default_engine::executor::TaskExecutor as _;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::bucket::bucket_url::BucketUrl;
use crate::bucket::error::BucketError;
use crate::bucket::object_name::{content_name, path_of_content};
use crate::bucket::store::ExportStore;
use crate::bucket::store_options::StoreOptions;
use crate::bucket::upload::upload_file;
use crate::delta::delta_error::DeltaError;
use crate::delta::delta_table::{CommitEnd, NextFile, TablePlace, TableVersion, create};
use crate::delta::kernel::{Engine, Executor, engine, executor};
use crate::event::{Event, Events};
use crate::publish::guard::{Allowance, ResponseSource, Shrink, check_shrink};
use crate::publish::manifest::Manifest;
use crate::tables::table::{Table, TableInfo};

/// The folder of a table's log.
const LOG: &str = "_delta_log/";

/// Attempts to commit while other programs maintain the table. Each of their commits needs one more.
const COMMIT_ATTEMPTS: u32 = 5;

/// The scheme of locations. The library only joins paths to them; the store sees the path alone.
const LOCATION_SCHEME: &str = "store";

/// The host in the location of a local directory. The library sorts what it lists for hosts with this ending, which are
/// stores that list in any order, as a directory does.
const UNORDERED_HOST: &str = "directory--x-s3";

/// The Delta tables at a place.
#[derive(Debug)]
pub(crate) struct DeltaLake {
    store: Arc<ExportStore>,
    executor: Arc<Executor>,
    engine: Engine,
    events: Events,
    cancel: CancellationToken,
}

/// A table of an export, as the place had it when the run started.
#[derive(Debug)]
pub(crate) struct TableBefore {
    place: TablePlace,
    version: Option<TableVersion>,
    /// Names of the objects in its directory.
    names: Vec<String>,
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
    /// The tables at a place. Sends no request. When `cancel` is cancelled, operations end with
    /// [`DeltaError::Interrupted`].
    pub(crate) fn open(
        url: &BucketUrl,
        options: &StoreOptions,
        events: &Events,
        cancel: &CancellationToken,
    ) -> Result<Self, DeltaError> {
        let store = Arc::new(ExportStore::open(url, options)?);
        let executor = executor(url)?;
        Ok(Self {
            engine: engine(&store, Arc::clone(&executor)),
            store,
            executor,
            events: events.clone(),
            cancel: cancel.clone(),
        })
    }

    /// Runs an operation of the store on the runtime of the requests.
    fn run<T, F>(&self, operation: impl FnOnce(Arc<ExportStore>) -> F) -> Result<T, DeltaError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, BucketError>> + Send + 'static,
    {
        let operation = operation(Arc::clone(&self.store));
        let cancel = self.cancel.clone();
        self.executor.block_on(async move {
            tokio::select! {
                done = operation => done.map_err(DeltaError::from),
                () = cancel.cancelled() => Err(DeltaError::Interrupted),
            }
        })
    }

    /// The names of the objects in the folder of a table.
    fn names(&self, table: &'static TableInfo) -> Result<Vec<String>, DeltaError> {
        let folder = folder_of(table);
        let listed = self.run(|store| async move { store.list(&folder_of(table)).await })?;
        let names = listed.into_iter();
        let names = names.filter_map(|object| Some(object.name.strip_prefix(&folder)?.to_owned()));
        Ok(names.collect())
    }

    /// Uploads the file of a table.
    fn upload(&self, local: PathBuf, bytes: u64, object: String) -> Result<(), DeltaError> {
        let text = format!("uploaded {object}, {bytes} bytes");
        self.run(|store| async move { upload_file(&store, &local, bytes, &object).await })?;
        self.events.send(Event::Detail(text));
        Ok(())
    }

    fn place(&self, table: &'static TableInfo) -> Result<TablePlace, DeltaError> {
        let url = self.store.url();
        let parts = [url.prefix.as_str(), table.name];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let host = match url.local_directory() {
            Some(_) => UNORDERED_HOST,
            None => &url.bucket,
        };
        let location = format!("{LOCATION_SCHEME}://{host}/{}/", parts.join("/"));
        let location = Url::parse(&location).map_err(|_| BucketError::Prefix)?;
        Ok(TablePlace {
            table,
            url: url.of_object(table.name),
            location,
        })
    }

    /// Reads a table, and checks that a run may commit to it. With `force`, it can be one of another program.
    pub(crate) fn check(
        &self,
        table: &'static TableInfo,
        force: bool,
    ) -> Result<TableBefore, DeltaError> {
        let place = self.place(table)?;
        let names = self.names(table)?;
        let refuse = |what| {
            let url = place.url.clone();
            Err(DeltaError::Taken { url, what })
        };
        if !names.iter().any(|name| name.starts_with(LOG)) {
            let is_own = |name: &String| path_of_content(name).is_some();
            if !force && !names.iter().all(is_own) {
                return refuse("files");
            }
            return Ok(TableBefore {
                place,
                version: None,
                names,
            });
        }
        let version = TableVersion::read(&self.engine, &place)?;
        if version.own_commits.is_none() && !force {
            return refuse("a Delta table");
        }
        version.missing_columns(&place)?;
        Ok(TableBefore {
            place,
            version: Some(version),
            names,
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
            names,
        } = before;
        let mut tables = export.manifest.tables.iter();
        let published = tables.find(|(name, _)| name == place.table.name);
        let Some([published]) = published.map(|(_, table)| table.files.as_slice()) else {
            return Ok(None);
        };
        let name = content_name(&published.file);
        if version
            .as_ref()
            .is_some_and(|version| version.is_only(&name))
        {
            return Ok(None);
        }
        if place.table.table == Table::Tasks
            && let Some(version) = &version
        {
            refuse_shrink(version, export)?;
        }
        let local = export.directory.join(&published.file.path);
        let object = format!("{}{name}", folder_of(place.table));
        let bytes = published.file.bytes;
        let upload = || self.upload(local.clone(), bytes, object.clone());
        if !names.contains(&name) {
            upload()?;
        }
        let publication = export.manifest.publication.as_ref();
        let publication = publication.map(ToString::to_string).unwrap_or_default();
        let next = NextFile {
            name: &name,
            bytes,
            local: &local,
            publication: &publication,
        };
        let committed = self.commit_next(&place, version, next)?;
        if names.contains(&name) {
            // A program that cleans the table can have deleted a file that only earlier versions had.
            if !self.names(place.table)?.contains(&name) {
                upload()?;
            }
        }
        Ok(committed)
    }

    /// Commits a table whose file is uploaded.
    fn commit_next(
        &self,
        place: &TablePlace,
        version: Option<TableVersion>,
        next: NextFile<'_>,
    ) -> Result<Option<u64>, DeltaError> {
        let own_commits = version.as_ref().and_then(|version| version.own_commits);
        let mut current = version;
        for _ in 0..COMMIT_ATTEMPTS {
            let end = match &current {
                None => create(&self.engine, place, next)?,
                Some(version) => version.replace(&self.engine, place, next)?,
            };
            if let CommitEnd::Committed {
                version,
                checkpoint,
            } = end
            {
                if let Err(error) = checkpoint {
                    // Readers read more of the log, and a later commit tries again.
                    self.events.send(Event::Warning(error.to_string()));
                }
                return Ok(Some(version));
            }
            let found = TableVersion::read(&self.engine, place)?;
            if found.is_only(next.name) {
                // The response to the own commit was lost, or another run committed the same.
                return Ok(None);
            }
            if found.own_commits != own_commits {
                break;
            }
            current = Some(found);
        }
        Err(DeltaError::Overtaken {
            url: place.url.clone(),
        })
    }
}

/// The folder of a table at its place.
fn folder_of(table: &TableInfo) -> String {
    format!("{}/", table.name)
}

/// Applies the guard by the numbers of tasks: the IDs in the Delta table are not known.
fn refuse_shrink(version: &TableVersion, export: ExportTables<'_>) -> Result<(), DeltaError> {
    let ExportTables {
        manifest,
        max_shrink,
        ..
    } = export;
    let rows: Option<u64> = version.files.iter().map(|file| file.rows).sum();
    let before = rows.unwrap_or_default();
    let shrink = Shrink {
        before,
        missing: before.saturating_sub(manifest.ids.exported),
    };
    let requested = manifest.ids.requested;
    Ok(check_shrink(
        max_shrink,
        ResponseSource::Api,
        requested,
        shrink,
    )?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::encode::format::Format;
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
                delta: None,
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
        assert!(matches!(error, DeltaError::NotPublished(_)), "{error}");
    }
}
