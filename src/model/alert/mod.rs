//! Alert types: rules, groups, states, incidents, silences.

mod check;
pub mod condition;
pub mod group;
pub mod group_names;
pub mod incident;
pub mod instance;
pub mod metric;
pub mod outbox;
pub mod rule;
pub mod silence;
pub mod template;

pub use condition::{AlertCondition, EvaluationWindow, Operator, Period};
pub use group::{AlertGroup, glob_matches};
pub use group_names::GroupNames;
pub use incident::{Alert, AlertEvent, AlertIncident, EndReason, OutgoingAlert};
pub use instance::{AlertInstance, AlertPhase};
pub use metric::{AlertMetric, ErrorScope};
pub use outbox::{
    DeliveryOutcome, DeliveryState, FirstMessage, OutboxTally, SetAside, StoredMessage,
    UndeliverableMessage,
};
pub use rule::{GroupLimit, NoData, Rule, RuleFilter, RuleState, SELF_RULE};
pub use silence::{AlertSilence, NOT_ONE_LINE, NewSilence};
