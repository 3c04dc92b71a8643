//! The operator: flips options, changes a document, deletes and creates, and sees each time that it took effect at once.

use std::fmt;

use super::clients::Instance;
use crate::guest::{Bridge, Guest};
use crate::host::Host;

const INSTANCE_ID: &str = "/latest/meta-data/instance-id";
const TAGS: &str = "/latest/meta-data/tags/instance/Name";

/// One of so many acts is that an interface goes and another one comes.
const CHURNS_OF_INTERFACE: u64 = 5;

/// Whoever runs the commands, one after the other.
pub(super) struct Operator<'a> {
    flipped: &'a Instance<'a>,
    bridge: &'a Bridge,
    /// Whose instance is another all the time.
    churned: Guest,
    /// The instance that is on the churned guest's interface, and its token.
    tenant: Option<(String, Option<String>)>,
    acts: u64,
}

impl<'a> Operator<'a> {
    pub(super) fn new(flipped: &'a Instance<'a>, bridge: &'a Bridge) -> Self {
        let churned = Guest::on_bridge(bridge, super::ADDRESS);
        Self { flipped, bridge, churned, tenant: None, acts: 0 }
    }

    /// Does the next thing.
    pub(super) fn act(&mut self, host: &Host) {
        self.acts += 1;
        match self.acts % 4 {
            0 => self.flip_tokens(host),
            1 => self.flip_tags(host),
            2 => self.flipped.document.advance(host, self.flipped.id),
            _ => self.churn(host),
        }
    }

    fn flip_tokens(&self, host: &Host) {
        for (value, status) in [("required", 401), ("optional", 200)] {
            host.set(self.flipped.id, &["--http-tokens", value]);
            assert_eq!(
                self.flipped.guest.get(INSTANCE_ID, None).status,
                status,
                "right after HttpTokens became {value}"
            );
        }
    }

    fn flip_tags(&self, host: &Host) {
        for (value, status) in [("enabled", 200), ("disabled", 404)] {
            host.set(self.flipped.id, &["--instance-metadata-tags", value]);
            assert_eq!(self.flipped.guest.get(TAGS, None).status, status, "right after the tags became {value}");
        }
    }

    /// Another instance takes the place of the one that is there; at times its interface goes first.
    fn churn(&mut self, host: &Host) {
        let mut former = self.tenant.take();
        if self.acts.is_multiple_of(CHURNS_OF_INTERFACE) {
            self.churned = Guest::on_bridge(self.bridge, super::ADDRESS);
            former = former.map(|(id, _)| (id, None));
        }
        if let Some((id, _)) = &former {
            host.delete(id);
        }
        let id = host.create(self.churned.interface(), &["--metadata-options", "HttpTokens=required"]);
        if let Some((_, Some(token))) = &former {
            assert_eq!(self.churned.get(INSTANCE_ID, Some(token)).status, 401, "the former tenant's token");
        }
        let token = self.churned.token();
        assert_eq!(self.churned.get(INSTANCE_ID, Some(&token)).text(), id);
        self.tenant = Some((id, Some(token)));
    }

    /// Deletes what it created.
    pub(super) fn leave(&mut self, host: &Host) {
        if let Some((id, _)) = self.tenant.take() {
            host.delete(&id);
        }
    }
}

impl fmt::Display for Operator<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} acts of the operator", self.acts)
    }
}
