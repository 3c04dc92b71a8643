//! The values that the config's keys take.

use std::path::Path;
use std::time::Duration;

use imds_common::budget::RATE_MAX;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::metadata::document::{AccountId, AvailabilityZone};

/// A number out of range.
#[derive(Debug, Error)]
#[error("it takes {low} to {high}, got {got}")]
pub struct OutOfRange {
    low: u32,
    high: u32,
    got: i64,
}

fn within<T: TryFrom<i64> + PartialOrd + Into<u32> + Copy>(got: i64, low: T, high: T) -> Result<T, OutOfRange> {
    let number = T::try_from(got).ok().filter(|number| (low..=high).contains(number));
    number.ok_or(OutOfRange { low: low.into(), high: high.into(), got })
}

/// How many slots there are, slot 0 among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "u16")]
pub struct SlotCount(u16);

impl SlotCount {
    /// Slot 0 and one to give.
    const MIN: u16 = 2;
    /// A slot's tables take some 8 KiB of the kernel's memory: 128 MiB for so many.
    const MAX: u16 = 16_384;
    /// Enough for a host full of small machines.
    pub const DEFAULT: Self = Self(1024);

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<i64> for SlotCount {
    type Error = OutOfRange;
    fn try_from(count: i64) -> Result<Self, OutOfRange> {
        within(count, Self::MIN, Self::MAX).map(Self)
    }
}

impl From<SlotCount> for u16 {
    fn from(count: SlotCount) -> Self {
        count.0
    }
}

/// A time limit in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "u16")]
pub struct Seconds(u16);

impl Seconds {
    /// No limit would keep what a guest opens open for ever.
    const MIN: u16 = 1;
    /// Below the 120 seconds after which the kernel forgets an idle connection.
    const MAX: u16 = 100;

    /// So many seconds, at least one and at most 100.
    pub(super) const fn new(seconds: u16) -> Self {
        assert!(seconds >= Self::MIN && seconds <= Self::MAX);
        Self(seconds)
    }

    /// As a duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0 as u64)
    }
}

impl TryFrom<i64> for Seconds {
    type Error = OutOfRange;
    fn try_from(seconds: i64) -> Result<Self, OutOfRange> {
        within(seconds, Self::MIN, Self::MAX).map(Self)
    }
}

impl From<Seconds> for u16 {
    fn from(seconds: Seconds) -> Self {
        seconds.0
    }
}

/// How many a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "u32")]
pub struct Budget(u32);

impl Budget {
    /// What EC2 allows a network interface in packets. As many requests are more than plain clients make of so many
    /// packets, and far fewer than pipelined ones could be.
    pub(super) const DEFAULT: Self = Self(1_024);

    /// How many a second; 0 for no limit.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<i64> for Budget {
    type Error = OutOfRange;
    fn try_from(rate: i64) -> Result<Self, OutOfRange> {
        within(rate, 0, RATE_MAX).map(Self)
    }
}

impl From<Budget> for u32 {
    fn from(budget: Budget) -> Self {
        budget.0
    }
}

/// The zone of instances that nobody places.
pub(super) fn default_zone() -> AvailabilityZone {
    AvailabilityZone::try_from("us-east-1a".to_owned()).expect("a zone")
}

/// The account of instances that nobody owns.
pub(super) fn default_account() -> AccountId {
    AccountId::try_from("000000000000".to_owned()).expect("an account")
}

/// What stands in the body of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorBodies {
    /// Nothing.
    None,
    /// EC2's older page.
    Xhtml,
}

/// A file that isn't where its path says it is for everybody.
#[derive(Debug, Error)]
#[error("it takes an absolute path, or \"\", got {0:?}")]
pub struct RelativePath(String);

/// A key's file, or none: then it is the state directory's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyFile(String);

impl KeyFile {
    /// The file given.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        (!self.0.is_empty()).then(|| Path::new(&self.0))
    }
}

impl TryFrom<String> for KeyFile {
    type Error = RelativePath;
    fn try_from(path: String) -> Result<Self, RelativePath> {
        if path.is_empty() || Path::new(&path).is_absolute() { Ok(Self(path)) } else { Err(RelativePath(path)) }
    }
}

impl From<KeyFile> for String {
    fn from(file: KeyFile) -> Self {
        file.0
    }
}

/// What the kernel does with a request that it refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnRefuse {
    /// Answers as EC2.
    Answer,
    /// Is silent.
    Drop,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// An object a line.
    Json,
}

/// What is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What failed.
    Error,
    /// And what is odd.
    Warn,
    /// And what is done.
    Info,
    /// And why.
    Debug,
    /// And everything else.
    Trace,
}
