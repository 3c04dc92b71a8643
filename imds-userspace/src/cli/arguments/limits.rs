//! The limits of an instance, as they are typed.

use clap::{ArgGroup, Args, Subcommand};
use imds_common::budget::RATE_MAX;
use imds_common::sender::{Mac, Network};

use super::super::help;
use crate::registry::request::{BudgetChange, LimitChanges};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum LimitsCommand {
    /// Shows the limits of an instance
    #[command(after_help = help::LIMITS_SHOW)]
    Show {
        /// The instance's id
        #[arg(value_name = "ID")]
        instance_id: String,
    },
    /// Changes limits of an instance while it runs
    #[command(
        after_help = help::LIMITS_SET,
        override_usage = "imdsctl limits set <ID> <LIMIT TO CHANGE>...",
        group = ArgGroup::new("limit").required(true).multiple(true).args([
            "allow_addresses",
            "any_address",
            "allow_macs",
            "any_mac",
            "packet_budget",
            "request_budget",
        ])
    )]
    Set {
        /// The instance's id
        #[arg(value_name = "ID")]
        instance_id: String,
        #[command(flatten)]
        limits: LimitFlags,
        /// Forget the list of addresses: any may be sent from
        #[arg(long, conflicts_with = "allow_addresses")]
        any_address: bool,
        /// Forget the list of MACs: any may be sent from
        #[arg(long, conflicts_with = "allow_macs")]
        any_mac: bool,
    },
}

#[derive(Debug, Default, Args)]
#[group(skip)]
pub(in crate::cli) struct LimitFlags {
    /// An address or a network that it may send from; may be repeated, others are dropped [default: any]
    #[arg(long = "allow-address", value_name = "ADDRESS")]
    allow_addresses: Vec<Network>,
    /// A MAC that it may send from; may be repeated, others are dropped [default: any]
    #[arg(long = "allow-mac", value_name = "MAC")]
    allow_macs: Vec<Mac>,
    /// Packets a second that each of its interfaces may send, 0 for no limit [default: as the daemon's config says]
    #[arg(long, value_name = "N", value_parser = budget)]
    packet_budget: Option<BudgetChange>,
    /// Requests a second that it may send, 0 for no limit [default: as the daemon's config says]
    #[arg(long, value_name = "N", value_parser = budget)]
    request_budget: Option<BudgetChange>,
}

impl From<LimitFlags> for LimitChanges {
    fn from(flags: LimitFlags) -> Self {
        Self {
            allow_addresses: texts(&flags.allow_addresses),
            allow_macs: texts(&flags.allow_macs),
            packet_budget: flags.packet_budget,
            request_budget: flags.request_budget,
        }
    }
}

/// The changes that were typed.
pub(in crate::cli) fn changes(limits: LimitFlags, any_address: bool, any_mac: bool) -> LimitChanges {
    let mut changes = LimitChanges::from(limits);
    if any_address {
        changes.allow_addresses = Some(Vec::new());
    }
    if any_mac {
        changes.allow_macs = Some(Vec::new());
    }
    changes
}

/// A list, if it was given.
fn texts<T: ToString>(list: &[T]) -> Option<Vec<String>> {
    (!list.is_empty()).then(|| list.iter().map(ToString::to_string).collect())
}

/// A number, or `default`.
fn budget(text: &str) -> Result<BudgetChange, String> {
    if text == "default" {
        return Ok(BudgetChange::Default);
    }
    match text.parse::<u32>() {
        Ok(rate) if rate <= RATE_MAX => Ok(BudgetChange::Rate(rate.into())),
        _ => Err(format!("specify an integer from 0 to {RATE_MAX}, or 'default'")),
    }
}
