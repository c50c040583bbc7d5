//! Uploads a file: small ones with one request, large ones in parts.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::bucket::error::BucketError;
use crate::bucket::store::ExportStore;
use crate::output_error::OutputError;

/// Bytes of a part, and of the largest file that is uploaded with one request.
const PART_BYTES: u64 = 16 << 20;

/// The maximum number of parts that all stores accept.
const MAX_PARTS: u64 = 10_000;

/// Parts that are uploaded at the same time. Each is in memory.
const PARTS_IN_FLIGHT: usize = 4;

/// Uploads a file of a known size under a name.
pub(crate) async fn upload_file(
    store: &ExportStore,
    path: &Path,
    bytes: u64,
    name: &str,
) -> Result<(), BucketError> {
    let file = File::open(path).map_err(OutputError::io("open", path))?;
    let read = |offset: u64, length: u64| {
        read_part(&file, offset, length).map_err(OutputError::io("read", path))
    };
    if bytes <= PART_BYTES {
        return store.write(name, read(0, bytes)?).await;
    }
    let part_bytes = PART_BYTES.max(bytes.div_ceil(MAX_PARTS));
    let mut upload = store.start_parts(name).await?;
    let offsets = (0..bytes.div_ceil(part_bytes)).map(|part| part * part_bytes);
    let parts = stream::iter(offsets).map(|offset| {
        let part = read(offset, part_bytes.min(bytes - offset));
        // The order of these calls is that of the parts.
        let put = part.map(|part| upload.put_part(part.into()));
        async move { store.attempt("write", name, put?).await }
    });
    let sent: Result<Vec<()>, BucketError> = parts.buffered(PARTS_IN_FLIGHT).try_collect().await;
    if let Err(error) = sent {
        // Otherwise the parts would take space. The store's own rules remove those of a run that is killed.
        let _ = upload.abort().await;
        return Err(error);
    }
    store
        .attempt("write", name, upload.complete())
        .await
        .map(drop)
}

fn read_part(file: &File, offset: u64, length: u64) -> io::Result<Bytes> {
    let length = usize::try_from(length).map_err(io::Error::other)?;
    let mut part = vec![0; length];
    file.read_exact_at(&mut part, offset)?;
    Ok(part.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket::bucket_url::BucketUrl;

    /// Bytes of the file: more than one part, and not a multiple of a part.
    const BYTES: u64 = 2 * PART_BYTES + 3;

    #[tokio::test]
    async fn a_large_file_is_uploaded_in_parts_in_their_order() {
        let url = BucketUrl::find("s3://bucket/a").unwrap().unwrap();
        let store = ExportStore::in_memory(&url);
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("file");
        let content: Vec<u8> = (0..BYTES)
            .map(|at| u8::try_from(at / 65_537 % 251).unwrap())
            .collect();
        std::fs::write(&path, &content).unwrap();
        upload_file(&store, &path, BYTES, "data/x").await.unwrap();
        let mut stored = Vec::new();
        let read = store.download("data/x", |piece| {
            stored.extend_from_slice(piece);
            Ok(())
        });
        read.await.unwrap();
        assert!(stored == content);
        // A file that shrinks while it is read.
        let error = upload_file(&store, &path, BYTES + 1, "data/x").await;
        assert!(matches!(error, Err(BucketError::Output(_))), "{error:?}");
    }
}
