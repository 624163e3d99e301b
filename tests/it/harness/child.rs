//! Tests that are processes of other tests: they are ignored, and the test that needs one starts it.

use std::process::Command;

/// Arguments by which this test binary runs the ignored test `name`, and no other.
pub(crate) fn args(name: &str) -> [&str; 4] {
    ["--exact", name, "--ignored", "--nocapture"]
}

/// This test binary as the process that the ignored test `name` is.
pub(crate) fn command(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a running program"));
    command.args(args(name));
    command
}

/// What the parent has given its child: without a parent the test fails, so that it never passes having done nothing.
pub(crate) fn given(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: this is the process of another test, which starts it")
    })
}
