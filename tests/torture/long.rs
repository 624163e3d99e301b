//! The long form, started by `bench/torture`.

use std::time::Duration;

use super::campaign::{Deadline, Report};
use super::full_disk;

fn number(name: &str, default: u64) -> u64 {
    let Ok(text) = std::env::var(name) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number"))
}

#[test]
#[ignore = "takes long; bench/torture runs it"]
fn long_run() {
    let seed = number("TORTURE_SEED", 1);
    let rounds = u32::try_from(number("TORTURE_ROUNDS", 500)).expect("a number of rounds");
    let minutes = number("TORTURE_MINUTES", 240);
    let third = || Deadline::after(Duration::from_secs(minutes * 60 / 3));
    println!(
        "seed {seed}, {rounds} rounds with kills, {} faults, {} power cuts, at most {minutes} minutes",
        3 * rounds,
        rounds * 3 / 5
    );
    let mut report = Report::default();
    report.kills(seed, rounds, third());
    println!("{report}");
    report.cuts(seed, rounds * 3 / 5, third());
    println!("{report}");
    report.faults(seed, 3 * rounds, third());
    let (findings, is_real) = full_disk::trial(Duration::from_secs(60));
    let name = if is_real { "disk full for 60 s" } else { "ENOSPC for 60 s" };
    report.trial(name, findings);
    println!("{report}");
    let findings = report.findings();
    assert!(findings.is_empty(), "{findings}");
}
