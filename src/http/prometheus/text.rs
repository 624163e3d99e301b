//! The Prometheus text format.

use std::fmt::Write;

use crate::model::measures::as_f64;

/// Labels of a sample.
pub(super) type Labels<'a> = [(&'static str, &'a str)];

/// A scrape in the text format.
#[derive(Default)]
pub(super) struct MetricsText {
    pub(super) out: String,
}

/// Writes families of one sample without labels: kind, name, help and value. An unknown value is omitted.
macro_rules! single_samples {
    ($text:ident; $($kind:ident $name:literal, $help:literal, $value:expr;)+) => {
        $($text.single($name, stringify!($kind), $help, $value);)+
    };
}
pub(super) use single_samples;

/// A value of a sample; `None` if it is unknown.
pub(super) trait SampleValue {
    fn known(self) -> Option<f64>;
}

impl SampleValue for f64 {
    fn known(self) -> Option<f64> {
        Some(self)
    }
}

impl SampleValue for u64 {
    fn known(self) -> Option<f64> {
        Some(unsigned(self))
    }
}

impl<T: SampleValue> SampleValue for Option<T> {
    fn known(self) -> Option<f64> {
        self.and_then(T::known)
    }
}

/// A count as the value of a sample.
pub(super) fn unsigned(value: u64) -> f64 {
    as_f64(i64::try_from(value).unwrap_or(i64::MAX))
}

impl MetricsText {
    /// Starts a family of samples.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.push(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// A sample of the current family.
    pub(super) fn sample(&mut self, name: &str, labels: &Labels<'_>, value: f64) {
        self.out.push_str(name);
        for (index, (label, value)) in labels.iter().enumerate() {
            self.out.push(if index == 0 { '{' } else { ',' });
            self.out.push_str(label);
            self.out.push_str("=\"");
            escape(value, &mut self.out);
            self.out.push('"');
        }
        if !labels.is_empty() {
            self.out.push('}');
        }
        self.push(format_args!(" {value}\n"));
    }

    /// A family of one sample without labels, if the value is known.
    pub(super) fn single(&mut self, name: &str, kind: &str, help: &str, value: impl SampleValue) {
        if let Some(value) = value.known() {
            self.family(name, kind, help);
            self.sample(name, &[], value);
        }
    }

    /// A summary of a sum and a count.
    pub(super) fn summary(&mut self, name: &str, help: &str, sum: f64, count: u64) {
        self.family(name, "summary", help);
        self.sample(&format!("{name}_sum"), &[], sum);
        self.sample(&format!("{name}_count"), &[], unsigned(count));
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        self.out.write_fmt(text).unwrap_or_else(|_| unreachable!("a string accepts all text"));
    }
}

/// Escapes backslashes, quotes and line ends of a label value.
fn escape(value: &str, out: &mut String) {
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}
