//! What is asked of instances: to be created, changed, or as a file describes them. The control socket takes these
//! shapes as JSON.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::dataplane::attach::Attach;
use crate::metadata::document::{LifecycleState, MaintenanceCode, SpotAction};

/// JSON that may hold secrets: a document, or a part of one.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json(pub Value);

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Json").finish_non_exhaustive()
    }
}

/// A change of an instance's document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    /// What the patch leaves out stays, null takes away.
    Merge(Json),
    /// A whole new document, but for credentials and for what happens to the instance, where it leaves them out.
    Replace(Json),
    /// A value at a path.
    Set {
        /// Names with slashes between.
        path: String,
        /// The value, as it is where the field takes that, else as JSON.
        value: Json,
    },
    /// Nothing at a path.
    Unset {
        /// Names with slashes between.
        path: String,
    },
    /// Something happens, from the daemon's now on.
    Event(Event),
}

/// What happens to an instance. Times are seconds from now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// The interruption of a Spot Instance.
    SpotInterruption {
        /// When.
        seconds: u64,
        /// What becomes of it.
        action: SpotAction,
    },
    /// A rebalance recommendation.
    Rebalance {
        /// When it is emitted.
        seconds: u64,
    },
    /// Maintenance.
    Maintenance {
        /// When it begins.
        seconds: u64,
        /// How long it takes; none: until it is canceled, or set to be completed.
        duration: Option<u64>,
        /// What is done.
        code: MaintenanceCode,
        /// In words.
        description: Option<String>,
    },
    /// Another target state of Auto Scaling.
    Lifecycle {
        /// When.
        seconds: u64,
        /// The state.
        state: LifecycleState,
    },
    /// Nothing of all that any more; maintenance goes on record as canceled.
    Clear,
}

/// An instance as it shall be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Described {
    /// `i-…`
    pub instance_id: String,
    /// Host-side interfaces, the first one being the primary.
    pub interfaces: Vec<String>,
    /// How programs are attached to them; left out: as they are, or as the daemon does by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attach: Option<Attach>,
    /// Options; those that are left out stay, or have EC2's defaults.
    #[serde(default)]
    pub metadata_options: OptionChanges,
    /// Limits; those that are left out stay, or are what the config says.
    #[serde(default)]
    pub limits: LimitChanges,
    /// The whole document; credentials and what happens to the instance stay where it leaves them out.
    #[serde(default)]
    pub document: Json,
}

/// What became of a described instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// Its id.
    pub instance_id: String,
    /// What was done, or would be.
    pub outcome: ApplyOutcome,
    /// What of an instance that was there is another now, or would be; of one that failed, what is all the same.
    pub changed: Vec<Part>,
    /// Indexes of the interfaces that it would take, being new.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claimed: Vec<u32>,
    /// Why it failed, if it did.
    pub message: Option<String>,
}

/// What was done to a described instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApplyOutcome {
    /// It wasn't there.
    Created,
    /// It was another.
    Updated,
    /// It was as described.
    Unchanged,
    /// It isn't as described; what was changed of it before that stays.
    Failed,
}

/// A part of an instance that is changed by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The document, but for the parts below.
    Document,
    /// The options.
    Options,
    /// The limits.
    Limits,
    /// The user data.
    UserData,
    /// The credentials of its own.
    Credentials,
    /// The tags.
    Tags,
    /// How programs are attached.
    Attach,
}

/// What an instance is created from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateInstance {
    /// Host-side interfaces, the first one being the primary. At least one.
    pub interfaces: Vec<String>,
    /// How programs are attached to them; left out: as the daemon does by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attach: Option<Attach>,
    /// `i-…`; left out: a new random one.
    pub instance_id: Option<String>,
    /// The instance document; what it leaves out gets a default.
    pub document: Json,
    /// Options that differ from EC2's defaults.
    pub metadata_options: OptionChanges,
    /// Limits that differ from the config's.
    #[serde(default)]
    pub limits: LimitChanges,
}

/// Options to change, under EC2's names; what is left out keeps its value (or has its default, at create).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct OptionChanges {
    /// `optional` or `required`
    pub http_tokens: Option<String>,
    /// 1 to 64
    pub http_put_response_hop_limit: Option<i64>,
    /// `enabled` or `disabled`
    pub http_endpoint: Option<String>,
    /// `enabled` or `disabled`
    pub http_protocol_ipv6: Option<String>,
    /// `enabled` or `disabled`
    pub instance_metadata_tags: Option<String>,
}

/// Limits to change; what is left out keeps its value (or is what the config says, at create).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LimitChanges {
    /// The addresses and networks that it may send from; none lets any through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_addresses: Option<Vec<String>>,
    /// The MACs that it may send from; none lets any through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_macs: Option<Vec<String>>,
    /// Packets a second of each interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packet_budget: Option<BudgetChange>,
    /// Requests a second of the instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_budget: Option<BudgetChange>,
}

/// Another budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, rename_all = "lowercase")]
pub enum BudgetChange {
    /// So many a second, 0 for no limit.
    Rate(i64),
    /// What the config says: `"default"`.
    #[serde(with = "default_word")]
    Default,
}

/// The word that stands for what the config says.
mod default_word {
    use serde::{Deserialize, Deserializer, Serializer, de};

    const WORD: &str = "default";

    pub(super) fn serialize<S: Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(WORD)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
        match <std::borrow::Cow<'_, str>>::deserialize(deserializer)?.as_ref() {
            WORD => Ok(()),
            _ => Err(de::Error::custom("a number, or \"default\"")),
        }
    }
}
