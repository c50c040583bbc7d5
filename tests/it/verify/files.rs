//! Kinds of damage to files: tables, other files, the manifest, the state.

use std::fs;
use std::path::{Path, PathBuf};

use scale_export::encode::format::Format;
use serde_json::json;

use super::FORMATS;
use crate::support::table::{edit_manifest, refresh};

/// Damage to files: its name, the change, and the text of the finding.
pub(super) type FileDamage = (&'static str, Box<dyn Fn(&Path, Format)>, &'static str);

pub(super) fn damaged_files() -> Vec<FileDamage> {
    fn kind(
        name: &'static str,
        change: impl Fn(&Path, Format) + 'static,
        finding: &'static str,
    ) -> FileDamage {
        (name, Box::new(change), finding)
    }
    fn messages(out: &Path, format: Format) -> PathBuf {
        out.join(format.file_name("messages"))
    }
    fn edit(path: &Path, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut content = fs::read(path).unwrap();
        edit(&mut content);
        fs::write(path, content).unwrap();
    }
    fn manifest(change: impl Fn(&mut serde_json::Value) + 'static) -> impl Fn(&Path, Format) {
        move |out, _| edit_manifest(out, &change)
    }
    const JOURNAL: &str = ".scale-export/journal";
    const IDS: &str = ".scale-export/ids.txt";
    vec![
        kind(
            "a file cut off",
            |out, format| edit(&messages(out, format), |file| file.truncate(file.len() / 2)),
            "bytes, found",
        ),
        kind(
            "a file cut off, and the manifest fitted",
            |out, format| {
                edit(&messages(out, format), |file| file.truncate(file.len() / 2));
                refresh(out, &format.file_name("messages"));
            },
            "messages.",
        ),
        kind(
            "a byte flipped",
            |out, format| {
                edit(&messages(out, format), |file| {
                    let at = file.len() / 2;
                    file[at] ^= 1;
                });
            },
            "SHA-256",
        ),
        kind(
            "a file missing",
            |out, format| fs::remove_file(messages(out, format)).unwrap(),
            "expected a file, found none",
        ),
        kind(
            "a file emptied",
            |out, format| {
                fs::write(messages(out, format), "").unwrap();
                refresh(out, &format.file_name("messages"));
            },
            ": could not read it: ",
        ),
        kind(
            "a file of another table",
            |out, format| {
                fs::copy(out.join(format.file_name("turns")), messages(out, format)).unwrap();
                refresh(out, &format.file_name("messages"));
            },
            ": could not read it: ",
        ),
        kind(
            "a file of the other format beside it",
            |out, format| {
                let other = FORMATS.into_iter().find(|other| *other != format).unwrap();
                fs::write(out.join(other.file_name("turns")), "").unwrap();
            },
            "expected no such file",
        ),
        kind(
            "load.sql changed",
            |out, _| {
                edit(&out.join("load.sql"), |file| file.extend(b"-- more"));
                refresh(out, "load.sql");
            },
            "load.sql",
        ),
        kind(
            "a failed ID lost",
            |out, _| {
                edit(&out.join("failures.jsonl"), |file| {
                    let line = file.iter().position(|byte| *byte == b'\n').unwrap();
                    file.drain(..=line);
                });
                refresh(out, "failures.jsonl");
            },
            "expected 2 failed IDs, found 1",
        ),
        kind(
            "failed IDs swapped",
            |out, _| {
                edit(&out.join("failures.jsonl"), |file| {
                    let text = String::from_utf8(file.clone()).unwrap();
                    *file = text
                        .lines()
                        .rev()
                        .map(|line| format!("{line}\n"))
                        .collect::<String>()
                        .into();
                });
                refresh(out, "failures.jsonl");
            },
            "the order of the list",
        ),
        kind(
            "a failure changed",
            |out, _| {
                edit(&out.join("failures.jsonl"), |file| {
                    let text = String::from_utf8(file.clone()).unwrap();
                    *file = text.replacen("404", "403", 1).into();
                });
                refresh(out, "failures.jsonl");
            },
            "failures.jsonl",
        ),
        kind(
            "an ID lost from the list",
            |out, _| {
                edit(&out.join(IDS), |file| drop(file.drain(..7)));
                refresh(out, IDS);
            },
            "ids.txt",
        ),
        kind(
            "an ID made up",
            |out, _| {
                edit(&out.join(IDS), |file| file.extend(b"ghost\n"));
                let note = r#"{"task_id":"ghost","kind":"missing","http_status":null,"attempts":0,"message":"the sources have no response for this ID"}"#;
                edit(&out.join("failures.jsonl"), |file| {
                    file.extend(format!("{note}\n").bytes());
                });
                refresh(out, IDS);
                refresh(out, "failures.jsonl");
                edit_manifest(out, |manifest| {
                    for count in ["requested", "failed"] {
                        let more = manifest["ids"][count].as_u64().unwrap() + 1;
                        manifest["ids"][count] = json!(more);
                    }
                });
            },
            "a failure that the journal has",
        ),
        kind(
            "a byte order mark before the list",
            |out, _| {
                edit(&out.join(IDS), |file| {
                    *file = [b"\xef\xbb\xbf", &**file].concat();
                });
                refresh(out, IDS);
            },
            "(tasks): expected a row, found none",
        ),
        kind(
            "the list of IDs named elsewhere",
            manifest(|manifest| manifest["ids"]["path"] = json!("failures.jsonl")),
            "expected the list of IDs in",
        ),
        kind(
            "no end of the last line of failures",
            |out, _| {
                edit(&out.join("failures.jsonl"), |file| {
                    file.truncate(file.len() - 1);
                });
                refresh(out, "failures.jsonl");
            },
            "without a line feed",
        ),
        kind(
            "a table that there is not in the options",
            manifest(|manifest| {
                let tables = manifest["tables"].as_object().unwrap().keys();
                let mut tables: Vec<String> = tables.cloned().collect();
                tables.push("bogus".to_owned());
                manifest["options"]["tables"] = json!(tables);
            }),
            "found `bogus`",
        ),
        kind(
            "a directory with the name of a table",
            |out, _| fs::create_dir(out.join("turns")).unwrap(),
            "turns: expected no such file",
        ),
        kind(
            "a directory instead of a file",
            |out, format| {
                fs::remove_file(messages(out, format)).unwrap();
                fs::create_dir(messages(out, format)).unwrap();
            },
            "expected a file, found a directory or a special file",
        ),
        kind(
            "two IDs swapped in the list",
            |out, _| {
                edit(&out.join(IDS), |file| {
                    let text = String::from_utf8(file.clone()).unwrap();
                    *file = text
                        .replacen("task_1\ntask_2\n", "task_2\ntask_1\n", 1)
                        .into();
                });
                refresh(out, IDS);
            },
            "task_",
        ),
        kind(
            "a byte of the journal flipped",
            |out, _| {
                edit(&out.join(JOURNAL), |file| {
                    let at = file.len() / 2;
                    file[at] ^= 1;
                });
            },
            "journal",
        ),
        kind(
            "the journal cut off",
            |out, _| edit(&out.join(JOURNAL), |file| file.truncate(file.len() / 2)),
            "journal",
        ),
        kind(
            "the journal's header damaged",
            |out, _| edit(&out.join(JOURNAL), |file| file[30] ^= 1),
            "its header is damaged",
        ),
        kind(
            "another journal",
            |out, _| {
                let path = out.join(JOURNAL);
                edit(&path, |file| {
                    let options = file
                        .windows(8)
                        .position(|bytes| bytes == b"\x7e\x4a\x4e\x4c\x01\x01\x01\x00");
                    file.truncate(options.unwrap_or(200));
                });
            },
            "journal",
        ),
        kind(
            "the manifest's rows changed",
            manifest(|manifest| manifest["tables"]["turns"]["rows"] = json!(1)),
            "expected 1 row in",
        ),
        kind(
            "the manifest's rows changed twice",
            manifest(|manifest| {
                manifest["tables"]["turns"]["rows"] = json!(1);
                manifest["tables"]["turns"]["files"][0]["rows"] = json!(1);
            }),
            "expected 1 row,",
        ),
        kind(
            "the manifest's size changed",
            manifest(|manifest| manifest["tables"]["turns"]["files"][0]["bytes"] = json!(1)),
            "expected 1 byte,",
        ),
        kind(
            "the manifest's checksum changed",
            manifest(|manifest| manifest["files"][0]["sha256"] = json!("00")),
            "SHA-256 00",
        ),
        kind(
            "the manifest's exported IDs changed",
            manifest(|manifest| manifest["ids"]["exported"] = json!(1)),
            "manifest.json",
        ),
        kind(
            "the manifest's requested IDs changed",
            manifest(|manifest| {
                manifest["ids"]["exported"] = json!(1);
                manifest["ids"]["requested"] = json!(3);
            }),
            "expected 3 IDs",
        ),
        kind(
            "a drifted column lost",
            manifest(|manifest| drop(manifest["drift"].as_array_mut().unwrap().remove(0))),
            "drift",
        ),
        kind(
            "a count of drift changed",
            manifest(|manifest| manifest["drift"][0]["count"] = json!(1_000_000)),
            "drift",
        ),
        kind(
            "the first task of a drift changed",
            manifest(|manifest| manifest["drift"][0]["first_task_id"] = json!("task_77")),
            "drift",
        ),
        kind(
            "the base URL changed",
            manifest(|manifest| manifest["options"]["base_url"] = json!("https://example.com")),
            "base_url",
        ),
        kind(
            "an option changed",
            manifest(|manifest| manifest["options"]["keep_secrets"] = json!(true)),
            "keep_secrets",
        ),
        kind(
            "a table lost from the manifest",
            manifest(|manifest| drop(manifest["tables"].as_object_mut().unwrap().remove("turns"))),
            "table `turns`",
        ),
        kind(
            "a table too many in the manifest",
            manifest(|manifest| {
                let table = manifest["tables"]["turns"].clone();
                manifest["tables"]["other"] = table;
            }),
            "no table `other`",
        ),
        kind(
            "a path that leads out",
            manifest(|manifest| manifest["files"][0]["path"] = json!("../failures.jsonl")),
            "paths inside",
        ),
        kind(
            "the manifest cut off",
            |out, _| edit(&out.join("manifest.json"), |file| file.truncate(100)),
            "manifest.json: could not read it: ",
        ),
    ]
}
