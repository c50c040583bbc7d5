//! What to export, and how.

use std::path::PathBuf;
use std::sync::Arc;

use crate::api::body_check::BodyCheck;
use crate::api::list_request::ListSource;
use crate::api::options::ClientOptions;
use crate::encode::format::{Format, Selection};
use crate::event::{Event, Events};
use crate::fetch::options::FetchOptions;
use crate::ids::shard::ShardPlace;
use crate::ids::task_ids::TaskIds;
use crate::jobs::error::ExportError;
use crate::jobs::limits::fit_concurrency;
use crate::jobs::publish_targets::{PublishRequest, PublishTargets};
use crate::jobs::shards::shard_binding::refuse_other_shard;
use crate::journal::format::JournalOptions;
use crate::lists::list_planner::ListPlan;
use crate::publish::guard::{GuardOptions, ResponseSource};
use crate::publish::manifest::{Manifest, ManifestOptions};
use crate::tables::selection::TableSelection;

/// Which tasks of an earlier run are fetched again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresh {
    /// Those that were not in a final state, or failed.
    Pending,
    /// All.
    All,
    /// Only those that failed.
    None,
}

/// What to export, and how. [`ExportOptions::builder`] makes them.
#[derive(Debug, Clone)]
pub struct ExportOptions {
    /// The tasks, unless they come from lists.
    pub(crate) ids: TaskIds,
    /// Which shard of a list they are, if they are one.
    pub(crate) shard: Option<ShardPlace>,
    /// List endpoints that the tasks are taken from instead.
    pub(crate) lists: Vec<ListSource>,
    /// The output directory.
    pub(crate) out: PathBuf,
    /// Additional targets of the publication.
    pub(crate) targets: PublishTargets,
    /// File format.
    pub(crate) format: Format,
    /// Tables to write.
    pub(crate) tables: TableSelection,
    /// Threads that build tables.
    pub(crate) threads: usize,
    /// Which tasks are fetched again.
    pub(crate) refresh: Refresh,
    /// Whether raw responses of IDs that are not in the list are dropped.
    pub(crate) prune: bool,
    /// Whether files that scale-export did not create are overwritten.
    pub(crate) force: bool,
    /// Whether live credentials in responses are kept.
    pub(crate) keep_secrets: bool,
    /// What an export must be like to be published.
    pub(crate) guard: GuardOptions,
    /// Replaces the base URL in the manifest and the journal, for a server whose port changes from run to run.
    pub(crate) base_url_label: Option<String>,
    /// Whether the server runs in this process, which then has both ends of every connection.
    pub(crate) server_in_process: bool,
    /// Warnings about the options, which the job sends.
    pub(crate) warnings: Vec<String>,
    /// Whether tasks are fetched from lists.
    pub(crate) plan: ListPlan,
    /// The network side.
    pub(crate) fetch: FetchOptions,
}

/// Open files of a request.
const FILES_PER_REQUEST: u64 = 1;

/// Open files of a request to a server in this process: both ends of the connection, one of them twice.
const FILES_PER_LOCAL_REQUEST: u64 = 3;

impl ExportOptions {
    /// The base URL, as the manifest and the journal have it.
    fn base_url(&self) -> String {
        self.base_url_label
            .clone()
            .unwrap_or_else(|| self.fetch.client.base_url.clone())
    }

    /// Refuses an output directory that has another shard, or no shard.
    pub(crate) fn refuse_other_shard(
        &self,
        published: Option<&Manifest>,
    ) -> Result<(), ExportError> {
        refuse_other_shard(&self.out, published, self.shard.as_ref())
    }

    /// The tables to write, and their format.
    pub(crate) fn selection(&self) -> Selection {
        Selection {
            format: self.format,
            tables: self.tables,
        }
    }

    /// What the run says of its publication.
    pub(crate) fn publish_request<'r>(&'r self, fetch: &'r FetchOptions) -> PublishRequest<'r> {
        PublishRequest {
            targets: &self.targets,
            out: &self.out,
            selection: self.selection(),
            force: self.force,
            max_shrink: self.guard.max_shrink,
            shard: self.shard.as_ref().map(|place| place.shard),
            responses: ResponseSource::Api,
            fetch: Some(fetch),
        }
    }

    /// The options that decide what a response means.
    pub(crate) fn journal_options(&self) -> JournalOptions {
        JournalOptions {
            base_url: self.base_url(),
            expand: self.fetch.client.expand.clone(),
            opts: self.fetch.client.opts.clone(),
            keep_secrets: self.keep_secrets,
            copied: false,
        }
    }

    /// The options that the manifest names.
    pub(crate) fn manifest_options(&self) -> ManifestOptions {
        ManifestOptions {
            base_url: self.base_url(),
            expand: self.fetch.client.expand.clone(),
            opts: self.fetch.client.opts.clone(),
            format: self.format,
            tables: self.tables.names(),
            keep_secrets: self.keep_secrets,
            drop_missing: self.guard.drop_missing,
            lists: self.list_texts(),
        }
    }

    /// Whether tasks are fetched from lists. A task that the source lists did not have is not looked for in lists again.
    pub(crate) fn list_plan(&self) -> ListPlan {
        if self.lists.is_empty() {
            self.plan
        } else {
            ListPlan::Ids
        }
    }

    /// The check of bodies that these options need.
    pub(crate) fn body_check(&self) -> Arc<BodyCheck> {
        let key = self.fetch.client.api_key.clone();
        Arc::new(BodyCheck::new(self.keep_secrets, key))
    }

    /// Each list with its filter, as the manifest and the list checkpoint have it.
    pub(crate) fn list_texts(&self) -> Vec<String> {
        self.lists.iter().map(list_text).collect()
    }

    /// The options of the network side, with no more requests in flight than files may be open. A job calls it once, at
    /// its start: it sends the warnings about the options.
    pub(crate) fn fetch_options(&self, events: &Events) -> Result<FetchOptions, ExportError> {
        for warning in &self.warnings {
            events.send(Event::Warning(warning.clone()));
        }
        let files_per_request = if self.server_in_process {
            FILES_PER_LOCAL_REQUEST
        } else {
            FILES_PER_REQUEST
        };
        let client = &self.fetch.client;
        Ok(FetchOptions {
            client: ClientOptions {
                concurrency: fit_concurrency(client.concurrency, files_per_request, events)?,
                ..client.clone()
            },
            ..self.fetch.clone()
        })
    }
}

fn list_text(source: &ListSource) -> String {
    let mut text = format!("{} {}", source.kind.as_str(), source.name);
    for (name, value) in source.filter.parts() {
        text += &format!(", {name} {value}");
    }
    text
}
