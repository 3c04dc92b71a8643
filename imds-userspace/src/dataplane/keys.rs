//! The keys of the tokens: they outlive the daemon, never a reboot.

use imds_common::token::{KEYS, Key};

use super::{Dataplane, DataplaneError, random};
use crate::clock;

impl Dataplane {
    /// The keys as the kernel has them; the first one is made where there is none.
    ///
    /// # Errors
    ///
    /// [`DataplaneError::Table`], or no random numbers.
    pub fn keys(&self) -> Result<[Key; KEYS], DataplaneError> {
        let mut kernel = self.kernel();
        let keys = kernel.tables.keys()?;
        if keys.iter().any(|key| key.number != 0) {
            return Ok(keys);
        }
        let first = Key { number: 1, k0: random()?, k1: random()?, made_ms: clock::boottime_ms() };
        kernel.tables.set_key(first)?;
        Ok(kernel.tables.keys()?)
    }

    /// Puts a key in the place that its number has: tokens of the key that was there are bad from now on, and those of
    /// this one good.
    ///
    /// # Errors
    ///
    /// [`DataplaneError::Table`]
    pub fn set_key(&self, key: Key) -> Result<(), DataplaneError> {
        Ok(self.kernel().tables.set_key(key)?)
    }
}
