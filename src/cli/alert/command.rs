//! The commands of `chatgauge alert`.

use std::io::Write;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::{AlertArgs, ServerOf, backtest, offline, remote, show};
use crate::cli::window::WindowArgs;
use crate::error::Result;

const EXAMPLES: &str = "\
Examples:
  chatgauge alert check --config chatgauge.toml            are the rules valid, and what are they
  chatgauge alert list                                     what is firing
  chatgauge alert history week                             what fired in the last 7 days
  chatgauge alert show 3f9c0a6be2d14c07                    history and notifications of an incident
  chatgauge alert backtest error-rate month                when a rule would have fired
  chatgauge alert explain error-rate --group space:acme    why it did or did not fire
  chatgauge alert test-channel ops                         does a notification arrive
  chatgauge alert ack 3f9c0a6be2d14c07 --note \"on it\"
  chatgauge alert close 3f9c0a6be2d14c07 --comment \"model retired\"
  chatgauge alert silence add --rule 'error-*' --for 2h --comment deploy";
const HISTORY: &str = "\
Examples:
  chatgauge alert history week
  chatgauge alert history --start 2026-01-01 --end 2026-02-01 --rule error-rate --json";
const BACKTEST: &str = "\
Examples:
  chatgauge alert backtest error-rate week
  chatgauge alert backtest error-rate --start 2026-01-01 --end 2026-02-01 --confidence 0.95 --by space";
const EXPLAIN: &str = "\
Examples:
  chatgauge alert explain error-rate
  chatgauge alert explain outage-run --group model:gpt-5";
const SILENCE: &str = "\
Examples:
  chatgauge alert silence add --rule 'error-*' --group space:acme --for 2h --comment deploy
  chatgauge alert silence list
  chatgauge alert silence end 0123456789abcdef";

/// Inspect and manage alerts
#[derive(Clone, Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) enum AlertCommand {
    /// Validate the rules and list them
    #[command(after_help = "Example:\n  chatgauge alert check --config chatgauge.toml")]
    Check(AlertArgs),
    /// List open incidents
    #[command(
        after_help = "Examples:\n  chatgauge alert list\n  chatgauge alert list --all --json"
    )]
    List {
        /// Include ended incidents
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        common: AlertArgs,
    },
    /// List incidents that were open in a window [default: week]
    #[command(after_help = HISTORY)]
    History {
        #[command(flatten)]
        window: WindowArgs,
        /// Only incidents of this rule
        #[arg(long, value_name = "ID")]
        rule: Option<String>,
        #[command(flatten)]
        common: AlertArgs,
    },
    /// Show an incident with its history and notifications
    #[command(after_help = "Example:\n  chatgauge alert show 3f9c0a6be2d14c07")]
    Show {
        /// Id of the incident
        incident: String,
        #[command(flatten)]
        common: AlertArgs,
    },
    /// Replay a rule over the stored history [default: week]
    #[command(after_help = BACKTEST)]
    Backtest(Box<backtest::BacktestArgs>),
    /// Print the last evaluations of a rule by a running server
    #[command(after_help = EXPLAIN)]
    Explain {
        /// Id of the rule
        rule: String,
        /// Group of the rule, once for each dimension
        #[arg(long, value_name = "DIMENSION:VALUE")]
        group: Vec<String>,
        #[command(flatten)]
        server: ServerOf,
    },
    /// Send a test notification through a channel
    #[command(after_help = "Example:\n  chatgauge alert test-channel ops --config chatgauge.toml")]
    TestChannel {
        /// Name of the channel
        name: String,
        #[command(flatten)]
        common: AlertArgs,
    },
    /// Acknowledge an incident (stops reminders)
    #[command(after_help = "Example:\n  chatgauge alert ack 3f9c0a6be2d14c07 --note \"on it\"")]
    Ack {
        /// Id of the incident
        incident: String,
        /// Note for the history
        #[arg(long)]
        note: Option<String>,
        #[command(flatten)]
        server: ServerOf,
    },
    /// Close an incident
    #[command(after_help = "Example:\n  chatgauge alert close 3f9c0a6be2d14c07 --comment retired")]
    Close {
        /// Id of the incident
        incident: String,
        /// Reason, for the history and the notification
        #[arg(long)]
        comment: Option<String>,
        #[command(flatten)]
        server: ServerOf,
    },
    #[command(subcommand)]
    Silence(SilenceCommand),
}

/// Add, list and end silences
#[derive(Clone, Debug, Subcommand)]
#[command(after_help = SILENCE)]
pub(in crate::cli) enum SilenceCommand {
    /// Suppress notifications for a while
    #[command(after_help = SILENCE)]
    Add {
        /// Id of a rule; * matches any text
        #[arg(long, value_name = "GLOB", default_value = "*")]
        rule: String,
        /// Only these groups, once for each dimension; * matches any text
        #[arg(long, value_name = "DIMENSION:VALUE")]
        group: Vec<String>,
        /// Duration, e.g. 30m, 2h, 7d
        #[arg(long = "for", value_name = "LENGTH")]
        length: String,
        /// Reason
        #[arg(long)]
        comment: String,
        #[command(flatten)]
        server: ServerOf,
    },
    /// List active and future silences
    #[command(after_help = SILENCE)]
    List {
        /// List expired silences instead
        #[arg(long)]
        expired: bool,
        #[command(flatten)]
        server: ServerOf,
    },
    /// End a silence
    #[command(after_help = SILENCE)]
    End {
        /// Id of the silence
        id: String,
        #[command(flatten)]
        server: ServerOf,
    },
}

impl AlertCommand {
    /// Runs the command; the exit code of `test-channel` says whether the notification arrived.
    ///
    /// # Errors
    /// If the configuration is invalid, the file cannot be read, or no server responds.
    pub(in crate::cli) fn run(&self, out: &mut dyn Write) -> Result<ExitCode> {
        match self {
            Self::Check(common) => offline::check(common, out)?,
            Self::List { all, common } => offline::list(*all, common, out)?,
            Self::History { window, rule, common } => {
                offline::history(window, rule.as_deref(), common, out)?;
            }
            Self::Show { incident, common } => show::show(incident, common, out)?,
            Self::Backtest(arguments) => arguments.run(out)?,
            Self::Explain { rule, group, server } => remote::explain(rule, group, server, out)?,
            Self::TestChannel { name, common } => return offline::test_channel(name, common, out),
            Self::Ack { incident, note, server } => {
                let body = json!({ "note": note });
                remote::act(incident, ("ack", "acknowledged"), &body, server, out)?;
            }
            Self::Close { incident, comment, server } => {
                let body = json!({ "comment": comment });
                remote::act(incident, ("close", "closed"), &body, server, out)?;
            }
            Self::Silence(SilenceCommand::Add { rule, group, length, comment, server }) => {
                let new = remote::NewSilence { rule, group, length, comment };
                remote::silence(&new, server, out)?;
            }
            Self::Silence(SilenceCommand::List { expired, server }) => {
                remote::silences(*expired, server, out)?;
            }
            Self::Silence(SilenceCommand::End { id, server }) => {
                remote::end_silence(id, server, out)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
