//! What the network side asks of a body, answered by `response`. Depends on `fetch`, `json` and
//! `response`.

use std::borrow::Cow;
use std::sync::Mutex;

use bytes::Bytes;
use secrecy::{ExposeSecret as _, SecretString};

use crate::api::body_check::{
    Belongs, Page, Unfit, belongs, check, fingerprint, may_be_kept, split,
};
use crate::api::redaction::without_key;
use crate::fetch::options::{BadBody, CheckBody, CheckedBody};
use crate::json::document::Parser;
use crate::threads;

/// Lends parsers to the network side, so that their memory is used again.
#[derive(Debug)]
pub(crate) struct Checker {
    keep_secrets: bool,
    key: SecretString,
    parsers: Mutex<Vec<Parser>>,
}

impl Checker {
    pub(crate) fn new(keep_secrets: bool, key: SecretString) -> Self {
        Self {
            keep_secrets,
            key,
            parsers: Mutex::default(),
        }
    }
}

/// A parser that has read a larger body is not kept.
const KEPT_BODY_BYTES: usize = 1 << 20;

impl Checker {
    /// Uses a parser on a body, from which the key is taken out first.
    fn parse<T>(
        &self,
        body: Bytes,
        read: impl FnOnce(&Bytes, &mut Parser) -> Result<T, Unfit>,
    ) -> Result<(Bytes, T), BadBody> {
        let body = match without_key(&body, self.key.expose_secret()) {
            Some(body) => Bytes::from(body),
            None => body,
        };
        let lend = || threads::lock(&self.parsers);
        let mut parser = lend().pop().unwrap_or_default();
        let done = read(&body, &mut parser);
        if body.len() <= KEPT_BODY_BYTES {
            lend().push(parser);
        }
        match done {
            Ok(done) => Ok((body, done)),
            Err(Unfit::OtherTask) => Err(BadBody::OtherTask),
            Err(Unfit::NoMemory) => Err(BadBody::NoMemory),
            Err(unfit @ Unfit::TooLarge(_)) => {
                let why = unfit.to_string();
                Err(BadBody::TooLarge { why })
            }
            Err(unfit) => Err(BadBody::NoTask {
                why: unfit.to_string(),
                body: may_be_kept(&body, self.keep_secrets).then_some(body),
            }),
        }
    }
}

impl CheckBody for Checker {
    fn check(&self, task_id: &str, body: Bytes) -> Result<CheckedBody, BadBody> {
        let (body, (redacted, nodes, is_final, note)) = self.parse(body, |body, parser| {
            let checked = check(body, Some(task_id), self.keep_secrets, parser)?;
            let redacted = match checked.body {
                Cow::Borrowed(_) => None,
                Cow::Owned(text) => Some(Bytes::from(text)),
            };
            Ok((redacted, checked.nodes, checked.is_final, checked.note))
        })?;
        Ok(CheckedBody {
            body: redacted.unwrap_or(body),
            nodes,
            is_final,
            note,
        })
    }

    fn split(&self, body: Bytes) -> Result<Page, BadBody> {
        let read = |body: &Bytes, parser: &mut Parser| split(body, self.keep_secrets, parser);
        self.parse(body, read).map(|(_, page)| page)
    }

    fn belongs(&self, body: &[u8]) -> Belongs {
        belongs(body, &mut Parser::default())
    }

    fn fingerprint(&self, body: &[u8]) -> [u8; 32] {
        fingerprint(body, &mut Parser::default())
    }
}
