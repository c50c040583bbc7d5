//! One Delta table: reads its current version, and commits the next one.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::Schema;
use delta_kernel::committer::FileSystemCommitter;
use delta_kernel::engine::arrow_conversion::{TryIntoArrow as _, TryIntoKernel as _};
use delta_kernel::schema::{SchemaRef, StructField, StructType};
use delta_kernel::transaction::create_table::create_table;
use delta_kernel::transaction::{CommitResult, Transaction, UpdateTableOperation};
use delta_kernel::{FileMeta, KernelResult, Snapshot, SnapshotRef};
use delta_kernel_default_engine::build_add_file_metadata;
use delta_kernel_default_engine::parquet::DataFileMetadata;
use jiff::Timestamp;
use url::Url;

use crate::delta::delta_error::DeltaError;
use crate::delta::file_statistics::file_statistics;
use crate::delta::kernel::{Engine, Operation};
use crate::output_error::OutputError;
use crate::tables::schema::arrow_schema;
use crate::tables::table::TableInfo;

/// The name of this program in the log, with the number of its commits in the table.
const APPLICATION: &str = env!("CARGO_PKG_NAME");

/// Commits after which a checkpoint is written, so that readers need not read the log from its start: the default of other
/// writers.
const COMMITS_PER_CHECKPOINT: u64 = 10;

/// The place of one table.
#[derive(Debug, Clone)]
pub(crate) struct TablePlace {
    pub(crate) table: &'static TableInfo,
    /// Its URL, for messages.
    pub(crate) url: String,
    /// Its location in the store of the engine.
    pub(crate) location: Url,
}

/// A file of a version of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ActiveFile {
    pub(crate) path: String,
    /// Its rows, if the log has their number.
    pub(crate) rows: Option<u64>,
    /// Whether rows of it are deleted, by a deletion vector.
    pub(crate) is_partial: bool,
}

/// A version of a table. A table that does not exist has none.
#[derive(Debug)]
pub(crate) struct TableVersion {
    snapshot: SnapshotRef,
    /// The number of commits of this program; none if it did not create the table.
    pub(crate) own_commits: Option<i64>,
    /// The files that a reader reads.
    pub(crate) files: Vec<ActiveFile>,
}

/// The file that a table is to consist of. It is in the directory of the table.
#[derive(Debug, Clone)]
pub(crate) struct NextFile {
    /// Its name there.
    pub(crate) name: String,
    pub(crate) bytes: u64,
    /// The same file in the output directory.
    pub(crate) local: PathBuf,
    /// The publication, for the history of the table.
    pub(crate) publication: String,
}

/// How an attempt to commit ended.
#[derive(Debug)]
pub(crate) enum CommitEnd {
    /// The new version is in the log.
    Committed {
        version: u64,
        /// Why a checkpoint that was due is missing.
        checkpoint: Result<(), DeltaError>,
    },
    /// Another writer committed first.
    Conflict,
}

impl TableVersion {
    /// Reads the current version of a table that exists.
    pub(crate) fn read(engine: &Engine, place: &TablePlace) -> Result<Self, DeltaError> {
        let read = || {
            let snapshot = Snapshot::builder_for(place.location.as_str()).build(engine)?;
            let own_commits = snapshot.get_app_id_version(APPLICATION, engine)?;
            let mut files = Vec::new();
            let scan = Arc::clone(&snapshot).scan_builder().build()?;
            for found in scan.scan_metadata(engine)? {
                files = found?.visit_scan_files(files, |files, file| {
                    files.push(ActiveFile {
                        rows: file.stats.map(|stats| stats.num_records),
                        is_partial: file.dv_info.has_vector(),
                        path: file.path,
                    });
                })?;
            }
            Ok(Self {
                snapshot,
                own_commits,
                files,
            })
        };
        read().map_err(Operation::on("read the Delta table", &place.url).failed())
    }

    /// The number of the version.
    pub(crate) fn number(&self) -> u64 {
        self.snapshot.version()
    }

    /// Whether the table consists of all rows of a file with this name.
    pub(crate) fn is_only(&self, name: &str) -> bool {
        matches!(self.files.as_slice(), [file] if file.path == name && !file.is_partial)
    }

    /// Checks that the table can get the columns of the export. Returns those that it lacks.
    pub(crate) fn missing_columns(
        &self,
        place: &TablePlace,
    ) -> Result<Vec<StructField>, DeltaError> {
        let wanted = columns(place)?;
        let found = self.snapshot.schema();
        let refuse = |cause: String| {
            let url = place.url.clone();
            DeltaError::Columns { url, cause }
        };
        for field in found.fields() {
            if wanted.field(field.name()).is_none() && !field.nullable {
                let name = field.name();
                return Err(refuse(format!(
                    "its column `{name}` is not in the export, and has no nulls"
                )));
            }
        }
        let mut missing = Vec::new();
        for field in wanted.fields() {
            match found.field(field.name()) {
                None => missing.push(field.clone()),
                Some(found) if found.data_type() == field.data_type() => {}
                Some(found) => {
                    return Err(refuse(format!(
                        "its column `{}` has the type {}, and the export has {}",
                        field.name(),
                        found.data_type(),
                        field.data_type()
                    )));
                }
            }
        }
        Ok(missing)
    }

    /// Checks that the files of this version can be replaced.
    pub(crate) fn check(&self, engine: &Engine, place: &TablePlace) -> Result<(), DeltaError> {
        let refused = |cause: String| DeltaError::Columns {
            url: place.url.clone(),
            cause,
        };
        if self.snapshot.table_properties().append_only == Some(true) {
            return Err(refused(
                "rows can only be added to it (delta.appendOnly)".to_owned(),
            ));
        }
        let missing = self.missing_columns(place)?;
        let transaction = self.transaction(engine, missing, "");
        let written = transaction.and_then(|transaction| {
            let context = transaction.write_state()?.write_context_builder().build();
            context.map(drop)
        });
        written.map_err(
            |error| match Operation::on("check", &place.url).failed()(error) {
                DeltaError::Log { cause, .. } => refused(cause),
                error => error,
            },
        )
    }

    /// A transaction that removes all files.
    fn transaction(
        &self,
        engine: &Engine,
        missing: Vec<StructField>,
        publication: &str,
    ) -> KernelResult<Transaction> {
        let mut builder = Arc::clone(&self.snapshot)
            .update_table(UpdateTableOperation::Write, engine_info(), true)
            .with_transaction_id(APPLICATION, self.own_commits.unwrap_or_default() + 1)
            .with_operation_parameters(parameters(publication));
        for column in missing {
            builder = builder.add_column(column);
        }
        let mut transaction = builder.build(engine, Box::new(FileSystemCommitter::new()))?;
        let scan = Arc::clone(&self.snapshot).scan_builder().build()?;
        for found in scan.scan_metadata(engine)? {
            transaction.remove_files(found?.scan_files);
        }
        Ok(transaction)
    }

    /// Replaces all files of this version by one. Nothing is changed if the table has a newer version.
    pub(crate) fn replace(
        &self,
        engine: &Engine,
        place: &TablePlace,
        next: &NextFile,
    ) -> Result<CommitEnd, DeltaError> {
        let missing = self.missing_columns(place)?;
        let transaction = self.transaction(engine, missing, &next.publication);
        let transaction =
            transaction.map_err(Operation::on("prepare a commit to", &place.url).failed())?;
        commit(transaction, engine, place, next)
    }
}

/// Creates a table with one file.
pub(crate) fn create(
    engine: &Engine,
    place: &TablePlace,
    next: &NextFile,
) -> Result<CommitEnd, DeltaError> {
    let columns = columns(place)?;
    let builder = create_table(place.location.as_str(), columns, engine_info(), true)
        .with_transaction_id(APPLICATION, 1)
        .with_operation_parameters(parameters(&next.publication));
    let transaction = match builder.build(engine, Box::new(FileSystemCommitter::new())) {
        Ok(transaction) => transaction,
        // The library refuses a table that exists, which another run can have created meanwhile.
        Err(_) if TableVersion::read(engine, place).is_ok() => return Ok(CommitEnd::Conflict),
        Err(error) => {
            return Err(Operation::on("create the Delta table", &place.url).failed()(error));
        }
    };
    commit(transaction, engine, place, next)
}

fn engine_info() -> String {
    format!("{APPLICATION}/{}", env!("CARGO_PKG_VERSION"))
}

fn parameters(publication: &str) -> [(&'static str, Option<String>); 1] {
    [("publication", Some(publication.to_owned()))]
}

/// The columns of the export. All can be null in a Delta table, so that readers of old protocols can read it.
fn columns(place: &TablePlace) -> Result<SchemaRef, DeltaError> {
    let schema = arrow_schema(place.table);
    let convert = || -> KernelResult<SchemaRef> {
        let fields: StructType = schema.as_ref().try_into_kernel()?;
        let fields = fields.fields().map(|field| StructField {
            nullable: true,
            ..field.clone()
        });
        Ok(Arc::new(StructType::try_new(fields)?))
    };
    convert().map_err(Operation::on("convert the columns of", &place.url).failed())
}

/// Adds the file, and commits.
fn commit<S>(
    mut transaction: Transaction<S>,
    engine: &Engine,
    place: &TablePlace,
    next: &NextFile,
) -> Result<CommitEnd, DeltaError> {
    let failed = || Operation::on("commit to", &place.url).failed();
    let shape = transaction.stats_schema().map_err(failed())?;
    let shape: Schema = shape
        .as_ref()
        .try_into_arrow()
        .map_err(|error| failed()(error.into()))?;
    let statistics = file_statistics(&next.local, &shape).map_err(|cause| {
        let source = std::io::Error::new(std::io::ErrorKind::InvalidData, cause);
        OutputError::io("read", &next.local)(source)
    })?;
    let add = || {
        let file = FileMeta {
            location: place.location.join(&next.name)?,
            last_modified: Timestamp::now().as_millisecond(),
            size: next.bytes,
        };
        let context = transaction.write_state()?.write_context_builder().build()?;
        build_add_file_metadata(DataFileMetadata::new(file, statistics), &context)
    };
    let added = add().map_err(failed())?;
    transaction.add_files(added);
    match transaction.commit(engine).map_err(failed())? {
        CommitResult::Conflicted(_) => Ok(CommitEnd::Conflict),
        CommitResult::Retryable(retryable) => Err(failed()(retryable.error)),
        CommitResult::Committed(committed) => {
            let due = committed.post_commit_stats().commits_since_checkpoint;
            let checkpoint = if due < COMMITS_PER_CHECKPOINT {
                Ok(())
            } else {
                write_checkpoint(engine, place)
            };
            Ok(CommitEnd::Committed {
                version: committed.commit_version(),
                checkpoint,
            })
        }
    }
}

fn write_checkpoint(engine: &Engine, place: &TablePlace) -> Result<(), DeltaError> {
    let write = || {
        let snapshot = Snapshot::builder_for(place.location.as_str()).build(engine)?;
        snapshot.checkpoint(engine, None)
    };
    let written = write().map_err(Operation::on("write a checkpoint of", &place.url).failed());
    written.map(drop)
}
