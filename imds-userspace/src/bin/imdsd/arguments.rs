//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use imds_userspace::dataplane::attach::Attach;
use imds_userspace::dataplane::names::DEFAULT_RUN_DIR;

/// Where instances are stored by a daemon that isn't told.
const DEFAULT_STATE_DIR: &str = "/var/lib/imdsd";

const HELP: &str = "\
Without a command, imdsd serves until SIGTERM or SIGINT. Enforcement stays attached when it ends, unless the config
says otherwise; `imdsd detach` removes it.

Exit codes:
  0  done
  1  failed; the message says why
  2  wrong usage

Examples:
  imdsd
  imdsd --config /etc/imdsd.toml
  imdsd --run-dir /run/imdsd-test --state-dir /var/lib/imdsd-test
  imdsd config default > /etc/imdsd.toml
  imdsd detach --dry-run
  imdsd detach";

/// The instance metadata daemon: an EC2-compatible metadata service for the instances of this host
#[derive(Debug, Parser)]
#[command(name = "imdsd", version, after_help = HELP)]
pub(crate) struct Arguments {
    /// Config file in TOML; without it, every key has its default
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Directory of the control socket; all names on the host follow from it, so each daemon needs its own
    #[arg(long, value_name = "DIR", default_value = DEFAULT_RUN_DIR, global = true)]
    pub(crate) run_dir: PathBuf,
    /// Directory of the store, and of credentials that instances have of their own
    #[arg(long, value_name = "DIR", default_value = DEFAULT_STATE_DIR)]
    pub(crate) state_dir: PathBuf,
    /// How programs are attached to interfaces, where `imdsctl` doesn't say it of one
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Attach::Auto)]
    pub(crate) attach: Attach,
    /// What to do instead of serving
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Commands beside serving.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Remove everything that imdsd has on the host for this run directory, a line each, and check that it is gone;
    /// the store stays
    Detach {
        /// Only print what there is now, also while a daemon runs; change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// About the config
    Config {
        /// What to do
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Try what is needed of this host, then load the kernel programs without attaching them: a line for each
    Check,
}

/// Commands about the config.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print a config with every key, its comment and its default
    Default,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn defaults_and_commands_are_understood() {
        let bare = Arguments::parse_from(["imdsd"]);
        assert_eq!(bare.run_dir, PathBuf::from("/run/imdsd"));
        assert_eq!(bare.state_dir, PathBuf::from("/var/lib/imdsd"));
        assert!(bare.command.is_none() && bare.config.is_none());
        let detach = Arguments::parse_from(["imdsd", "detach", "--run-dir", "/run/other"]);
        assert_eq!(detach.run_dir, PathBuf::from("/run/other"));
        assert!(matches!(detach.command, Some(Command::Detach { dry_run: false })));
        for wrong in [&["imdsd", "--attach", "xdp"][..], &["imdsd", "config"], &["imdsd", "attach"]] {
            assert_eq!(Arguments::try_parse_from(wrong).expect_err("usage").exit_code(), 2, "{wrong:?}");
        }
    }
}
