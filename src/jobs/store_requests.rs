//! How a job sends requests to an object store.

use crate::bucket::store_options::StoreOptions;
use crate::fetch::options::FetchOptions;

/// How requests to a store are sent by a run with these options for requests to the API; none for the defaults.
pub(crate) fn store_options(fetch: Option<&FetchOptions>) -> StoreOptions {
    let defaults = StoreOptions::of_environment();
    let Some(fetch) = fetch else {
        return defaults;
    };
    let options = StoreOptions {
        ca_file: fetch.client.ca_file.clone(),
        allow_http: fetch.client.allow_http,
        connect_timeout: fetch.client.connect_timeout,
        ..defaults
    };
    options.with_retries(fetch.max_retries, fetch.retry_timeout)
}
