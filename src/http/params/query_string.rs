//! Which parameters a query string may name, from how the OpenAPI document describes them.

use utoipa::openapi::path::Parameter;
use utoipa::openapi::schema::{ArrayItems, Object, Schema};
use utoipa::openapi::{RefOr, Required};

use super::closest;
use crate::http::problem::Problem;

/// Maximum length of a value, in bytes, after decoding.
pub(super) const VALUE_BYTES_MAX: usize = 16 * 1024;
/// Maximum number of values of a repeated parameter.
pub(super) const VALUES_MAX: usize = 100;

/// Checks that a query string names no other parameters than `allowed` and every required one, each with a value that
/// can be read and no more often than it may be repeated.
///
/// # Errors
/// The first parameter that is not so.
pub(super) fn check(query: &str, allowed: &[Parameter]) -> Result<(), Problem> {
    let mut given = vec![0_usize; allowed.len()];
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let Some(place) = allowed.iter().position(|parameter| parameter.name == name) else {
            return Err(unknown(&name, allowed));
        };
        let parameter = &allowed[place];
        check_value(parameter, &value)?;
        given[place] += 1;
        check_count(parameter, given[place])?;
    }
    let missing = allowed
        .iter()
        .zip(given)
        .find(|(parameter, given)| *given == 0 && parameter.required == Required::True);
    match missing {
        Some((parameter, _)) => {
            let description = parameter.description.as_deref().unwrap_or_default();
            Err(refused(parameter, format!("is required: {description}")))
        }
        None => Ok(()),
    }
}

fn refused(parameter: &Parameter, reason: impl Into<String>) -> Problem {
    Problem::parameter(parameter.name.clone(), reason)
}

fn check_count(parameter: &Parameter, given: usize) -> Result<(), Problem> {
    let is_repeated = matches!(schema_of(parameter), Some(Schema::Array(_)));
    match given {
        2.. if !is_repeated => Err(refused(parameter, "is given more than once")),
        given if given > VALUES_MAX => {
            Err(refused(parameter, format!("is given more than {VALUES_MAX} times")))
        }
        _ => Ok(()),
    }
}

fn check_value(parameter: &Parameter, value: &str) -> Result<(), Problem> {
    let reason = if value.is_empty() && !may_be_empty(parameter) {
        "is empty; leave it out instead"
    } else if value.len() > VALUE_BYTES_MAX {
        "is too long"
    } else if value.contains(char::REPLACEMENT_CHARACTER) {
        "is not valid UTF-8"
    } else if value.contains('\0') {
        "contains a NUL character"
    } else {
        return Ok(());
    };
    Err(refused(parameter, reason))
}

fn schema_of(parameter: &Parameter) -> Option<&Schema> {
    match parameter.schema.as_ref()? {
        RefOr::T(schema) => Some(schema),
        RefOr::Ref(_) => None,
    }
}

/// Whether its value is any text, of any length.
fn may_be_empty(parameter: &Parameter) -> bool {
    let text = match schema_of(parameter) {
        Some(Schema::Object(text)) => Some(text),
        Some(Schema::Array(list)) => match &list.items {
            ArrayItems::RefOrSchema(items) => match &**items {
                RefOr::T(Schema::Object(text)) => Some(text),
                _ => None,
            },
            ArrayItems::False => None,
        },
        _ => None,
    };
    text.is_some_and(is_any_text)
}

fn is_any_text(schema: &Object) -> bool {
    let is_text = schema.schema_type == utoipa::openapi::schema::Type::String.into();
    is_text && schema.min_length.is_none() && schema.enum_values.is_none()
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
