//! Names of objects: each file of an export has a name made from its content, and most have a stable name besides.

use crate::durable_fs::FileRef;
use crate::publish::file_names::is_published_name;
use crate::state::paths::IDS;

/// The folder of objects that are named by their content.
pub(crate) const DATA: &str = "data/";

/// Hexadecimal digits of the SHA-256 checksum in a name: 128 bits, so that no two contents get the same name by chance.
const DIGEST_DIGITS: usize = 32;

/// The stem of the list of IDs, whose name in the output directory is hidden.
const IDS_NAME: &str = "ids.txt";

/// The stem and the extension of a file's name.
fn parts(name: &str) -> (&str, &str) {
    name.rsplit_once('.').unwrap_or((name, ""))
}

/// The name of the object with the content of a file: `data/messages-0f….parquet`.
pub(crate) fn object_name(file: &FileRef) -> String {
    format!("{DATA}{}", content_name(file))
}

/// A name made from the content of a file: `messages-0f….parquet`.
pub(crate) fn content_name(file: &FileRef) -> String {
    let name = if file.path == IDS {
        IDS_NAME
    } else {
        &file.path
    };
    let (stem, extension) = parts(name);
    let digest = file.sha256.get(..DIGEST_DIGITS).unwrap_or(&file.sha256);
    format!("{stem}-{digest}.{extension}")
}

/// The path in an output directory of the file that an object has the content of, if scale-export named the object.
pub(crate) fn file_path(object: &str) -> Option<String> {
    path_of_content(object.strip_prefix(DATA)?)
}

/// The path in an output directory of the file that has a name made from its content.
pub(crate) fn path_of_content(name: &str) -> Option<String> {
    let (stem, extension) = parts(name);
    let (stem, digest) = stem.rsplit_once('-')?;
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if digest.len() != DIGEST_DIGITS || !digest.bytes().all(is_digit) {
        return None;
    }
    let name = format!("{stem}.{extension}");
    if name == IDS_NAME {
        return Some(IDS.to_owned());
    }
    is_published_name(&name).then_some(name)
}

/// The stable name of a file; the list of IDs has none, since people do not read it.
pub(crate) fn stable_name(path: &str) -> Option<&str> {
    (path != IDS).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> FileRef {
        FileRef {
            path: path.to_owned(),
            bytes: 1,
            sha256: "0123456789abcdef".repeat(4),
        }
    }

    #[test]
    fn the_name_of_an_object_names_its_file() {
        for path in ["messages.parquet", "failures.jsonl", "README.md", IDS] {
            let object = object_name(&file(path));
            assert_eq!(file_path(&object).as_deref(), Some(path), "{object}");
        }
        assert_eq!(
            object_name(&file("tasks.csv")),
            "data/tasks-0123456789abcdef0123456789abcdef.csv"
        );
    }

    #[test]
    fn objects_of_others_name_no_file() {
        for object in [
            "data/tasks.parquet",
            "data/tasks-0123.parquet",
            "data/other-0123456789abcdef0123456789abcdef.parquet",
            "data/x/tasks-0123456789abcdef0123456789abcdef.csv",
            "tasks-0123456789abcdef0123456789abcdef.csv",
        ] {
            assert_eq!(file_path(object), None, "{object}");
        }
    }
}
