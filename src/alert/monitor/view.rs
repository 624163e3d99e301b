//! The readers' view of the monitor: a copy that never waits for an evaluation.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

use super::state::{Groups, RuleNotes, Stored};
use crate::alert::trace::Traces;
use crate::error::Result;
use crate::model::Timestamp;
use crate::model::alert::Rule;
use crate::store::Store;

/// The state of all rules at one instant. Tables are shared with the monitor's state until they
/// change.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub(super) rules: Vec<Arc<Rule>>,
    /// Whether stored states were read.
    pub(super) is_loaded: bool,
    pub(super) instances: FxHashMap<String, Arc<Groups>>,
    pub(super) traces: Traces,
    pub(super) notes: FxHashMap<String, RuleNotes>,
    pub(super) evaluated_at: Option<Timestamp>,
}

impl View {
    /// The rule with this id.
    pub(super) fn rule(&self, rule_id: &str) -> Option<&Arc<Rule>> {
        self.rules.iter().find(|rule| rule.id == rule_id)
    }
}

/// The latest view. Its lock is held only to copy or replace a pointer.
#[derive(Debug, Default)]
pub(super) struct Published {
    view: Mutex<Arc<View>>,
}

impl Published {
    fn lock(&self) -> MutexGuard<'_, Arc<View>> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The latest view; it has no states before they are first read.
    pub(super) fn get(&self) -> Arc<View> {
        Arc::clone(&self.lock())
    }

    /// Replaces the view.
    pub(super) fn replace(&self, view: View) {
        *self.lock() = Arc::new(view);
    }

    /// The latest view with states; reads them if no evaluation has done so.
    pub(super) fn loaded(&self, store: &Store) -> Result<Arc<View>> {
        let view = self.get();
        if view.is_loaded {
            return Ok(view);
        }
        let Stored { instances, progress } = store.read(Stored::read)?;
        let mut view = self.lock();
        // An evaluation may have read and changed them meanwhile.
        if !view.is_loaded {
            *view = Arc::new(View {
                is_loaded: true,
                instances,
                evaluated_at: progress.evaluated_at,
                ..View::clone(&view)
            });
        }
        Ok(Arc::clone(&view))
    }
}
