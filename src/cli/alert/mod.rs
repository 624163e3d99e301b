//! `chatgauge alert`: rules, incidents, silences and channels from the command line.

mod backtest;
mod command;
mod offline;
mod remote;
mod show;

use clap::Args;

use super::config::CommonArgs as AlertArgs;
pub(super) use command::AlertCommand;

/// The running server to send a request to.
#[derive(Clone, Debug, Args)]
pub(super) struct ServerOf {
    #[command(flatten)]
    common: AlertArgs,
    /// URL of the server [default: as configured]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

fn json_line(value: &serde_json::Value) -> String {
    format!("{value}\n")
}
