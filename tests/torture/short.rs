//! The short form: every kind of round, a few times.

use super::campaign::{Deadline, Report};

fn assert_clean(report: &Report) {
    println!("{report}");
    let findings = report.findings();
    assert!(findings.is_empty(), "{findings}");
}

#[test]
fn nothing_is_lost_or_doubled_when_the_program_is_killed() {
    let mut report = Report::default();
    report.kills(1, 28, Deadline::NEVER);
    assert_clean(&report);
}

#[test]
fn nothing_is_lost_or_doubled_when_the_disk_fails() {
    let mut report = Report::default();
    report.faults(1, 70, Deadline::NEVER);
    assert_clean(&report);
}

#[test]
fn nothing_is_lost_or_doubled_when_the_power_goes() {
    let mut report = Report::default();
    report.cuts(1, 32, Deadline::NEVER);
    assert_clean(&report);
}
