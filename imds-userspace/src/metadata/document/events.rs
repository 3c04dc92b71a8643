//! What happens to the instance at some time. `imdsctl event` writes these.

use serde::{Deserialize, Serialize};

use super::section::section;
use super::text::{Line, Name};
use super::{DocumentError, Time};

/// Maintenance events, or changes of the lifecycle state, that an instance may have: each is written once for every
/// time at which one of them changes.
pub const MAINTENANCE_MAX: usize = 16;

/// Characters in the description of maintenance: EC2's are a few words, and each is written once for every time at
/// which one of the events changes.
pub const DESCRIPTION_MAX: usize = 256;

section! {
    /// `events`
    Events {
        /// Maintenance: in `scheduled` until it is over, then in `history`. 16 at most.
        maintenance: Vec<Maintenance> ["maxItems" = MAINTENANCE_MAX],
        /// When a rebalance recommendation is emitted: from then on it is there.
        rebalance: Time,
    }
}

section! {
    /// `spot`
    Spot {
        /// What becomes of the instance; left out while there is a time: `terminate`.
        action: SpotAction,
        /// When.
        time: Time,
        /// From when on the instance is told, until `time`; left out: two minutes before.
        notice: Time,
    }
}

section! {
    /// `autoscaling`
    Autoscaling {
        /// The state that Auto Scaling leads the instance to.
        target_lifecycle_state: LifecycleState,
        /// Other states, from some time on. 16 at most.
        changes: Vec<LifecycleChange> ["maxItems" = MAINTENANCE_MAX],
    }
}

/// One maintenance event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Maintenance {
    /// `instance-event-…`
    pub event_id: Name,
    /// What is done.
    pub code: MaintenanceCode,
    /// In words, 256 characters at most.
    #[cfg_attr(test, schemars(length(max = 256)))]
    pub description: Line,
    /// When it begins.
    pub not_before: Time,
    /// When it is over: then it is history; left out: it is scheduled until it has a state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Time>,
    /// Left out: active, and completed once it is over, if it ever is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<MaintenanceState>,
}

/// What maintenance does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum MaintenanceCode {
    /// The instance restarts.
    InstanceReboot,
    /// The host restarts.
    SystemReboot,
    /// The host's network or power is maintained.
    SystemMaintenance,
    /// The instance is retired.
    InstanceRetirement,
    /// The instance stops.
    InstanceStop,
}

/// What became of maintenance before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum MaintenanceState {
    /// It is done.
    Completed,
    /// It won't be done.
    Canceled,
}

/// What becomes of an interrupted Spot Instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum SpotAction {
    /// It is terminated.
    Terminate,
    /// It is stopped.
    Stop,
    /// It is hibernated.
    Hibernate,
}

/// A state of an instance in an Auto Scaling group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[expect(missing_docs, reason = "the names are EC2's")]
pub enum LifecycleState {
    Detached,
    InService,
    Standby,
    Terminated,
    #[serde(rename = "Warmed:Hibernated")]
    WarmedHibernated,
    #[serde(rename = "Warmed:Running")]
    WarmedRunning,
    #[serde(rename = "Warmed:Stopped")]
    WarmedStopped,
    #[serde(rename = "Warmed:Terminated")]
    WarmedTerminated,
}

/// A state from some time on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LifecycleChange {
    /// From when on.
    pub at: Time,
    /// The state.
    pub target_lifecycle_state: LifecycleState,
}

fn count(path: &str, count: usize) -> Result<(), DocumentError> {
    let reason = || {
        format!(
            "{count} are given, at most {MAINTENANCE_MAX} are taken; give fewer, or `imdsctl event clear ID` ends those under way"
        )
    };
    if count > MAINTENANCE_MAX { Err(DocumentError::at(path, reason())) } else { Ok(()) }
}

impl Maintenance {
    /// Whether it is over at a time: done, canceled, or past its end.
    #[must_use]
    pub fn is_over(&self, now: Time) -> bool {
        self.state.is_some() || self.not_after.is_some_and(|end| end <= now)
    }
}

impl Events {
    pub(super) fn check(&self) -> Result<(), DocumentError> {
        let maintenance = self.maintenance.as_deref().unwrap_or_default();
        count("events/maintenance", maintenance.len())?;
        for (number, event) in maintenance.iter().enumerate() {
            let error = |reason| Err(DocumentError::at(format!("events/maintenance/{number}"), reason));
            if event.not_after.is_some_and(|end| end < event.not_before) {
                return error("it is over before it begins; give not-after a later time than not-before");
            }
            let characters = event.description.chars().count();
            if characters > DESCRIPTION_MAX {
                let path = format!("events/maintenance/{number}/description");
                let reason = format!("it has {characters} characters, at most {DESCRIPTION_MAX} are taken");
                return Err(DocumentError::at(path, reason));
            }
            if maintenance[..number].iter().any(|other| other.event_id == event.event_id) {
                return error("another event has this event-id already; give each its own");
            }
        }
        Ok(())
    }
}

impl Spot {
    pub(super) fn check(&self) -> Result<(), DocumentError> {
        let error = |path, reason| Err(DocumentError::at(path, reason));
        match self {
            Self { action: None, time: None, notice: None } => Ok(()),
            Self { time: None, .. } => {
                error("spot", "an action or a notice is given without a time; give spot/time first, or with it")
            }
            Self { time, notice, .. } if notice.is_some() && notice >= time => {
                error("spot/notice", "the instance would be told when all is over; give an earlier time than spot/time")
            }
            _ => Ok(()),
        }
    }
}

impl Autoscaling {
    pub(super) fn check(&self) -> Result<(), DocumentError> {
        count("autoscaling/changes", self.changes.as_ref().map_or(0, Vec::len))
    }
}
