//! Formats `data/config.example.toml`, which is generated from the declarations of the sections.

use serde::Serialize;
use toml::Value;

use super::kinds::grouped;

/// Maximum length of a line of comment, in characters.
const WIDTH: usize = 116;
/// The comment at the start of the file.
pub(super) const HEADER: &str = "\
# The configuration of chatgauge: every key with its default. Generated from the declarations in src/config
# (UPDATE_EXAMPLE=1 cargo test --lib config::tests).
#
# Each layer overrides the one before:
#   1. these defaults
#   2. a file like this one:      chatgauge serve --config chatgauge.toml
#   3. environment variables:     CHATGAUGE_<SECTION>_<KEY>, e.g. CHATGAUGE_RETENTION_RAW_DAYS=90
#                                 short: CHATGAUGE_DB, CHATGAUGE_LISTEN, CHATGAUGE_ADMIN_TOKEN
#   4. flags:                     --db, --listen, ..., and --option retention.raw_days=90 for any key
#
# `chatgauge config check` reports what is wrong with it, `chatgauge config print` prints what is in effect.
# Units are in the names. Unknown keys are errors.
";

/// The example file, written section by section.
pub(super) struct Example {
    /// The text written so far.
    pub(super) text: String,
}

impl Example {
    /// Writes the head of a section; `""` is the top of the file.
    pub(super) fn section(&mut self, name: &str, description: &[&str]) {
        self.text.push('\n');
        if !name.is_empty() {
            self.comment(description, "");
            self.text += &format!("[{name}]\n");
        }
    }

    /// Writes a key with its description.
    pub(super) fn key(
        &mut self,
        description: &[&str],
        allowed: &str,
        key: &str,
        value: impl Serialize,
    ) {
        self.comment(description, allowed);
        let value = match Value::try_from(value) {
            Ok(Value::Integer(number)) => grouped(number),
            value => value.map(|value| value.to_string()).unwrap_or_default(),
        };
        self.text += &format!("{key} = {value}\n");
    }

    /// Writes a table without descriptions, like one above.
    pub(super) fn like_above(&mut self, name: &str, table: &impl Serialize) {
        let keys = toml::to_string(table).unwrap_or_default();
        self.text += &format!("\n[{name}]\n{keys}");
    }

    /// Writes tables that are only an example: every line a comment.
    pub(super) fn commented(&mut self, toml: &str) {
        self.text.push('\n');
        for line in toml.lines() {
            let mark = match line {
                "" => "#",
                line if line.starts_with('#') => "",
                _ => "# ",
            };
            self.text += &format!("{mark}{line}\n");
        }
    }

    fn comment(&mut self, description: &[&str], allowed: &str) {
        let words = description.iter().flat_map(|line| line.split_whitespace());
        let mut line = String::from("#");
        for word in words.chain(allowed.split_whitespace()) {
            if line.len() + 1 + word.len() > WIDTH {
                self.text += &format!("{line}\n");
                line = String::from("#");
            }
            line += &format!(" {word}");
        }
        self.text += &format!("{line}\n");
    }
}
