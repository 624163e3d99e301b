//! `chatgauge check` and `chatgauge rebuild`.

use clap::Args;

use super::config::ConfigArgs;

const CHECK_EXAMPLES: &str = "\
Examples:
  chatgauge check --db chatgauge.db
  chatgauge check --json || echo 'something is wrong'

Exits with 1 when a rollup differs from what its raw rows add up to.";

/// Recomputes the rollups from the raw rows and compares.
#[derive(Clone, Debug, Args)]
#[command(after_help = CHECK_EXAMPLES)]
pub struct CheckCommand {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

const REBUILD_EXAMPLES: &str = "\
Examples:
  chatgauge rebuild --db chatgauge.db

Rollups whose raw rows are gone stay as they are.";

/// Builds the rollups anew from the raw rows.
#[derive(Clone, Debug, Args)]
#[command(after_help = REBUILD_EXAMPLES)]
pub struct RebuildCommand {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
