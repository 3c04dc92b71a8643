//! An instance and its connections for tests, without a socket and without the kernel.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use imds_common::counters::Counter;
use imds_common::options::{MetadataOptions, OptionsWord};
use imds_common::token::{self, KEYS, Key};
use imds_common::verdict::Refusal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Ending};
use super::settings::ServiceSettings;
use super::stream::Stream;
use super::tenant::Tenant;
use crate::clock;
use crate::metadata::sample;
use crate::metadata::tree::Tree;
use crate::registry::directory::{Directory, KeyRing};
use crate::registry::store::StoreError;

/// The instance's token generation.
pub(super) const GENERATION: u64 = 0x1122_3344_5566_7788;
/// The key that signs; the other one is the one before it.
pub(super) const KEY: Key = Key { number: 2, k0: 3, k1: 4, ..Key::EMPTY };
const OLD_KEY: Key = Key { number: 1, k0: 5, k1: 6, ..Key::EMPTY };
/// Both keys.
pub(super) const KEY_RING: KeyRing = KeyRing { keys: [KEY, OLD_KEY], current: 2 };
const _: () = assert!(KEYS == 2);

/// What stands for a date in answers.
pub(super) const DATE: &str = "Day, dd Mon yyyy hh:mm:ss GMT";

/// An instance with everything in its tree.
pub(super) struct Guest {
    options: Mutex<OptionsWord>,
    tree: Arc<Tree>,
    user_data: Result<Option<Vec<u8>>, ()>,
    counted: Mutex<Vec<Counter>>,
    /// Whether its budget of requests is used up.
    exhausted: AtomicBool,
}

impl Guest {
    /// With these options.
    pub(super) fn new(options: &MetadataOptions) -> Self {
        let tree = Arc::new(sample::tree(&sample::instance(), true, true));
        let options = Mutex::new(OptionsWord::new(options, false));
        Self {
            options,
            tree,
            user_data: Ok(Some(b"\x00data\xff".to_vec())),
            counted: Mutex::default(),
            exhausted: AtomicBool::new(false),
        }
    }

    /// With another tree.
    pub(super) fn with_tree(self, tree: Tree) -> Self {
        Self { tree: Arc::new(tree), ..self }
    }

    /// With other user data, or a store that fails.
    pub(super) fn with_user_data(self, user_data: Result<Option<Vec<u8>>, ()>) -> Self {
        Self { user_data, ..self }
    }

    /// Replaces the options.
    pub(super) fn set_options(&self, options: OptionsWord) {
        *self.options.lock().expect("not poisoned") = options;
    }

    /// Uses its budget of requests up.
    pub(super) fn exhaust(&self) {
        self.exhausted.store(true, Ordering::Relaxed);
    }

    /// What was counted since the last time.
    pub(super) fn counted(&self) -> Vec<Counter> {
        std::mem::take(&mut *self.counted.lock().expect("not poisoned"))
    }
}

impl Tenant for Guest {
    fn options(&self) -> OptionsWord {
        *self.options.lock().expect("not poisoned")
    }

    fn tree(&self) -> Arc<Tree> {
        self.tree.clone()
    }

    async fn user_data(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.user_data.clone().map_err(|()| StoreError::InUse { path: "store".into() })
    }

    fn token_generation(&self) -> u64 {
        GENERATION
    }

    fn admits_request(&self, _now_ns: u64) -> bool {
        !self.exhausted.load(Ordering::Relaxed)
    }

    fn count(&self, counter: Counter) {
        self.counted.lock().expect("not poisoned").push(counter);
    }

    fn refuse(&self, refusal: Refusal, _head: &[u8]) {
        self.count(refusal.counter());
    }
}

/// A token that is good for so many more milliseconds.
pub(super) fn token_for(milliseconds: u64) -> String {
    token_of(&KEY, GENERATION, clock::boottime_ms() + milliseconds)
}

/// A token of this key and generation, good until then.
pub(super) fn token_of(key: &Key, generation: u64, expiry_ms: u64) -> String {
    String::from_utf8(token::mint(key, generation, expiry_ms, [7; 12]).to_vec()).expect("ASCII")
}

/// How long a token of the key that signs is good for the instance, in milliseconds.
pub(super) fn remaining_ms(token: &str) -> Option<u64> {
    token::verify(token.as_bytes(), &[KEY, Key::EMPTY], GENERATION, clock::boottime_ms())
}

impl Stream for DuplexStream {}

/// Runs one connection of `guest` against `client`, which gets the other end.
pub(super) async fn converse<T>(
    guest: &Guest,
    settings: &ServiceSettings,
    shutdown: &CancellationToken,
    client: impl AsyncFnOnce(DuplexStream) -> T,
) -> (Ending, T) {
    let (near, far) = duplex(4096);
    let directory = Directory::new(1, KEY_RING);
    let service = async {
        let mut connection = Connection { stream: near, tenant: guest, directory: &directory, settings, shutdown };
        connection.run().await
    };
    tokio::time::timeout(Duration::from_secs(20), async { tokio::join!(service, client(far)) }).await.expect("in time")
}

/// Lets the service run: whoever polls both sides may begin with either.
pub(super) async fn let_run() {
    for _ in 0..4 {
        tokio::task::yield_now().await;
    }
}

/// Sends `parts`, letting the service run after each, closes, and reads all that is answered, its dates masked.
pub(super) async fn talk(guest: &Guest, parts: &[&[u8]]) -> (Ending, String) {
    converse(guest, &ServiceSettings::default(), &CancellationToken::new(), async |client: DuplexStream| {
        let (mut reader, mut writer) = tokio::io::split(client);
        let send = async {
            for part in parts {
                // The service may have answered and gone before it has read everything.
                if writer.write_all(part).await.is_err() {
                    break;
                }
                let_run().await;
            }
            writer.shutdown().await.expect("a pipe");
        };
        let mut answer = Vec::new();
        let (read, ()) = tokio::join!(reader.read_to_end(&mut answer), send);
        read.expect("a pipe");
        mask_dates(&String::from_utf8_lossy(&answer))
    })
    .await
}

/// Closes the client's side and reads to the end.
pub(super) async fn read_answers(client: &mut DuplexStream) -> String {
    client.shutdown().await.expect("a pipe");
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.expect("a pipe");
    mask_dates(&String::from_utf8_lossy(&answer))
}

fn mask_dates(answer: &str) -> String {
    let mut pieces = answer.split("\r\nDate: ");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| {
        let (date, rest) = piece.split_at(DATE.len());
        assert!(date.ends_with(" GMT"), "{date}");
        format!("{text}\r\nDate: {DATE}{rest}")
    })
}
