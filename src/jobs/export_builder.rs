//! Builds [`ExportOptions`] from defaults.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use crate::api::api_key::{KeyError, read_key};
use crate::api::certificates::Authorities;
use crate::api::list_request::ListSource;
use crate::api::options::ClientOptions;
use crate::encode::format::Format;
use crate::fetch::options::FetchOptions;
use crate::ids::task_ids::TaskIds;
use crate::jobs::export_options::{ExportOptions, Refresh};
use crate::lists::list_planner::ListPlan;
use crate::pacer::types::Rate;
use crate::publish::guard::GuardOptions;
use crate::tables::selection::TableSelection;

/// The base URL of the API.
pub const DEFAULT_BASE_URL: &str = "https://api.scale.com";

/// Values of the `opts` parameter: with them, a task has all of its details.
pub const DEFAULT_OPTS: [&str; 3] = [
    "annotation_details",
    "attachment_details",
    "model_parameters",
];

/// The maximum number of requests in flight.
pub const DEFAULT_CONCURRENCY: u16 = 32;

/// The timeout of one attempt.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_mins(1);

/// The timeout for opening a connection.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A response that delivers no byte for this long is given up.
pub const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// The maximum number of retries of an ID that keeps failing.
pub const DEFAULT_MAX_RETRIES: u32 = 8;

/// How long an ID, or the whole run, may go without a success.
pub const DEFAULT_RETRY_TIMEOUT: Duration = Duration::from_mins(5);

/// The largest response, in bytes after decompression.
pub const DEFAULT_MAX_BODY: u64 = 256 << 20;

/// Builds [`ExportOptions`]. Everything has the default of the command line except the output directory, and the tasks:
/// without [`ids`](Self::ids) or [`lists`](Self::lists), an empty list is exported.
#[derive(Debug, Clone)]
#[must_use]
pub struct ExportOptionsBuilder {
    api_key: Option<SecretString>,
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
            lists: Vec::new(),
            out,
            format: Format::Parquet,
            tables: TableSelection::all(),
            refresh: Refresh::Pending,
            prune: false,
            force: false,
            keep_secrets: false,
            guard: GuardOptions::default(),
            base_url_label: None,
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
                max_retries: DEFAULT_MAX_RETRIES,
                retry_timeout: DEFAULT_RETRY_TIMEOUT,
                fail_fast: false,
                drop_missing: false,
            },
        };
        Self {
            api_key: None,
            options,
        }
    }

    /// The API key. Without it, [`build`](Self::build) reads it from the environment variable `SCALE_API_KEY`.
    pub fn api_key(mut self, api_key: impl Into<SecretString>) -> Self {
        self.api_key = Some(api_key.into());
        self
    }

    setters! {
        /// The tasks.
        ids: TaskIds => ids;
        /// List endpoints that the tasks are taken from instead of a list of IDs.
        lists: Vec<ListSource> => lists;
        /// The file format. Default: Parquet.
        format: Format => format;
        /// The tables to write. Default: all.
        tables: TableSelection => tables;
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
        /// The base URL of the API. Default: [`DEFAULT_BASE_URL`].
        base_url: String => fetch.client.base_url;
        /// Values of the `expand` parameter. Default: none.
        expand: Vec<String> => fetch.client.expand;
        /// Values of the `opts` parameter. Default: [`DEFAULT_OPTS`].
        opts: Vec<String> => fetch.client.opts;
        /// The maximum number of requests in flight. Default: [`DEFAULT_CONCURRENCY`].
        concurrency: usize => fetch.client.concurrency;
        /// The timeout of one attempt. Default: [`DEFAULT_TIMEOUT`].
        timeout: Duration => fetch.client.timeout;
        /// The timeout for opening a connection. Default: [`DEFAULT_CONNECT_TIMEOUT`].
        connect_timeout: Duration => fetch.client.connect_timeout;
        /// The largest response in bytes. Default: [`DEFAULT_MAX_BODY`].
        max_body: u64 => fetch.client.max_body;
        /// Whether the key may be sent over `http://` to a host other than loopback. Default: no.
        allow_http: bool => fetch.client.allow_http;
        /// How fast requests are sent. Default: learned from the responses of the API.
        rate: Rate => fetch.rate;
        /// The maximum number of retries of an ID that keeps failing. Default: [`DEFAULT_MAX_RETRIES`].
        max_retries: u32 => fetch.max_retries;
        /// How long an ID, or the whole run, may go without a success. Default: [`DEFAULT_RETRY_TIMEOUT`].
        retry_timeout: Duration => fetch.retry_timeout;
    }

    /// The options.
    ///
    /// # Errors
    ///
    /// [`KeyError`] without a key, when the environment variable is not set or its value is not a key.
    pub fn build(self) -> Result<ExportOptions, KeyError> {
        let Self {
            api_key,
            mut options,
        } = self;
        let client = &mut options.fetch.client;
        client.api_key = match api_key {
            Some(api_key) => api_key,
            None => read_key(None)?.secret,
        };
        client.authorities = Authorities::read();
        client.read_timeout = client.timeout.min(READ_TIMEOUT);
        // One option for two parts: what counts as a failure, and what leaves the tables.
        options.fetch.drop_missing = options.guard.drop_missing;
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    #[test]
    fn what_is_set_is_in_the_options_and_the_rest_has_defaults() {
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
}
