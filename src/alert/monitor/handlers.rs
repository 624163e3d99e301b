//! Transition handlers registered by an embedding program.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, RwLock};

use crate::model::alert::AlertEvent;

/// Called with every transition.
type Handler = dyn Fn(&AlertEvent) + Send + Sync;

/// Handlers in order of registration.
#[derive(Default)]
pub(super) struct Handlers(RwLock<Vec<Arc<Handler>>>);

impl Handlers {
    /// Adds a handler.
    pub(super) fn add(&self, handler: Arc<Handler>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(handler);
    }

    /// Calls every handler with every transition; a panic is logged, and the handler is called
    /// again next time.
    pub(super) fn notify(&self, transitions: &[AlertEvent]) {
        if transitions.is_empty() {
            return;
        }
        // Cloned, because a handler may add another one.
        let handlers = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        for event in transitions {
            for handler in &handlers {
                if catch_unwind(AssertUnwindSafe(|| handler(event))).is_err() {
                    tracing::error!(
                        rule = %event.rule_id, from = %event.from_state, to = %event.to_state,
                        "an alert handler panicked; the transition is stored"
                    );
                }
            }
        }
    }
}
