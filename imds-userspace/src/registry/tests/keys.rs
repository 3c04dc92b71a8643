use imds_common::token::{KEYS, TTL_MAX_SECONDS};

use super::*;

/// The keys by number, as the kernel and the daemon have them.
fn numbers(host: &Host, daemon: &Daemon) -> ([u64; KEYS], u8) {
    let kernel = host.kernel.keys().expect("fake").map(|key| key.number);
    let ring = daemon.directory.keys();
    assert_eq!(ring.keys.map(|key| key.number), kernel);
    (kernel, ring.current)
}

#[tokio::test]
async fn a_rotation_keeps_the_key_before_and_a_second_one_waits_for_its_tokens() {
    let host = Host::new(&[]);
    let mut daemon = host.daemon().await;
    assert_eq!(daemon.registry.rotate_keys(false).await.expect("the first key").key, 1);
    let second = daemon.registry.rotate_keys(false).await.expect("no key goes");
    assert_eq!((second.key, second.previous, second.ended), (2, 1, None));
    assert_eq!(numbers(&host, &daemon), ([2, 1], 2));
    for _ in 0..2 {
        let refused = daemon.registry.rotate_keys(false).await.expect_err("tokens of key 1 are good");
        let RegistryError::RotationTooSoon { key: 1, at, seconds } = &refused else { panic!("{refused}") };
        assert!((1..=u64::from(TTL_MAX_SECONDS)).contains(seconds), "{seconds}");
        let message = refused.to_string();
        assert!(message.contains(at) && message.contains("--force"), "{message}");
        assert_eq!(numbers(&host, &daemon), ([2, 1], 2), "nothing changed");
        // The next daemon knows it as well.
        drop(daemon);
        daemon = host.daemon().await;
    }
    let secrets = host.kernel.keys().expect("fake").map(|key| (key.k0, key.k1));
    let forced = daemon.registry.rotate_keys(true).await.expect("forced");
    assert_eq!((forced.key, forced.previous, forced.ended), (3, 2, Some(1)));
    assert_eq!(numbers(&host, &daemon), ([2, 3], 3));
    let now = host.kernel.keys().expect("fake").map(|key| (key.k0, key.k1));
    assert_eq!(now[0], secrets[0], "the key before stays");
    assert_ne!(now[1], secrets[1], "the new one is another");
}

#[tokio::test]
async fn numbers_go_round_without_meeting() {
    let host = Host::new(&[]);
    let daemon = host.daemon().await;
    let mut previous = 0;
    for _ in 0..600 {
        let view = daemon.registry.rotate_keys(true).await.expect("forced");
        assert_eq!(view.previous, previous);
        let (kernel, current) = numbers(&host, &daemon);
        assert!(current == view.key && (previous == 0 || kernel.contains(&previous.into())), "{view:?}");
        previous = view.key;
    }
}
