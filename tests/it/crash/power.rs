//! Power loss: the possible states of a file system at each moment of a run, if only synced changes are sure to
//! survive. The moments come from a trace of the run, and a model gives the possible states of each.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{in_parallel, scenarios};
use crate::support::print_note;

/// The fate of changes that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Loss {
    /// All are lost.
    All,
    /// Names survive, contents are lost.
    Contents,
    /// Names and lengths of files survive, and contents that were not synced are zeros.
    Zeros,
    /// Names survive, and half of the bytes that were appended to a file.
    Half,
    /// Every other change of names is lost, and contents are lost.
    OtherNames,
}

/// The content of a directory: files with their content, and directories.
type Tree = BTreeMap<PathBuf, Option<Vec<u8>>>;

#[derive(Debug, Clone, Default)]
struct File {
    content: Vec<u8>,
    synced: Vec<u8>,
}

/// The target of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    File(usize),
    Directory,
}

/// A model of a file system that records what was synced.
#[derive(Debug, Default)]
struct Model {
    files: Vec<File>,
    names: Names,
    synced_names: Names,
    /// Changes of names that are not synced.
    unsynced: Vec<Change>,
}

type Names = BTreeMap<PathBuf, Entry>;

/// A change of names. A rename is one change.
#[derive(Debug, Clone)]
enum Change {
    Give(PathBuf, Entry),
    Take(PathBuf),
    Move(PathBuf, PathBuf),
}

impl Change {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Give(path, entry) => drop(names.insert(path.clone(), *entry)),
            Self::Take(path) => drop(names.remove(path)),
            Self::Move(from, to) => {
                // Renaming one name of a file to another name of the same file changes nothing.
                if names.contains_key(from) && names.get(from) != names.get(to) {
                    let entry = names.remove(from).unwrap();
                    names.insert(to.clone(), entry);
                }
            }
        }
    }

    /// Whether the change affects a name in this directory.
    fn is_in(&self, directory: &Path) -> bool {
        let (Self::Give(path, _) | Self::Take(path) | Self::Move(_, path)) = self;
        path.parent() == Some(directory)
    }
}

impl Model {
    /// A model in which everything in a directory is synced, and so are its existing parents.
    fn of(directory: &Path) -> Self {
        let mut model = Self::default();
        for above in directory.ancestors().skip(1) {
            model.names.insert(above.to_owned(), Entry::Directory);
        }
        if directory.exists() {
            model.add(directory);
        }
        model.synced_names = model.names.clone();
        model
    }

    fn add(&mut self, path: &Path) {
        let entry = if path.is_dir() {
            for entry in fs::read_dir(path).unwrap() {
                self.add(&entry.unwrap().path());
            }
            Entry::Directory
        } else {
            let content = fs::read(path).unwrap();
            let synced = content.clone();
            self.files.push(File { content, synced });
            Entry::File(self.files.len() - 1)
        };
        self.names.insert(path.to_owned(), entry);
    }

    fn file(&mut self, path: &Path) -> &mut File {
        match self.names.get(path) {
            Some(Entry::File(index)) => &mut self.files[*index],
            other => panic!("{}: {other:?}", path.display()),
        }
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.unsynced.push(change);
    }

    /// Applies a step of a trace.
    fn apply(&mut self, step: &Value) {
        let path = PathBuf::from(step["path"].as_str().unwrap());
        let to = || PathBuf::from(step["to"].as_str().unwrap());
        match step["step"].as_str().unwrap() {
            kind @ ("create" | "open") => {
                if !self.names.contains_key(&path) {
                    self.files.push(File::default());
                    let entry = Entry::File(self.files.len() - 1);
                    self.change(Change::Give(path, entry));
                } else if kind == "create" {
                    self.file(&path).content.clear();
                }
            }
            "write" => {
                let bytes = STANDARD.decode(step["bytes"].as_str().unwrap()).unwrap();
                let offset = usize::try_from(step["offset"].as_u64().unwrap()).unwrap();
                let content = &mut self.file(&path).content;
                content.resize(content.len().max(offset + bytes.len()), 0);
                content[offset..offset + bytes.len()].copy_from_slice(&bytes);
            }
            "set_length" => {
                let length = usize::try_from(step["length"].as_u64().unwrap()).unwrap();
                self.file(&path).content.resize(length, 0);
            }
            "sync" => {
                let file = self.file(&path);
                file.synced = file.content.clone();
            }
            "rename" => self.change(Change::Move(path, to())),
            "link" => {
                if let Some(entry) = self.names.get(&path).copied() {
                    self.change(Change::Give(to(), entry));
                }
            }
            "remove" | "remove_directory" => self.change(Change::Take(path)),
            "create_directory" => self.change(Change::Give(path, Entry::Directory)),
            "sync_directory" => {
                let is_here = |name: &PathBuf| name.parent() == Some(&path);
                self.synced_names.retain(|name, _| !is_here(name));
                let here = self.names.iter().filter(|(name, _)| is_here(name));
                self.synced_names
                    .extend(here.map(|(name, entry)| (name.clone(), *entry)));
                self.unsynced.retain(|change| !change.is_in(&path));
            }
            "lock" => {}
            other => panic!("{other}"),
        }
    }

    /// The names after every other unsynced change was lost.
    fn every_other_name(&self) -> Names {
        let mut names = self.synced_names.clone();
        for change in self.unsynced.iter().step_by(2) {
            change.apply(&mut names);
        }
        names
    }

    /// The content of `directory` after the power loss.
    fn after(&self, loss: Loss, directory: &Path) -> Tree {
        let names = &match loss {
            Loss::All => self.synced_names.clone(),
            Loss::Contents | Loss::Zeros | Loss::Half => self.names.clone(),
            Loss::OtherNames => self.every_other_name(),
        };
        let has_all_above = |path: &Path| {
            let mut above = path.ancestors().skip(1);
            above.all(|above| {
                above.as_os_str().is_empty() || names.get(above) == Some(&Entry::Directory)
            })
        };
        let inside = names
            .iter()
            .filter(|(name, _)| name.starts_with(directory) && has_all_above(name));
        let found = inside.map(|(name, entry)| {
            let content = match entry {
                Entry::Directory => None,
                Entry::File(index) => Some(self.files[*index].after(loss)),
            };
            (name.strip_prefix(directory).unwrap().to_owned(), content)
        });
        found.collect()
    }
}

impl File {
    fn after(&self, loss: Loss) -> Vec<u8> {
        let Self { content, synced } = self;
        match loss {
            Loss::Zeros => {
                let mut left = content.clone();
                for (at, byte) in left.iter_mut().enumerate() {
                    if synced.get(at) != Some(byte) {
                        *byte = 0;
                    }
                }
                left
            }
            Loss::Half if content.starts_with(synced) => {
                let added = content.len() - synced.len();
                content[..synced.len() + added / 2].to_vec()
            }
            Loss::All | Loss::Contents | Loss::Half | Loss::OtherNames => synced.clone(),
        }
    }
}

fn write(tree: &Tree, directory: &Path) {
    for (name, content) in tree {
        let path = directory.join(name);
        match content {
            None => {
                let mut builder = fs::DirBuilder::new();
                builder.mode(0o700).create(&path).unwrap();
            }
            Some(content) => {
                let mut options = fs::OpenOptions::new();
                options.write(true).create_new(true).mode(0o600);
                std::io::Write::write_all(&mut options.open(&path).unwrap(), content).unwrap();
            }
        }
    }
}

#[test]
fn a_power_loss_at_any_moment_loses_nothing_that_was_synced() {
    for scenario in scenarios() {
        let traced = scenario.base.path().join("traced");
        let mut model = Model::of(&scenario.copy_of_before("traced"));
        fs::remove_dir_all(&traced).unwrap_or_default();
        let trace = scenario.trace();
        let mut seen = BTreeSet::new();
        let mut cases = Vec::new();
        for (moment, step) in trace.iter().enumerate() {
            model.apply(step);
            for loss in [
                Loss::All,
                Loss::Contents,
                Loss::Zeros,
                Loss::Half,
                Loss::OtherNames,
            ] {
                let left = model.after(loss, &traced);
                // Many moments have the same result.
                if seen.insert(left.clone()) {
                    cases.push((moment, loss, left));
                }
            }
        }
        print_note(&format!(
            "{}: {} moments, {} outcomes of a power loss",
            scenario.name,
            trace.len(),
            cases.len()
        ));
        in_parallel(cases, |(moment, loss, left)| {
            let step = &trace[moment]["step"];
            let what = format!(
                "{}: {loss:?} lost after step {moment} ({step})",
                scenario.name
            );
            let out = scenario.base.path().join(format!("{moment}_{loss:?}"));
            write(&left, &out);
            scenario.assert_is_readable(&out, &what);
            scenario.assert_resumes(&out, &what);
            fs::remove_dir_all(&out).unwrap();
        });
    }
}
