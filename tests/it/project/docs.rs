//! The documents: every link leads somewhere, and every file and test that they name exists.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The documents of the project.
fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found: Vec<PathBuf> = ["", "docs", "docs/grafana"]
        .iter()
        .filter_map(|folder| std::fs::read_dir(root.join(folder)).ok())
        .flatten()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    found.sort();
    assert!(found.len() > 5, "the documents are somewhere else");
    found
}

/// The text without what stands between fences or is indented as code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            return false;
        }
        !fenced && !line.starts_with("    ")
    })
}

/// The anchor that a heading gets.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn anchors(path: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let headings = prose(&text).filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#'))).collect()
}

/// The targets of the links and images of a line.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

#[test]
fn no_link_is_dead() {
    let mut dead = Vec::new();
    let mut checked = 0;
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        for target in prose(&text).flat_map(targets) {
            if target.contains("://") {
                continue;
            }
            checked += 1;
            let (file, wanted) = target.split_once('#').unwrap_or((target, ""));
            let path = match file {
                "" => document.clone(),
                file => document.parent().unwrap().join(file),
            };
            let is_there = path.exists();
            let has_anchor = wanted.is_empty() || (is_there && anchors(&path).contains(wanted));
            if !is_there || !has_anchor {
                dead.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(checked > 20, "only {checked} links were found");
    assert!(dead.is_empty(), "dead links:\n{}", dead.join("\n"));
}

/// The folders of the repository, and all files and folders in them, as paths from its root.
fn files() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders =
        ["benches", "bench", "data", "docs", "examples", "migrations", "src", "tests", "web"];
    let mut left: Vec<PathBuf> = folders.iter().map(|folder| root.join(folder)).collect();
    let mut files: Vec<String> = folders.map(str::to_owned).into();
    while let Some(folder) = left.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.ends_with("node_modules") {
                continue;
            }
            files.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            if path.is_dir() {
                left.push(path);
            }
        }
    }
    files
}

/// The paths that a text names between backticks; `a/{b,c}.rs` names two.
fn named_paths(text: &str) -> Vec<String> {
    let starts = ["bench/", "data/", "docs/", "examples/", "migrations/", "src/", "tests/", "web/"];
    let ends = [".rs", ".ts", ".tsx", ".mjs"];
    let is_path = |name: &&str| {
        let is_file = ends.iter().any(|end| name.ends_with(end));
        let is_exact = !name.contains([' ', '<', '*', '=']) && !name.contains("NAME");
        is_exact && (is_file || starts.iter().any(|start| name.starts_with(start)))
    };
    let names = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    let expand = |name: &str| match name.split_once('{').zip(name.split_once('}')) {
        Some(((before, inside), (_, after))) => {
            let inside = inside.split('}').next().unwrap_or_default();
            inside.split(',').map(|part| format!("{before}{part}{after}")).collect()
        }
        None => vec![name.to_owned()],
    };
    names.filter(is_path).flat_map(expand).collect()
}

#[test]
fn every_file_that_is_named_exists() {
    let files = files();
    let mut missing = Vec::new();
    let mut checked = 0;
    for document in documents() {
        for name in named_paths(&std::fs::read_to_string(&document).unwrap()) {
            checked += 1;
            // Where the folder is clear from the sentence, only the end of the path is named.
            let (name, end) =
                (name.trim_end_matches('/'), format!("/{}", name.trim_end_matches('/')));
            if !files.iter().any(|file| file == name || file.ends_with(&end)) {
                missing.push(format!("{}: {name}", document.display()));
            }
        }
    }
    assert!(checked > 100, "only {checked} paths were found");
    assert!(missing.is_empty(), "files that do not exist:\n{}", missing.join("\n"));
}

#[test]
fn every_test_that_is_named_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources =
        files().into_iter().filter(|file| file.starts_with("tests/") && file.ends_with(".rs"));
    let tests: String =
        sources.map(|file| std::fs::read_to_string(root.join(file)).unwrap()).collect();
    let document = std::fs::read_to_string(root.join("RELIABILITY.md")).unwrap();
    let names = document.split('`').skip(1).step_by(2).filter_map(|name| name.rsplit_once("::"));
    let names: Vec<&str> = names.map(|(_, name)| name).collect();
    assert!(names.len() > 20, "only {} names were found", names.len());
    let is_missing = |name: &&&str| {
        let defined = ["fn ", "mod "].map(|keyword| format!("{keyword}{name}"));
        !defined.iter().any(|defined| tests.contains(defined.as_str()))
    };
    let missing: Vec<&&str> = names.iter().filter(is_missing).collect();
    assert!(missing.is_empty(), "RELIABILITY.md names tests that do not exist: {missing:?}");
}

#[test]
fn headings_become_the_anchors_that_readers_link_to() {
    for (heading, expected) in [
        (" POST /api/requests", "post-apirequests"),
        (" GET /api/dimensions/{name}/values", "get-apidimensionsnamevalues"),
        (" Status and health", "status-and-health"),
        (" /api/sql", "apisql"),
    ] {
        assert_eq!(anchor(heading), expected);
    }
}
