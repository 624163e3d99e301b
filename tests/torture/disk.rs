//! The state of the disk after a power cut or a failed sync, built from the write log.
//!
//! Bytes are durable once a sync of their file succeeded, a name once its directory was synced. Other writes may survive,
//! be lost, or survive in part, in any order, in sectors of 512 bytes. A failed sync drops the writes since the last
//! successful one, as Linux does: the kernel marks the dirty pages clean, so no later sync writes them.

use std::collections::BTreeMap;
use std::path::Path;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::layer::{Action, Kind, Op};
use super::write_log::Record;

/// Bytes that a disk writes as a whole.
const SECTOR: usize = 512;

/// The fate of writes that are not durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Unsynced {
    /// All survive: the program died, the machine did not.
    Kept,
    /// None survives.
    Dropped,
    /// The writes before some point survive.
    Prefix,
    /// Any subset of the writes survives, regardless of order.
    Reordered,
    /// Any subset of the sectors of each write survives.
    Torn,
}

impl Unsynced {
    /// What a power cut can do.
    pub(crate) const CUTS: [Self; 5] =
        [Self::Kept, Self::Dropped, Self::Prefix, Self::Reordered, Self::Torn];
}

/// The files of a directory, by name.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// The files in `directory`.
pub(crate) fn read_files(directory: &Path) -> Files {
    let entries = std::fs::read_dir(directory).expect("the directory of the database");
    entries
        .map(|entry| entry.expect("a file").path())
        .filter(|path| path.is_file())
        .map(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).expect("a plain name");
            (name.to_owned(), std::fs::read(&path).expect("a file that can be read"))
        })
        .collect()
}

/// Replaces the files in `directory`; keys are readable by their owner only.
pub(crate) fn write_files(directory: &Path, files: &Files) {
    use std::os::unix::fs::PermissionsExt as _;
    for name in read_files(directory).keys() {
        std::fs::remove_file(directory.join(name)).expect("a file that can be removed");
    }
    for (name, bytes) in files {
        let path = directory.join(name);
        std::fs::write(&path, bytes).expect("a file that can be written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("its mode");
    }
}

#[derive(Debug)]
enum Change<'a> {
    Write { offset: usize, bytes: &'a [u8] },
    Length(usize),
}

/// One file: its durable bytes, and the changes after the last sync.
#[derive(Debug, Default)]
struct Inode<'a> {
    safe: Vec<u8>,
    pending: Vec<Change<'a>>,
}

#[derive(Debug)]
enum Naming {
    Add { name: String, inode: u64 },
    Remove { name: String },
    Move { from: String, to: String },
}

/// The disk while the write log is replayed.
#[derive(Debug)]
struct Disk<'a> {
    inodes: BTreeMap<u64, Inode<'a>>,
    names: BTreeMap<String, u64>,
    pending_names: Vec<Naming>,
    rng: StdRng,
}

/// The files after a power cut at the end of `log`, which began on `base`.
///
/// Shared memory (`-shm`) is left out: SQLite rebuilds it when the first connection opens the file.
pub(crate) fn after(base: &Files, log: &[Record<'_>], unsynced: Unsynced, seed: u64) -> Files {
    let mut disk = Disk {
        inodes: BTreeMap::new(),
        names: BTreeMap::new(),
        pending_names: Vec::new(),
        rng: StdRng::seed_from_u64(seed),
    };
    // Files of the base get stand-in numbers that no file system assigns, until an open shows their inode.
    for (stand_in, (name, bytes)) in (u64::MAX / 2..).zip(base) {
        disk.inodes.insert(stand_in, Inode { safe: bytes.clone(), pending: Vec::new() });
        disk.names.insert(name.clone(), stand_in);
    }
    for record in log.iter().filter(|record| record.kind != Kind::Shm) {
        disk.apply(record);
    }
    disk.cut(unsynced)
}

fn place(number: u64) -> usize {
    usize::try_from(number).expect("an offset of a small file")
}

impl<'a> Disk<'a> {
    fn apply(&mut self, record: &Record<'a>) {
        if record.op == Op::Sync {
            self.sync(record);
            return;
        }
        let written = record.op == Op::Write && record.length > 0;
        if record.action == Action::Pretend || (record.result != 0 && !written) {
            return;
        }
        let mut names = record.names();
        let mut name = || names.next().unwrap_or_default().to_owned();
        match record.op {
            Op::Open => self.opened(record, name()),
            Op::Write => {
                let (offset, bytes) = (place(record.offset), record.payload);
                self.change(record.inode, Change::Write { offset, bytes });
            }
            Op::Truncate => self.change(record.inode, Change::Length(place(record.length))),
            Op::Allocate => {
                let end = place(record.offset + record.length);
                if self.length(record.inode) < end {
                    self.change(record.inode, Change::Length(end));
                }
            }
            Op::Rename => {
                let naming = Naming::Move { from: name(), to: name() };
                self.pending_names.push(naming);
            }
            Op::Link => {
                let (from, to) = (name(), name());
                if let Some(inode) = self.current_names().get(&from) {
                    self.pending_names.push(Naming::Add { name: to, inode: *inode });
                }
            }
            Op::Unlink => {
                let naming = Naming::Remove { name: name() };
                self.pending_names.push(naming);
            }
            Op::Read | Op::Map | Op::Sync => {}
        }
    }

    fn opened(&mut self, record: &Record<'a>, name: String) {
        if record.kind == Kind::Directory {
            return;
        }
        let inode = record.inode;
        if record.offset == 1 {
            // The inode number may have belonged to a deleted file.
            self.inodes.insert(inode, Inode::default());
            self.pending_names.push(Naming::Add { name, inode });
        } else if let Some(stand_in) = self.names.get_mut(&name).filter(|id| **id >= u64::MAX / 2) {
            let file = self.inodes.remove(stand_in).expect("a file of the base");
            *stand_in = inode;
            self.inodes.insert(inode, file);
        }
    }

    fn change(&mut self, inode: u64, change: Change<'a>) {
        if let Some(file) = self.inodes.get_mut(&inode) {
            file.pending.push(change);
        }
    }

    fn length(&self, inode: u64) -> usize {
        let Some(file) = self.inodes.get(&inode) else { return 0 };
        file.pending.iter().fold(file.safe.len(), |length, change| match change {
            Change::Write { offset, bytes } => length.max(offset + bytes.len()),
            Change::Length(length) => *length,
        })
    }

    fn sync(&mut self, record: &Record<'_>) {
        let is_done = record.result == 0;
        if record.action == Action::Pretend {
            return;
        }
        if record.kind == Kind::Directory {
            if is_done {
                self.names = self.current_names();
                self.pending_names.clear();
            }
            return;
        }
        let Some(file) = self.inodes.get_mut(&record.inode) else { return };
        for change in std::mem::take(&mut file.pending) {
            match change {
                Change::Write { offset, bytes } if is_done => put(&mut file.safe, offset, bytes),
                Change::Length(length) if is_done => file.safe.resize(length, 0),
                // The length is metadata: it sometimes survives although the data pages are dropped.
                Change::Write { offset, bytes } if self.rng.random_bool(0.5) => {
                    let end = offset + bytes.len();
                    if file.safe.len() < end {
                        file.safe.resize(end, 0);
                    }
                }
                _ => {}
            }
        }
    }

    fn current_names(&self) -> BTreeMap<String, u64> {
        let mut names = self.names.clone();
        self.pending_names.iter().for_each(|naming| rename(&mut names, naming));
        names
    }

    /// Decides the fate of writes that are not durable; returns the files.
    fn cut(mut self, unsynced: Unsynced) -> Files {
        let rng = &mut self.rng;
        let keeps_all = unsynced == Unsynced::Kept;
        for naming in &self.pending_names {
            if keeps_all || (unsynced != Unsynced::Dropped && rng.random_bool(0.5)) {
                rename(&mut self.names, naming);
            }
        }
        for file in self.inodes.values_mut() {
            let kept = rng.random_range(0..=file.pending.len());
            for (number, change) in std::mem::take(&mut file.pending).into_iter().enumerate() {
                let is_there = match unsynced {
                    Unsynced::Kept => true,
                    Unsynced::Dropped => false,
                    Unsynced::Prefix => number < kept,
                    Unsynced::Reordered | Unsynced::Torn => rng.random_bool(0.5),
                };
                match change {
                    Change::Length(length) if is_there => file.safe.resize(length, 0),
                    Change::Length(_) => {}
                    Change::Write { offset, bytes } if unsynced == Unsynced::Torn => {
                        put_sectors(&mut file.safe, offset, bytes, rng);
                    }
                    Change::Write { offset, bytes } if is_there => {
                        put(&mut file.safe, offset, bytes)
                    }
                    Change::Write { .. } => {}
                }
            }
        }
        let file = |inode: &u64| self.inodes.get(inode).map(|file| file.safe.clone());
        let named = self.names.iter().filter(|(name, _)| !name.ends_with("-shm"));
        named.filter_map(|(name, inode)| Some((name.clone(), file(inode)?))).collect()
    }
}

fn rename(names: &mut BTreeMap<String, u64>, naming: &Naming) {
    match naming {
        Naming::Add { name, inode } => {
            names.insert(name.clone(), *inode);
        }
        Naming::Remove { name } => {
            names.remove(name);
        }
        Naming::Move { from, to } => {
            if let Some(inode) = names.remove(from) {
                names.insert(to.clone(), inode);
            }
        }
    }
}

fn put(file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[offset..end].copy_from_slice(bytes);
}

/// Writes a random subset of the sectors; gaps beyond the end of the file are zero.
fn put_sectors(file: &mut Vec<u8>, offset: usize, bytes: &[u8], rng: &mut StdRng) {
    let mut at = 0;
    while at < bytes.len() {
        let end = bytes.len().min(at + SECTOR - (offset + at) % SECTOR);
        if rng.random_bool(0.5) {
            put(file, offset + at, &bytes[at..end]);
        }
        at = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(op: Op, kind: Kind, offset: u64, payload: &[u8]) -> Record<'_> {
        let (action, length) = (Action::Pass, payload.len() as u64);
        Record { op, kind, action, result: 0, inode: 7, offset, length, payload, end: 0 }
    }

    #[test]
    fn synced_bytes_stay_and_dropped_pages_are_lost_for_good() {
        let base = Files::from([("t.db".to_owned(), b"aaaa".to_vec())]);
        let failed = Record { result: -5, ..record(Op::Sync, Kind::Database, 0, b"") };
        let log = [
            record(Op::Open, Kind::Database, 0, b"/x/t.db"),
            record(Op::Write, Kind::Database, 0, b"b"),
            record(Op::Sync, Kind::Database, 0, b""),
            record(Op::Write, Kind::Database, 1, b"c"),
            failed,
            record(Op::Sync, Kind::Database, 0, b""),
            record(Op::Write, Kind::Database, 2, b"d"),
        ];
        assert_eq!(after(&base, &log, Unsynced::Dropped, 1)["t.db"], b"baaa");
        assert_eq!(after(&base, &log, Unsynced::Kept, 1)["t.db"], b"bada");
    }

    #[test]
    fn a_name_is_safe_once_its_directory_was_synced() {
        let base = Files::new();
        let mut log = vec![
            record(Op::Open, Kind::Wal, 1, b"/x/t.db-wal"),
            record(Op::Write, Kind::Wal, 0, b"w"),
            record(Op::Sync, Kind::Wal, 0, b""),
        ];
        assert!(after(&base, &log, Unsynced::Dropped, 1).is_empty());
        log.push(record(Op::Sync, Kind::Directory, 0, b""));
        assert_eq!(after(&base, &log, Unsynced::Dropped, 1)["t.db-wal"], b"w");
    }

    #[test]
    fn torn_writes_keep_some_sectors() {
        let base = Files::from([("t.db".to_owned(), vec![0; 8 * SECTOR])]);
        let page = vec![1; 8 * SECTOR];
        let log = [
            record(Op::Open, Kind::Database, 0, b"/x/t.db"),
            record(Op::Write, Kind::Database, 0, &page),
        ];
        let torn = (0..16).any(|seed| {
            let files = after(&base, &log, Unsynced::Torn, seed);
            let kept = files["t.db"].chunks(SECTOR).filter(|sector| sector[0] == 1).count();
            (1..8).contains(&kept)
        });
        assert!(torn);
    }
}
