//! The instance behind a connection, as far as answering asks for it.

use std::future::Future;
use std::sync::Arc;

use imds_common::counters::Counter;
use imds_common::options::OptionsWord;

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
    /// Counts one for it.
    fn count(&self, counter: Counter);
}

impl Tenant for Served {
    fn options(&self) -> OptionsWord {
        Self::options(self)
    }

    fn tree(&self) -> Arc<Tree> {
        Self::tree(self)
    }

    async fn user_data(&self) -> Result<Option<Vec<u8>>, StoreError> {
        Self::user_data(self).await
    }

    fn token_generation(&self) -> u64 {
        self.token_generation
    }

    fn count(&self, counter: Counter) {
        self.counters.add(counter);
    }
}
