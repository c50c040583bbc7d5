//! Files: of messages, of annotation values, and of workspaces.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::flatten::members::{
    ExtraBuilder, KeyColumn, KnownMember, NO_KEY, bind_members, count, objects,
};
use crate::flatten::task_flattener::{FlattenResult, TaskFlattener};
use crate::json::text::Text;
use crate::json::value::Value;
use crate::tables::column::push_index;
use crate::tables::definition::AttachmentRow;
use crate::tables::row_key::RowKey;
use crate::tables::table::Table;

/// The output streams of a workspace, in the order of their rows.
const STREAMS: [&str; 4] = [
    "stdout_output",
    "stderr_output",
    "test_stdout_output",
    "test_stderr_output",
];

/// Where a file was found, which decides how its keys are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FileSource {
    Message,
    Annotation,
    /// A file that a workspace left.
    WorkspaceFile,
    /// An output stream of a workspace, under this key.
    WorkspaceStream(&'static str),
}

impl FileSource {
    /// The value of the column `source`.
    fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Annotation => "annotation",
            Self::WorkspaceFile | Self::WorkspaceStream(_) => "workspace",
        }
    }

    fn keys(self) -> FileKeys {
        match self {
            Self::Message | Self::Annotation => FileKeys {
                name: ("name", "name"),
                content: ("content", "content"),
                language: NO_KEY,
            },
            Self::WorkspaceFile => FileKeys {
                name: ("file_name", "name"),
                content: ("file_content", "content"),
                language: ("file_language", "file_language"),
            },
            Self::WorkspaceStream(_) => FileKeys {
                name: NO_KEY,
                content: ("content", "content"),
                language: NO_KEY,
            },
        }
    }
}

/// Those keys of a file that differ between sources.
struct FileKeys {
    name: KeyColumn,
    content: KeyColumn,
    language: KeyColumn,
}

/// Where a file was found, and the annotation that it belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileOrigin<'d> {
    source: FileSource,
    annotation_id: Option<Text<'d>>,
}

impl FileOrigin<'_> {
    /// A message's own file.
    pub(crate) fn of_message() -> Self {
        Self {
            source: FileSource::Message,
            annotation_id: None,
        }
    }
}

impl TaskFlattener<'_> {
    /// Adds the rows of the files in an annotation's value, by the annotation's type. A value of the wrong shape has no
    /// files.
    pub(crate) fn value_files(
        &mut self,
        value: Value<'_>,
        kind: Text<'_>,
        annotation_id: Option<Text<'_>>,
        row_key: &RowKey<'_>,
    ) -> FlattenResult {
        if kind == *"file" {
            let origin = FileOrigin {
                source: FileSource::Annotation,
                annotation_id,
            };
            self.at("value", None, |flattener| {
                if value.is_object() {
                    return flattener.file(value, 0, origin, row_key);
                }
                flattener.file_list(value, origin, row_key)
            })
        } else if kind == *"workspace_container" && value.is_object() {
            self.at("value", None, |flattener| {
                flattener.workspace(value, annotation_id, row_key)
            })
        } else {
            Ok(())
        }
    }

    fn workspace(
        &mut self,
        value: Value<'_>,
        annotation_id: Option<Text<'_>>,
        row_key: &RowKey<'_>,
    ) -> FlattenResult {
        let origin = |source| FileOrigin {
            source,
            annotation_id,
        };
        if let Some(files) = value.get("output_files") {
            self.at("output_files", None, |flattener| {
                flattener.file_list(files, origin(FileSource::WorkspaceFile), row_key)
            })?;
        }
        for key in STREAMS {
            if let Some(stream) = value.get(key).filter(Value::is_object) {
                self.at(key, None, |flattener| {
                    flattener.file(stream, 0, origin(FileSource::WorkspaceStream(key)), row_key)
                })?;
            }
        }
        Ok(())
    }

    /// Adds the rows of a list of files. The path is that of the list.
    fn file_list(
        &mut self,
        list: Value<'_>,
        origin: FileOrigin<'_>,
        row_key: &RowKey<'_>,
    ) -> FlattenResult {
        let Some(list) = objects(list) else {
            return Ok(());
        };
        let path_len = self.path.len();
        for (index, file) in list.elements().enumerate() {
            push_index(self.path, index);
            self.file(file, count(index), origin, row_key)?;
            self.path.truncate(path_len);
        }
        Ok(())
    }

    /// Adds the row of a file.
    pub(crate) fn file(
        &mut self,
        object: Value<'_>,
        attachment_index: i32,
        origin: FileOrigin<'_>,
        row_key: &RowKey<'_>,
    ) -> FlattenResult {
        let FileOrigin {
            source,
            annotation_id,
        } = origin;
        let keys = source.keys();
        bind_members!(object, Table::Attachments, extra, {
            name: (keys.name),
            mime_type: "mime_type",
            url: "url",
            scale_url: "scale_url",
            content: (keys.content),
            file_size_in_bytes: "file_size_in_bytes",
            duration: "duration",
            transcript_start: "transcript_start",
            transcript_end: "transcript_end",
            transcript: "transcript",
            transcript_url: "transcript_url",
            language: (keys.language),
        });
        let bytes = match source {
            // The API sends these in base64, and the files and streams of workspaces as text.
            FileSource::Message | FileSource::Annotation => decode_base64(content, &mut extra),
            FileSource::WorkspaceFile | FileSource::WorkspaceStream(_) => {
                extra.text(content).map(utf8)
            }
        };
        let digest = bytes.as_deref().map(hex_sha256);
        let name = match source {
            // A stream has no name, and its key tells it from the other three.
            FileSource::WorkspaceStream(key) => Some(Text::plain(key)),
            _ => extra.text(name),
        };
        // `attachments` has no column for the language.
        extra.keep(language);
        let row = AttachmentRow {
            row_key: row_key.at(self.path),
            annotation_id,
            source: Text::plain(source.name()),
            attachment_index,
            name,
            mime_type: extra.text(mime_type),
            url: extra.text(url),
            scale_url: extra.text(scale_url),
            content: bytes.as_deref(),
            content_size: bytes
                .as_ref()
                .and_then(|bytes| i64::try_from(bytes.len()).ok()),
            content_sha256: digest.as_deref().map(Text::plain),
            file_size_in_bytes: extra.int64(file_size_in_bytes),
            duration: extra.float64(duration),
            transcript_start: extra.float64(transcript_start),
            transcript_end: extra.float64(transcript_end),
            transcript: extra.text(transcript),
            transcript_url: extra.text(transcript_url),
            extra: extra.finish(self.drift, self.task_id),
        };
        self.counts.attachments += 1;
        self.rows.push(&row)
    }
}

/// Decodes canonical base64. Anything else is a type mismatch, so that the text can be rebuilt.
fn decode_base64<'d>(
    content: KnownMember<'d>,
    extra: &mut ExtraBuilder<'d>,
) -> Option<Cow<'d, [u8]>> {
    let text = content.value.and_then(|value| value.text());
    // The engine refuses what it would not write itself: wrong padding, stray bits, white space.
    let bytes = text.and_then(|text| STANDARD.decode(text.decode().as_bytes()).ok());
    if bytes.is_none() {
        extra.put_mismatch(content);
    }
    bytes.map(Cow::Owned)
}

fn utf8(text: Text<'_>) -> Cow<'_, [u8]> {
    match text.decode() {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

fn hex_sha256(bytes: &[u8]) -> String {
    crate::hex::encode(&Sha256::digest(bytes))
}
