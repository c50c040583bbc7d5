//! Tables again from raw responses, without network or key: the same bytes as an export of the same
//! responses and IDs gives. Depends on the files of this folder.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use crate::encode::table_writers::{Format, Selection};
use crate::event::{AgainCounts, Event, Events};
use crate::ids::task_ids::IdList;
use crate::jobs::error::ExportError;
use crate::jobs::export::{Ended, guard};
use crate::jobs::import::{Import, Imported, ReadJournal, is_export, list_of, read_journal};
use crate::jobs::ordered_reader::Followed;
use crate::jobs::publication::{ExportReport, Publication, now, publish};
use crate::jobs::response_cache::Recent;
use crate::jobs::resume::{mend_journal, report_directory};
use crate::jobs::table_builder;
use crate::jobs::table_builder::{Built, Site};
use crate::jobs::task_input::Feed;
use crate::jobs::unlisted::Found;
use crate::journal::error::JournalError;
use crate::journal::format::Options;
use crate::journal::reader::JournalReader;
use crate::journal::writer::Journal;
use crate::publish::file_names::{IDS, JOURNAL};
use crate::publish::guard::{GuardOptions, Origin};
use crate::publish::manifest::{Manifest, ManifestOptions, RunCounters};
use crate::publish::output_dir::{OutputDirectory, STATE_DIRECTORY};
use crate::publish::staged_file::Staging;

/// Stands for the base URL where responses come from files.
const FILES: &str = "files";

/// What to flatten, and how.
#[derive(Debug)]
pub struct FlattenOptions {
    /// Directories of exports, and files of tasks, one a line; `-` is standard input. Of several
    /// responses for one task the last counts.
    pub sources: Vec<PathBuf>,
    /// The tasks and their order; when `None`, those of the sources in theirs.
    pub ids: Option<IdList>,
    /// The output directory; it may be the one source.
    pub out: PathBuf,
    /// File format.
    pub format: Format,
    /// Tables to write; all when empty.
    pub tables: Vec<String>,
    /// Overwrite files that scale-export did not create.
    pub force: bool,
    /// Keep live credentials inside of responses from files.
    pub keep_secrets: bool,
    /// What the tables must be like to be published. Sources that dropped missing tasks are flattened in the same way.
    pub guard: GuardOptions,
}

/// What is known of the sources when their responses have been read.
struct Sources {
    found: Found,
    options: Options,
    /// The tasks in the order of the sources, where that is not the order in which their records came.
    order: Option<IdList>,
    /// Is there a new journal, which is not the directory's own yet?
    is_new: bool,
    journal_bytes: u64,
    duplicates: u64,
    unreadable: u64,
}

/// That, where the responses are, and the tables if they have been built meanwhile.
type Read = (Sources, JournalReader, Option<Built>);

/// Runs the whole job.
pub fn flatten(
    options: &FlattenOptions,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<Ended, ExportError> {
    let started_at = now();
    let guard_options = GuardOptions {
        drop_missing: options.guard.drop_missing
            || options.sources.iter().any(|source| drops_missing(source)),
        ..options.guard
    };
    for source in &options.sources {
        refuse_source(source, &options.out)?;
    }
    let selection = Selection {
        format: options.format,
        names: &options.tables,
    };
    let directory = OutputDirectory::open(&options.out, selection, options.force)?;
    let is_over = || cancel.is_cancelled();
    report_directory(&directory, events);
    let staging = Staging::begin(&directory);
    let site = Site {
        selection,
        staging: &staging,
        events,
    };
    events.send(Event::Phase("reading raw responses"));
    let read = if is_in_place(options) {
        mend_journal(&directory, directory.manifest().as_ref(), events)?;
        in_place(&options.out, events, is_over)
    } else {
        import(options, &directory, site, is_over)
    };
    let (sources, reader, built) = match read {
        Err(ExportError::Journal(JournalError::Interrupted { .. })) => {
            return Ok(Ended::Stopped { kept: None });
        }
        read => read?,
    };
    let list = options.ids.clone().or(sources.order);
    let mut exports = options.sources.iter().filter(|source| is_export(source));
    let has_list = options.ids.is_some() || exports.any(|export| export.join(IDS).exists());
    // Of what was found only what the tables need stays in memory.
    let (ids, index) = match list {
        Some(list) => {
            let index = sources.found.index(&list);
            (list, index)
        }
        None => sources.found.into_index(),
    };
    let index = built.is_none().then_some(index);
    if is_over() {
        return Ok(Ended::Stopped { kept: None });
    }
    // The export of an empty list has no tasks, and is one all the same.
    if ids.is_empty() && !has_list {
        return Err(ExportError::NoTasks);
    }
    events.send(Event::Planned {
        requested: ids.len(),
        held: 0,
        duplicates: 0,
        listed: false,
        again: AgainCounts::default(),
    });
    let built = if let Some(index) = index {
        events.send(Event::Phase("building tables"));
        let recent = Recent::default();
        let followed = Followed {
            ids: &ids,
            index: &index,
            reader,
            recent: &recent,
            drop_missing: guard_options.drop_missing,
        };
        table_builder::run(site, is_over, || {}, |feed| followed.feed(feed))?.1
    } else {
        built
    };
    let Some(built) = built.filter(|_| !is_over()) else {
        return Ok(Ended::Stopped { kept: None });
    };
    let published = directory.manifest();
    guard(
        &guard_options,
        Origin::Journal,
        &directory,
        published.as_ref(),
        &ids,
        &built.flattened,
    )?;
    events.send(Event::Phase("publishing"));
    let duplicates = duplicates(options).unwrap_or(sources.duplicates);
    let publication = Publication {
        ids: &ids,
        selection,
        options: ManifestOptions {
            base_url: sources.options.base_url,
            expand: sources.options.expand,
            opts: sources.options.opts,
            format: options.format,
            tables: options.tables.clone(),
            keep_secrets: sources.options.keep_secrets,
            drop_missing: guard_options.drop_missing,
            lists: Vec::new(),
        },
        duplicates,
        run: RunCounters {
            started_at,
            finished_at: now(),
            requests: 0,
            retries: 0,
            rate_limited: 0,
            bytes_received: 0,
            journal_bytes: Some(sources.journal_bytes),
        },
        with_journal: sources.is_new,
    };
    let report = publish(publication, &directory, staging, built)?;
    Ok(Ended::Published(Box::new(ExportReport {
        unreadable: sources.unreadable,
        asked: false,
        ..report
    })))
}

/// Refuses what cannot be a source, before anything is made.
fn refuse_source(source: &Path, out: &Path) -> Result<(), ExportError> {
    let wrong = |cause: &str| {
        Err(ExportError::Source {
            name: source.display().to_string(),
            cause: cause.to_owned(),
        })
    };
    if source.as_os_str() == "-" {
        return Ok(());
    }
    if !source.exists() {
        return wrong("there is no such file or directory");
    }
    if !is_export(source) {
        return Ok(());
    }
    if !JournalReader::is_there(&source.join(STATE_DIRECTORY))? {
        return wrong(
            "the directory holds no raw responses that can be read (.scale-export/journal)",
        );
    }
    // The output may not exist yet, and what it stands in may.
    let whole = out.canonicalize();
    let is_inside = whole.as_deref().unwrap_or(out).ancestors().skip(1).any(|above| {
        let above = if above.as_os_str().is_empty() {
            Path::new(".")
        } else {
            above
        };
        matches!((above.canonicalize(), source.canonicalize()), (Ok(above), Ok(source)) if above == source)
    });
    if is_inside {
        return wrong("the output directory stands inside of it");
    }
    Ok(())
}

/// Is the output the one source?
fn is_in_place(options: &FlattenOptions) -> bool {
    let same = |source: &PathBuf| match (source.canonicalize(), options.out.canonicalize()) {
        (Ok(source), Ok(out)) => source == out,
        _ => false,
    };
    matches!(options.sources.as_slice(), [source] if same(source))
}

/// The directory's own journal, which stays as it is.
fn in_place(out: &Path, events: &Events, is_over: impl Fn() -> bool) -> Result<Read, ExportError> {
    let ReadJournal {
        found,
        reader,
        options,
        damaged,
        bytes: journal_bytes,
    } = read_journal(out, events, is_over)?;
    let sources = Sources {
        found,
        order: list_of(out)?,
        options,
        is_new: false,
        journal_bytes,
        duplicates: 0,
        unreadable: damaged,
    };
    Ok((sources, reader, None))
}

/// Brings all sources into a journal of the output's own. The tables are built at the same time where the order
/// in which tasks come is their order in the tables, as long as none comes twice.
fn import(
    options: &FlattenOptions,
    directory: &OutputDirectory,
    site: Site<'_>,
    is_over: impl Fn() -> bool + Sync,
) -> Result<Read, ExportError> {
    refuse_fetched(directory)?;
    let mut journal_options = Options {
        base_url: FILES.to_owned(),
        expand: Vec::new(),
        opts: Vec::new(),
        keep_secrets: options.keep_secrets,
        copied: true,
    };
    for source in options.sources.iter().filter(|source| is_export(source)) {
        let theirs = JournalReader::options(&source.join(STATE_DIRECTORY))?;
        journal_options.keep_secrets |= theirs.keep_secrets;
        if options.sources.len() == 1 {
            journal_options = Options {
                copied: true,
                ..theirs
            };
        }
    }
    let journal = Journal::create(site.staging.place(JOURNAL), &journal_options)?;
    let import = Import {
        journal,
        sources: &options.sources,
        keep_secrets: options.keep_secrets,
        events: site.events,
    };
    let read = |feed: Option<Feed>| import.run(feed, &is_over);
    // One export has an order of its own.
    let is_in_order =
        options.ids.is_none() && !options.sources.iter().any(|source| is_export(source));
    let (imported, built) = if is_in_order {
        table_builder::run(site, &is_over, || {}, |feed| read(Some(feed)))?
    } else {
        (read(None)?.left, None)
    };
    let Imported {
        journal,
        found,
        order,
        duplicates,
        unreadable,
    } = imported;
    let sources = Sources {
        found,
        order,
        options: journal_options,
        journal_bytes: journal.bytes(),
        is_new: true,
        duplicates,
        unreadable,
    };
    Ok((sources, journal.reader(), built))
}

/// Responses that were fetched are not thrown away for others.
fn refuse_fetched(directory: &OutputDirectory) -> Result<(), ExportError> {
    if !JournalReader::is_there(&directory.state())? {
        return Ok(());
    }
    let mut records = 0_u64;
    let (_, options, _) = JournalReader::open(&directory.state(), None, |_| {
        records += 1;
        // One is enough to know.
        ControlFlow::Continue(())
    })?;
    if records > 0 && !options.copied {
        return Err(ExportError::Fetched {
            out: directory.path().to_owned(),
        });
    }
    Ok(())
}

/// Did the export treat IDs that the API does not know any more as deleted tasks?
fn drops_missing(source: &Path) -> bool {
    let manifest = is_export(source)
        .then(|| Manifest::read(source).ok())
        .flatten();
    let manifest = manifest.flatten().and_then(Result::ok);
    manifest.is_some_and(|manifest| manifest.options.drop_missing)
}

/// How often an ID came again: in the list that was given, or that the one export was made for.
fn duplicates(options: &FlattenOptions) -> Option<u64> {
    if let Some(ids) = &options.ids {
        return Some(ids.duplicates());
    }
    match options.sources.as_slice() {
        [source] if is_export(source) => {
            let manifest = Manifest::read(source).ok()??.ok()?;
            Some(manifest.ids.duplicates)
        }
        _ => None,
    }
}
