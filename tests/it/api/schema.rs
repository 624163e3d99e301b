//! Whether an answer is as the OpenAPI document describes it; stricter than JSON Schema: members that are not described
//! are errors too.

#![expect(clippy::unwrap_used, reason = "a test helper fails by panicking")]

use std::collections::BTreeSet;

use chatgauge::model::Timestamp;
use serde_json::Value;

use crate::harness::Answer;

/// The OpenAPI document of a server.
#[derive(Debug)]
pub(super) struct Document(pub(super) Value);

impl Document {
    /// Asserts that an answer to `request`, such as `GET /api/status?x=1`, is one of those that are described.
    pub(super) fn assert_describes(&self, request: &str, answer: &Answer) {
        let wrong = self.differences(request, answer);
        let body = String::from_utf8_lossy(&answer.body);
        assert!(wrong.is_empty(), "{request}: HTTP {}: {wrong:#?}\n{body}", answer.status);
    }

    fn differences(&self, request: &str, answer: &Answer) -> Vec<String> {
        let Some(operation) = self.operation(request) else {
            let is_refusal = matches!(answer.status, 404 | 405);
            return if is_refusal { vec![] } else { vec!["no such route".to_owned()] };
        };
        let Some(response) = operation["responses"].get(answer.status.to_string()) else {
            return vec!["the status is not described".to_owned()];
        };
        let Some(contents) = response["content"].as_object() else {
            let is_empty = answer.body.is_empty() || operation["operationId"] == "traces_ingest";
            return if is_empty { vec![] } else { vec!["a body is not described".to_owned()] };
        };
        let content_type = answer.header("content-type").unwrap_or_default();
        let essence = |text: &str| text.split(';').next().unwrap_or_default().to_owned();
        let is_it = |(name, _): &(&String, &Value)| essence(name) == essence(content_type);
        let Some((name, content)) = contents.iter().find(is_it) else {
            return vec![format!("the type {content_type:?} is not described")];
        };
        match content.get("schema") {
            Some(schema) if name.ends_with("json") => self.check(schema, &answer.json()),
            _ => vec![],
        }
    }

    /// The operation of a request.
    fn operation(&self, request: &str) -> Option<&Value> {
        let (method, target) = request.split_once(' ').unwrap();
        let path = target.split(['?', ' ']).next().unwrap_or_default();
        let segments = |path: &str| path.split('/').map(str::to_owned).collect::<Vec<_>>();
        let wanted = segments(path);
        let is_it = |template: &str| {
            let template = segments(template);
            let fits = |(one, other): (&String, &String)| one.starts_with('{') || one == other;
            template.len() == wanted.len() && template.iter().zip(&wanted).all(fits)
        };
        let paths = self.0["paths"].as_object().unwrap();
        let (_, item) = paths.iter().find(|(template, _)| is_it(template))?;
        item.get(method.to_lowercase())
    }

    /// How a value differs from a schema.
    pub(super) fn check(&self, schema: &Value, value: &Value) -> Vec<String> {
        let mut found = Vec::new();
        self.walk(schema, value, "", true, &mut found);
        found
    }

    fn resolve<'s>(&'s self, schema: &'s Value) -> &'s Value {
        match schema.get("$ref").and_then(Value::as_str) {
            Some(reference) => self.0.pointer(reference.strip_prefix('#').unwrap()).unwrap(),
            None => schema,
        }
    }

    /// Members that a schema describes; `None`: any.
    fn members(&self, schema: &Value) -> Option<BTreeSet<String>> {
        let schema = self.resolve(schema);
        if schema.get("additionalProperties").is_some_and(|other| *other != Value::Bool(false)) {
            return None;
        }
        let mut members = BTreeSet::new();
        for part in schema["allOf"].as_array().into_iter().flatten() {
            members.extend(self.members(part)?);
        }
        let properties = schema["properties"].as_object().into_iter();
        members.extend(properties.flat_map(|properties| properties.keys().cloned()));
        Some(members)
    }

    fn walk(
        &self,
        schema: &Value,
        value: &Value,
        at: &str,
        is_closed: bool,
        found: &mut Vec<String>,
    ) {
        let schema = self.resolve(schema);
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.walk(part, value, at, false, found);
        }
        for (word, may_be_more) in [("oneOf", false), ("anyOf", true)] {
            let Some(list) = schema[word].as_array() else { continue };
            let fits = list.iter().filter(|part| self.check(part, value).is_empty()).count();
            if fits == 0 || fits > 1 && !may_be_more {
                found.push(format!("{at}: {fits} of {word} fit {value}"));
            }
        }
        check_type(schema, value, at, found);
        check_limits(schema, value, at, found);
        match value {
            Value::Array(list) => {
                for (place, one) in list.iter().enumerate() {
                    self.walk(&schema["items"], one, &format!("{at}/{place}"), true, found);
                }
            }
            Value::Object(object) => {
                let required = schema["required"].as_array().into_iter().flatten();
                for name in required.filter_map(Value::as_str) {
                    if !object.contains_key(name) {
                        found.push(format!("{at}: {name} is missing"));
                    }
                }
                let is_described = schema.get("properties").or(schema.get("allOf")).is_some();
                let members = self.members(schema).filter(|_| is_closed && is_described);
                for (name, one) in object {
                    let property = schema["properties"].get(name);
                    let property = property.or_else(|| schema.get("additionalProperties"));
                    if let Some(property) = property {
                        self.walk(property, one, &format!("{at}/{name}"), true, found);
                    } else if members.as_ref().is_some_and(|members| !members.contains(name)) {
                        found.push(format!("{at}: {name} is not described"));
                    }
                }
            }
            _ => {}
        }
    }
}

fn check_type(schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let actual: &[&str] = match value {
        Value::Null => &["null"],
        Value::Bool(_) => &["boolean"],
        Value::Number(number) if number.is_f64() => &["number"],
        Value::Number(_) => &["integer", "number"],
        Value::String(_) => &["string"],
        Value::Array(_) => &["array"],
        Value::Object(_) => &["object"],
    };
    let fits = |name: &Value| name.as_str().is_some_and(|name| actual.contains(&name));
    let is_right = match schema.get("type") {
        Some(Value::Array(names)) => names.iter().any(fits),
        Some(name) => fits(name),
        None => true,
    };
    if !is_right {
        found.push(format!("{at}: {value} is not {}", schema["type"]));
    }
}

fn check_limits(schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    if let Some(list) = schema["enum"].as_array().filter(|list| !list.contains(value)) {
        found.push(format!("{at}: {value} is none of {list:?}"));
    }
    if let (Some(number), minimum, maximum) =
        (value.as_f64(), schema["minimum"].as_f64(), schema["maximum"].as_f64())
        && (minimum.is_some_and(|minimum| number < minimum)
            || maximum.is_some_and(|maximum| number > maximum))
    {
        found.push(format!("{at}: {value} is out of bounds"));
    }
    if let Some(text) = value.as_str() {
        let is_right = match schema["format"].as_str() {
            Some("date-time") => Timestamp::parse_rfc3339(text).is_some(),
            Some("date") => text.len() == 10 && text.split('-').count() == 3,
            _ => true,
        };
        if !is_right {
            found.push(format!("{at}: {text} is not {}", schema["format"]));
        }
    }
}

#[test]
fn what_differs_from_the_document_is_found() {
    let document = Document(serde_json::json!({"components": {"schemas": {
        "A": {"type": "object", "required": ["n"], "properties": {
            "n": {"type": "integer", "minimum": 0}, "at": {"type": ["string", "null"], "format": "date-time"},
        }},
        "B": {"allOf": [{"$ref": "#/components/schemas/A"}, {"type": "object", "properties": {"b": {"enum": ["x"]}}}]},
    }}}));
    let count = |name: &str, value: Value| {
        let schema = serde_json::json!({"$ref": format!("#/components/schemas/{name}")});
        document.check(&schema, &value).len()
    };
    for (name, value, wrong) in [
        ("A", serde_json::json!({"n": 1, "at": null}), 0),
        ("A", serde_json::json!({"n": -1, "at": "noon"}), 2),
        ("A", serde_json::json!({"n": 0.5, "b": "x"}), 2),
        ("A", serde_json::json!({}), 1),
        ("B", serde_json::json!({"n": 1, "b": "x"}), 0),
        ("B", serde_json::json!({"n": 1, "b": "y", "c": 1}), 2),
        ("B", serde_json::json!([]), 2),
    ] {
        assert_eq!(count(name, value.clone()), wrong, "{name} {value}");
    }
}
