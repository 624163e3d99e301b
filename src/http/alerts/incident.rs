//! An incident as every route shows it.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::alert::summary::unit_of;
use crate::error::Result;
use crate::model::Timestamp;
use crate::model::alert::{
    AlertIncident, AlertInstance, AlertMetric, AlertSilence, EndReason, Rule,
};
use crate::service::Chatgauge;

/// One time that a rule fired for a group.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IncidentBody {
    /// Identity, the same from firing to end.
    alert_id: String,
    /// Id of the rule.
    rule: String,
    /// What people call the rule.
    rule_name: String,
    /// Dimension to value; empty without groups.
    group: BTreeMap<String, String>,
    /// The budget's period.
    #[schema(required)]
    period: Option<String>,
    /// firing, recovering, flapping or resolved.
    state: &'static str,
    /// As the rule says.
    severity: String,
    /// The metric as the rule spells it.
    metric: String,
    /// `>`, `<`, `>=`, `<=` or `==`.
    operator: String,
    /// What the values count: `ratio`, `ms`, `per_minute`, `usd` or `count`.
    unit: &'static str,
    /// What the value was held against when it fired.
    threshold: f64,
    /// The latest value while it is open, afterwards the one that fired.
    #[schema(required)]
    actual_value: Option<f64>,
    /// The value when it fired.
    #[schema(required)]
    triggered_value: Option<f64>,
    /// The worst value.
    #[schema(required)]
    peak_value: Option<f64>,
    /// Requests behind the actual value.
    samples: u64,
    /// Those of them that count against it.
    events: u64,
    /// One sentence, of when it fired.
    message: String,
    /// Where the rule says to look.
    #[schema(required)]
    runbook: Option<String>,
    /// The rule's own labels.
    labels: BTreeMap<String, String>,
    /// When it began.
    #[schema(format = DateTime)]
    triggered_at: String,
    /// When it ended.
    #[schema(format = DateTime, required)]
    ended_at: Option<String>,
    /// Why: `recovered`, `no_traffic`, `period_ended`, `rule_removed`, `rule_changed` or `manual`.
    #[schema(required)]
    reason: Option<&'static str>,
    /// When somebody took care of it.
    #[schema(format = DateTime, required)]
    acknowledged_at: Option<String>,
    /// Who.
    #[schema(required)]
    acknowledged_by: Option<String>,
    /// Until when messages are kept back.
    #[schema(format = DateTime, required)]
    silenced_until: Option<String>,
    /// The rule only tries: nobody is told.
    dry_run: bool,
}

impl IncidentBody {
    /// Its identity.
    pub(crate) fn id(&self) -> &str {
        &self.alert_id
    }

    /// What people would want to be told of at once when it changes: not the values, which always do.
    pub(crate) fn stage(&self) -> String {
        format!("{} {:?} {:?}", self.state, self.acknowledged_at, self.silenced_until)
    }
}

/// Open incidents by whether a silence covers them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OpenCounts {
    /// Those that ask for attention.
    pub(crate) open: usize,
    /// Those under a silence.
    pub(crate) silenced: usize,
}

/// What is known of now: states of open incidents, rules and silences.
#[derive(Debug)]
pub(crate) struct IncidentView {
    now: Timestamp,
    states: BTreeMap<String, AlertInstance>,
    rules: BTreeMap<String, std::sync::Arc<Rule>>,
    silences: Vec<AlertSilence>,
}

impl IncidentView {
    /// Reads it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn load(service: &Chatgauge) -> Result<Self> {
        let rules = service.alert_rules()?.into_iter();
        Ok(Self {
            now: service.now(),
            states: service.open_alert_states()?,
            rules: rules.map(|status| (status.rule.id.clone(), status.rule)).collect(),
            silences: service.alert_silences(false)?,
        })
    }

    /// What an incident is doing.
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

    /// How many open incidents are silenced, and how many are not.
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
        let unit = AlertMetric::parse(&incident.metric).map(unit_of).unwrap_or_default();
        IncidentBody {
            state,
            unit: unit.as_str(),
            actual_value: live.map_or(incident.value, |live| live.value),
            samples: live.map_or(incident.samples, |live| live.samples),
            events: live.map_or(incident.events, |live| live.events),
            silenced_until: silenced_until.map(shown),
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
            triggered_at: shown(incident.fired_at),
            ended_at: incident.ended_at.map(shown),
            reason: incident.end_reason.map(EndReason::as_str),
            acknowledged_at: incident.acked_at.map(shown),
            acknowledged_by: incident.acked_by,
            dry_run: incident.is_dry_run,
        }
    }
}

fn shown(at: Timestamp) -> String {
    at.to_string()
}
