//! Message templates with plain `{field}` and `{field:format}` placeholders; nothing is executed.

/// Fields of a template.
pub const FIELDS: [&str; 10] =
    ["name", "rule", "group", "metric", "value", "threshold", "limit", "op", "samples", "events"];
/// The field with a duration.
const WINDOW: &str = "window";
/// Number formats.
pub const FORMATS: [&str; 4] = ["pct", "ms", "s", "num"];

/// Replaces every placeholder by `value(field, format)`. Values are inserted as they are and never
/// interpreted as a template.
pub fn render(template: &str, mut value: impl FnMut(&str, Option<&str>) -> String) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let Some((inside, after)) = after.split_once('}') else {
            text.push('{');
            rest = after;
            continue;
        };
        let (field, format) = parts(inside);
        text.push_str(&value(field, format));
        rest = after;
    }
    text.push_str(rest);
    text
}

fn parts(inside: &str) -> (&str, Option<&str>) {
    match inside.split_once(':') {
        Some((field, format)) => (field.trim(), Some(format.trim())),
        None => (inside.trim(), None),
    }
}

/// Fields that are numbers and may have a format.
const NUMBERS: [&str; 5] = ["value", "threshold", "limit", "samples", "events"];

/// The fault of a template; `None` if it is valid.
pub fn fault(template: &str) -> Option<String> {
    let last = template.rsplit_once('{').map(|(_, after)| after);
    if let Some(after) = last.filter(|after| !after.contains('}')) {
        return Some(format!("{{{after} is not closed; a field is written like {{value}}"));
    }
    let wrong = std::cell::RefCell::new(None);
    render(template, |field, format| {
        if !FIELDS.contains(&field) && field != WINDOW {
            let fields = FIELDS.join(", ");
            wrong.replace(Some(format!("{{{field}}} is no field; there are {fields}, {WINDOW}")));
        }
        if let Some(format) = format.filter(|format| !FORMATS.contains(format)) {
            let formats = FORMATS.join(", ");
            wrong.replace(Some(format!("{format:?} is no format; there are {formats}")));
        } else if format.is_some() && !NUMBERS.contains(&field) {
            let numbers = NUMBERS.join(", ");
            wrong.replace(Some(format!("{{{field}}} is no number; formats are for {numbers}")));
        }
        String::new()
    });
    wrong.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_replaced_once() {
        let text = render("{name} {value:pct} {", |field, format| match (field, format) {
            ("name", None) => "{value}".to_owned(),
            (_, format) => format.unwrap_or("-").to_owned(),
        });
        assert_eq!(text, "{value} pct {");
    }

    #[test]
    fn unknown_fields_are_named() {
        assert_eq!(fault("{value:pct} in {window}"), None);
        assert!(fault("{valu}").unwrap().starts_with("{valu} is no field; there are name"));
        assert!(fault("{value:hex}").unwrap().contains("pct, ms, s, num"));
        assert!(fault("{name:pct}").unwrap().starts_with("{name} is no number"));
    }

    #[test]
    fn an_unclosed_field_is_an_error() {
        for text in ["{value", "{value} of {limit", "{", "{value} {"] {
            assert!(fault(text).unwrap().contains("is not closed"), "{text}");
        }
        assert!(fault("{a {value}").unwrap().contains("is no field"));
    }
}
