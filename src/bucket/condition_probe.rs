//! Checks that a store refuses writes whose condition does not hold. Some servers with the protocol of S3 execute them.

use bytes::Bytes;

use crate::bucket::error::BucketError;
use crate::bucket::store::{ConditionalWrite, ExportStore, WriteCondition};

/// The beginning of the name of the probe's object. Each run adds the ID of its process and the time.
const PROBE: &str = ".scale-export-probe-";

/// Fails if the store ignores conditions. Also shows that the credentials permit to write and delete.
pub(crate) async fn probe_conditions(store: &ExportStore) -> Result<(), BucketError> {
    let now = jiff::Timestamp::now().as_nanosecond();
    let name = format!("{PROBE}{}-{now}", std::process::id());
    let probed = probe(store, &name).await;
    let deleted = store.delete(&name).await;
    probed.and(deleted)
}

async fn probe(store: &ExportStore, name: &str) -> Result<(), BucketError> {
    let ignored = |condition| BucketError::NoConditions {
        url: store.url().to_string(),
        condition,
    };
    let write = |text: &'static str, condition| {
        store.write_if(name, Bytes::from_static(text.as_bytes()), condition)
    };
    let ConditionalWrite::Done(first) = write("1", WriteCondition::Absent).await? else {
        return Err(ignored("a write of a new object was refused"));
    };
    if write("2", WriteCondition::Absent).await? != ConditionalWrite::Refused {
        return Err(ignored("a second object was created under one name"));
    }
    let unchanged = WriteCondition::Unchanged(first.clone());
    let ConditionalWrite::Done(_) = write("3", unchanged).await? else {
        return Err(ignored("a write over an unchanged object was refused"));
    };
    if write("4", WriteCondition::Unchanged(first)).await? != ConditionalWrite::Refused {
        return Err(ignored("an object was overwritten that had changed"));
    }
    Ok(())
}
