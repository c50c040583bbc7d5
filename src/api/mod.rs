//! One request to the API: the HTTP client, request URLs, the check of a body, rate-limit headers and error
//! text.

pub mod api_key;
pub mod base_url;
pub mod body_check;
pub mod body_error;
pub mod body_text;
pub mod certificates;
pub mod client;
pub mod connections;
pub mod content_encoding;
pub mod credentials;
pub mod decoders;
pub mod error;
pub mod error_text;
pub mod http;
pub mod json_shape;
pub mod key_command;
pub mod key_redaction;
pub mod key_spellings;
pub mod list_request;
pub mod memory_budget;
pub mod options;
pub mod proxy;
pub mod proxy_credentials;
pub mod rate_limit_headers;
pub mod redaction;
pub mod reply;
pub mod retry_after;
pub mod task_response;
pub mod tunnel;
