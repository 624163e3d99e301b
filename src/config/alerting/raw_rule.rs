//! A rule as typed, in the file or in a request: every key optional, nothing checked.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// A number, or a length of time such as `"5s"`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum RawAmount {
    /// In the unit of the metric.
    Number(f64),
    /// A length of time.
    Text(String),
}

/// By hand, so that what is neither is told in words.
impl<'de> Deserialize<'de> for RawAmount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Amount;

        impl Visitor<'_> for Amount {
            type Value = RawAmount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or a length of time such as \"5s\"")
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<RawAmount, E> {
                Ok(RawAmount::Number(number))
            }

            #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<RawAmount, E> {
                Ok(RawAmount::Number(number as f64))
            }

            #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<RawAmount, E> {
                Ok(RawAmount::Number(number as f64))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<RawAmount, E> {
                Ok(RawAmount::Text(text.to_owned()))
            }
        }

        deserializer.deserialize_any(Amount)
    }
}

/// `filter` of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawRuleFilter {
    /// Spaces; `*` stands for anything.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub space: Vec<String>,
    /// Users, as ids or pseudonyms.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub user: Vec<String>,
    /// Models; `*` stands for anything.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub model: Vec<String>,
    /// Providers; `*` stands for anything.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub provider: Vec<String>,
    /// Errors of these types only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub error_type: Vec<String>,
    /// Kinds of outcome.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outcome: Vec<String>,
    /// Kinds of outcome that do not count.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub status_not: Vec<String>,
    /// Routes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub source: Vec<String>,
}

macro_rules! raw_rule {
    ($($(#[$doc:meta])* $key:ident: $type:ty,)+) => {
        /// A rule as typed; the names of the fields are the keys.
        #[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
        #[serde(deny_unknown_fields)]
        pub struct RawRule {
            $($(#[$doc])* #[serde(skip_serializing_if = "Option::is_none")] pub $key: Option<$type>,)+
        }

        impl RawRule {
            /// Takes every key that `over` sets.
            pub fn overlay(&mut self, over: Self) {
                $(if over.$key.is_some() { self.$key = over.$key; })+
            }
        }
    };
}

raw_rule! {
    /// Identity.
    id: String,
    /// What people call it.
    name: String,
    /// What is watched.
    metric: String,
    /// The last so long.
    window: String,
    /// `day`, `week` or `month` in place of a window: a budget.
    period: String,
    /// `>`, `<`, `>=`, `<=` or `==`.
    op: String,
    /// What the value is held against.
    threshold: RawAmount,
    /// Where the value must be back.
    clear_threshold: RawAmount,
    /// Requests that the window must hold.
    min_samples: i64,
    /// Errors that a violation needs.
    min_events: i64,
    /// Evaluations in violation until it fires.
    consecutive: i64,
    /// Evaluations clear until it ends.
    clear_consecutive: i64,
    /// 0, or e.g. 0.95.
    confidence: f64,
    /// Which requests.
    filter: RawRuleFilter,
    /// One alert for each.
    by: Vec<String>,
    /// `all` or `service`.
    errors: String,
    /// What a budget's threshold is a share of.
    limit: f64,
    /// Limits of single groups, `"space:acme" = 5_000_000`.
    limits: BTreeMap<String, f64>,
    /// Requests a minute that a request rate's threshold is a multiple of.
    capacity: f64,
    /// SLO of a burn rate.
    slo: f64,
    /// Short window of a burn rate.
    short_window: String,
    /// `keep`, `ok` or `fire`.
    no_data: String,
    /// After so long without enough requests an incident ends.
    no_data_resolve_after: String,
    /// Time between reminders.
    repeat_interval: String,
    /// Keeps back messages of the same metric's rules with `by`.
    inhibits_groups: bool,
    /// E.g. `critical`.
    severity: String,
    /// Where messages go.
    channels: Vec<String>,
    /// Handed on to receivers.
    labels: BTreeMap<String, String>,
    /// Where to look.
    runbook: String,
    /// Template of the message.
    summary: String,
    /// `false`: not evaluated.
    enabled: bool,
    /// Evaluated, but nobody is told.
    dry_run: bool,
}
