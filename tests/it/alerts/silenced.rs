//! Killed while a silence keeps messages back: told is exactly what would have been told otherwise.

#![expect(clippy::unwrap_used, reason = "a test helper fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use chatgauge::model::alert::NewSilence;
use chatgauge::model::{
    ErrorType, ManualClock, Name, Outcome, RequestId, RequestRecord, Source, Timestamp,
};
use chatgauge::{Chatgauge, Config};

use super::stage::INTERVAL_MS;
use crate::harness::child;

/// Names the database and the story to the process that is going to be killed.
const DATABASE: &str = "CHATGAUGE_TEST_SILENCED_DATABASE";
const STORY: &str = "CHATGAUGE_TEST_SILENCED_STORY";
const START_MS: i64 = 1_773_144_000_000;

/// A story in steps of one evaluation each.
struct Story {
    /// Errors until this step.
    failing: u32,
    /// A silence is made at the first step, and lasts until the second.
    silence: (u32, u32),
    /// The process is killed after this step.
    killed: u32,
    /// Nobody evaluates between the kill and this step.
    back: u32,
    last: u32,
    /// What the log is told in the end.
    told: &'static [&'static str],
}

const STORIES: [Story; 4] = [
    // It fires under the silence and still does when that is over.
    Story {
        failing: 20,
        silence: (0, 12),
        killed: 6,
        back: 7,
        last: 45,
        told: &["firing", "resolved"],
    },
    // The silence is over while nothing runs.
    Story { failing: 20, silence: (0, 12), killed: 6, back: 15, last: 16, told: &["firing"] },
    // It begins and ends under the silence.
    Story { failing: 5, silence: (0, 80), killed: 6, back: 7, last: 45, told: &[] },
    // It was told before: its end is told too, its reminders are not.
    Story {
        failing: 20,
        silence: (5, 80),
        killed: 7,
        back: 8,
        last: 45,
        told: &["firing", "resolved"],
    },
];

fn config(path: &Path) -> Config {
    let mut config = Config::default();
    config.store.path = path.to_owned();
    config.alerting.enabled = false;
    config.alerting.rules.retain(|rule| rule.id == "error-rate");
    config.alerting.rules[0].repeat_interval = Duration::from_secs(120);
    config
}

/// Plays the steps of a range that somebody evaluates.
fn play(path: &Path, story: &Story, steps: std::ops::RangeInclusive<u32>) {
    let at = |step: u32| Timestamp::from_unix_ms(START_MS + i64::from(step) * INTERVAL_MS);
    let clock = Arc::new(ManualClock::new(at(*steps.start())));
    let gauge = Chatgauge::open_with_clock(config(path), clock.clone()).unwrap();
    for step in steps.filter(|step| *step <= story.killed || *step >= story.back) {
        clock.advance_ms(at(step).as_unix_ms() - gauge.now().as_unix_ms());
        if step == story.silence.0 {
            let silence = NewSilence {
                rule_glob: "error-*".to_owned(),
                group_match: BTreeMap::new(),
                starts_at: gauge.now(),
                ends_at: at(story.silence.1),
                comment: "deploy".to_owned(),
            };
            gauge.create_alert_silence(silence, "admin").unwrap();
        }
        let records = (0..100).map(|number| {
            let id = RequestId::Text(Name::from(format!("{step}-{number}")));
            let mut record = RequestRecord::new(id, gauge.now().plus_ms(-20_000), Source::Rest);
            if step < story.failing && number < 50 {
                record.outcome = Outcome::Error(ErrorType::Server);
            }
            record
        });
        gauge.record(records.collect()).unwrap();
        gauge.check_alerts(gauge.now()).unwrap();
    }
    if std::env::var_os(DATABASE).is_none() {
        gauge.shutdown().unwrap();
        return;
    }
    std::fs::write(path.with_extension("ready"), "").unwrap();
    loop {
        std::thread::park();
    }
}

/// Plays up to the kill.
#[test]
#[ignore = "the process that the tests below start and kill"]
fn a_silence_that_is_going_to_be_killed() {
    let story = &STORIES[child::given(STORY).parse::<usize>().unwrap()];
    play(Path::new(&child::given(DATABASE)), story, 0..=story.killed);
}

fn play_killed(path: &Path, number: usize) {
    let story = &STORIES[number];
    let mut child = child::command("alerts::silenced::a_silence_that_is_going_to_be_killed")
        .env(DATABASE, path)
        .env(STORY, number.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut waited = 0;
    while !path.with_extension("ready").exists() {
        waited += 1;
        assert!(waited < 60_000, "the evaluating process got nowhere");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    play(path, story, story.back..=story.last);
}

/// Every message with its id and its time, oldest first, and the kinds of those to the log.
fn told(path: &Path) -> (Vec<String>, Vec<String>) {
    let connection = rusqlite::Connection::open(path).unwrap();
    let read = |sql: &str| -> Vec<String> {
        let mut statement = connection.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let messages = "select id || ' ' || channel || ' ' || kind || ' ' || created_at_ms || payload
                    from _alert_outbox order by created_at_ms, id";
    let kinds = "select kind from _alert_outbox where channel = 'log' and kind <> 'reminder'
                 order by created_at_ms";
    (read(messages), read(kinds))
}

#[test]
fn killed_under_a_silence_everybody_hears_what_they_would_have_heard() {
    let directory = tempfile::tempdir().unwrap();
    for (number, story) in STORIES.iter().enumerate() {
        let straight = directory.path().join(format!("straight-{number}.db"));
        play(&straight, story, 0..=story.last);
        let killed = directory.path().join(format!("killed-{number}.db"));
        play_killed(&killed, number);
        let (messages, kinds) = told(&killed);
        assert_eq!(kinds, story.told, "story {number}");
        assert_eq!(messages, told(&straight).0, "story {number}");
    }
}
