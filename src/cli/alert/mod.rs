//! `chatgauge alert`: rules, incidents, silences and channels from the command line.

mod backtest;
mod offline;
mod remote;
mod show;

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::config::ConfigArgs;
use super::window::WindowArgs;
use crate::error::Result;

const EXAMPLES: &str = "\
Examples:
  chatgauge alert check --config chatgauge.toml            are the rules acceptable, and what do they say
  chatgauge alert list                                     what is firing now
  chatgauge alert history week                             what fired in the last 7 days
  chatgauge alert show 3f9c0a6be2d14c07                    what happened to an incident, and who was notified
  chatgauge alert backtest error-rate month                what it would have done
  chatgauge alert explain error-rate --group space:acme    why it did or did not fire
  chatgauge alert test-channel ops                         does a message arrive
  chatgauge alert ack 3f9c0a6be2d14c07 --note \"on it\"
  chatgauge alert close 3f9c0a6be2d14c07 --comment \"model retired\"
  chatgauge alert silence add --rule 'error-*' --for 2h --comment deploy";
const CHECK: &str = "Example:\n  chatgauge alert check --config chatgauge.toml";
const LIST: &str = "Examples:\n  chatgauge alert list\n  chatgauge alert list --all --json";
const HISTORY: &str = "\
Examples:
  chatgauge alert history week
  chatgauge alert history --start 2026-01-01 --end 2026-02-01 --rule error-rate --json";
const SHOW: &str = "\
Examples:
  chatgauge alert show 3f9c0a6be2d14c07
  chatgauge alert show 3f9c0a6be2d14c07 --json";
const BACKTEST: &str = "\
Examples:
  chatgauge alert backtest error-rate week
  chatgauge alert backtest error-rate --start 2026-01-01 --end 2026-02-01 --confidence 0.95 --by space";
const EXPLAIN: &str = "\
Examples:
  chatgauge alert explain error-rate
  chatgauge alert explain outage-run --group model:gpt-5";
const TEST: &str = "Example:\n  chatgauge alert test-channel ops --config chatgauge.toml";
const ACK: &str = "Example:\n  chatgauge alert ack 3f9c0a6be2d14c07 --note \"on it\"";
const CLOSE: &str =
    "Example:\n  chatgauge alert close 3f9c0a6be2d14c07 --comment \"model retired\"";
const SILENCE: &str = "\
Examples:
  chatgauge alert silence add --rule 'error-*' --group space:acme --for 2h --comment deploy
  chatgauge alert silence list
  chatgauge alert silence end 0123456789abcdef";

/// Looks at alerts and tends them.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct AlertCommand {
    /// What to do.
    #[command(subcommand)]
    pub action: AlertAction,
}

/// What to do with alerts.
#[derive(Clone, Debug, Subcommand)]
pub enum AlertAction {
    /// Say whether the rules are acceptable, and list them
    #[command(after_help = CHECK)]
    Check(AlertArgs),
    /// List open incidents
    #[command(after_help = LIST)]
    List {
        /// Those that are over too
        #[arg(long)]
        all: bool,
        /// Flags of all actions.
        #[command(flatten)]
        common: AlertArgs,
    },
    /// List incidents that were open in a window [default: week]
    #[command(after_help = HISTORY)]
    History {
        /// The window.
        #[command(flatten)]
        window: WindowArgs,
        /// Only incidents of this rule
        #[arg(long, value_name = "ID")]
        rule: Option<String>,
        /// Flags of all actions.
        #[command(flatten)]
        common: AlertArgs,
    },
    /// Show an incident with its history and its messages, undeliverable ones too; no server is needed
    #[command(after_help = SHOW)]
    Show {
        /// The incident
        incident: String,
        /// Flags of all actions.
        #[command(flatten)]
        common: AlertArgs,
    },
    /// Say what a rule would have done over the stored history; no server is needed [default: week]
    #[command(after_help = BACKTEST)]
    Backtest(Box<backtest::BacktestArgs>),
    /// Ask a running server why a rule did or did not fire
    #[command(after_help = EXPLAIN)]
    Explain {
        /// The rule
        rule: String,
        /// Its group, once for each dimension
        #[arg(long, value_name = "DIMENSION:VALUE")]
        group: Vec<String>,
        /// The server.
        #[command(flatten)]
        server: ServerOf,
    },
    /// Send a test message through a channel, once; no server is needed
    #[command(after_help = TEST)]
    TestChannel {
        /// The channel
        name: String,
        /// Flags of all actions.
        #[command(flatten)]
        common: AlertArgs,
    },
    /// Tell a running server that somebody takes care of an incident: no more reminders
    #[command(after_help = ACK)]
    Ack {
        /// The incident
        incident: String,
        /// For the history
        #[arg(long)]
        note: Option<String>,
        /// The server.
        #[command(flatten)]
        server: ServerOf,
    },
    /// Have a running server end an incident now
    #[command(after_help = CLOSE)]
    Close {
        /// The incident
        incident: String,
        /// Why, for the history and the message
        #[arg(long)]
        comment: Option<String>,
        /// The server.
        #[command(flatten)]
        server: ServerOf,
    },
    /// Have a running server keep messages back for a while
    #[command(after_help = SILENCE)]
    Silence(SilenceCommand),
}

/// Silences.
#[derive(Clone, Debug, Args)]
pub struct SilenceCommand {
    /// What to do.
    #[command(subcommand)]
    pub action: SilenceAction,
}

/// What to do with silences.
#[derive(Clone, Debug, Subcommand)]
pub enum SilenceAction {
    /// Keep messages back
    #[command(after_help = SILENCE)]
    Add {
        /// Id of a rule, with * for anything
        #[arg(long, value_name = "GLOB", default_value = "*")]
        rule: String,
        /// Only these groups, once for each dimension; * for anything
        #[arg(long, value_name = "DIMENSION:VALUE")]
        group: Vec<String>,
        /// For how long, e.g. 30m, 2h, 7d
        #[arg(long = "for", value_name = "LENGTH")]
        length: String,
        /// Why
        #[arg(long)]
        comment: String,
        /// The server.
        #[command(flatten)]
        server: ServerOf,
    },
    /// List silences that are not over
    #[command(after_help = SILENCE)]
    List {
        /// Those that are over instead
        #[arg(long)]
        expired: bool,
        /// The server.
        #[command(flatten)]
        server: ServerOf,
    },
    /// End a silence now
    #[command(after_help = SILENCE)]
    End {
        /// The silence
        id: String,
        /// The server.
        #[command(flatten)]
        server: ServerOf,
    },
}

/// Flags of all actions on alerts.
#[derive(Clone, Debug, Default, Args)]
pub struct AlertArgs {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// The running server that is asked.
#[derive(Clone, Debug, Default, Args)]
pub struct ServerOf {
    /// Flags of all actions.
    #[command(flatten)]
    pub common: AlertArgs,
    /// The server [default: where the configuration listens]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
}

impl AlertCommand {
    /// Does it; the code says whether a test message arrived.
    ///
    /// # Errors
    /// When the configuration is not acceptable, the file cannot be read, or no server answers.
    pub fn run(&self, out: &mut dyn Write) -> Result<ExitCode> {
        match &self.action {
            AlertAction::Check(common) => offline::check(common, out)?,
            AlertAction::List { all, common } => offline::list(*all, common, out)?,
            AlertAction::History { window, rule, common } => {
                offline::history(window, rule.as_deref(), common, out)?;
            }
            AlertAction::Show { incident, common } => show::show(incident, common, out)?,
            AlertAction::Backtest(arguments) => arguments.run(out)?,
            AlertAction::Explain { rule, group, server } => {
                remote::explain(rule, group, server, out)?;
            }
            AlertAction::TestChannel { name, common } => {
                return offline::test_channel(name, common, out);
            }
            AlertAction::Ack { incident, note, server } => {
                let body = json!({ "note": note });
                remote::act(incident, ("ack", "acknowledged"), &body, server, out)?;
            }
            AlertAction::Close { incident, comment, server } => {
                let body = json!({ "comment": comment });
                remote::act(incident, ("close", "closed"), &body, server, out)?;
            }
            AlertAction::Silence(command) => match &command.action {
                SilenceAction::Add { rule, group, length, comment, server } => {
                    let new = remote::NewSilence { rule, group, length, comment };
                    remote::silence(&new, server, out)?;
                }
                SilenceAction::List { expired, server } => {
                    remote::silences(*expired, server, out)?;
                }
                SilenceAction::End { id, server } => remote::end_silence(id, server, out)?,
            },
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn json_line(value: &serde_json::Value) -> String {
    format!("{value}\n")
}
