//! Taking records in.

pub mod wire;
