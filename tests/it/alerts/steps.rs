//! Properties of the state machine, over any run of observations.

use std::time::Duration;

use chatgauge::alert::{Effect, Judgement, NotificationKind, Observation, Verdict, step};
use chatgauge::model::Timestamp;
use chatgauge::model::alert::{
    AlertCondition, AlertInstance, AlertMetric, AlertPhase, EndReason, NoData, Operator, Rule,
};
use proptest::prelude::*;

/// One observation: how long after the one before, what was found, whether people may be told.
type Seen = (i64, Verdict, f64, bool);

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        6 => Just(Verdict::Violation),
        1 => Just(Verdict::Between),
        6 => Just(Verdict::Clear),
        2 => Just(Verdict::Insufficient),
        1 => Just(Verdict::Failed),
        1 => prop::sample::select(EndReason::ALL.to_vec()).prop_map(Verdict::Closed),
    ]
}

fn runs() -> impl Strategy<Value = Vec<Seen>> {
    let gap = prop_oneof![
        20 => Just(30_000_i64),
        1 => -120_000_i64..0,
        1 => 300_000_i64..7_200_000,
    ];
    prop::collection::vec((gap, verdict(), 0.0..1.0, prop::bool::weighted(0.1)), 1..250)
}

fn rule(consecutive: u32, clear_consecutive: u32, no_data: NoData) -> Rule {
    let condition = AlertCondition {
        clear_consecutive,
        ..AlertCondition::new(Operator::Above, 0.5, Duration::from_secs(300), consecutive)
    };
    let mut rule = Rule::new("r", AlertMetric::ErrorRate, condition);
    rule.no_data = no_data;
    rule
}

/// Every step of a run: state before, verdict, state after, effects.
fn play(rule: &Rule, seen: &[Seen]) -> Vec<(AlertInstance, Verdict, AlertInstance, Vec<Effect>)> {
    let mut at = Timestamp::from_unix_ms(1_767_225_600_000);
    let mut state = AlertInstance::default();
    let mut steps = Vec::new();
    for (gap_ms, verdict, value, is_muted) in seen {
        at = at.plus_ms(*gap_ms);
        let judgement = Judgement {
            value: Some(*value),
            samples: 10,
            events: 5,
            ..Judgement::bare(*verdict, 0.0)
        };
        let observation =
            Observation { at, group_key: "", judgement, is_muted: *is_muted, may_fire: true };
        let (after, effects) = step(&state, &observation, rule);
        steps.push((state, *verdict, after.clone(), effects));
        state = after;
    }
    steps
}

fn tells(effects: &[Effect]) -> Vec<NotificationKind> {
    let kinds = effects.iter().filter_map(|effect| match effect {
        Effect::Notify(kind) => Some(*kind),
        _ => None,
    });
    kinds.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// An incident begins, ends, and only then another begins; it is told at most once that it fires,
    /// and its end only when its beginning was told.
    #[test]
    fn incidents_follow_each_other(
        seen in runs(),
        consecutive in 1_u32..5,
        clear in 1_u32..5,
        no_data in prop::sample::select(NoData::ALL.to_vec()),
    ) {
        let rule = rule(consecutive, clear, no_data);
        let mut is_open = false;
        let mut is_told = false;
        for (_, _, after, effects) in play(&rule, &seen) {
            for effect in effects {
                match effect {
                    Effect::Opened => {
                        prop_assert!(!is_open, "an incident began inside another");
                        is_open = true;
                        is_told = false;
                    }
                    Effect::Ended(_) => {
                        prop_assert!(is_open, "an incident ended that had not begun");
                        is_open = false;
                    }
                    Effect::Notify(NotificationKind::Firing | NotificationKind::Flapping) => {
                        prop_assert!(is_open || after.flapping_since.is_some());
                        is_told = true;
                    }
                    Effect::Notify(NotificationKind::Resolved) => {
                        prop_assert!(is_told && !is_open, "an end was told without a beginning");
                    }
                    Effect::Notify(_) => prop_assert!(is_told),
                    Effect::Moved { from, to, .. } => prop_assert_ne!(from, to),
                }
            }
            prop_assert_eq!(is_open, after.incident_id.is_some());
            if after.phase.is_open() {
                prop_assert!(is_open);
            }
        }
    }

    #[test]
    fn counters_stay_within_their_bounds(seen in runs(), consecutive in 1_u32..5, clear in 1_u32..5) {
        let rule = rule(consecutive, clear, NoData::Keep);
        for (_, _, after, _) in play(&rule, &seen) {
            let (k, m) = (after.violations, after.clears);
            match after.phase {
                AlertPhase::Ok => prop_assert_eq!((k, m), (0, 0)),
                AlertPhase::Pending => prop_assert!(k >= 1 && k < consecutive && m == 0),
                AlertPhase::Firing => prop_assert!(k == consecutive && m == 0),
                AlertPhase::Recovering => prop_assert!(m >= 1 && m < clear),
            }
            prop_assert!(after.transitions.len() <= 7);
        }
    }

    /// P10: a violation as often in a row as the rule asks for fires, fewer never do.
    #[test]
    fn it_fires_exactly_after_consecutive_violations(
        seen in runs(),
        consecutive in 1_u32..6,
    ) {
        let rule = rule(consecutive, 3, NoData::Keep);
        // Evenly in time, with nothing but values above and below the line.
        let seen: Vec<Seen> = seen
            .into_iter()
            .map(|(_, verdict, value, _)| {
                let above = matches!(verdict, Verdict::Violation);
                (30_000, if above { Verdict::Violation } else { Verdict::Clear }, value, false)
            })
            .collect();
        let mut run = 0;
        let mut was_open = false;
        for (_, verdict, after, effects) in play(&rule, &seen) {
            run = if verdict == Verdict::Violation { run + 1 } else { 0 };
            let fires = effects.iter().any(|effect| matches!(effect, Effect::Moved { to: "firing", reason: "violation", from } if *from != "recovering"));
            if fires {
                prop_assert!(run == consecutive, "fired after {run} violations");
            }
            if run >= consecutive {
                prop_assert!(after.phase.is_open(), "not firing after {run} violations");
            }
            if !was_open && run < consecutive {
                prop_assert!(!after.phase.is_open());
            }
            was_open = after.phase.is_open();
        }
    }

    #[test]
    fn too_little_data_changes_nothing_under_keep(seen in runs(), consecutive in 2_u32..5) {
        let mut rule = rule(consecutive, 3, NoData::Keep);
        rule.no_data_resolve_after = Duration::from_secs(100 * 86_400);
        rule.repeat_interval = Duration::ZERO;
        for (before, verdict, after, effects) in play(&rule, &seen) {
            let gap_ms = match (before.evaluated_at, after.evaluated_at) {
                (Some(from), Some(to)) => to.as_unix_ms() - from.as_unix_ms(),
                _ => 0,
            };
            let quiet = before.flapping_since.is_some() && after.flapping_since.is_none();
            if verdict != Verdict::Insufficient || gap_ms > 900_000 || quiet {
                continue;
            }
            prop_assert_eq!(before.phase, after.phase);
            prop_assert_eq!((before.violations, before.clears), (after.violations, after.clears));
            prop_assert_eq!(&before.incident_id, &after.incident_id);
            prop_assert!(!effects.contains(&Effect::Opened));
        }
    }

    #[test]
    fn a_failed_evaluation_freezes_the_state(seen in runs()) {
        let rule = rule(2, 2, NoData::Keep);
        for (before, verdict, after, effects) in play(&rule, &seen) {
            if verdict == Verdict::Failed {
                prop_assert_eq!(after.failed_evaluations, before.failed_evaluations + 1);
                prop_assert_eq!(tells(&effects), Vec::<NotificationKind>::new());
                prop_assert_eq!(&before.incident_id, &after.incident_id);
            } else {
                prop_assert_eq!(after.failed_evaluations, 0);
            }
        }
    }

    /// While it recovers nobody is reminded, however long that takes.
    #[test]
    fn reminders_are_of_what_is_firing(seen in runs(), clear in 1_u32..200) {
        let mut rule = rule(1, clear, NoData::Keep);
        rule.repeat_interval = Duration::from_secs(60);
        for (_, _, after, effects) in play(&rule, &seen) {
            if tells(&effects).contains(&NotificationKind::Reminder) {
                prop_assert_eq!(after.phase, AlertPhase::Firing);
            }
        }
    }

    #[test]
    fn evaluations_never_go_back_in_time(seen in runs()) {
        let rule = rule(2, 2, NoData::Keep);
        for (before, _, after, _) in play(&rule, &seen) {
            prop_assert!(before.evaluated_at < after.evaluated_at);
        }
    }

    #[test]
    fn nobody_is_told_of_what_is_muted_or_only_tried(seen in runs()) {
        let mut dry = rule(1, 1, NoData::Keep);
        dry.dry_run = true;
        for (_, _, _, effects) in play(&dry, &seen) {
            prop_assert_eq!(tells(&effects), Vec::<NotificationKind>::new());
        }
        let muted: Vec<Seen> =
            seen.iter().map(|(gap, verdict, value, _)| (*gap, *verdict, *value, true)).collect();
        for (_, _, _, effects) in play(&rule(1, 1, NoData::Keep), &muted) {
            prop_assert_eq!(tells(&effects), Vec::<NotificationKind>::new());
        }
    }
}

#[test]
fn an_hour_of_flapping_across_the_line_is_one_message_and_one_that_it_flaps() {
    // Three violations, three clears, over and over: without the guard 10 incidents an hour.
    let cycle = [Verdict::Violation, Verdict::Violation, Verdict::Violation]
        .into_iter()
        .chain([Verdict::Clear; 3])
        .cycle();
    let seen: Vec<Seen> = cycle.take(120).map(|verdict| (30_000, verdict, 0.6, false)).collect();
    let told = |rule: &Rule| -> Vec<NotificationKind> {
        play(rule, &seen).iter().flat_map(|(_, _, _, effects)| tells(effects)).collect()
    };
    // Ten clear evaluations are never reached: it is one incident.
    assert_eq!(told(&rule(3, 10, NoData::Keep)), [NotificationKind::Firing]);
    let quick = told(&rule(3, 3, NoData::Keep));
    let count = |kind| quick.iter().filter(|told| **told == kind).count();
    assert_eq!(count(NotificationKind::Flapping), 1, "{quick:?}");
    assert!(count(NotificationKind::Firing) <= 3 && quick.len() <= 7, "{quick:?}");
    // An hour of quiet ends it, with a word.
    let mut longer = seen.clone();
    longer.extend([(30_000, Verdict::Clear, 0.1, false); 130]);
    let steps = play(&rule(3, 3, NoData::Keep), &longer);
    let (_, _, last, _) = steps.last().unwrap();
    assert_eq!(
        *last,
        AlertInstance {
            evaluated_at: last.evaluated_at,
            value: last.value,
            samples: 10,
            events: 5,
            ..AlertInstance::default()
        }
    );
    let ends = steps.iter().flat_map(|(_, _, _, effects)| tells(effects));
    assert_eq!(ends.last(), Some(NotificationKind::Resolved));
}
