//! The two kinds of credentials that an instance may have.

use serde::{Deserialize, Serialize};

/// Whom credentials speak for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bearer {
    /// The instance's role: `iam/security-credentials/<role>`.
    Role,
    /// The instance itself: `identity-credentials/ec2/security-credentials/ec2-instance`.
    Instance,
}

impl Bearer {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Role, Self::Instance];
}

/// Something for each bearer, or nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByBearer<T> {
    /// The role's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<T>,
    /// The instance's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<T>,
}

impl<T> Default for ByBearer<T> {
    fn default() -> Self {
        Self { role: None, instance: None }
    }
}

impl<T> ByBearer<T> {
    /// What a function gives for each.
    pub fn from_fn(mut give: impl FnMut(Bearer) -> Option<T>) -> Self {
        Self { role: give(Bearer::Role), instance: give(Bearer::Instance) }
    }

    /// What a bearer has.
    #[must_use]
    pub const fn of(&self, bearer: Bearer) -> Option<&T> {
        match bearer {
            Bearer::Role => self.role.as_ref(),
            Bearer::Instance => self.instance.as_ref(),
        }
    }

    /// Gives a bearer something, or takes it away.
    pub fn set(&mut self, bearer: Bearer, value: Option<T>) {
        match bearer {
            Bearer::Role => self.role = value,
            Bearer::Instance => self.instance = value,
        }
    }

    /// What there is, with its bearer.
    pub fn iter(&self) -> impl Iterator<Item = (Bearer, &T)> {
        Bearer::ALL.into_iter().filter_map(|bearer| Some((bearer, self.of(bearer)?)))
    }

    /// Whose there is something.
    #[must_use]
    pub fn bearers(&self) -> Vec<Bearer> {
        self.iter().map(|(bearer, _)| bearer).collect()
    }

    /// The same with other values.
    pub fn map<U>(&self, mut value: impl FnMut(&T) -> U) -> ByBearer<U> {
        ByBearer::from_fn(|bearer| self.of(bearer).map(&mut value))
    }
}
