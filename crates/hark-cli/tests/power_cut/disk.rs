//! A disk that gives only the minimal guarantees: file content is durable after a sync of the file, and a name after a
//! sync of its folder. Of later changes, any part may survive a power cut, in units of a sector.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use crate::chance::Chance;
use crate::record::Entry;

const SECTOR_BYTES: usize = 512;

#[derive(Default)]
pub struct Disk {
    files: Vec<File>,
    /// The names as processes see them, and the durable ones.
    names: BTreeMap<PathBuf, usize>,
    certain_names: BTreeMap<PathBuf, usize>,
    /// The changes of names since their folders were synced.
    renamings: Vec<(usize, PathBuf, Option<usize>)>,
    /// For each thread, when its sync began, and of which file.
    syncs: HashMap<u32, (usize, Option<usize>)>,
    /// The number of entries so far.
    now: usize,
}

#[derive(Default, Clone)]
struct File {
    certain: Vec<u8>,
    /// The changes since the last sync.
    changes: Vec<(usize, Change)>,
}

#[derive(Clone)]
enum Change {
    Written(usize, Vec<u8>),
    Cut(usize),
}

impl Disk {
    pub fn apply(&mut self, entry: &Entry) {
        self.now += 1;
        let now = self.now;
        match entry {
            Entry::Made(path) => {
                self.files.push(File::default());
                let file = self.files.len() - 1;
                self.names.insert(path.into(), file);
                self.renamings.push((now, path.into(), Some(file)));
            }
            Entry::Removed(path) => {
                self.names.remove(Path::new(path));
                self.renamings.push((now, path.into(), None));
            }
            Entry::Written { path, at, data } => self.change(path, Change::Written(*at, data.clone())),
            Entry::Cut { path, length } => self.change(path, Change::Cut(*length)),
            Entry::SyncBegins { thread, path } => {
                let file = self.names.get(Path::new(path)).copied();
                self.syncs.insert(*thread, (now, file));
            }
            Entry::Synced { thread, path } => {
                if let Some((since, file)) = self.syncs.remove(thread) {
                    self.sync(Path::new(path), since, file);
                }
            }
            Entry::Printed(_) => {}
        }
    }

    fn change(&mut self, path: &str, change: Change) {
        let file = self.names.get(Path::new(path)).unwrap_or_else(|| panic!("`{path}` was never made"));
        self.files[*file].changes.push((self.now, change));
    }

    fn sync(&mut self, path: &Path, since: usize, file: Option<usize>) {
        for (_, name, file) in self.renamings.extract_if(.., |(at, name, _)| *at < since && name.parent() == Some(path))
        {
            rename(&mut self.certain_names, name, file);
        }
        if let Some(file) = file {
            let File { certain, changes } = &mut self.files[file];
            for (_, change) in changes.extract_if(.., |(at, _)| *at < since) {
                change.apply(certain, |_| true);
            }
        }
    }

    /// Writes a possible state of the disk to a folder, in place of the project.
    pub fn write(&self, project: &Path, folder: &Path, chance: &mut Chance) {
        let mut names = self.certain_names.clone();
        let kept = chance.one_of(&[0, 1, 100, 500, 900, 999, 1_000]);
        for (_, name, file) in &self.renamings {
            if chance.per_mille(kept) {
                rename(&mut names, name.clone(), *file);
            }
        }
        for (name, file) in &names {
            let Some(parent) = name.parent().filter(|parent| *parent == project || names.contains_key(*parent)) else {
                // Its folder does not exist.
                continue;
            };
            let place = |path: &Path| folder.join(path.strip_prefix(project).unwrap());
            fs::create_dir_all(place(parent)).unwrap();
            if name.file_name().is_some_and(|name| name == ".hark") {
                fs::create_dir_all(place(name)).unwrap();
            } else {
                fs::write(place(name), self.files[*file].some_content(chance)).unwrap();
            }
        }
    }
}

fn rename(names: &mut BTreeMap<PathBuf, usize>, name: PathBuf, file: Option<usize>) {
    match file {
        Some(file) => drop(names.insert(name, file)),
        None => drop(names.remove(&name)),
    }
}

impl File {
    fn some_content(&self, chance: &mut Chance) -> Vec<u8> {
        let mut content = self.certain.clone();
        let kept = chance.one_of(&[0, 20, 200, 500, 800, 980, 1_000]);
        for (_, change) in &self.changes {
            change.apply(&mut content, |_| chance.per_mille(kept));
        }
        content
    }
}

impl Change {
    /// Applies a write to the wanted sectors.
    fn apply(&self, content: &mut Vec<u8>, mut wanted: impl FnMut(usize) -> bool) {
        match self {
            Change::Cut(length) => {
                if wanted(0) {
                    content.resize(*length, 0);
                }
            }
            Change::Written(at, data) => {
                let mut done = 0;
                while done < data.len() {
                    let place = at + done;
                    let count = (SECTOR_BYTES - place % SECTOR_BYTES).min(data.len() - done);
                    if wanted(place) {
                        content.resize(content.len().max(place + count), 0);
                        content[place..place + count].copy_from_slice(&data[done..done + count]);
                    }
                    done += count;
                }
            }
        }
    }
}
