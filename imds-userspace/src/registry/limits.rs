//! What an instance may send to the service: from where, and how much a second. Parsed, changed, compared, shown.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;

use imds_common::budget::RATE_MAX;
use imds_common::sender::{ADDRESSES, MACS, Mac, Network, SenderError, Senders};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::registry::request::{BudgetChange, LimitChanges};
use crate::registry::view::LimitsView;

/// Why limits can't be what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LimitsError {
    /// What isn't an address or a MAC.
    #[error("{list}: '{}' can't be listed; {source}", .value.escape_debug())]
    Sender {
        /// The list.
        list: &'static str,
        /// What was given.
        value: String,
        /// What is wrong with it.
        source: SenderError,
    },
    /// More than there is room for.
    #[error("{list} has {got} entries, at most {most} have room; list a network in the place of its addresses")]
    TooMany {
        /// The list.
        list: &'static str,
        /// How many were given.
        got: usize,
        /// How many there may be.
        most: usize,
    },
    /// A budget out of range.
    #[error("{budget} is 0 to {RATE_MAX} a second, 0 for no limit, or 'default'; got {got}")]
    Budget {
        /// The budget.
        budget: &'static str,
        /// What was given.
        got: i64,
    },
}

/// The limits of an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "LimitChanges", into = "LimitChanges")]
pub struct Limits {
    /// The addresses that it may send from; any, if there is none.
    allow_addresses: BTreeSet<Network>,
    /// The MACs that it may send from; any, if there is none.
    allow_macs: BTreeSet<Mac>,
    /// Packets a second, 0 for no limit; none where the config says.
    packet_budget: Option<u32>,
    /// Requests a second, 0 for no limit; none where the config says.
    request_budget: Option<u32>,
}

/// What the config gives to instances without budgets of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budgets {
    /// Packets a second of an interface, 0 for no limit.
    pub packets: u32,
    /// Requests a second of an instance, 0 for no limit.
    pub requests: u32,
}

impl Limits {
    /// The limits after changes; what is left out keeps its value.
    ///
    /// # Errors
    ///
    /// [`LimitsError`], for the first value that can't be.
    pub fn changed(&self, changes: &LimitChanges) -> Result<Self, LimitsError> {
        let LimitChanges { allow_addresses, allow_macs, packet_budget, request_budget } = changes;
        Ok(Self {
            allow_addresses: match allow_addresses {
                Some(list) => parse("allow-address", list, ADDRESSES)?,
                None => self.allow_addresses.clone(),
            },
            allow_macs: match allow_macs {
                Some(list) => parse("allow-mac", list, MACS)?,
                None => self.allow_macs.clone(),
            },
            packet_budget: budget("packet-budget", *packet_budget, self.packet_budget)?,
            request_budget: budget("request-budget", *request_budget, self.request_budget)?,
        })
    }

    /// Whether nothing of it was asked for.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The budgets that hold.
    #[must_use]
    pub fn budgets(&self, defaults: Budgets) -> Budgets {
        Budgets {
            packets: self.packet_budget.unwrap_or(defaults.packets),
            requests: self.request_budget.unwrap_or(defaults.requests),
        }
    }

    /// As replies show them.
    #[must_use]
    pub fn view(&self, defaults: Budgets) -> LimitsView {
        let Budgets { packets, requests } = self.budgets(defaults);
        LimitsView {
            allow_addresses: texts(&self.allow_addresses),
            allow_macs: texts(&self.allow_macs),
            packet_budget: packets,
            request_budget: requests,
        }
    }
}

impl TryFrom<LimitChanges> for Limits {
    type Error = LimitsError;
    fn try_from(stored: LimitChanges) -> Result<Self, LimitsError> {
        Self::default().changed(&stored)
    }
}

impl From<Limits> for LimitChanges {
    fn from(limits: Limits) -> Self {
        let rate = |budget: Option<u32>| budget.map(|rate| BudgetChange::Rate(rate.into()));
        Self {
            allow_addresses: Some(texts(&limits.allow_addresses)).filter(|list| !list.is_empty()),
            allow_macs: Some(texts(&limits.allow_macs)).filter(|list| !list.is_empty()),
            packet_budget: rate(limits.packet_budget),
            request_budget: rate(limits.request_budget),
        }
    }
}

/// Who may send under both limits, as the kernel reads it: what may be in force between the two. Of one and the same
/// limits, who may send under them; none if that is anybody.
#[must_use]
pub fn senders(a: &Limits, b: &Limits) -> Option<Box<Senders>> {
    let networks = common(&a.allow_addresses, &b.allow_addresses, Network::covers);
    let macs = common(&a.allow_macs, &b.allow_macs, |one, other| one == other);
    (networks.is_some() || macs.is_some()).then(|| Box::new(Senders::new(networks, macs)))
}

/// The stricter of two rates, of which 0 is none.
#[must_use]
pub fn stricter(a: u32, b: u32) -> u32 {
    if a == 0 || b == 0 { a.max(b) } else { a.min(b) }
}

/// What is in both lists, of which an empty one has everything: none if both are.
fn common<'l, T: Ord>(
    a: &'l BTreeSet<T>,
    b: &'l BTreeSet<T>,
    covers: impl Fn(&T, &T) -> bool,
) -> Option<BTreeSet<&'l T>> {
    let within = |list: &'l BTreeSet<T>, other: &'l BTreeSet<T>| {
        let is_within = |entry: &&T| other.is_empty() || other.iter().any(|one| covers(one, entry));
        list.iter().filter(is_within).collect::<BTreeSet<_>>()
    };
    (!a.is_empty() || !b.is_empty()).then(|| &within(a, b) | &within(b, a))
}

fn parse<T: FromStr<Err = SenderError> + Ord>(
    list: &'static str,
    values: &[String],
    most: usize,
) -> Result<BTreeSet<T>, LimitsError> {
    let entry =
        |value: &String| value.parse().map_err(|source| LimitsError::Sender { list, value: value.clone(), source });
    let entries = values.iter().map(entry).collect::<Result<BTreeSet<T>, _>>()?;
    if entries.len() > most {
        return Err(LimitsError::TooMany { list, got: entries.len(), most });
    }
    Ok(entries)
}

fn budget(
    budget: &'static str,
    change: Option<BudgetChange>,
    current: Option<u32>,
) -> Result<Option<u32>, LimitsError> {
    match change {
        None => Ok(current),
        Some(BudgetChange::Default) => Ok(None),
        Some(BudgetChange::Rate(got)) => match u32::try_from(got) {
            Ok(rate) if rate <= RATE_MAX => Ok(Some(rate)),
            _ => Err(LimitsError::Budget { budget, got }),
        },
    }
}

fn texts<T: Display>(list: &BTreeSet<T>) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests;
