//! Checks a query string against the parameters that the OpenAPI document describes.

use utoipa::openapi::path::Parameter;
use utoipa::openapi::schema::{ArrayItems, Schema, Type};
use utoipa::openapi::{RefOr, Required};

use crate::http::problem::Problem;
use crate::model::spelling::closest;

/// Maximum length of a value, in bytes, after decoding.
pub(super) const VALUE_BYTES_MAX: usize = 16 * 1024;
/// Maximum number of values of a repeated parameter.
pub(super) const VALUES_MAX: usize = 100;

/// Checks that a query string names only parameters of `allowed` and all required ones, each with a valid value and as
/// often as it may be repeated.
///
/// # Errors
/// 400 for the first parameter that violates this.
pub(super) fn check(query: &str, allowed: &[Parameter]) -> Result<(), Problem> {
    let mut given = vec![0_usize; allowed.len()];
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let Some(at) = allowed.iter().position(|parameter| parameter.name == name) else {
            return Err(unknown(&name, allowed));
        };
        given[at] += 1;
        if let Some(reason) = violation(&allowed[at], &value, given[at]) {
            return Err(Problem::parameter(name.into_owned(), reason));
        }
    }
    let is_missing = |(parameter, given): &(&Parameter, usize)| {
        *given == 0 && parameter.required == Required::True
    };
    match allowed.iter().zip(given).find(is_missing) {
        Some((parameter, _)) => {
            let description = parameter.description.as_deref().unwrap_or_default();
            let reason = format!("is required: {description}");
            Err(Problem::parameter(parameter.name.clone(), reason))
        }
        None => Ok(()),
    }
}

/// Violation of the `count`th value of a parameter, if it is invalid.
fn violation(parameter: &Parameter, value: &str, count: usize) -> Option<String> {
    let schema = match &parameter.schema {
        Some(RefOr::T(schema)) => Some(schema),
        _ => None,
    };
    let reason = if value.is_empty() && !schema.is_some_and(is_any_text) {
        "is empty; leave it out instead"
    } else if value.len() > VALUE_BYTES_MAX {
        "is too long"
    } else if value.contains(char::REPLACEMENT_CHARACTER) {
        "is not valid UTF-8"
    } else if value.contains('\0') {
        "contains a NUL character"
    } else if count > 1 && !matches!(schema, Some(Schema::Array(_))) {
        "is given more than once"
    } else if count > VALUES_MAX {
        return Some(format!("is given more than {VALUES_MAX} times"));
    } else {
        return None;
    };
    Some(reason.to_owned())
}

/// Whether the value, or an element of the list, is text without restrictions.
fn is_any_text(schema: &Schema) -> bool {
    let text = match schema {
        Schema::Object(text) => text,
        Schema::Array(list) => match &list.items {
            ArrayItems::RefOrSchema(items) => match &**items {
                RefOr::T(Schema::Object(text)) => text,
                _ => return false,
            },
            ArrayItems::False => return false,
        },
        _ => return false,
    };
    let is_text = text.schema_type == Type::String.into();
    is_text && text.min_length.is_none() && text.enum_values.is_none()
}

fn unknown(name: &str, allowed: &[Parameter]) -> Problem {
    let shown: String = name.chars().take(64).collect();
    let names: Vec<&str> = allowed.iter().map(|parameter| &*parameter.name).collect();
    let reason = if names.is_empty() {
        "is not a parameter of this route, which has none".to_owned()
    } else {
        let meant = match closest(&shown, names.iter().copied()) {
            Some(name) => format!("did you mean {name}? "),
            None => String::new(),
        };
        format!("is not a parameter of this route; {meant}it has {}", names.join(", "))
    };
    Problem::parameter(shown, reason)
}
