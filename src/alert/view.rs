//! Incidents and rules as the API, the live stream and the command line show them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::monitor::RuleStatus;
use super::notification::Unit;
use super::summary::unit_of;
use crate::model::Timestamp;
use crate::model::alert::{
    AlertEvent, AlertIncident, AlertInstance, AlertMetric, AlertSilence, DeliveryState, EndReason,
    EvaluationWindow, Rule, StoredMessage,
};

/// One time that a rule fired for a group.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IncidentBody {
    /// Incident id, the same from firing to end.
    pub(crate) alert_id: String,
    /// Rule id.
    rule: String,
    /// Display name of the rule.
    rule_name: String,
    /// Values by dimension; empty without groups.
    group: BTreeMap<String, String>,
    /// The budget period.
    #[schema(required)]
    period: Option<String>,
    /// firing, recovering, flapping or resolved.
    state: &'static str,
    /// Severity of the rule.
    severity: String,
    /// The metric, spelled as in the rule.
    metric: String,
    /// `>`, `<`, `>=`, `<=` or `==`.
    operator: String,
    /// Unit of the values: `ratio`, `ms`, `per_minute`, `usd` or `count`.
    #[schema(value_type = String)]
    unit: Unit,
    /// The threshold when it fired.
    threshold: f64,
    /// The latest value while it is open, then the value when it fired.
    #[schema(required)]
    actual_value: Option<f64>,
    /// The value when it fired.
    #[schema(required)]
    triggered_value: Option<f64>,
    /// The most extreme value.
    #[schema(required)]
    peak_value: Option<f64>,
    /// Number of requests behind the actual value.
    samples: u64,
    /// Number of these requests that count as events, such as errors.
    events: u64,
    /// Summary when it fired, one sentence.
    message: String,
    /// URL of the rule's runbook.
    #[schema(required)]
    runbook: Option<String>,
    /// Labels of the rule.
    labels: BTreeMap<String, String>,
    /// Start of the incident.
    #[schema(value_type = String, format = DateTime)]
    triggered_at: Timestamp,
    /// End of the incident.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    ended_at: Option<Timestamp>,
    /// Reason of the end: `recovered`, `no_traffic`, `period_ended`, `rule_removed`, `rule_changed` or `manual`.
    #[schema(required)]
    reason: Option<&'static str>,
    /// Time of the acknowledgement.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    acknowledged_at: Option<Timestamp>,
    /// User who acknowledged it.
    #[schema(required)]
    acknowledged_by: Option<String>,
    /// End of the silence that suppresses notifications.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    silenced_until: Option<Timestamp>,
    /// Whether the rule is a dry run, which sends no notifications.
    dry_run: bool,
}

impl IncidentBody {
    /// What users are notified of at once when it changes; values change all the time.
    pub(crate) fn stage(&self) -> String {
        format!("{} {:?} {:?}", self.state, self.acknowledged_at, self.silenced_until)
    }
}

/// An incident with its history and its notifications.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IncidentDetailBody {
    /// The incident.
    incident: IncidentBody,
    /// Oldest first.
    history: Vec<HistoryBody>,
    /// Oldest first.
    deliveries: Vec<DeliveryBody>,
}

/// Something that happened to an incident.
#[derive(Debug, Serialize, ToSchema)]
struct HistoryBody {
    /// When.
    #[schema(format = DateTime)]
    at: String,
    /// The state before.
    from: String,
    /// The state after.
    to: String,
    /// Why.
    reason: String,
    /// The value then.
    #[schema(required)]
    value: Option<f64>,
    /// The threshold that the value was compared with.
    #[schema(required)]
    threshold: Option<f64>,
    /// Requests behind the value.
    #[schema(required)]
    samples: Option<u64>,
    /// Samples that count against the objective.
    #[schema(required)]
    events: Option<u64>,
    /// `monitor`, or who did it.
    actor: String,
    /// Note of the actor.
    #[schema(required)]
    note: Option<String>,
}

/// A message about an incident.
#[derive(Debug, Serialize, ToSchema)]
struct DeliveryBody {
    /// The same for every attempt; `webhook-id` unless it was sent together with others.
    id: String,
    /// The message that it was sent in: `webhook-id`.
    #[schema(required)]
    message_id: Option<String>,
    /// The channel.
    channel: String,
    /// `firing`, `resolved`, `reminder`, `flapping` or `fired_and_resolved`.
    kind: String,
    /// queued, sent, dead (no more attempts), superseded (replaced by a later message) or undeliverable (the channel is no
    /// longer configured; it is sent once the channel is configured again).
    state: &'static str,
    /// Attempts so far.
    attempts: u32,
    /// Status of the last response.
    #[schema(required)]
    status: Option<u16>,
    /// Error of the last attempt.
    #[schema(required)]
    error: Option<String>,
    /// When it was written.
    #[schema(format = DateTime)]
    created_at: String,
    /// End of the last attempt.
    #[schema(format = DateTime, required)]
    attempted_at: Option<String>,
    /// The next attempt is not before.
    #[schema(format = DateTime, required)]
    next_attempt_at: Option<String>,
}

impl IncidentDetailBody {
    /// The detail of an incident; `history` and `deliveries` are ordered by time.
    pub(crate) fn new(
        incident: IncidentBody,
        history: Vec<AlertEvent>,
        deliveries: Vec<StoredMessage>,
    ) -> Self {
        Self {
            incident,
            history: history.into_iter().map(HistoryBody::from).collect(),
            deliveries: deliveries.into_iter().map(DeliveryBody::from).collect(),
        }
    }
}

impl From<AlertEvent> for HistoryBody {
    fn from(event: AlertEvent) -> Self {
        Self {
            at: event.at.to_string(),
            from: event.from_state,
            to: event.to_state,
            reason: event.reason,
            value: event.value,
            threshold: event.threshold,
            samples: event.samples,
            events: event.events,
            actor: event.actor,
            note: event.note,
        }
    }
}

impl From<StoredMessage> for DeliveryBody {
    fn from(message: StoredMessage) -> Self {
        let is_queued = message.state == DeliveryState::Queued;
        Self {
            id: message.id,
            message_id: message.batch_id,
            channel: message.channel,
            kind: message.kind,
            state: message.state.as_str(),
            attempts: message.attempts,
            status: message.last_status,
            error: message.last_error,
            created_at: message.created_at.to_string(),
            attempted_at: message.attempted_at.map(|at| at.to_string()),
            next_attempt_at: is_queued.then(|| message.not_before.to_string()),
        }
    }
}

/// Open incidents by whether a silence covers them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OpenCounts {
    /// Open incidents that are not silenced.
    pub(crate) open: usize,
    /// Open incidents that are silenced.
    pub(crate) silenced: usize,
}

/// The present state of alerting that incidents are shown with.
#[derive(Debug)]
pub(crate) struct IncidentView {
    now: Timestamp,
    /// States of open incidents by incident id.
    states: BTreeMap<String, AlertInstance>,
    rules: BTreeMap<String, Arc<Rule>>,
    silences: Vec<AlertSilence>,
}

impl IncidentView {
    /// The view at `now`.
    pub(crate) fn new(
        now: Timestamp,
        states: BTreeMap<String, AlertInstance>,
        rules: impl IntoIterator<Item = Arc<Rule>>,
        silences: Vec<AlertSilence>,
    ) -> Self {
        let rules = rules.into_iter().map(|rule| (rule.id.clone(), rule)).collect();
        Self { now, states, rules, silences }
    }

    /// State of an incident.
    pub(crate) fn state(&self, incident: &AlertIncident) -> &'static str {
        if incident.ended_at.is_some() {
            return "resolved";
        }
        // Between two evaluations an incident may have no state yet.
        self.states.get(&incident.incident_id).map_or("firing", |state| {
            if state.flapping_since.is_some() { "flapping" } else { state.phase.as_str() }
        })
    }

    /// The silences that cover an incident while it is open.
    fn covering(&self, incident: &AlertIncident) -> impl Iterator<Item = &AlertSilence> {
        let is_open = incident.ended_at.is_none();
        self.silences.iter().filter(move |silence| {
            is_open && silence.covers(&incident.rule_id, &incident.group, self.now)
        })
    }

    /// Counts open incidents.
    pub(crate) fn count(&self, open: &[AlertIncident]) -> OpenCounts {
        let is_silenced = |incident: &&AlertIncident| self.covering(incident).next().is_some();
        let silenced = open.iter().filter(is_silenced).count();
        OpenCounts { open: open.len() - silenced, silenced }
    }

    /// The incident as it is shown.
    pub(crate) fn body(&self, incident: AlertIncident) -> IncidentBody {
        let state = self.state(&incident);
        let is_open = incident.ended_at.is_none();
        let live = self.states.get(&incident.incident_id).filter(|_| is_open);
        let rule = self.rules.get(&*incident.rule_id);
        let silenced_until = self.covering(&incident).map(|silence| silence.silence.ends_at).max();
        IncidentBody {
            state,
            unit: AlertMetric::parse(&incident.metric).map(unit_of).unwrap_or_default(),
            actual_value: live.map_or(incident.value, |live| live.value),
            samples: live.map_or(incident.samples, |live| live.samples),
            events: live.map_or(incident.events, |live| live.events),
            silenced_until,
            runbook: rule.and_then(|rule| rule.runbook.clone()),
            labels: rule.map(|rule| rule.labels.clone()).unwrap_or_default(),
            alert_id: incident.incident_id,
            rule: incident.rule_id.to_string(),
            rule_name: incident.rule_name.to_string(),
            group: incident.group.names.into(),
            period: incident.group.period,
            severity: incident.severity.to_string(),
            metric: incident.metric.to_string(),
            operator: incident.operator.to_string(),
            threshold: incident.threshold,
            triggered_value: incident.value,
            peak_value: incident.peak_value,
            message: incident.message,
            triggered_at: incident.fired_at,
            ended_at: incident.ended_at,
            reason: incident.end_reason.map(EndReason::as_str),
            acknowledged_at: incident.acked_at,
            acknowledged_by: incident.acked_by,
            dry_run: incident.is_dry_run,
        }
    }
}

/// A rule as it is configured.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RuleDefinitionBody {
    /// Rule id.
    id: String,
    /// Display name.
    name: String,
    /// The metric.
    metric: String,
    /// `>`, `<`, `>=`, `<=` or `==`.
    operator: &'static str,
    /// Unit of the values: `ratio`, `ms`, `per_minute`, `usd` or `count`.
    #[schema(value_type = String)]
    unit: Unit,
    /// The threshold.
    threshold: f64,
    /// The value at which an incident may end.
    clear_threshold: f64,
    /// The limit that the threshold of a budget or a capacity is a share of.
    #[schema(required)]
    limit: Option<f64>,
    /// Width of the rolling window; null for a budget.
    #[schema(required)]
    window_s: Option<f64>,
    /// day, week or month for a budget; null for a rolling window.
    #[schema(required)]
    period: Option<&'static str>,
    /// Number of consecutive violations before it fires.
    consecutive: u32,
    /// Number of consecutive clear evaluations before an incident ends.
    clear_consecutive: u32,
    /// Minimum number of requests in the window.
    min_samples: u64,
    /// Minimum number of errors in the window.
    min_events: u64,
    /// Confidence with which a share must pass the threshold; 0 compares the plain share.
    confidence: f64,
    /// Dimensions to group by, with one alert per group.
    by: Vec<&'static str>,
    /// Severity.
    severity: String,
    /// Channels for notifications, in addition to the log.
    channels: Vec<String>,
    /// URL of the runbook.
    #[schema(required)]
    runbook: Option<String>,
    /// Labels passed to receivers.
    labels: BTreeMap<String, String>,
    /// Whether the rule is evaluated and recorded without notifications.
    dry_run: bool,
    /// Whether it is one of the default rules.
    is_default: bool,
}

/// A rule and its state.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RuleBody {
    /// Its definition.
    #[serde(flatten)]
    definition: RuleDefinitionBody,
    /// The worst state of its groups: `ok`, `no_data`, `pending`, `recovering`, `flapping`, `firing`,
    /// `error`; or `inactive`.
    state: &'static str,
    /// Why the rule is inactive, or another remark.
    #[schema(required)]
    state_detail: Option<String>,
    /// Number of groups by state, without plain `ok` ones.
    #[schema(value_type = BTreeMap<String, usize>)]
    states: BTreeMap<&'static str, usize>,
    /// Whether there are more groups than `max_groups`; only the largest are evaluated then.
    is_truncated: bool,
    /// Last value of the worst group, or of the largest if all are `ok`; null without data.
    #[schema(required)]
    last_value: Option<f64>,
    /// Number of requests behind it.
    last_samples: u64,
    /// Time of the value.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    last_value_at: Option<Timestamp>,
    /// Time of the last evaluation.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    last_evaluated_at: Option<Timestamp>,
}

impl RuleDefinitionBody {
    /// The definition of a rule.
    pub(crate) fn of(rule: &Rule) -> Self {
        let condition = &rule.condition;
        let (window_s, period) = match condition.window {
            EvaluationWindow::Rolling(width) => (Some(width.as_secs_f64()), None),
            EvaluationWindow::Period(period) => (None, Some(period.as_str())),
        };
        Self {
            id: rule.id.clone(),
            name: rule.name.clone(),
            metric: rule.metric.name(),
            operator: condition.operator.as_str(),
            unit: unit_of(rule.metric),
            threshold: condition.threshold,
            clear_threshold: condition.clear_threshold,
            limit: rule.limit,
            window_s,
            period,
            consecutive: condition.consecutive,
            clear_consecutive: condition.clear_consecutive,
            min_samples: rule.min_samples,
            min_events: rule.min_events,
            confidence: rule.confidence,
            by: rule.by.iter().map(|dimension| dimension.as_str()).collect(),
            severity: rule.severity.clone(),
            channels: rule.channels.clone(),
            runbook: rule.runbook.clone(),
            labels: rule.labels.clone(),
            dry_run: rule.dry_run,
            is_default: rule.is_default,
        }
    }
}

impl From<RuleStatus> for RuleBody {
    fn from(status: RuleStatus) -> Self {
        let counts = status.counts.into_iter();
        Self {
            definition: RuleDefinitionBody::of(&status.rule),
            state: status.state.as_str(),
            state_detail: status.detail,
            states: counts.map(|(state, count)| (state.as_str(), count)).collect(),
            is_truncated: status.is_truncated,
            last_value: status.value,
            last_samples: status.samples,
            last_value_at: status.value_at,
            last_evaluated_at: status.evaluated_at,
        }
    }
}
