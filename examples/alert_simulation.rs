//! False incidents and detection delay of the error-rate alert, with and without `confidence`.
//!
//! Seeded traffic passes through the code of the server: the judgement of a window and the state machine.
//! `cargo run --release --example alert_simulation [WEEKS]`; it fails if a documented limit is exceeded.

#![expect(clippy::print_stdout, reason = "an example prints its results")]

use std::collections::VecDeque;
use std::process::ExitCode;

use chatgauge::alert::{Effect, GroupFigures, Observation, Sums, judge, step};
use chatgauge::config::{AlertingConfig, RawRule};
use chatgauge::model::Timestamp;
use chatgauge::model::alert::{AlertGroup, AlertInstance, Rule};
use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;

const INTERVAL_MS: i64 = 30_000;
const DELAY_MS: i64 = 10_000;
const WINDOW_MS: i64 = 300_000;
const WEEK_MS: i64 = 7 * 86_400_000;
/// Time after which an outage counts as undetected.
const GIVE_UP_MS: i64 = 30 * 60_000;
/// Maximum false incidents a week with `confidence`.
const FALSE_MAX: f64 = 2.0;
/// Maximum median delay of detecting an outage.
const MEDIAN_MS_MAX: i64 = 300_000;
const OUTAGES: u64 = 400;

/// Requests at random instants (a Poisson process), each an error with some probability.
struct Traffic {
    random: Pcg64Mcg,
    per_minute: f64,
    next_ms: f64,
}

impl Traffic {
    fn new(seed: u64, per_minute: f64, from_ms: i64) -> Self {
        let mut traffic =
            Self { random: Pcg64Mcg::seed_from_u64(seed), per_minute, next_ms: from_ms as f64 };
        traffic.advance();
        traffic
    }

    /// Start of the next request.
    #[expect(clippy::cast_possible_truncation, reason = "years in ms are far below 2^53")]
    const fn started_ms(&self) -> i64 {
        self.next_ms as i64
    }

    fn advance(&mut self) {
        let uniform: f64 = self.random.random();
        self.next_ms -= (1.0 - uniform).ln() * 60_000.0 / self.per_minute;
    }
}

/// The default rule, evaluated every 30 s.
struct Watch {
    rule: Rule,
    state: AlertInstance,
    requests: VecDeque<(i64, Sums)>,
    total: Sums,
}

impl Watch {
    fn new(rule: &Rule) -> Self {
        Self {
            rule: rule.clone(),
            state: AlertInstance::default(),
            requests: VecDeque::new(),
            total: Sums::default(),
        }
    }

    /// Evaluates once; returns whether an incident began.
    fn evaluate(&mut self, traffic: &mut Traffic, at_ms: i64, share: impl Fn(i64) -> f64) -> bool {
        let end_ms = at_ms - DELAY_MS;
        while traffic.started_ms() < end_ms {
            let started_ms = traffic.started_ms();
            let errors = i64::from(traffic.random.random_bool(share(started_ms)));
            let sums = Sums { requests: 1, errors, ..Sums::default() };
            self.total.add(&sums, 1);
            self.requests.push_back((started_ms, sums));
            traffic.advance();
        }
        while self.requests.front().is_some_and(|(at_ms, _)| *at_ms < end_ms - WINDOW_MS) {
            if let Some((_, sums)) = self.requests.pop_front() {
                self.total.add(&sums, -1);
            }
        }
        let facts = GroupFigures { sums: self.total, ..GroupFigures::default() };
        let Some(judgement) = judge(&self.rule, &AlertGroup::default(), &facts) else {
            return false;
        };
        let observation = Observation {
            at: Timestamp::from_unix_ms(at_ms),
            group_key: "",
            judgement,
            is_muted: false,
            may_fire: true,
        };
        let (state, effects) = step(&self.state, &observation, &self.rule);
        self.state = state;
        // While an alert flaps it is one incident, but each firing counts here.
        effects.iter().any(|effect| {
            matches!(effect, Effect::Moved { to: "firing", from: "pending" | "ok", .. })
        })
    }
}

/// Number of false incidents a week.
fn false_alarms(rule: &Rule, per_minute: f64, share: f64, weeks: i64) -> f64 {
    let mut traffic = Traffic::new(7, per_minute, 0);
    let mut watch = Watch::new(rule);
    let mut fired = 0_u32;
    let mut at_ms = INTERVAL_MS;
    while at_ms < weeks * WEEK_MS {
        fired += u32::from(watch.evaluate(&mut traffic, at_ms, |_| share));
        at_ms += INTERVAL_MS;
    }
    f64::from(fired) / weeks as f64
}

/// Delays of detecting an outage in milliseconds, sorted.
fn delays(rule: &Rule, per_minute: f64, outage: f64) -> Vec<i64> {
    let mut delays: Vec<i64> = (0..OUTAGES)
        .map(|seed| {
            let mut traffic = Traffic::new(seed, per_minute, 0);
            let mut watch = Watch::new(rule);
            // The outage begins at varying times between two evaluations.
            let begins_ms = 2 * WINDOW_MS + i64::try_from(seed).unwrap_or(0) * 997 % INTERVAL_MS;
            let mut at_ms = INTERVAL_MS;
            while at_ms < begins_ms + GIVE_UP_MS {
                let share = |started_ms| if started_ms < begins_ms { 0.02 } else { outage };
                if watch.evaluate(&mut traffic, at_ms, share) && at_ms > begins_ms {
                    return at_ms - begins_ms;
                }
                at_ms += INTERVAL_MS;
            }
            GIVE_UP_MS
        })
        .collect();
    delays.sort_unstable();
    delays
}

fn rule_with(confidence: f64) -> chatgauge::Result<Rule> {
    let raw = RawRule {
        id: Some("error-rate".to_owned()),
        confidence: Some(confidence),
        ..RawRule::default()
    };
    AlertingConfig::default().check_rule(&raw)
}

fn main() -> ExitCode {
    let weeks: i64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(40);
    let (Ok(literal), Ok(guarded)) = (rule_with(0.0), rule_with(0.95)) else {
        println!("the default rule cannot be read");
        return ExitCode::FAILURE;
    };
    let mut holds = true;
    println!("False incidents a week, errors > 10 % in 5 min, 3 in a row, {weeks} weeks");
    println!("{:>12} {:>8} {:>12} {:>18}", "requests/min", "errors", "literal", "confidence 0.95");
    for per_minute in [0.2, 1.0, 5.0, 30.0] {
        for share in [0.03, 0.05] {
            let plain = false_alarms(&literal, per_minute, share, weeks);
            let quiet = false_alarms(&guarded, per_minute, share, weeks);
            println!("{per_minute:>12} {:>6} % {plain:>12.2} {quiet:>18.2}", share * 100.0);
            holds &= quiet <= FALSE_MAX;
        }
    }
    println!("\nSeconds until an outage is detected, median / 90th percentile (1800: undetected)");
    println!("{:>12} {:>8} {:>12} {:>18}", "requests/min", "outage", "literal", "confidence 0.95");
    for (per_minute, outage) in [(1.0, 1.0), (5.0, 0.5), (5.0, 0.2), (30.0, 1.0), (30.0, 0.2)] {
        let text = |rule: &Rule| {
            let delays = delays(rule, per_minute, outage);
            let (median, late) = (delays[delays.len() / 2], delays[delays.len() * 9 / 10]);
            (median, format!("{}/{}", median / 1_000, late / 1_000))
        };
        let (_, plain) = text(&literal);
        let (median, quiet) = text(&guarded);
        println!("{per_minute:>12} {:>6} % {plain:>12} {quiet:>18}", outage * 100.0);
        if (per_minute, outage) == (5.0, 0.5) {
            holds &= median <= MEDIAN_MS_MAX;
        }
    }
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
