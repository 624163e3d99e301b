//! Bodies cut into records.

use proptest::prelude::*;

use super::super::scan::next_object;
use super::*;

const TOO_LONG: &str = "<too long>";

/// What comes out of a body cut at every `step` bytes, as text, and how it ended.
fn split_by(body: &[u8], framing: Framing, step: usize) -> (Vec<String>, Result<(), BodyProblem>) {
    let mut found = Vec::new();
    let mut splitter = Splitter::new(framing);
    let mut sink = |piece: Piece<'_>| {
        found.push(match piece {
            Piece::Record(bytes) | Piece::Line(bytes) => {
                String::from_utf8_lossy(bytes).trim().to_owned()
            }
            Piece::TooLong => TOO_LONG.to_owned(),
            Piece::Malformed(reason) => format!("<{reason}>"),
        });
    };
    let mut ended = body.chunks(step.max(1)).try_for_each(|chunk| splitter.push(chunk, &mut sink));
    if ended.is_ok() {
        ended = splitter.finish(&mut sink);
    }
    (found, ended)
}

/// The same for several ways to cut the body, which must not matter.
fn split(body: &str, framing: Framing) -> (Vec<String>, Result<(), BodyProblem>) {
    let whole = split_by(body.as_bytes(), framing, usize::MAX);
    for step in [1, 2, 3, 7, 64] {
        assert_eq!(split_by(body.as_bytes(), framing, step), whole, "{body:?} in {step}s");
    }
    whole
}

fn records(body: &str) -> Vec<String> {
    let (found, ended) = split(body, Framing::Auto);
    ended.unwrap();
    found
}

#[test]
fn every_framing_gives_its_records() {
    let (a, b) = (r#"{"a":1}"#, r#"{"b":"}]\"\\,{","c":[{"d":[]}]}"#);
    for body in [
        format!("{a}{b}"),
        format!("{a} \t{b}"),
        format!("{a}\n{b}"),
        format!("\n\n{a}\r\n\r\n{b}\r\n"),
        format!("[{a},{b}]"),
        format!(" [ {a} , {b} ] \n"),
        format!("[\n{a},\n{b}\n]\n"),
        format!("\u{feff}{a}\n{b}"),
        format!("\u{feff}[{a},{b}]"),
    ] {
        assert_eq!(records(&body), [a, b], "{body}");
    }
    assert_eq!(records(a), [a]);
    assert_eq!(records("[]"), [""; 0]);
    assert_eq!(records(" [ ] "), [""; 0]);
    assert_eq!(split(&format!("{a}\n\n{b}"), Framing::Lines).0, [a, b]);
    assert_eq!(split("", Framing::Lines), (vec![], Ok(())));
}

#[test]
fn objects_over_several_lines_are_whole() {
    let pretty = "{\n  \"a\": [\n    {\n      \"b\": 1\n    }\n  ],\n  \"c\": {}\n}";
    assert_eq!(records(&format!("{pretty}\n{pretty}\n")), [pretty, pretty]);
    let flush_left = "{\n\"a\":[\n{\n\"b\":1\n},\n{}\n]\n}";
    assert_eq!(records(flush_left), [flush_left]);
}

#[test]
fn a_broken_line_costs_only_itself() {
    let good = r#"{"a":1}"#;
    for broken in [
        r#"{"a""#,
        r#"{"a":"#,
        r#"{"a":1"#,
        r#"{"a":1,"#,
        r#"{"a":"x"#,
        r#"{"a":"x\"#,
        r#"{"a":[1"#,
        r#"{"a":{"b":"x"#,
        "hello",
        "}",
        "]",
        "{]",
        r#""text""#,
        "1",
        "null",
        "{\"a\":1}}",
    ] {
        let (found, ended) = split(&format!("{good}\n{broken}\n{good}\n"), Framing::Auto);
        assert_eq!(ended, Ok(()));
        assert_eq!(found, [good, broken, good]);
        let (found, ended) = split(&format!("{broken}\n{good}\n{good}\n"), Framing::Lines);
        assert_eq!((found.len(), ended), (3, Ok(())), "{broken}");
        let (found, ended) = split(&format!("{good}\n{broken}"), Framing::Auto);
        assert_eq!(
            (found.as_slice(), ended),
            ([good.to_owned(), broken.to_owned()].as_slice(), Ok(()))
        );
    }
}

#[test]
fn a_broken_first_line_is_recognised_without_a_content_type() {
    let good = r#"{"a":1}"#;
    for broken in
        [r#"{"a""#, r#"{"a":"#, r#"{"a":1"#, r#"{"a":1,"#, r#"{"a":"x"#, r#"{"a":[1"#, "hello"]
    {
        let (found, ended) = split(&format!("{broken}\n{good}\n{good}\n"), Framing::Auto);
        assert_eq!(ended, Ok(()));
        assert_eq!(found.get(1..), Some([good.to_owned(), good.to_owned()].as_slice()), "{broken}");
    }
}

#[test]
fn a_body_that_is_cut_off_is_unreadable() {
    for body in [
        "",
        " \n",
        "\u{feff}",
        "{",
        r#"{"a":"#,
        r#"{"a":"x"#,
        "[",
        "[{}",
        "[{},",
        r#"[{"a":"x"#,
        "[1",
    ] {
        let (_, ended) = split(body, Framing::Auto);
        assert!(matches!(ended, Err(BodyProblem::Unreadable { .. })), "{body}");
    }
    for body in ["[] {}", "[{}]]", "[{}],", "[][]"] {
        assert!(split(body, Framing::Auto).1.is_err(), "{body}");
    }
}

#[test]
fn elements_that_are_no_objects_come_out_too() {
    assert_eq!(
        records(r#"[1,"a,]",null,[1,2],{"a":]},{}]"#),
        ["1", r#""a,]""#, "null", "[1,2]", r#"{"a":]}"#, "{}"]
    );
    let missing = "<an element of the array is missing beside a comma>";
    assert_eq!(records("[,{},]"), [missing, "{}", missing]);
}

#[test]
fn a_record_that_is_too_long_is_skipped_without_being_held() {
    let long = format!(r#"{{"a":"{}"}}"#, "x\\\"{[".repeat(2 << 20));
    let nested = format!("{}{}", r#"{"a":"#.repeat(1 << 20), "}".repeat(1 << 20));
    for body in [
        format!("[{{}},{long},{{}}]"),
        format!("{{}}\n{long}\n{{}}"),
        format!("{{}}{long}{{}}"),
        format!("{{}}{nested}{{}}"),
    ] {
        for step in [997, 65_536, usize::MAX] {
            let (found, ended) = split_by(body.as_bytes(), Framing::Auto, step);
            assert_eq!(
                (found.as_slice(), ended),
                (["{}", TOO_LONG, "{}"].map(str::to_owned).as_slice(), Ok(()))
            );
        }
        let mut splitter = Splitter::new(Framing::Auto);
        for chunk in body.as_bytes().chunks(4_096) {
            splitter.push(chunk, &mut |_| ()).unwrap();
            assert!(splitter.held.capacity() <= 2 * MAX_RECORD_BYTES);
        }
    }
    let fits = format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_RECORD_BYTES - 8));
    assert_eq!((fits.len(), records(&fits)), (MAX_RECORD_BYTES, vec![fits]));
}

#[test]
fn the_next_object_on_a_line_is_found() {
    assert_eq!(next_object(r#"{"a":"}"} {"b":1} x"#), Some(r#"{"b":1} x"#));
    assert_eq!(next_object("{} x"), None);
    assert_eq!(next_object("{}"), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_cut_never_matters(
        body in r#"([\[\]{},:"\\ \n\r]|\{"a":1\}|[a1é\u{feff}]|\{\}\n){0,60}"#,
        cuts in proptest::collection::vec(0_usize..200, 0..8),
        lines: bool,
    ) {
        let framing = if lines { Framing::Lines } else { Framing::Auto };
        let whole = split_by(body.as_bytes(), framing, usize::MAX);
        prop_assert_eq!(&split_by(body.as_bytes(), framing, 1), &whole);
        for cut in cuts {
            prop_assert_eq!(&split_by(body.as_bytes(), framing, cut + 1), &whole);
        }
    }
}
