//! Budgets of local days, with days of 23 and 25 hours and midnights at a quarter past.

use chatgauge::model::{Name, Timestamp};

use super::stage::{Stage, at};

fn rules(zone: &str) -> String {
    format!(
        "[alerting]\ndefault_rules = false\ntimezone = \"{zone}\"\n\
         [[alerting.rule]]\nid = \"spend\"\nmetric = \"tokens\"\nperiod = \"day\"\nlimit = 100\nthreshold = 1\nconsecutive = 1\n"
    )
}

/// Sends tokens at an instant and evaluates half an hour after it.
fn spend(stage: &Stage, start: Timestamp, tokens: u64) -> Vec<Option<String>> {
    let now = stage.now();
    stage.clock.advance_ms(start.as_unix_ms() - now.as_unix_ms() + 20_000);
    stage.send(start, 1, |_, record| record.prompt_tokens = Some(tokens));
    let fired = stage.check();
    fired.into_iter().map(|incident| incident.group.period).collect()
}

#[test]
fn a_budget_begins_anew_at_local_midnight() {
    // (zone, just before midnight, midnight, name of the day before, name of the day)
    let midnights = [
        (
            "Asia/Kathmandu",
            "2026-03-10T18:14:00Z",
            "2026-03-10T18:15:00Z",
            "2026-03-10",
            "2026-03-11",
        ),
        (
            "Europe/Warsaw",
            "2026-03-29T21:59:00Z",
            "2026-03-29T22:00:00Z",
            "2026-03-29",
            "2026-03-30",
        ),
        (
            "Europe/Warsaw",
            "2026-10-25T22:59:00Z",
            "2026-10-25T23:00:00Z",
            "2026-10-25",
            "2026-10-26",
        ),
        (
            "America/New_York",
            "2026-03-09T03:59:00Z",
            "2026-03-09T04:00:00Z",
            "2026-03-08",
            "2026-03-09",
        ),
        (
            "America/New_York",
            "2026-11-02T04:59:00Z",
            "2026-11-02T05:00:00Z",
            "2026-11-01",
            "2026-11-02",
        ),
    ];
    for (zone, before, midnight, yesterday, today) in midnights {
        let stage = Stage::with_rules("2026-01-01T00:00:00Z", &rules(zone));
        let midnight = at(midnight);
        // The whole local day counts: 23, 24 or 25 hours of it.
        let begin = chatgauge::model::alert::Period::Day
            .containing(at(before), zone.parse().unwrap())
            .start;
        assert!(spend(&stage, begin, 60).is_empty(), "{zone}");
        assert_eq!(spend(&stage, at(before), 60), [Some(yesterday.to_owned())], "{zone}");
        // The first evaluation after midnight ends the incident.
        assert!(spend(&stage, midnight, 60).is_empty(), "{zone}");
        assert_eq!(
            spend(&stage, midnight.plus_ms(3_600_000), 60),
            [Some(today.to_owned())],
            "{zone}"
        );
        let ends: Vec<_> = stage.incidents().iter().map(|incident| incident.end_reason).collect();
        assert_eq!(ends[0].unwrap().as_str(), "period_ended", "{zone}");
        assert_eq!(ends[1], None);
        assert_eq!(stage.messages(), ["firing", "resolved", "firing"]);
    }
}

#[test]
fn groups_have_limits_of_their_own_and_those_without_one_are_not_watched() {
    let stage = Stage::with_rules(
        "2026-03-10T12:00:00Z",
        "[alerting]\ndefault_rules = false\n\
         [[alerting.rule]]\nid = \"spend\"\nmetric = \"tokens\"\nperiod = \"month\"\nthreshold = 1\nconsecutive = 1\nby = [\"space\"]\n\
         [alerting.rule.limits]\n\"space:acme\" = 1000\n\"space:beta\" = 10\n",
    );
    stage.send(stage.now().plus_ms(-60_000), 3, |number, record| {
        let spaces = ["acme", "beta", "free"];
        record.space = Some(Name::from(spaces[usize::try_from(number).unwrap()]));
        record.prompt_tokens = Some(500);
    });
    let fired = stage.check_times(3);
    assert_eq!(fired.len(), 1);
    assert_eq!(fired[0].group.names.get("space"), Some("beta"));
    assert_eq!((fired[0].value, fired[0].threshold), (Some(500.0), 10.0));
    assert_eq!(fired[0].group.period.as_deref(), Some("2026-03-01"));
}
