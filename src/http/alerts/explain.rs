//! `GET /api/alerts/explain`: why a rule fired or did not.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::alert::summary::{pair_text, unit_of};
use crate::alert::{Evaluation, Explanation, Verdict};
use crate::http::extract::AllSpaces;
use crate::http::openapi::{NotFoundProblems, ReadProblems};
use crate::http::params::Query;
use crate::http::problem::Problem;
use crate::http::state::App;
use crate::model::Dimension;
use crate::model::alert::{AlertGroup, AlertMetric, Rule};

/// Query parameters: a rule and one of its groups.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExplainParams {
    /// The id of the rule.
    #[param(min_length = 1)]
    rule: String,
    /// The group, once for each dimension, as `space:acme`. Default: the rule without groups.
    #[serde(default)]
    #[param(min_length = 1, max_items = 100, pattern = "^(space|user|model|provider|error_type):")]
    group: Vec<String>,
}

impl ExplainParams {
    /// Parses `group` into a map from dimension to value.
    fn names(&self) -> Result<BTreeMap<String, String>, Problem> {
        let mut names = BTreeMap::new();
        for text in &self.group {
            let pair = text.split_once(':').filter(|(name, _)| Dimension::parse(name).is_some());
            let Some((name, value)) = pair else {
                let reason = format!("{text:?} is not a dimension and a value such as space:acme");
                return Err(Problem::parameter("group", reason));
            };
            if names.insert(name.to_owned(), value.to_owned()).is_some() {
                return Err(Problem::parameter("group", format!("names {name} twice")));
            }
        }
        Ok(names)
    }
}

/// The last evaluations of a rule for one group.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExplainBody {
    /// Id of the rule.
    rule: String,
    /// Dimension to value.
    group: BTreeMap<String, String>,
    /// The budget's period.
    #[schema(required)]
    period: Option<String>,
    /// State of the group.
    state: &'static str,
    /// Why it is inactive.
    #[schema(required)]
    state_detail: Option<String>,
    /// Violations in a row.
    violations: u32,
    /// As many fire.
    consecutive: u32,
    /// Clear evaluations in a row, while an incident is open.
    clears: u32,
    /// As many end it.
    clear_consecutive: u32,
    /// Until when messages are kept back.
    #[schema(format = DateTime, required)]
    silenced_until: Option<String>,
    /// The open incident.
    #[schema(required)]
    incident_id: Option<String>,
    /// At most 20 since the start, oldest first.
    evaluations: Vec<EvaluationBody>,
}

/// One evaluation.
#[derive(Debug, Serialize, ToSchema)]
struct EvaluationBody {
    /// When.
    #[schema(format = DateTime)]
    at: String,
    /// The value.
    #[schema(required)]
    value: Option<f64>,
    /// The threshold that the value was compared with, in its unit.
    threshold: f64,
    /// Requests behind the value.
    samples: u64,
    /// Samples that count against the objective.
    events: u64,
    /// violation, between, clear, insufficient, failed or closed.
    decision: &'static str,
    /// The same in words.
    detail: String,
    /// Messages were kept back.
    muted: bool,
}

/// Returns the clear threshold of an evaluation, in the unit of the value.
fn clear_line(rule: &Rule, group: &AlertGroup, evaluation: &Evaluation) -> f64 {
    let condition = &rule.condition;
    match rule.metric {
        // A spike's threshold is an absolute number of errors, computed from the preceding windows at
        // each evaluation; the condition gives only the ratio of clear threshold to threshold.
        AlertMetric::Spike => {
            evaluation.judgement.threshold * condition.clear_threshold / condition.threshold
        }
        _ => rule.clear_threshold_of(group),
    }
}

fn detail(rule: &Rule, group: &AlertGroup, evaluation: &Evaluation) -> String {
    let judgement = &evaluation.judgement;
    let unit = unit_of(rule.metric);
    let condition = &rule.condition;
    let (value, threshold) = pair_text(judgement.value, judgement.threshold, unit);
    let operator = condition.operator.as_str();
    match judgement.verdict {
        Verdict::Violation => format!(
            "{value} {operator} {threshold}: {} of {} in a row",
            evaluation.violations, condition.consecutive
        ),
        Verdict::Between => {
            let (_, clear) = pair_text(judgement.value, clear_line(rule, group, evaluation), unit);
            format!("{value} is neither {operator} {threshold} for sure nor back at {clear}")
        }
        Verdict::Clear if evaluation.clears > 0 => format!(
            "{value} is clear of {threshold}: {} of {} in a row",
            evaluation.clears, condition.clear_consecutive
        ),
        Verdict::Clear => format!("{value} is clear of {threshold}"),
        Verdict::Insufficient
            if rule.metric.needs_samples() && judgement.samples < rule.min_samples =>
        {
            format!("too few requests: {} (min_samples {})", judgement.samples, rule.min_samples)
        }
        Verdict::Insufficient if judgement.value.is_none() => {
            "no request has this value".to_owned()
        }
        Verdict::Insufficient => "no traffic before to compare with".to_owned(),
        Verdict::Failed => "the figures could not be read".to_owned(),
        Verdict::Closed(reason) => format!("closed: {}", reason.as_str()),
    }
}

impl From<Explanation> for ExplainBody {
    fn from(explanation: Explanation) -> Self {
        let Explanation { rule, group, state, instance, silenced_until, evaluations } = explanation;
        let body = |evaluation: &Evaluation| {
            let judgement = &evaluation.judgement;
            EvaluationBody {
                at: evaluation.at.to_string(),
                value: judgement.value,
                threshold: judgement.threshold,
                samples: judgement.samples,
                events: judgement.events,
                decision: judgement.verdict.as_str(),
                detail: detail(&rule, &group, evaluation),
                muted: evaluation.is_muted,
            }
        };
        Self {
            evaluations: evaluations.iter().map(body).collect(),
            rule: rule.id.clone(),
            group: group.names.into(),
            period: group.period,
            state: state.as_str(),
            state_detail: rule.inactive.clone(),
            violations: instance.violations,
            consecutive: rule.condition.consecutive,
            clears: instance.clears,
            clear_consecutive: rule.condition.clear_consecutive,
            silenced_until: silenced_until.map(|at| at.to_string()),
            incident_id: instance.incident_id.filter(|_| instance.phase.is_open()),
        }
    }
}

/// Why a rule did or did not fire: its last evaluations for one group
#[utoipa::path(
    get,
    path = "/api/alerts/explain",
    tag = "alerts",
    params(ExplainParams),
    responses((status = 200, description = "The evaluations.", body = ExplainBody), NotFoundProblems, ReadProblems),
)]
pub(crate) async fn alerts_explain(
    State(app): State<App>,
    _: AllSpaces,
    Query(params): Query<ExplainParams>,
) -> Result<Json<ExplainBody>, Problem> {
    let group = AlertGroup { names: params.names()?.into(), period: None };
    let found = app.queries.run(move |service| service.explain_alert(&params.rule, &group)).await?;
    let found = found.ok_or_else(|| Problem::not_found("there is no such rule"))?;
    if let Some(reason) = other_dimensions(&found.rule, &found.group) {
        return Err(Problem::parameter("group", reason));
    }
    Ok(Json(found.into()))
}

/// Returns why a group is invalid for a rule: its dimensions are not those of the rule's `by`; `None`
/// if they are the same.
fn other_dimensions(rule: &Rule, group: &AlertGroup) -> Option<String> {
    let by: Vec<&str> = rule.by.iter().map(|dimension| dimension.as_str()).collect();
    if by.len() == group.names.len() && by.iter().all(|by| group.names.get(by).is_some()) {
        return None;
    }
    let id = &rule.id;
    Some(match by.as_slice() {
        [] => format!("{id} has no groups; leave it out"),
        [first, ..] => {
            format!("{id} has an alert for each {}; name one, e.g. {first}:NAME", by.join(" and "))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Judgement;
    use crate::model::Timestamp;
    use crate::model::alert::{AlertCondition, Operator};
    use std::time::Duration;

    #[test]
    fn value_and_limits_are_in_one_unit() {
        let condition = AlertCondition::new(Operator::Above, 1.5, Duration::from_secs(60), 3);
        let mut rule = Rule::new("rate", AlertMetric::RequestRate, condition);
        rule.limit = Some(60.0);
        let words = |rule: &Rule, threshold: f64, value: f64| {
            let judgement =
                Judgement { value: Some(value), ..Judgement::bare(Verdict::Between, threshold) };
            let at = Timestamp::from_unix_ms(0);
            let evaluation =
                Evaluation { at, judgement, violations: 0, clears: 0, is_muted: false };
            detail(rule, &AlertGroup::default(), &evaluation)
        };
        assert_eq!(
            words(&rule, 90.0, 80.0),
            "80 /min is neither > 90 /min for sure nor back at 72 /min"
        );
        rule.metric = AlertMetric::Spike;
        rule.condition = AlertCondition::new(Operator::AtLeast, 1.0, Duration::from_secs(60), 3);
        rule.limit = None;
        assert_eq!(words(&rule, 20.0, 18.0), "18 is neither >= 20 for sure nor back at 16");
    }
}
