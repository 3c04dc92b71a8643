//! Counters, as `imdsctl stats --output json` prints them.

use std::collections::BTreeMap;

use serde_json::Value;

/// The counters of some instances, and those that belong to none.
#[derive(Clone, Debug)]
pub struct Stats {
    json: Value,
}

impl Stats {
    /// Counters from `imdsctl`'s document.
    #[must_use]
    pub fn new(json: Value) -> Self {
        Self { json }
    }

    /// The counters of one instance.
    #[must_use]
    #[track_caller]
    pub fn instance(&self, id: &str) -> InstanceStats {
        let instances = self.json["instances"].as_array().into_iter().flatten();
        let found = instances.into_iter().find(|instance| instance["instance_id"] == id);
        InstanceStats { json: found.unwrap_or_else(|| panic!("no {id} in {}", self.json)).clone() }
    }

    /// All counters that belong to no instance.
    #[must_use]
    pub fn host_counters(&self) -> Counters {
        Counters::of(&self.json["host"])
    }

    /// A counter that belongs to no instance.
    #[must_use]
    #[track_caller]
    pub fn host(&self, name: &str) -> u64 {
        number(&self.json["host"], name)
    }
}

/// Counters by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters(BTreeMap<String, u64>);

impl Counters {
    fn of(object: &Value) -> Self {
        let counters = object.as_object().into_iter().flatten();
        Self(counters.filter_map(|(name, count)| Some((name.clone(), count.as_u64()?))).collect())
    }

    /// The names of those that are other than before, each as often as it moved.
    #[must_use]
    pub fn moved_since(&self, before: &Self) -> Vec<String> {
        let by = |name| self.0.get(name).unwrap_or(&0).saturating_sub(*before.0.get(name).unwrap_or(&0));
        self.0.keys().flat_map(|name| (0..by(name)).map(|_| name.clone())).collect()
    }
}

/// The counters of one instance.
#[derive(Clone, Debug)]
pub struct InstanceStats {
    json: Value,
}

impl InstanceStats {
    /// `MetadataNoToken`: reads without a token that were served.
    #[must_use]
    #[track_caller]
    pub fn no_token(&self) -> u64 {
        number(&self.json, "MetadataNoToken")
    }

    /// `MetadataNoTokenRejected`: reads without a token that were refused.
    #[must_use]
    #[track_caller]
    pub fn no_token_rejected(&self) -> u64 {
        number(&self.json, "MetadataNoTokenRejected")
    }

    /// Tokens issued.
    #[must_use]
    #[track_caller]
    pub fn tokens_issued(&self) -> u64 {
        number(&self.json, "tokens_issued")
    }

    /// Requests that the daemon answered.
    #[must_use]
    #[track_caller]
    pub fn requests(&self) -> u64 {
        number(&self.json, "requests")
    }

    /// What the kernel counted under a name.
    #[must_use]
    #[track_caller]
    pub fn kernel(&self, name: &str) -> u64 {
        number(&self.json["kernel"], name)
    }

    /// All that the kernel counted.
    #[must_use]
    pub fn kernel_counters(&self) -> Counters {
        Counters::of(&self.json["kernel"])
    }

    /// The sum of what the kernel counted under names that begin so.
    #[must_use]
    pub fn kernel_sum(&self, prefix: &str) -> u64 {
        let counters = self.json["kernel"].as_object().into_iter().flatten();
        counters.filter(|(name, _)| name.starts_with(prefix)).filter_map(|(_, count)| count.as_u64()).sum()
    }

    /// What the daemon refused under a name.
    #[must_use]
    #[track_caller]
    pub fn daemon(&self, name: &str) -> u64 {
        number(&self.json["daemon"], name)
    }
}

#[track_caller]
fn number(object: &Value, name: &str) -> u64 {
    object[name].as_u64().unwrap_or_else(|| panic!("no counter {name} in {object}"))
}
