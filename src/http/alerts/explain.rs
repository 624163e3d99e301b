//! `GET /api/alerts/explain`: why a rule did or did not fire.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Extension, RawQuery, State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::alert::summary::{unit_of, value_text};
use crate::alert::{Evaluation, Explanation, Verdict};
use crate::http::auth::Principal;
use crate::http::openapi::{self, AdminProblems};
use crate::http::params::EXPLAIN;
use crate::http::problem::{Kind, Problem};
use crate::http::state::{App, params};
use crate::model::alert::{AlertGroup, Rule};

/// The last evaluations of a rule for one group.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExplainBody {
    /// Id of the rule.
    rule: String,
    /// Dimension to value.
    group: BTreeMap<String, String>,
    /// The budget's period.
    period: Option<String>,
    /// What it is doing.
    state: &'static str,
    /// Why it is inactive.
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
    #[schema(format = DateTime)]
    silenced_until: Option<String>,
    /// The open incident.
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
    value: Option<f64>,
    /// What it was held against.
    threshold: f64,
    /// Requests behind the value.
    samples: u64,
    /// Those of them that count against it.
    events: u64,
    /// violation, between, clear, insufficient, failed or closed.
    decision: &'static str,
    /// The same in words.
    detail: String,
    /// Messages were kept back.
    muted: bool,
}

const fn decision(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Violation => "violation",
        Verdict::Between => "between",
        Verdict::Clear => "clear",
        Verdict::Insufficient => "insufficient",
        Verdict::Failed => "failed",
        Verdict::Closed(_) => "closed",
    }
}

fn detail(rule: &Rule, evaluation: &Evaluation) -> String {
    let judgement = &evaluation.judgement;
    let unit = unit_of(rule.metric);
    let condition = &rule.condition;
    let value = judgement.value.map_or_else(|| "no value".to_owned(), |v| value_text(v, unit));
    let threshold = value_text(judgement.threshold, unit);
    let operator = condition.operator.as_str();
    match judgement.verdict {
        Verdict::Violation => format!(
            "{value} {operator} {threshold}: {} of {} in a row",
            evaluation.violations, condition.consecutive
        ),
        Verdict::Between => format!(
            "{value} is neither {operator} {threshold} for sure nor back at {}",
            value_text(condition.clear_threshold, unit)
        ),
        Verdict::Clear if evaluation.clears > 0 => format!(
            "{value} is clear of {threshold}: {} of {} in a row",
            evaluation.clears, condition.clear_consecutive
        ),
        Verdict::Clear => format!("{value} is clear of {threshold}"),
        Verdict::Insufficient => format!(
            "too little to say: {} requests (min_samples {}), {} events (min_events {})",
            judgement.samples, rule.min_samples, judgement.events, rule.min_events
        ),
        Verdict::Failed => "the figures could not be read".to_owned(),
        Verdict::Closed(reason) => format!("closed: {}", reason.as_str()),
    }
}

impl ExplainBody {
    /// What was found out.
    pub(crate) fn new(explanation: Explanation) -> Self {
        let Explanation { rule, group, state, instance, silenced_until, evaluations } = explanation;
        let shown = evaluations.iter().map(|evaluation| EvaluationBody {
            at: evaluation.at.to_string(),
            value: evaluation.judgement.value,
            threshold: evaluation.judgement.threshold,
            samples: evaluation.judgement.samples,
            events: evaluation.judgement.events,
            decision: decision(evaluation.judgement.verdict),
            detail: detail(&rule, evaluation),
            muted: evaluation.is_muted,
        });
        Self {
            evaluations: shown.collect(),
            rule: rule.id.clone(),
            group: group.names,
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
    operation_id = "alerts_explain",
    tag = "alerts",
    params(openapi::ExplainParams),
    responses((status = 200, description = "The evaluations.", body = ExplainBody), AdminProblems),
)]
pub(crate) async fn explain(
    State(app): State<App>,
    Extension(principal): Extension<Principal>,
    RawQuery(query): RawQuery,
) -> Result<Json<ExplainBody>, Problem> {
    principal.require_all_spaces()?;
    let params = params(query.as_deref(), EXPLAIN)?;
    let rule = params.one("rule").unwrap_or_default().to_owned();
    let group = AlertGroup { names: params.group()?, period: None };
    let found = app.ask(move |service| service.explain_alert(&rule, &group)).await?;
    let found = found.ok_or_else(|| Problem::new(Kind::NotFound, "there is no such rule"))?;
    Ok(Json(ExplainBody::new(found)))
}
