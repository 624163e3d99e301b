//! No two files import each other, directly or through others. `mod.rs` is the facade of its folder and does not count.

#![expect(clippy::string_slice, reason = "the slices begin and end at ASCII that was found")]

use std::collections::{BTreeMap, BTreeSet};

use super::tidy::{Source, sources};

/// Files that a module imports from, by the names of their modules.
type Imports = BTreeMap<String, BTreeSet<String>>;

/// `query/hot/slot.rs` is `query::hot::slot`, `query/mod.rs` is `query`, `lib.rs` is the empty name.
fn module_of(path: &str) -> String {
    let name = path.trim_end_matches(".rs").trim_end_matches("/mod").replace('/', "::");
    if ["lib", "main"].contains(&name.as_str()) { String::new() } else { name }
}

fn is_facade(path: &str) -> bool {
    path.ends_with("mod.rs") || ["lib.rs", "main.rs"].contains(&path)
}

/// `a::{b, c::{d, e}}` is `a::b`, `a::c::d` and `a::c::e`.
fn expand(tree: &str) -> Vec<String> {
    let Some((prefix, list)) = tree.split_once('{') else {
        return vec![tree.trim().to_owned()];
    };
    let list = &list[..list.rfind('}').unwrap_or(list.len())];
    let (mut depth, mut start, mut items) = (0, 0, Vec::new());
    for (at, c) in list.char_indices().chain([(list.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    let expanded =
        items.into_iter().map(str::trim).filter(|item| !item.is_empty()).flat_map(expand);
    expanded.map(|item| format!("{}{item}", prefix.trim())).collect()
}

/// Paths of a file's code that begin with `crate`, `super` or `self`: in `use` and elsewhere.
fn paths(code: &str) -> Vec<String> {
    let is_of_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let mut found = Vec::new();
    for statement in code.split(';') {
        if let Some(at) = statement.rfind("use ") {
            found.extend(expand(&statement[at + 4..]));
        }
    }
    for root in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(root) {
            let is_start = !code[..at].ends_with(is_of_path);
            let end = code[at..].find(|c| !is_of_path(c)).map_or(code.len(), |length| at + length);
            let path = &code[at..end];
            found.extend((is_start && !path.ends_with(':')).then(|| path.to_owned()));
        }
    }
    found
}

/// The file that a path of `module` leads to: the longest beginning of it that is a file.
fn target<'a>(module: &str, path: &str, files: &'a BTreeMap<String, Source>) -> Option<&'a str> {
    let mut base: Vec<&str> = module.split("::").collect();
    let mut rest =
        path.split("::").map(|name| name.split_whitespace().next().unwrap_or("")).peekable();
    match *rest.peek()? {
        "crate" => {
            base.clear();
            rest.next();
        }
        "super" | "self" => {
            while let Some(step) = rest.next_if(|name| ["super", "self"].contains(name)) {
                if step == "super" {
                    base.pop();
                }
            }
        }
        _ => return None,
    }
    base.extend(rest.filter(|name| !name.is_empty()));
    (1..=base.len()).rev().find_map(|length| {
        files.get_key_value(&base[..length].join("::")).map(|(name, _)| name.as_str())
    })
}

fn imports() -> Imports {
    let files: BTreeMap<String, Source> = sources()
        .into_iter()
        .filter(|source| !source.is_test())
        .map(|source| (module_of(&source.path), source))
        .collect();
    let counts = |name: &str| !is_facade(&files[name].path);
    let of = |name: &str, source: &Source| {
        let code: Vec<&str> = source.code().map(|(_, line)| line).collect();
        let targets = paths(&code.join("\n"));
        let targets = targets.iter().filter_map(|path| target(name, path, &files));
        targets.filter(|target| *target != name && counts(target)).map(str::to_owned).collect()
    };
    let files = files.iter().filter(|(name, _)| counts(name));
    files.map(|(name, source)| (name.clone(), of(name, source))).collect()
}

/// The first circle met on the way from `at`, which the names in `way` lead to.
fn circle<'a>(
    at: &'a str,
    imports: &'a Imports,
    way: &mut Vec<&'a str>,
    done: &mut BTreeSet<&'a str>,
) -> Option<Vec<&'a str>> {
    if let Some(start) = way.iter().position(|name| *name == at) {
        return Some(way[start..].to_vec());
    }
    if !done.insert(at) {
        return None;
    }
    way.push(at);
    let found = imports[at].iter().find_map(|next| circle(next, imports, way, done));
    way.pop();
    found
}

#[test]
fn files_do_not_import_each_other_in_a_circle() {
    let imports = imports();
    let edges: usize = imports.values().map(BTreeSet::len).sum();
    assert!(edges > 500, "only {edges} imports were found");
    let mut done = BTreeSet::new();
    let circles =
        imports.keys().filter_map(|name| circle(name, &imports, &mut Vec::new(), &mut done));
    let circles: Vec<String> = circles.map(|circle| circle.join(" -> ")).collect();
    assert!(circles.is_empty(), "import circles:\n{}", circles.join("\n"));
}

#[test]
fn trees_of_imports_are_read() {
    assert_eq!(expand("a::{b, c::{d, e}}"), ["a::b", "a::c::d", "a::c::e"]);
    assert_eq!(
        paths("use super::{a::A, b};\nlet x = crate::c::d();"),
        ["super::a::A", "super::b", "crate::c::d"]
    );
    assert_eq!(module_of("query/hot/mod.rs"), "query::hot");
}
