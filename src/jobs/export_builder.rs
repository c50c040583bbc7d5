//! Builds [`ExportOptions`] from defaults.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use crate::api::api_key::KeySource;
use crate::api::certificates::{Authorities, CaFile};
use crate::api::list_request::ListSource;
use crate::api::options::ClientOptions;
use crate::encode::format::Format;
use crate::fetch::options::FetchOptions;
use crate::ids::range_cutter::RangeLengths;
use crate::ids::shard::{Shard, ShardIds};
use crate::ids::task_ids::TaskIds;
use crate::jobs::export_defaults::{
    DEFAULT_BASE_URL, DEFAULT_CONCURRENCY, DEFAULT_CONNECT_TIMEOUT, DEFAULT_MAX_BODY,
    DEFAULT_MAX_RETRIES, DEFAULT_OPTS, DEFAULT_RETRY_TIMEOUT, DEFAULT_TIMEOUT, MAX_BODY_LIMIT,
    MAX_CONCURRENCY, READ_TIMEOUT, URL_VARIABLE, default_threads,
};
use crate::jobs::export_options::{ExportOptions, Refresh};
use crate::jobs::options_error::OptionsError;
use crate::jobs::publish_targets::PublishTargets;
use crate::lists::list_planner::ListPlan;
use crate::pacer::types::Rate;
use crate::publish::guard::{Allowance, GuardOptions};
use crate::tables::selection::TableSelection;

/// Builds [`ExportOptions`]. Everything has the default of the command line except the output directory, and the tasks:
/// without [`ids`](Self::ids) or [`lists`](Self::lists), an empty list is exported.
#[derive(Debug, Clone)]
#[must_use]
pub struct ExportOptionsBuilder {
    api_key: KeySource,
    base_url: Option<String>,
    ca_file: Option<PathBuf>,
    rate: Option<Rate>,
    shard: Option<Shard>,
    options: ExportOptions,
}

/// One setter for each field of the options.
macro_rules! setters {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty => $($field:ident).+;)+) => {
        $(
            $(#[doc = $doc])+
            pub fn $name(mut self, $name: $type) -> Self {
                self.options.$($field).+ = $name;
                self
            }
        )+
    };
}

impl ExportOptions {
    /// Options for an export into `out`, with the defaults of the command line.
    pub fn builder(out: impl Into<PathBuf>) -> ExportOptionsBuilder {
        ExportOptionsBuilder::new(out.into())
    }
}

impl ExportOptionsBuilder {
    fn new(out: PathBuf) -> Self {
        let options = ExportOptions {
            ids: TaskIds::default(),
            shard: None,
            lists: Vec::new(),
            out,
            targets: PublishTargets::default(),
            format: Format::Parquet,
            tables: TableSelection::all(),
            threads: default_threads(),
            refresh: Refresh::Pending,
            prune: false,
            force: false,
            keep_secrets: false,
            guard: GuardOptions::default(),
            base_url_label: None,
            server_in_process: false,
            warnings: Vec::new(),
            plan: ListPlan::Auto,
            fetch: FetchOptions {
                client: ClientOptions {
                    base_url: DEFAULT_BASE_URL.to_owned(),
                    api_key: SecretString::default(),
                    expand: Vec::new(),
                    opts: DEFAULT_OPTS.map(str::to_owned).to_vec(),
                    concurrency: DEFAULT_CONCURRENCY.into(),
                    timeout: DEFAULT_TIMEOUT,
                    connect_timeout: DEFAULT_CONNECT_TIMEOUT,
                    read_timeout: READ_TIMEOUT,
                    max_body: DEFAULT_MAX_BODY,
                    ca_file: None,
                    authorities: Authorities::System,
                    proxy: true,
                    allow_http: false,
                },
                rate: Rate::Learned,
                is_limit_shared: false,
                max_retries: DEFAULT_MAX_RETRIES,
                retry_timeout: DEFAULT_RETRY_TIMEOUT,
                fail_fast: false,
                drop_missing: false,
            },
        };
        Self {
            api_key: KeySource::Variable,
            base_url: None,
            ca_file: None,
            rate: None,
            shard: None,
            options,
        }
    }

    /// The API key. Without it, [`api_key_file`](Self::api_key_file) and [`api_key_command`](Self::api_key_command),
    /// [`build`](Self::build) reads it from the environment variable `SCALE_API_KEY`.
    pub fn api_key(mut self, api_key: impl Into<SecretString>) -> Self {
        self.api_key = KeySource::Value(api_key.into());
        self
    }

    /// A file that contains only the API key.
    pub fn api_key_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.api_key = KeySource::File(path.into());
        self
    }

    /// A program that prints only the API key, with its arguments, separated and quoted as in a POSIX shell.
    pub fn api_key_command(mut self, command: impl Into<String>) -> Self {
        self.api_key = KeySource::Command(command.into());
        self
    }

    /// The base URL of the API. White space around it and `/` at its end are not part of it. Default: the value of the
    /// environment variable `SCALE_API_URL`, or [`DEFAULT_BASE_URL`] if the variable is not set or empty.
    pub fn base_url(mut self, base_url: impl Into<String>) -> Self {
        self.base_url = Some(base_url.into());
        self
    }

    /// A text that the manifest and the journal have instead of the base URL. A run cannot continue a journal with
    /// another base URL, so a server whose port changes from run to run needs a label. Default: none.
    pub fn base_url_label(mut self, label: impl Into<String>) -> Self {
        self.options.base_url_label = Some(label.into());
        self
    }

    /// Exports only this shard of the IDs. A [rate](Self::rate) is then that of all shards together: this one has its part of
    /// it. Default: all IDs.
    pub fn shard(mut self, shard: Shard) -> Self {
        self.shard = Some(shard);
        self
    }

    /// A PEM file with CA certificates that are trusted in addition. Default: none.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(path.into());
        self
    }

    /// How fast requests are sent. Default: learned from the responses of the API; for a
    /// [server in this process](Self::server_in_process), as fast as possible.
    pub fn rate(mut self, rate: Rate) -> Self {
        self.rate = Some(rate);
        self
    }

    setters! {
        /// Additional targets: the export is published there after the output directory. Default: none.
        targets: PublishTargets => targets;
        /// The tasks.
        ids: TaskIds => ids;
        /// List endpoints that the tasks are taken from instead of a list of IDs.
        lists: Vec<ListSource> => lists;
        /// The file format. Default: Parquet.
        format: Format => format;
        /// The tables to write. Default: all.
        tables: TableSelection => tables;
        /// Threads that build tables; 0 counts as 1. The tables do not depend on their number. Default: one for each core,
        /// at most 8.
        threads: usize => threads;
        /// Which tasks of an earlier run are fetched again. Default: those that were not final, or failed.
        refresh: Refresh => refresh;
        /// Whether raw responses of tasks that are not in the list any more are deleted. Default: no.
        prune: bool => prune;
        /// Whether files that scale-export did not create are overwritten. Default: no.
        force: bool => force;
        /// Whether live credentials in responses are kept. Default: no.
        keep_secrets: bool => keep_secrets;
        /// What an export must be like to be published.
        guard: GuardOptions => guard;
        /// Whether tasks are fetched from lists where that takes fewer requests. Default: automatic.
        plan: ListPlan => plan;
        /// Whether the server runs in this process, as [`Sandbox`](crate::Sandbox) does. Then both ends of a connection
        /// count towards the limit of open files, and the environment variables for proxies and CA certificates are not
        /// read. Default: no.
        server_in_process: bool => server_in_process;
        /// Values of the `expand` parameter. Default: none.
        expand: Vec<String> => fetch.client.expand;
        /// Values of the `opts` parameter. Default: [`DEFAULT_OPTS`].
        opts: Vec<String> => fetch.client.opts;
        /// The maximum number of requests in flight, from 1 to [`MAX_CONCURRENCY`]. Default: [`DEFAULT_CONCURRENCY`].
        concurrency: usize => fetch.client.concurrency;
        /// The timeout of one attempt. Default: [`DEFAULT_TIMEOUT`].
        timeout: Duration => fetch.client.timeout;
        /// The timeout for opening a connection. Default: [`DEFAULT_CONNECT_TIMEOUT`].
        connect_timeout: Duration => fetch.client.connect_timeout;
        /// The largest response in bytes after decompression, up to [`MAX_BODY_LIMIT`]. Default: [`DEFAULT_MAX_BODY`].
        max_body: u64 => fetch.client.max_body;
        /// Whether the key may be sent over `http://` to a host other than loopback. Default: no.
        allow_http: bool => fetch.client.allow_http;
        /// The maximum number of retries of an ID that keeps failing. Default: [`DEFAULT_MAX_RETRIES`].
        max_retries: u32 => fetch.max_retries;
        /// How long an ID, or the whole run, may go without a success. Default: [`DEFAULT_RETRY_TIMEOUT`].
        retry_timeout: Duration => fetch.retry_timeout;
        /// Whether the job stops at the first task that fails, and publishes nothing. This replaces
        /// [`max_failures`](GuardOptions::max_failures). Default: no.
        fail_fast: bool => fetch.fail_fast;
    }

    /// The options. Reads the environment variables and files that they name.
    ///
    /// # Errors
    ///
    /// [`OptionsError`] when the API key, the base URL or the CA certificates cannot be read, and for options that
    /// contradict each other or are out of range.
    pub fn build(self) -> Result<ExportOptions, OptionsError> {
        let ResolvedOptions {
            options,
            ca_file,
            base_url,
            api_key,
        } = self.resolve()?;
        ca_file?;
        base_url?;
        api_key?;
        Ok(options)
    }

    /// Like [`build`](Self::build), but what is wrong with one part does not hide what is wrong with another.
    pub(crate) fn resolve(self) -> Result<ResolvedOptions, OptionsError> {
        let Self {
            api_key,
            base_url,
            ca_file,
            rate,
            shard,
            mut options,
        } = self;
        check(&options)?;
        let mut rate = rate;
        if let Some(shard) = shard {
            if !options.lists.is_empty() {
                return Err(OptionsError::ShardOfLists(shard));
            }
            let ShardIds { ids, place } = shard.of(&options.ids, RangeLengths::of_program());
            (options.ids, options.shard) = (ids, Some(place));
            options.guard.is_shard = true;
            options.fetch.is_limit_shared = shard.count() > 1;
            // The rate is that of all shards together.
            if let Some(Rate::Limit(limit)) = &mut rate {
                *limit /= f64::from(shard.count());
            }
        }
        let client = &mut options.fetch.client;
        let ca_file = ca_file.as_deref().map(CaFile::read).transpose();
        let ca_file = ca_file.map(|file| client.ca_file = file);
        client.base_url.clear();
        let base_url = resolve_base_url(base_url).map(|url| client.base_url = url);
        let api_key = api_key.read().map(|key| {
            client.api_key = key.secret;
            options.warnings.extend(key.warning);
        });
        let implied_rate = if options.server_in_process {
            client.proxy = false;
            client.authorities = Authorities::System;
            Rate::Max
        } else {
            client.authorities = Authorities::read();
            Rate::Learned
        };
        options.fetch.rate = rate.unwrap_or(implied_rate);
        client.read_timeout = client.timeout.min(READ_TIMEOUT);
        if options.fetch.fail_fast {
            options.guard.max_failures = Some(Allowance::Count(0));
        }
        // One option for two parts: what counts as a failure, and what leaves the tables.
        options.fetch.drop_missing = options.guard.drop_missing;
        Ok(ResolvedOptions {
            options,
            ca_file: ca_file.map_err(OptionsError::from),
            base_url,
            api_key: api_key.map_err(OptionsError::from),
        })
    }
}

/// Options, and for each part that is read the reason why it cannot be used. Its value is empty then.
#[derive(Debug)]
pub(crate) struct ResolvedOptions {
    pub(crate) options: ExportOptions,
    pub(crate) ca_file: Result<(), OptionsError>,
    pub(crate) base_url: Result<(), OptionsError>,
    pub(crate) api_key: Result<(), OptionsError>,
}

/// Refuses options that contradict each other or are out of range.
fn check(options: &ExportOptions) -> Result<(), OptionsError> {
    let client = &options.fetch.client;
    if !options.ids.is_empty() && !options.lists.is_empty() {
        Err(OptionsError::IdsAndLists)
    } else if !(1..=MAX_CONCURRENCY.into()).contains(&client.concurrency) {
        Err(OptionsError::Concurrency(client.concurrency))
    } else if client.max_body > MAX_BODY_LIMIT {
        Err(OptionsError::MaxBody(client.max_body))
    } else {
        Ok(())
    }
}

/// The base URL as given, or of the environment, or the default.
fn resolve_base_url(base_url: Option<String>) -> Result<String, OptionsError> {
    let (url, variable) = match base_url {
        Some(url) => (url, None),
        None => match std::env::var_os(URL_VARIABLE) {
            Some(url) if !url.is_empty() => match url.into_string() {
                Ok(url) => (url, Some(URL_VARIABLE)),
                // The default would send the key to a host that the user did not name.
                Err(_) => return Err(OptionsError::UrlVariable),
            },
            _ => return Ok(DEFAULT_BASE_URL.to_owned()),
        },
    };
    let url = url.trim().trim_end_matches('/');
    if url.is_empty() {
        return Err(OptionsError::EmptyBaseUrl { variable });
    }
    Ok(url.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::list_request::{ListFilter, ListKind};
    use crate::error::{Exit, Explain as _};
    use secrecy::ExposeSecret as _;

    #[test]
    fn options_that_are_not_set_have_defaults() {
        let options = ExportOptions::builder("out")
            .api_key("key")
            .timeout(Duration::from_secs(5))
            .guard(GuardOptions {
                drop_missing: true,
                ..GuardOptions::default()
            })
            .build()
            .unwrap();
        let client = &options.fetch.client;
        assert_eq!(client.api_key.expose_secret(), "key");
        assert_eq!(client.base_url, DEFAULT_BASE_URL);
        assert_eq!(client.read_timeout, Duration::from_secs(5));
        assert!(options.fetch.drop_missing);
        assert_eq!(options.tables, TableSelection::all());
    }
    #[test]
    fn the_base_url_has_no_white_space_and_no_slash_at_its_end() {
        let url = |url: &str| {
            let builder = ExportOptions::builder("out").api_key("key").base_url(url);
            builder.build().map(|options| options.fetch.client.base_url)
        };
        assert_eq!(
            url(" https://localhost:1// \n").unwrap(),
            "https://localhost:1"
        );
        let error = url(" / ").unwrap_err();
        assert_eq!(error.exit(), Exit::Usage);
        assert_eq!(error.to_string(), "could not use the base URL: it is empty");
    }

    #[test]
    fn options_that_cannot_be_used_are_refused() {
        let builder = || ExportOptions::builder("out").api_key("key");
        for concurrency in [0, 1025] {
            let error = builder().concurrency(concurrency).build().unwrap_err();
            assert!(matches!(error, OptionsError::Concurrency(_)), "{error}");
        }
        let error = builder().max_body(MAX_BODY_LIMIT + 1).build().unwrap_err();
        assert!(matches!(error, OptionsError::MaxBody(_)), "{error}");
        let list = ListSource {
            kind: ListKind::Project,
            name: "p".to_owned(),
            filter: ListFilter::default(),
        };
        let ids = TaskIds::collect(["task_1"]).unwrap();
        let both = builder().ids(ids).lists(vec![list]).build();
        assert!(matches!(both, Err(OptionsError::IdsAndLists)));
    }

    #[test]
    fn a_shard_has_its_part_of_the_ids_and_of_the_rate() {
        let ids = || TaskIds::collect((0..100).map(|number| format!("task_{number}"))).unwrap();
        let shard = Shard::new(1, 4).unwrap();
        let builder = || ExportOptions::builder("out").api_key("key").shard(shard);
        let options = builder().ids(ids()).rate(Rate::Limit(100.0)).build();
        let options = options.unwrap();
        assert_eq!(options.fetch.rate, Rate::Limit(25.0));
        let place = options.shard.unwrap();
        assert_eq!((place.shard, place.list.requested), (shard, 100));
        // A list of 100 IDs is one range, which the last shard has.
        assert!(options.ids.is_empty());
        assert_eq!(builder().build().unwrap().fetch.rate, Rate::Learned);
        let list = ListSource {
            kind: ListKind::Batch,
            name: "b".to_owned(),
            filter: ListFilter::default(),
        };
        let error = builder().lists(vec![list]).build().unwrap_err();
        assert!(matches!(error, OptionsError::ShardOfLists(_)), "{error}");
        assert_eq!(error.exit(), Exit::Usage);
    }

    #[test]
    fn fail_fast_allows_no_failure_and_a_server_in_this_process_needs_no_limit() {
        let builder = || ExportOptions::builder("out").api_key("key");
        let options = builder().fail_fast(true).build().unwrap();
        assert_eq!(options.guard.max_failures, Some(Allowance::Count(0)));
        assert!(options.fetch.client.proxy);
        assert_eq!(options.fetch.rate, Rate::Learned);
        let options = builder().server_in_process(true).build().unwrap();
        assert!(!options.fetch.client.proxy);
        assert_eq!(options.fetch.rate, Rate::Max);
        let options = builder().server_in_process(true).rate(Rate::Learned);
        assert_eq!(options.build().unwrap().fetch.rate, Rate::Learned);
    }

    #[test]
    fn shards_share_a_limit_and_have_equal_parts_of_a_rate() {
        for (shard, rate, is_shared) in [("2/4", 25.0, true), ("0/1", 100.0, false)] {
            let ids = TaskIds::collect(["task_1"]).unwrap();
            let builder = ExportOptions::builder("out").api_key("key").ids(ids);
            let builder = builder.rate(Rate::Limit(100.0));
            let options = builder.shard(shard.parse().unwrap()).build().unwrap();
            assert_eq!(options.fetch.rate, Rate::Limit(rate));
            assert_eq!(options.fetch.is_limit_shared, is_shared);
        }
    }
}
