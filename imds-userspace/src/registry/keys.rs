//! Rotation of the keys that sign tokens.

use imds_common::token::{KEYS, Key};

use super::Registry;
use super::directory::KeyRing;
use super::error::RegistryError;
use super::kernel::Kernel;
use crate::clock;
use crate::metadata::document::Time;
use crate::registry::view::KeysView;

impl<K: Kernel> Registry<K> {
    /// Makes a new key, which signs from now on, in the place of the older of the two. Unless it is to `force`, only
    /// where no good token ends by it.
    ///
    /// # Errors
    ///
    /// [`RegistryError::RotationTooSoon`], [`RegistryError::Random`], the kernel's; then the keys are as they were.
    pub async fn rotate_keys(&self, force: bool) -> Result<KeysView, RegistryError> {
        // One command after the other: two rotations at once would both take the older key's place.
        let _state = self.state.lock().await;
        let mut keys = self.kernel.keys()?;
        let now_ms = clock::boottime_ms();
        let wait_ms = Key::rotation_wait(&keys, now_ms);
        let previous = Key::newest(&keys);
        let number = Key::after(previous);
        let place = &mut keys[Key::index_of(number) as usize % KEYS];
        let removed = place.number.to_le_bytes()[0];
        if wait_ms > 0 && !force {
            let seconds = wait_ms.div_ceil(1_000);
            return Err(RegistryError::RotationTooSoon { key: removed, at: after_seconds(seconds), seconds });
        }
        let random = || getrandom::u64().map_err(RegistryError::Random);
        *place = Key { number: number.into(), k0: random()?, k1: random()?, made_ms: now_ms };
        // The kernel verifies with it before the daemon signs with it.
        self.kernel.set_key(*place)?;
        self.directory.set_keys(KeyRing::new(keys));
        let ended = (wait_ms > 0).then_some(removed);
        tracing::info!(key = number, ended, "keys rotated");
        let next_rotation = after_seconds(Key::rotation_wait(&keys, now_ms).div_ceil(1_000));
        Ok(KeysView { key: number, previous, ended, next_rotation })
    }
}

/// The time of day in so many seconds.
fn after_seconds(seconds: u64) -> String {
    Time::now().plus(seconds).to_string()
}
