//! The fault layer of `layer.c`: building it, loading it into a program, and arming its rules.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// A call of the program to the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub(crate) enum Op {
    Open = 1,
    Read = 2,
    Write = 4,
    Sync = 8,
    Truncate = 16,
    Allocate = 32,
    Map = 64,
    Rename = 128,
    Unlink = 256,
    Link = 512,
}

/// The role of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub(crate) enum Kind {
    Database = 1,
    Wal = 2,
    Shm = 4,
    Key = 8,
    Lock = 16,
    Directory = 32,
    Other = 64,
}

impl Op {
    const ALL: [Self; 10] = [
        Self::Open,
        Self::Read,
        Self::Write,
        Self::Sync,
        Self::Truncate,
        Self::Allocate,
        Self::Map,
        Self::Rename,
        Self::Unlink,
        Self::Link,
    ];

    pub(crate) fn of(code: u32) -> Self {
        *Self::ALL.iter().find(|op| **op as u32 == code).expect("an operation of the layer")
    }
}

impl Kind {
    const ALL: [Self; 7] =
        [Self::Database, Self::Wal, Self::Shm, Self::Key, Self::Lock, Self::Directory, Self::Other];

    pub(crate) fn of(code: u32) -> Self {
        *Self::ALL.iter().find(|kind| **kind as u32 == code).expect("a kind of file of the layer")
    }
}

/// What a rule does to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub(crate) enum Action {
    /// The call passes.
    Pass = 0,
    /// The call fails with EIO; a sync also drops the pages written since the last one.
    Eio = 1,
    /// The call fails with ENOSPC.
    Enospc = 2,
    /// Half of the bytes are written or read, and the call returns that number.
    Short = 3,
    /// Half of the bytes are written, and the call fails with EIO.
    Torn = 4,
    /// Nothing is done, and success is returned.
    Pretend = 5,
    /// SIGKILL instead of the call.
    KillBefore = 6,
    /// SIGKILL right after the call.
    KillAfter = 7,
    /// The call fails with ENOMEM.
    Enomem = 8,
    /// A sync fails and drops its pages, and success is returned.
    HideFailure = 9,
    /// Half of the bytes are written, and the call fails with ENOSPC.
    TornEnospc = 10,
}

impl Action {
    const ALL: [Self; 11] = [
        Self::Pass,
        Self::Eio,
        Self::Enospc,
        Self::Short,
        Self::Torn,
        Self::Pretend,
        Self::KillBefore,
        Self::KillAfter,
        Self::Enomem,
        Self::HideFailure,
        Self::TornEnospc,
    ];

    pub(crate) fn of(code: u32) -> Self {
        Self::ALL[code as usize]
    }

    /// Its name in tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Pass => "passes",
            Self::Eio => "EIO",
            Self::Enospc => "ENOSPC",
            Self::Short => "short",
            Self::Torn => "torn, EIO",
            Self::Pretend => "pretended",
            Self::KillBefore | Self::KillAfter => "killed",
            Self::Enomem => "ENOMEM",
            Self::HideFailure => "failure hidden",
            Self::TornEnospc => "torn, ENOSPC",
        }
    }
}

/// Which calls a rule matches, and what it does to them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    /// Operations, or-ed.
    pub(crate) ops: u32,
    /// Kinds of files, or-ed.
    pub(crate) kinds: u32,
    /// What it does.
    pub(crate) action: Action,
    /// Matching calls that pass first.
    pub(crate) skip: u32,
    /// Matching calls that it acts on after these.
    pub(crate) times: u32,
}

impl Rule {
    /// The next such call, once.
    pub(crate) const fn once(op: Op, kind: Kind, action: Action) -> Self {
        Self { ops: op as u32, kinds: kind as u32, action, skip: 0, times: 1 }
    }

    /// Every such call from now on.
    pub(crate) const fn always(op: Op, kind: Kind, action: Action) -> Self {
        Self { times: u32::MAX, ..Self::once(op, kind, action) }
    }

    /// The same after `skip` matching calls.
    pub(crate) const fn after(self, skip: u32) -> Self {
        Self { skip, ..self }
    }
}

/// Bytes of the control file's head, and of each rule.
const CONTROL_HEAD: u64 = 32;
const RULE_BYTES: u64 = 32;
/// Rules that may be armed at once.
const RULES: u64 = 16;

/// The fault layer of one watched directory, with the rules for every program started with it.
#[derive(Debug)]
pub(crate) struct Layer {
    directory: PathBuf,
    control_path: PathBuf,
    control: File,
    generation: AtomicU32,
}

impl Layer {
    /// A layer that watches `directory`; its control file lies at `control_path`.
    pub(crate) fn new(directory: &Path, control_path: PathBuf) -> Self {
        let control = File::options()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(&control_path)
            .expect("the control file");
        control.set_len(CONTROL_HEAD + RULES * RULE_BYTES).expect("the control file");
        let directory = directory.canonicalize().expect("the watched directory");
        Self { directory, control_path, control, generation: AtomicU32::new(1) }
    }

    /// Makes `command` run with the layer, which logs to `log`.
    pub(crate) fn wrap(&self, command: &mut Command, log: &Path) {
        command
            .env("LD_PRELOAD", library())
            .env("TORTURE_DIRECTORY", &self.directory)
            .env("TORTURE_CONTROL", &self.control_path)
            .env("TORTURE_LOG", log);
    }

    /// Arms a rule in one of 16 slots, at once, also in programs that run.
    pub(crate) fn arm(&self, slot: u64, rule: Rule) {
        assert!(slot < RULES, "there is no slot {slot}");
        let generation = self.generation.fetch_add(1, Ordering::SeqCst);
        let fields = [rule.ops, rule.kinds, rule.action as u32, rule.skip, rule.times];
        let place = CONTROL_HEAD + slot * RULE_BYTES;
        self.write(place, 0);
        for (field, value) in (1..).zip(fields) {
            self.write(place + 4 * field, value);
        }
        self.write(place, generation);
        self.write(0, 1);
    }

    /// Disarms every rule.
    pub(crate) fn disarm(&self) {
        self.write(0, 0);
        for slot in 0..RULES {
            self.write(CONTROL_HEAD + slot * RULE_BYTES, 0);
        }
    }

    /// Calls that rules acted on since the layer was created.
    pub(crate) fn fired(&self) -> u32 {
        let mut bytes = [0; 4];
        self.control.read_exact_at(&mut bytes, 4).expect("the control file");
        u32::from_le_bytes(bytes)
    }

    fn write(&self, place: u64, value: u32) {
        self.control.write_all_at(&value.to_le_bytes(), place).expect("the control file");
    }
}

/// The compiled layer; built once per test run.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torture/layer.c");
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let built = directory.join(format!("torture-layer-{}.so", std::process::id()));
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let status = Command::new(compiler)
            .args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-o"])
            .arg(&built)
            .arg(source)
            .arg("-lpthread")
            .status()
            .expect("a C compiler");
        assert!(status.success(), "the fault layer does not compile");
        let library = directory.join("torture-layer.so");
        std::fs::rename(&built, &library).expect("the fault layer");
        library
    })
}
