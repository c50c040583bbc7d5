//! What the network side asks of a body, answered by `response`. Depends on `fetch`, `json` and
//! `response`.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use secrecy::{ExposeSecret as _, SecretString};

use crate::fetch::{BadBody, CheckBody, CheckedBody};
use crate::json::Parser;
use crate::response::{Unfit, check, may_be_kept, without_key};

/// Lends parsers to the network side, so that their memory is used again.
#[derive(Debug)]
pub(super) struct Checker {
    keep_secrets: bool,
    key: SecretString,
    parsers: Mutex<Vec<Parser>>,
}

impl Checker {
    pub(super) fn new(keep_secrets: bool, key: SecretString) -> Self {
        Self {
            keep_secrets,
            key,
            parsers: Mutex::default(),
        }
    }
}

impl CheckBody for Checker {
    fn check(&self, task_id: &str, body: Bytes) -> Result<CheckedBody, BadBody> {
        /// A parser that has read a larger body is not kept.
        const KEPT_BODY_BYTES: usize = 1 << 20;
        let body = match without_key(&body, self.key.expose_secret()) {
            Some(body) => Bytes::from(body),
            None => body,
        };
        let lend = || self.parsers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut parser = lend().pop().unwrap_or_default();
        let checked = match check(&body, Some(task_id), self.keep_secrets, &mut parser) {
            Ok(checked) => {
                let redacted = match checked.body {
                    std::borrow::Cow::Borrowed(_) => None,
                    std::borrow::Cow::Owned(text) => Some(Bytes::from(text)),
                };
                Ok((redacted, checked.is_final, checked.note))
            }
            Err(Unfit::OtherTask) => Err(BadBody::OtherTask),
            Err(unfit) => Err(BadBody::NoTask {
                why: unfit.to_string(),
                body: may_be_kept(&body, self.keep_secrets).then(|| body.clone()),
            }),
        };
        if body.len() <= KEPT_BODY_BYTES {
            lend().push(parser);
        }
        checked.map(|(redacted, is_final, note)| CheckedBody {
            body: redacted.unwrap_or(body),
            is_final,
            note,
        })
    }
}
