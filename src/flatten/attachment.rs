//! Files: of messages, of annotation values, and of workspaces.
//! Depends on the files of this folder, `base64` and `sha2`.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::flatten::members::{Field, Fit, Known, NO_KEY, count, objects, sort};
use crate::flatten::task_flattener::{Flow, TaskFlattener};
use crate::json::text::Text;
use crate::json::value::Value;
use crate::tables::definition::AttachmentRow;
use crate::tables::row_key::Place;

/// The output streams of a workspace, in the order of their rows.
const STREAMS: [&str; 4] = [
    "stdout_output",
    "stderr_output",
    "test_stdout_output",
    "test_stderr_output",
];

/// Where a file hangs, which decides how its keys are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Message,
    Annotation,
    /// A file that a workspace left.
    WorkspaceFile,
    /// What a workspace printed; the key is its name.
    WorkspaceStream(&'static str),
}

impl Source {
    fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Annotation => "annotation",
            Self::WorkspaceFile | Self::WorkspaceStream(_) => "workspace",
        }
    }
}

impl TaskFlattener<'_> {
    /// The files in an annotation's value, by the annotation's type. A value of the wrong shape has
    /// none.
    pub(crate) fn value_files(
        &mut self,
        value: Value<'_>,
        kind: Text<'_>,
        annotation_id: Option<Text<'_>>,
        place: &Place<'_>,
    ) -> Flow {
        if kind == *"file" {
            self.at("value", None, |flattener| {
                if value.is_object() {
                    return flattener.file(value, 0, Source::Annotation, annotation_id, place);
                }
                flattener.file_list(value, Source::Annotation, annotation_id, place)
            })
        } else if kind == *"workspace_container" && value.is_object() {
            self.at("value", None, |flattener| {
                flattener.workspace(value, annotation_id, place)
            })
        } else {
            Ok(())
        }
    }

    fn workspace(
        &mut self,
        value: Value<'_>,
        annotation_id: Option<Text<'_>>,
        place: &Place<'_>,
    ) -> Flow {
        if let Some(files) = value.get("output_files") {
            self.at("output_files", None, |flattener| {
                flattener.file_list(files, Source::WorkspaceFile, annotation_id, place)
            })?;
        }
        for key in STREAMS {
            if let Some(stream) = value.get(key).filter(Value::is_object) {
                self.at(key, None, |flattener| {
                    flattener.file(
                        stream,
                        0,
                        Source::WorkspaceStream(key),
                        annotation_id,
                        place,
                    )
                })?;
            }
        }
        Ok(())
    }

    /// A list of files; the path is set to the list itself.
    fn file_list(
        &mut self,
        list: Value<'_>,
        source: Source,
        annotation_id: Option<Text<'_>>,
        place: &Place<'_>,
    ) -> Flow {
        let Some(list) = objects(list) else {
            return Ok(());
        };
        let mark = self.path.len();
        for (index, file) in list.elements().enumerate() {
            crate::tables::column::push_index(self.path, index);
            self.file(file, count(index), source, annotation_id, place)?;
            self.path.truncate(mark);
        }
        Ok(())
    }

    /// One file.
    pub(crate) fn file(
        &mut self,
        object: Value<'_>,
        attachment_index: i32,
        source: Source,
        annotation_id: Option<Text<'_>>,
        place: &Place<'_>,
    ) -> Flow {
        let (fields, mut fit) = sort(object, "attachments", keys(source));
        let [
            name,
            mime_type,
            url,
            scale_url,
            content,
            file_size_in_bytes,
            duration,
            transcript_start,
            transcript_end,
            transcript,
            transcript_url,
            file_language,
        ] = fields;
        let bytes = match source {
            Source::Message | Source::Annotation => decode_base64(content, &mut fit),
            Source::WorkspaceFile | Source::WorkspaceStream(_) => fit.text(content).map(utf8),
        };
        let digest = bytes.as_deref().map(hex_sha256);
        let name = match source {
            Source::WorkspaceStream(key) => Some(Text::plain(key)),
            _ => fit.text(name),
        };
        fit.keep(file_language);
        let row = AttachmentRow {
            place: Place { path: "", ..*place },
            annotation_id,
            source: Text::plain(source.name()),
            attachment_index,
            name,
            mime_type: fit.text(mime_type),
            url: fit.text(url),
            scale_url: fit.text(scale_url),
            content: bytes.as_deref(),
            content_size: bytes
                .as_ref()
                .and_then(|bytes| i64::try_from(bytes.len()).ok()),
            content_sha256: digest.as_deref().map(Text::plain),
            file_size_in_bytes: fit.int64(file_size_in_bytes),
            duration: fit.float64(duration),
            transcript_start: fit.float64(transcript_start),
            transcript_end: fit.float64(transcript_end),
            transcript: fit.text(transcript),
            transcript_url: fit.text(transcript_url),
            extra: None,
        };
        let extra = fit.finish(self.drift, self.task_id);
        let row = AttachmentRow {
            place: Place {
                path: self.path,
                ..*place
            },
            extra: extra.as_deref(),
            ..row
        };
        self.counts.attachments += 1;
        self.buffers.attachments.push(&row, self.sink)
    }
}

/// The keys of a file, in the order of the fields that [`TaskFlattener::file`] takes apart.
fn keys(source: Source) -> &'static [Known; 12] {
    macro_rules! keys {
        ($name:expr, $content:literal, $language:expr) => {
            &[
                $name,
                ("mime_type", "mime_type"),
                ("url", "url"),
                ("scale_url", "scale_url"),
                ($content, "content"),
                ("file_size_in_bytes", "file_size_in_bytes"),
                ("duration", "duration"),
                ("transcript_start", "transcript_start"),
                ("transcript_end", "transcript_end"),
                ("transcript", "transcript"),
                ("transcript_url", "transcript_url"),
                $language,
            ]
        };
    }
    match source {
        Source::Message | Source::Annotation => keys!(("name", "name"), "content", NO_KEY),
        Source::WorkspaceFile => {
            keys!(
                ("file_name", "name"),
                "file_content",
                ("file_language", "file_language")
            )
        }
        Source::WorkspaceStream(_) => keys!(NO_KEY, "content", NO_KEY),
    }
}

/// Base64 in its canonical form; anything else is a misfit, so that the text can be given back.
fn decode_base64<'d>(content: Field<'d>, fit: &mut Fit<'d>) -> Option<Cow<'d, [u8]>> {
    let text = content.value.and_then(|value| value.text());
    // The engine refuses what it would not write itself: wrong padding, stray bits, white space.
    let bytes = text.and_then(|text| STANDARD.decode(text.decode().as_bytes()).ok());
    if bytes.is_none() {
        fit.misfit(content);
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
