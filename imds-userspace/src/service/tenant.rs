//! The instance behind a connection, as far as answering asks for it.

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;

use imds_common::address::Identity;
use imds_common::counters::Counter;
use imds_common::options::OptionsWord;
use imds_common::verdict::Refusal;

use crate::events::{self, Seen};
use crate::metadata::tree::Tree;
use crate::registry::directory::Served;
use crate::registry::store::StoreError;

/// An instance whose requests are answered.
pub(super) trait Tenant: Sync {
    /// Its options now.
    fn options(&self) -> OptionsWord;
    /// Its tree now.
    fn tree(&self) -> Arc<Tree>;
    /// The generation that its tokens are of.
    fn token_generation(&self) -> u64;
    /// Its user data now.
    fn user_data(&self) -> impl Future<Output = Result<Option<Vec<u8>>, StoreError>> + Send;
    /// Charges a request to its budget at this time on the clock since boot: whether it is within.
    fn admits_request(&self, now_ns: u64) -> bool;
    /// Counts one for it.
    fn count(&self, counter: Counter);
    /// Counts a refusal of the request with this head, and keeps what may be shown of it.
    fn refuse(&self, refusal: Refusal, head: &[u8]);
}

/// An instance, and which of its clients is at the other end.
pub(super) struct Client {
    /// The instance.
    pub(super) served: Arc<Served>,
    /// The client, as the kernel wrote it into its address.
    pub(super) identity: Identity,
    /// The client's port.
    pub(super) port: u16,
}

impl Deref for Client {
    type Target = Served;

    fn deref(&self) -> &Served {
        &self.served
    }
}

impl Tenant for Client {
    fn options(&self) -> OptionsWord {
        self.served.options()
    }

    fn tree(&self) -> Arc<Tree> {
        self.served.tree()
    }

    async fn user_data(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.served.user_data().await
    }

    fn token_generation(&self) -> u64 {
        self.served.token_generation
    }

    fn admits_request(&self, now_ns: u64) -> bool {
        self.served.allowance.admits_request(now_ns)
    }

    fn count(&self, counter: Counter) {
        self.served.counters.add(counter);
    }

    fn refuse(&self, refusal: Refusal, head: &[u8]) {
        self.count(refusal.counter());
        let client = events::Client::Identity(self.identity);
        let seen = Seen::request(client, self.port, head, refusal.counter());
        self.served.recent.note(Seen { untold: self.served.untold.read(), ..seen });
    }
}
