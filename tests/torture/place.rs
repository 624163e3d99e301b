//! A directory for one database, with the layer that watches it and the program's options.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::disk::{Files, read_files, write_files};
use super::layer::Layer;
use super::server::{PATIENCE, await_end};

/// A directory of its own for one database: `data` is watched by the layer, the rest is the suite's.
#[derive(Debug)]
pub(crate) struct Place {
    root: tempfile::TempDir,
    /// The fault layer of the watched directory.
    pub(crate) layer: Layer,
    /// The program that runs on the database.
    pub(crate) program: PathBuf,
}

/// The program under test: `TORTURE_BINARY`, or the one that was built with the tests.
pub(crate) fn binary() -> PathBuf {
    let other = std::env::var_os("TORTURE_BINARY").map(PathBuf::from);
    other.unwrap_or_else(|| env!("CARGO_BIN_EXE_chatgauge").into())
}

impl Place {
    pub(crate) fn new() -> Self {
        let root = tempfile::Builder::new().prefix("torture").tempdir().expect("a directory");
        let data = root.path().join("data");
        std::fs::create_dir(&data).expect("a directory");
        let layer = Layer::new(&data, root.path().join("control"));
        Self { root, layer, program: binary() }
    }

    /// The watched directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.root.path().canonicalize().expect("the directory").join("data")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.data().join("t.db")
    }

    /// The write log of the program that was started last.
    pub(crate) fn log(&self) -> PathBuf {
        self.root.path().join("writes.log")
    }

    /// Standard error of the server that was started last.
    pub(crate) fn errors(&self) -> PathBuf {
        self.root.path().join("stderr.txt")
    }

    /// A path beside the watched directory.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The files as they are.
    pub(crate) fn files(&self) -> Files {
        let mut files = read_files(&self.data());
        files.remove("t.db-shm");
        files
    }

    /// Replaces the files.
    pub(crate) fn restore(&self, files: &Files) {
        write_files(&self.data(), files);
    }

    /// A command of the program on this database, without the layer.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).arg("--db").arg(self.database());
        command.env_clear().stdin(Stdio::null());
        command
    }

    /// The same, with the layer and a new log.
    pub(crate) fn watched(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(arguments);
        // There is none before the first start.
        drop(std::fs::remove_file(self.log()));
        self.layer.wrap(&mut command, &self.log());
        command
    }

    /// Runs a command to its end; a command that hangs is killed, and the test fails.
    pub(crate) fn run(&self, mut command: Command) -> Output {
        let (out, errors) = (self.beside("command-stdout.txt"), self.beside("command-stderr.txt"));
        let mut child = command
            .stdout(File::create(&out).expect("a file for the output"))
            .stderr(File::create(&errors).expect("a file for errors"))
            .spawn()
            .expect("the program");
        let status = await_end(&mut child, PATIENCE).unwrap_or_else(|| {
            drop(child.kill());
            panic!("the program hangs: {command:?}");
        });
        let read = |path: &Path| std::fs::read(path).expect("what the program printed");
        Output { status, stdout: read(&out), stderr: read(&errors) }
    }

    /// A connection to the file that no server has open.
    pub(crate) fn connection(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.database()).expect("the database")
    }
}

/// Bytes of the file; 0 when there is none.
pub(crate) fn length(path: &Path) -> u64 {
    path.metadata().map_or(0, |metadata| metadata.len())
}
