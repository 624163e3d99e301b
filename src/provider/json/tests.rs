//! Tests of the JSON scanner.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Leaf {
    Id,
    Count,
    Usage,
    Said,
}

static TABLE: Node<Leaf> = Node::step(
    "",
    &[
        Node::kept("id", Leaf::Id),
        Node::both("usage", Leaf::Usage, &[Node::kept("count", Leaf::Count)]),
        Node::step(
            "choices",
            &[Node::step(ANY, &[Node::step("delta", &[Node::seen("content", Leaf::Said)])])],
        ),
    ],
);

fn found_in(pieces: &[&[u8]]) -> (Vec<String>, bool) {
    let mut scanner = JsonScanner::new(&TABLE);
    let mut found = Vec::new();
    for piece in pieces {
        scanner.push(piece, &mut |leaf, value, span| {
            let value = match value {
                JsonValue::Text(_) => format!("{:?}", value.text()),
                JsonValue::Number(_) => format!("{:?}", value.count()),
                other => format!("{other:?}"),
            };
            found.push(format!("{leaf:?} {value} {}..{}", span.start, span.end));
        });
    }
    (found, scanner.is_done())
}

const DOCUMENT: &str = r#" {"x":{"id":"no","a":[1,{"usage":{"count":9}}],"s":"}]\"{"},"id":"a\u00e9\"b","choices":[{"delta":{"content":""}},{"delta":{"content":"SECRET \" {"},"id":"no"},7,[]],"usage":{"count":120,"other":null},"usage":null,"choices":[]} "#;

#[test]
fn only_the_paths_of_the_table_are_found() {
    let (found, is_done) = found_in(&[DOCUMENT.as_bytes()]);
    let end = DOCUMENT.find(r#","usage":null"#).unwrap();
    let id = DOCUMENT.find(r#""a\u"#).unwrap();
    let usage = DOCUMENT.find(r#"{"count":120"#).unwrap();
    let contents: Vec<_> = DOCUMENT.match_indices(r#""content":"#).collect();
    let (first, second) = (contents[0].0 + 10, contents[1].0 + 10);
    let number = usage + r#"{"count":"#.len();
    assert_eq!(
        found,
        [
            format!("Id Some(\"aé\\\"b\") {id}..{}", id + r#""a\u00e9\"b""#.len()),
            format!("Said SomeText(false) {first}..{}", first + 2),
            format!("Said SomeText(true) {second}..{}", second + r#""SECRET \" {""#.len()),
            format!("Usage Open {usage}..{}", usage + 1),
            format!("Count Some(120) {number}..{}", number + 3),
            format!("Usage Close {usage}..{end}"),
            format!("Usage Null {}..{}", end + 9, end + 13),
        ]
    );
    assert!(is_done);
}

#[test]
fn splitting_at_every_offset_changes_nothing() {
    let whole = found_in(&[DOCUMENT.as_bytes()]);
    for at in 0..=DOCUMENT.len() {
        let (a, b) = DOCUMENT.as_bytes().split_at(at);
        assert_eq!(found_in(&[a, b]), whole, "split at {at}");
    }
    let bytes: Vec<&[u8]> = DOCUMENT.as_bytes().chunks(1).collect();
    assert_eq!(found_in(&bytes), whole);
}

#[test]
fn skipped_text_is_nowhere_in_the_scanner() {
    let mut scanner = JsonScanner::new(&TABLE);
    for end in 0..DOCUMENT.len() {
        scanner.reset();
        scanner.push(&DOCUMENT.as_bytes()[..end], &mut |_, _, _| {});
        assert!(!format!("{:?}", String::from_utf8_lossy(&scanner.kept)).contains("SECRET"));
    }
}

#[test]
fn a_text_over_the_limit_is_dropped_entirely() {
    let long = format!(r#"{{"id":"{}"}}"#, "a".repeat(KEPT_BYTES + 1));
    let (found, is_done) = found_in(&[long.as_bytes()]);
    assert!(is_done && found.len() == 1 && found[0].starts_with("Id Other"), "{found:?}");
}

#[test]
fn invalid_json_ends_the_scan_without_a_panic() {
    for damaged in ["}", "]", "{]", "{\"id\" 5}", "{\"id\":}", "[1}", "{\"id\":5} x", "\u{1}", "{1"]
    {
        let (_, is_done) = found_in(&[damaged.as_bytes()]);
        assert!(!is_done, "{damaged}");
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        "[a-z\"\\\\{}\\[\\]é \n]{0,8}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let key = prop_oneof![Just("id".to_owned()), Just("usage".to_owned()), "[a-z\"]{0,4}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::vec((key, inner), 0..5)
                .prop_map(|pairs| serde_json::Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_document_is_scanned_completely(value in json(), chunk in 1_usize..9) {
        let text = format!("{value}\n");
        let pieces: Vec<&[u8]> = text.as_bytes().chunks(chunk).collect();
        let (found, is_done) = found_in(&pieces);
        prop_assert!(is_done);
        let ids = found.iter().filter(|line| line.starts_with("Id Some(\"")).count();
        prop_assert_eq!(ids, usize::from(value.get("id").is_some_and(serde_json::Value::is_string)));
    }

    #[test]
    fn any_bytes_are_scanned_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        found_in(&[&bytes]);
    }
}
