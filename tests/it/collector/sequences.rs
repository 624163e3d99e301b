//! Any sequence of calls, beside a count of what was called.

use std::time::Duration;

use chatgauge::collector::{Completion, RequestGuard};
use chatgauge::model::{ErrorType, LatencyKind, RequestId, RequestRecord};
use chatgauge::{RequestInfo, Usage};
use proptest::prelude::*;

use super::Rig;

/// Something that the application does.
#[derive(Clone, Copy, Debug)]
enum Step {
    Start,
    StartById,
    Pass(i64),
    Context(usize),
    Llm { request: usize, ms: i64, token: bool, failed: bool },
    LlmStarted(usize),
    LlmFinished(usize),
    FirstToken(usize),
    Usage(usize, u64),
    Complete(usize),
    Error(usize),
    Cancel(usize),
    Discard(usize),
    EndById { request: usize, context_ms: u64, llm_ms: u64 },
    Sweep,
    Drain,
}

fn step() -> impl Strategy<Value = Step> {
    let ms = 0_i64..5_000;
    prop_oneof![
        3 => Just(Step::Start),
        2 => Just(Step::StartById),
        3 => ms.clone().prop_map(Step::Pass),
        2 => any::<usize>().prop_map(Step::Context),
        2 => (any::<usize>(), ms, any::<bool>(), any::<bool>()).prop_map(
            |(request, ms, token, failed)| Step::Llm { request, ms, token, failed }
        ),
        1 => any::<usize>().prop_map(Step::LlmStarted),
        1 => any::<usize>().prop_map(Step::LlmFinished),
        1 => any::<usize>().prop_map(Step::FirstToken),
        1 => (any::<usize>(), any::<u64>()).prop_map(|(r, tokens)| Step::Usage(r, tokens)),
        1 => any::<usize>().prop_map(Step::Complete),
        1 => any::<usize>().prop_map(Step::Error),
        1 => any::<usize>().prop_map(Step::Cancel),
        1 => any::<usize>().prop_map(Step::Discard),
        1 => (any::<usize>(), 0_u64..9_000, any::<u64>()).prop_map(
            |(request, context_ms, llm_ms)| Step::EndById { request, context_ms, llm_ms }
        ),
        1 => Just(Step::Sweep),
        1 => Just(Step::Drain),
    ]
}

/// Runs steps and counts beside the collector.
#[derive(Default)]
struct Run {
    guards: Vec<RequestGuard>,
    ids: Vec<RequestId>,
    started: u64,
    discarded: u64,
    records: Vec<RequestRecord>,
}

impl Run {
    fn guard(&mut self, index: usize) -> Option<&mut RequestGuard> {
        let count = self.guards.len();
        (count > 0).then(|| &mut self.guards[index % count])
    }

    fn take(&mut self, index: usize) -> Option<RequestGuard> {
        let count = self.guards.len();
        (count > 0).then(|| self.guards.swap_remove(index % count))
    }

    fn end_by_id(&mut self, rig: &Rig, index: usize, context_ms: u64, llm_ms: u64) {
        if self.ids.is_empty() {
            return;
        }
        let id = self.ids.swap_remove(index % self.ids.len());
        let completion = Completion {
            context_latency: Some(Duration::from_millis(context_ms)),
            llm_latency: Some(Duration::from_millis(llm_ms)),
            ..Completion::default()
        };
        assert!(rig.telemetry.complete_request(&id, &completion));
    }

    fn llm(&mut self, rig: &Rig, index: usize, ms: i64, token: bool, failed: bool) {
        let Some(request) = self.guard(index) else { return };
        let mut llm = request.llm_call("openai", "gpt-5");
        rig.clock.advance_ms(ms);
        if token {
            llm.first_token();
        }
        if failed { llm.fail(ErrorType::Server) } else { llm.ok() }
    }

    fn apply(&mut self, rig: &mut Rig, step: Step) {
        match step {
            Step::Start => {
                self.started += 1;
                self.guards.push(rig.start());
            }
            Step::StartById => {
                self.started += 1;
                self.ids.push(rig.telemetry.start_request_by_id(RequestInfo::new("chat")));
            }
            Step::Pass(ms) => rig.clock.advance_ms(ms),
            Step::Llm { request, ms, token, failed } => self.llm(rig, request, ms, token, failed),
            Step::EndById { request, context_ms, llm_ms } => {
                self.end_by_id(rig, request, context_ms, llm_ms);
            }
            Step::Sweep => assert_eq!(rig.telemetry.sweep_abandoned(), 0),
            Step::Drain => self.records.extend(rig.records()),
            Step::Complete(n) => self.take(n).into_iter().for_each(RequestGuard::complete),
            Step::Cancel(n) => drop(self.take(n)),
            Step::Error(n) => {
                self.take(n).into_iter().for_each(|guard| guard.record_error(ErrorType::Network));
            }
            Step::Discard(n) => {
                if let Some(guard) = self.take(n) {
                    self.discarded += 1;
                    guard.discard();
                }
            }
            Step::Context(n) => self.on_guard(n, RequestGuard::context_assembled),
            Step::LlmStarted(n) => self.on_guard(n, |guard| guard.llm_started("openai", "gpt-5")),
            Step::LlmFinished(n) => self.on_guard(n, RequestGuard::llm_finished),
            Step::FirstToken(n) => self.on_guard(n, RequestGuard::first_token),
            Step::Usage(n, tokens) => {
                self.on_guard(n, |guard| guard.usage(Usage::new(tokens, tokens)));
            }
        }
    }

    fn on_guard(&mut self, index: usize, act: impl FnOnce(&mut RequestGuard)) {
        if let Some(guard) = self.guard(index) {
            act(guard);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever an application does in whatever order: no request is lost or counted twice, and
    /// context and LLM latency fit into the total.
    #[test]
    fn any_sequence_of_calls_is_counted_and_fits(
        capacity in 1_usize..40,
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let mut rig = Rig::with_capacity(capacity);
        let mut run = Run::default();
        for step in steps {
            run.apply(&mut rig, step);
            let stats = rig.telemetry.stats();
            prop_assert_eq!(stats.started, run.started);
            prop_assert_eq!(stats.discarded, run.discarded);
            prop_assert_eq!(stats.in_flight, (run.guards.len() + run.ids.len()) as u64);
            prop_assert_eq!(stats.completed, run.records.len() as u64 + stats.queued);
            let ended = stats.completed + stats.dropped + stats.discarded;
            prop_assert_eq!(stats.started, ended + stats.in_flight);
        }
        run.records.extend(rig.records());
        for record in &run.records {
            let known = |kind| record.latency(kind).unwrap_or(0);
            let total = record.latency(LatencyKind::Total).unwrap();
            prop_assert!(known(LatencyKind::Context) + known(LatencyKind::Llm) <= total);
            prop_assert!(known(LatencyKind::TimeToFirstToken) <= total);
        }
    }
}
