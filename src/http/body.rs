//! Small JSON bodies of administrative requests.

use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;

use super::intake::BodyLimits;
use super::problem::{Problem, ProblemKind};
use super::state::App;

/// Maximum size of a body of a request that is not ingest, in bytes.
const SMALL_BODY_BYTES_MAX: u64 = 64 * 1024;

/// A JSON object of at most 64 KiB.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        parse_json(&read(request, app).await?).map(Self)
    }
}

/// A JSON object of at most 64 KiB; an empty body and `null` mean an empty object.
#[derive(Debug)]
pub(crate) struct OptionalJsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for OptionalJsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let body = read(request, app).await?;
        let is_omitted = matches!(body.trim_ascii(), b"" | b"null");
        parse_json(if is_omitted { b"{}" } else { &body }).map(Self)
    }
}

async fn read(request: Request, app: &App) -> Result<Vec<u8>, Problem> {
    let limits = BodyLimits {
        sent_bytes_max: SMALL_BODY_BYTES_MAX,
        silence_max: app.service.config().http.body_timeout,
        is_compressed: false,
    };
    let mut bytes = app.uploads.bytes(request.into_body(), limits);
    let mut body = Vec::new();
    while let Some(more) = bytes.next().await.map_err(without_advice)? {
        body.extend_from_slice(&more);
    }
    Ok(body)
}

/// Removes the advice to send smaller batches, which suits records only.
fn without_advice(problem: Problem) -> Problem {
    match problem.kind {
        ProblemKind::BodyTooLarge => {
            Problem::new(problem.kind, format!("at most {SMALL_BODY_BYTES_MAX} bytes"))
        }
        _ => problem,
    }
}

/// Reads a small JSON object.
///
/// # Errors
/// 400 with the field, or else the position, of the mistake.
pub(crate) fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // serde would read an array as the fields in order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::new(ProblemKind::InvalidBody, "send a JSON object"));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| misfit("", error))?;
    json.end().map_err(|error| unexpected(&error.to_string()))?;
    Ok(value)
}

/// The problem of JSON that does not fit its type, with the field if it is known.
///
/// `parent` is the field that contains the JSON; empty for the whole body.
pub(crate) fn misfit(
    parent: &str,
    error: serde_path_to_error::Error<serde_json::Error>,
) -> Problem {
    let path = error.path().to_string();
    let message = error.into_inner().to_string();
    // A field that is missing or given twice is not part of the path.
    let (name, reason) = if let Some(name) = named(&message, "missing field `") {
        (name, "is required".to_owned())
    } else if let Some(name) = named(&message, "duplicate field `") {
        (name, "is given twice".to_owned())
    } else {
        ("", in_json_words(&message))
    };
    // `.` is the JSON itself, `?` a key that cannot be read.
    let path = path.strip_suffix(".?").unwrap_or(&path);
    let path = if matches!(path, "." | "?") { "" } else { path };
    let known: Vec<&str> = [parent, path, name].into_iter().filter(|of| !of.is_empty()).collect();
    if known.is_empty() { unexpected(&reason) } else { Problem::field(known.join("."), reason) }
}

/// The name after `fault`, up to the next backtick.
fn named<'m>(message: &'m str, fault: &str) -> Option<&'m str> {
    message.strip_prefix(fault)?.split('`').next()
}

/// A message of serde with the types of JSON in place of those of Rust.
fn in_json_words(message: &str) -> String {
    let Some((found, expected)) = message.rsplit_once(", expected ") else {
        return message.to_owned();
    };
    let (expected, position) = match expected.split_once(" at line ") {
        Some((expected, position)) => (expected, format!(" at line {position}")),
        None => (expected, String::new()),
    };
    let integer = found.strip_prefix("invalid value: integer `");
    let is_too_large = integer.is_some_and(|integer| !integer.starts_with('-'));
    let found = match found {
        "invalid type: map" => "invalid type: object",
        "invalid type: sequence" => "invalid type: list",
        _ => found,
    };
    let expected = match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "isize"
            if is_too_large =>
        {
            "a smaller number"
        }
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number of 0 or more",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a sequence" => "a list",
        "a map" => "an object",
        of if of.starts_with("struct ") => "an object",
        of => of,
    };
    format!("{found}, expected {expected}{position}")
}

fn unexpected(reason: &str) -> Problem {
    Problem::new(ProblemKind::InvalidBody, format!("not the JSON expected: {reason}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only whether it can be read matters")]
    struct Outer {
        name: String,
        #[serde(default)]
        count: u32,
        #[serde(default)]
        change: i64,
        #[serde(default)]
        list: Vec<u64>,
        #[serde(default)]
        map: BTreeMap<String, String>,
        #[serde(default)]
        inner: Option<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only whether it can be read matters")]
    struct Inner {
        id: String,
    }

    /// The detail of the problem and its `errors`.
    fn shown(problem: &Problem) -> (String, Value) {
        assert_eq!(problem.kind, ProblemKind::InvalidBody);
        let body: Value = serde_json::from_slice(&problem.body("id")).unwrap();
        (problem.detail.clone(), body["errors"].clone())
    }

    fn refused(body: &str) -> (String, Value) {
        shown(&parse_json::<Outer>(body.as_bytes()).unwrap_err())
    }

    #[test]
    fn a_problem_names_the_field_in_the_words_of_json() {
        for (body, field, reason) in [
            ("{}", "name", "is required"),
            (r#"{"name":"a","name":"b"}"#, "name", "is given twice"),
            (r#"{"name":"a","inner":{}}"#, "inner.id", "is required"),
            (r#"{"name":"a","inner":{"id":"a","id":"b"}}"#, "inner.id", "is given twice"),
            (
                r#"{"name":"a","inner":7}"#,
                "inner",
                "invalid type: integer `7`, expected an object at line 1 column 21",
            ),
            (
                r#"{"count":-1}"#,
                "count",
                "invalid value: integer `-1`, expected a whole number of 0 or more at line 1 column 11",
            ),
            (
                r#"{"count":4294967296}"#,
                "count",
                "invalid value: integer `4294967296`, expected a smaller number at line 1 column 19",
            ),
            (
                r#"{"count":", expected u32"}"#,
                "count",
                "invalid type: string \", expected u32\", expected a whole number of 0 or more at line 1 column 25",
            ),
            (
                r#"{"change":1.5}"#,
                "change",
                "invalid type: floating point `1.5`, expected a whole number at line 1 column 13",
            ),
        ] {
            let (detail, errors) = refused(body);
            assert_eq!(errors, json!([{"parameter": field, "detail": reason}]), "{body}");
            assert_eq!(detail, format!("{field}: {reason}"));
        }
        for (body, start) in [
            (r#"{"list":{}}"#, "list: invalid type: object, expected a list"),
            (r#"{"list":[1,true]}"#, "list[1]: invalid type: boolean `true`, expected a whole"),
            (r#"{"map":[]}"#, "map: invalid type: list, expected an object"),
            (r#"{"name":null}"#, "name: invalid type: null, expected a string"),
            (r#"{"nmae":"a"}"#, "nmae: unknown field `nmae`, expected one of `name`"),
        ] {
            let (detail, _) = refused(body);
            assert!(detail.starts_with(start), "{detail}");
        }
    }

    #[test]
    fn a_problem_without_a_field_has_its_position() {
        for body in ["{", r#"{"name":"a"} x"#] {
            let (detail, errors) = refused(body);
            assert!(detail.starts_with("not the JSON expected: "), "{detail}");
            assert!(detail.contains(" at line 1 column "), "{detail}");
            assert_eq!(errors, Value::Null, "{detail}");
        }
    }

    #[test]
    fn a_value_inside_a_field_has_the_whole_path() {
        let of = |value: Value| {
            let read: Result<Outer, _> = serde_path_to_error::deserialize(value);
            shown(&misfit("rule", read.unwrap_err())).0
        };
        assert_eq!(of(json!({})), "rule.name: is required");
        assert_eq!(
            of(json!({"name": 5})),
            "rule.name: invalid type: integer `5`, expected a string"
        );
        assert_eq!(of(json!({"name": "a", "inner": {}})), "rule.inner.id: is required");
    }
}
