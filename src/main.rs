//! The `chatgauge` program.

fn main() {}
