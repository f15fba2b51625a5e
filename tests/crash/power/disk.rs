//! A disk that keeps what was synced, and of the rest whatever a seed says.
//!
//! Files and names are kept apart, as file systems do: a file's bytes are safe once it is synced, its name once the folder
//! is. A write that was not synced may be there wholly, not at all, or in parts of a sector's size; one that came later may be
//! there where an earlier one is not.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use fastrand::Rng;

use super::trace::Step;

/// What a disk writes at once, or not at all.
const SECTOR: usize = 512;

#[derive(Debug, Default)]
pub(crate) struct Disk {
    files: Vec<File>,
    /// As the running system has them.
    names: HashMap<String, usize>,
    safe_names: HashMap<String, usize>,
    /// Changes of names that are not safe.
    renamings: Vec<Renaming>,
    /// Syncs that have begun: what they make safe.
    syncs: HashMap<usize, Sync>,
}

#[derive(Debug, Default)]
struct File {
    safe: Vec<u8>,
    changes: Vec<Change>,
}

#[derive(Debug)]
struct Change {
    call: usize,
    what: What,
    has_ended: bool,
}

#[derive(Debug)]
enum What {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

#[derive(Clone, Debug)]
struct Renaming {
    /// Who loses its name, who gets one: both at once, or neither.
    removed: Option<String>,
    added: Option<(String, usize)>,
}

#[derive(Debug)]
enum Sync {
    /// Of a file, the calls that changed it before.
    File(usize, HashSet<usize>),
    /// Of the folder, so many changes.
    Names(usize),
}

impl Disk {
    pub(crate) fn take(&mut self, step: Step) {
        match step {
            Step::Open(name) => drop(self.file(&name)),
            Step::Write {
                name,
                offset,
                bytes,
                call,
            } => self.change(&name, call, What::Write(offset, bytes), false),
            Step::Truncate { name, length, call } => {
                self.change(&name, call, What::Truncate(length), true);
            }
            Step::WriteEnds(call) => {
                let changes = self.files.iter_mut().flat_map(|file| &mut file.changes);
                for change in changes.filter(|change| change.call == call) {
                    change.has_ended = true;
                }
            }
            Step::SyncBegins { name, call } => {
                let sync = self.begin_sync(&name);
                self.syncs.insert(call, sync);
            }
            Step::SyncEnds(call) => self.end_sync(call),
            Step::Unlink(name) => {
                self.names.remove(&name).expect("there");
                self.rename(Some(name), None);
            }
            Step::Link(from, to) => self.rename(None, Some((to, self.names[&from]))),
            Step::Rename(from, to) => {
                let file = self.names.remove(&from).expect("there");
                self.rename(Some(from), Some((to, file)));
            }
            Step::Tell(_) => {}
        }
    }

    fn rename(&mut self, removed: Option<String>, added: Option<(String, usize)>) {
        self.names.extend(added.clone());
        self.renamings.push(Renaming { removed, added });
    }

    /// The file of a name, made where there is none.
    fn file(&mut self, name: &str) -> usize {
        if name.is_empty() {
            return 0;
        }
        if let Some(&file) = self.names.get(name) {
            return file;
        }
        self.files.push(File::default());
        let file = self.files.len() - 1;
        self.rename(None, Some((name.to_owned(), file)));
        file
    }

    fn change(&mut self, name: &str, call: usize, what: What, has_ended: bool) {
        let file = self.file(name);
        self.files[file].changes.push(Change {
            call,
            what,
            has_ended,
        });
    }

    fn begin_sync(&mut self, name: &str) -> Sync {
        if name.is_empty() {
            return Sync::Names(self.renamings.len());
        }
        let file = self.file(name);
        let changes = self.files[file].changes.iter();
        let ended = changes.filter(|change| change.has_ended);
        Sync::File(file, ended.map(|change| change.call).collect())
    }

    fn end_sync(&mut self, call: usize) {
        match self.syncs.remove(&call).expect("it has begun") {
            Sync::Names(count) => {
                // Another thread may have synced some of them meanwhile.
                let count = count.min(self.renamings.len());
                for renaming in self.renamings.drain(..count) {
                    renaming.apply(&mut self.safe_names);
                }
            }
            // Another may have synced some of them meanwhile.
            Sync::File(number, calls) => {
                let file = &mut self.files[number];
                for change in std::mem::take(&mut file.changes) {
                    match calls.contains(&change.call) {
                        true => change.what.apply(&mut file.safe, |_| true),
                        false => file.changes.push(change),
                    }
                }
            }
        }
    }

    /// Only what was synced is left.
    pub(crate) fn forget(&mut self) {
        self.renamings.clear();
        for file in &mut self.files {
            file.changes.clear();
        }
    }

    /// Puts into `folder` what is left when the power fails now; whether anything is not.
    pub(crate) fn fail(&self, rng: &mut Rng, folder: &Path) -> bool {
        let mood = Mood::any(rng);
        let mut dropped = false;
        let mut names = self.safe_names.clone();
        for renaming in &self.renamings {
            match mood.keeps(rng) {
                true => renaming.apply(&mut names),
                false => dropped = true,
            }
        }
        for (name, number) in names {
            let file = &self.files[number];
            let mut bytes = file.safe.clone();
            for change in &file.changes {
                change.what.apply(&mut bytes, |_| {
                    let keeps = mood.keeps(rng);
                    dropped |= !keeps;
                    keeps
                });
            }
            fs::write(folder.join(name), bytes).expect("written");
        }
        dropped
    }
}

/// How a failure of the power deals with what was not synced.
#[derive(Clone, Copy)]
enum Mood {
    Nothing,
    All,
    /// That many of a hundred parts are kept.
    Some(u32),
}

impl Mood {
    fn any(rng: &mut Rng) -> Self {
        match rng.u8(..5) {
            0 => Self::Nothing,
            1 => Self::All,
            _ => Self::Some(rng.u32(1..100)),
        }
    }

    fn keeps(self, rng: &mut Rng) -> bool {
        match self {
            Self::Nothing => false,
            Self::All => true,
            Self::Some(percent) => rng.u32(..100) < percent,
        }
    }
}

impl Renaming {
    fn apply(&self, names: &mut HashMap<String, usize>) {
        if let Some(removed) = &self.removed {
            names.remove(removed);
        }
        names.extend(self.added.clone());
    }
}

impl What {
    /// Does those parts of it that are kept.
    fn apply(&self, bytes: &mut Vec<u8>, mut keeps: impl FnMut(usize) -> bool) {
        match self {
            Self::Truncate(length) => {
                if keeps(0) {
                    bytes.resize(*length, 0);
                }
            }
            Self::Write(offset, written) => {
                let mut at = 0;
                while at < written.len() {
                    // Sectors are the disk's, wherever the write begins.
                    let end = (offset + at) / SECTOR * SECTOR + SECTOR - offset;
                    let end = end.min(written.len());
                    if keeps(offset + at) {
                        bytes.resize(bytes.len().max(offset + end), 0);
                        bytes[offset + at..offset + end].copy_from_slice(&written[at..end]);
                    }
                    at = end;
                }
            }
        }
    }
}
