//! Words that have a better one in this field: the documents, the source, the page and the schema do without them.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};

/// Phrases and what to write in their place. A phrase begins and ends at a word's edge.
const WORDS: [(&str, &str); 34] = [
    ("move the log", "checkpoint"),
    ("the log was not moved", "WAL checkpoint failed"),
    ("pages left", "WAL backlog"),
    ("in vain", "fruitless, without success"),
    ("company", "more batches"),
    ("told apart", "cardinality limit"),
    ("held up", "backpressure"),
    ("anew", "again, rebuild, recompute"),
    ("vouch", "CA bundle"),
    ("vouches", "CA bundle"),
    ("made token", "generated token"),
    ("patiently", "retry with backoff"),
    ("it is tried again", "retrying in"),
    ("is tried again", "is retried"),
    ("under way", "in flight, pending, running"),
    ("undecided", "pending"),
    ("too slowly", "timed out"),
    ("not at all any more", "timed out"),
    ("share a commit", "group commit"),
    ("put off", "delay"),
    ("puts off", "delay"),
    ("passed over", "skipped"),
    ("left out", "omitted, skipped"),
    ("what waits", "backlog"),
    ("how far behind", "lag"),
    ("adds up to", "aggregate"),
    ("add up to", "aggregate"),
    ("kept sum", "cached aggregate"),
    ("kept sums", "cached aggregates"),
    ("who is told", "receiver"),
    ("is told", "is notified"),
    ("are told", "are notified"),
    ("takes the place of", "evicts, replaces"),
    ("so many", "the number itself"),
];

fn collect(path: PathBuf, files: &mut Vec<PathBuf>) {
    if path.ends_with("node_modules") {
        return;
    }
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            collect(entry.unwrap().path(), files);
        }
    } else if path
        .extension()
        .is_some_and(|e| ["rs", "md", "ts", "css", "html", "sql", "toml"].iter().any(|x| e == *x))
    {
        files.push(path);
    }
}

/// Whether `text`, in lower case, has `phrase` with no letter before and behind it.
fn has(text: &str, phrase: &str) -> bool {
    text.match_indices(phrase).any(|(at, _)| {
        let (before, after) = (text.get(..at), text.get(at + phrase.len()..));
        !before.is_some_and(|before| before.ends_with(char::is_alphabetic))
            && !after.is_some_and(|after| after.starts_with(char::is_alphabetic))
    })
}

#[test]
fn one_word_stands_for_one_thing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    let places = ["src", "docs", "web/src", "web/schema", "data", "migrations", "README.md"];
    let documents =
        ["ARCHITECTURE.md", "BENCHMARKS.md", "CHANGELOG.md", "CONTRIBUTING.md", "RELIABILITY.md"];
    for place in places.iter().chain(&documents) {
        collect(root.join(place), &mut files);
    }
    assert!(files.len() > 300, "the source is somewhere else");
    let mut found = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for (number, line) in text.lines().enumerate() {
            let line = line.to_lowercase();
            for (phrase, better) in WORDS.iter().filter(|(phrase, _)| has(&line, phrase)) {
                let path = file.strip_prefix(root).unwrap().display();
                found.push(format!("{path}:{}: \"{phrase}\": write {better}", number + 1));
            }
        }
    }
    assert!(found.is_empty(), "{} words:\n{}", found.len(), found.join("\n"));
}
