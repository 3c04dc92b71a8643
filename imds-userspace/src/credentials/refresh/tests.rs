use std::collections::VecDeque;
use std::sync::Mutex;

use super::*;
use crate::metadata::sample;
use crate::private_file::PrivateFileError;

const NOW: u64 = 1_800_000_000;
const HOUR: u64 = 3600;

/// A provider that gives what it is told to, and counts.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    news: bool,
    answers: VecDeque<Option<u64>>,
    asked: usize,
}

impl Source for Told {
    async fn has_news(&mut self) -> bool {
        std::mem::take(&mut self.0.lock().expect("not poisoned").news)
    }

    async fn ask(&mut self) -> Result<Credentials, ProviderError> {
        let mut script = self.0.lock().expect("not poisoned");
        script.asked += 1;
        match script.answers.pop_front().flatten() {
            Some(end) => {
                let expiration = Time::from_unix(end).to_string();
                Ok(Credentials { access_key_id: format!("KEY{end}"), expiration, ..sample::credentials() })
            }
            None => Err(FileError::from(PrivateFileError::NotRegular { path: "/a/file".into() }).into()),
        }
    }
}

struct Role {
    told: Told,
    live: Arc<Live>,
    refresher: Refresher<Told>,
}

impl Role {
    fn new() -> Self {
        let told = Told::default();
        let live = Live::new(document::failure("The role app has no credentials now.", Time::from_unix(NOW)));
        let refresher = Refresher::new("app".to_owned(), told.clone(), Arc::clone(&live));
        Self { told, live, refresher }
    }

    fn will_give(&self, end: Option<u64>) {
        self.told.0.lock().expect("not poisoned").answers.push_back(end);
    }

    fn asked(&self) -> usize {
        self.told.0.lock().expect("not poisoned").asked
    }

    /// The expiration of what a guest reads then, or that it is a failure.
    fn read(&self, now: u64) -> Option<u64> {
        let page = self.live.page(now);
        let document: serde_json::Value = serde_json::from_slice(page.body()).expect("JSON");
        if document["Code"] == "Success" {
            let end = date::seconds_of(document["Expiration"].as_str().expect("a string")).expect("a time");
            assert_eq!(document["AccessKeyId"], format!("KEY{end}"));
            assert!(end > now, "expired ones are served");
            return Some(end);
        }
        assert_eq!(document["Code"], "AssumeRoleUnauthorizedAccess");
        assert!(!document.to_string().contains("secret"), "{document}");
        None
    }
}

#[tokio::test]
async fn credentials_are_renewed_before_their_end_and_not_asked_for_between() {
    let mut role = Role::new();
    assert_eq!(role.read(NOW), None);
    role.will_give(Some(NOW + HOUR));
    role.will_give(Some(NOW + 2 * HOUR));
    role.refresher.tick(NOW).await;
    assert_eq!((role.read(NOW), role.asked()), (Some(NOW + HOUR), 1));
    let mut renewed = None;
    for now in NOW + 1..NOW + HOUR {
        role.refresher.tick(now).await;
        if role.asked() == 2 && renewed.is_none() {
            renewed = Some(now);
            assert_eq!(role.read(now), Some(NOW + 2 * HOUR));
        }
    }
    let renewed = renewed.expect("before the end");
    assert!(renewed + 5 * 60 <= NOW + HOUR && renewed >= NOW + HOUR / 2, "{}", renewed - NOW);
    assert_eq!(role.asked(), 2);
}

#[tokio::test]
async fn a_failing_provider_keeps_good_credentials_until_their_end_and_not_a_second_longer() {
    let mut role = Role::new();
    role.will_give(Some(NOW + HOUR));
    role.refresher.tick(NOW).await;
    for now in NOW + 1..NOW + HOUR {
        role.refresher.tick(now).await;
        assert_eq!(role.read(now), Some(NOW + HOUR));
    }
    let tries = role.asked();
    assert!((10..60).contains(&tries), "{tries} tries in the last 20 minutes");
    assert_eq!(role.read(NOW + HOUR), None, "with nobody asked");
    role.refresher.tick(NOW + HOUR).await;
    assert_eq!(role.read(NOW + HOUR), None);
    role.will_give(Some(NOW + 3 * HOUR));
    role.refresher.tick(NOW + HOUR + 60).await;
    assert_eq!(role.read(NOW + HOUR + 60), Some(NOW + 3 * HOUR));
}

#[tokio::test]
async fn a_provider_that_fails_from_the_start_is_tried_again_with_back_off() {
    let mut role = Role::new();
    for now in NOW..NOW + 63 {
        role.refresher.tick(now).await;
        assert_eq!(role.read(now), None);
    }
    assert_eq!(role.asked(), 6, "at 0, 1, 3, 7, 15 and 31 seconds");
}

#[tokio::test]
async fn credentials_that_are_over_are_a_failure() {
    for age in [0, 1, HOUR] {
        let mut role = Role::new();
        role.will_give(Some(NOW - age));
        role.refresher.tick(NOW).await;
        assert_eq!(role.read(NOW), None);
        let (trouble, _) = role.refresher.trouble.as_ref().expect("logged");
        assert!(trouble.contains("expired at"), "{trouble}");
    }
}

#[tokio::test]
async fn news_are_not_waited_for() {
    let mut role = Role::new();
    role.will_give(Some(NOW + HOUR));
    role.will_give(Some(NOW + 9 * HOUR));
    role.refresher.tick(NOW).await;
    role.refresher.tick(NOW + 1).await;
    assert_eq!(role.read(NOW + 1), Some(NOW + HOUR));
    role.told.0.lock().expect("not poisoned").news = true;
    role.refresher.tick(NOW + 2).await;
    assert_eq!(role.read(NOW + 2), Some(NOW + 9 * HOUR));
}

#[tokio::test]
async fn the_same_again_is_no_news_to_a_guest_and_what_ends_sooner_is() {
    let mut role = Role::new();
    for end in [NOW + 2 * HOUR, NOW + 2 * HOUR, NOW + HOUR] {
        role.will_give(Some(end));
    }
    role.refresher.tick(NOW).await;
    let first = role.live.page(NOW);
    let mut news = async |now| {
        role.told.0.lock().expect("not poisoned").news = true;
        role.refresher.tick(now).await;
    };
    news(NOW + 1).await;
    assert!(Arc::ptr_eq(&role.live.page(NOW + 1), &first), "touched, and no more");
    news(NOW + 2).await;
    assert_eq!((role.read(NOW + 2), role.asked()), (Some(NOW + HOUR), 3), "the provider's word holds");
}

#[tokio::test]
async fn the_same_trouble_is_logged_once_until_it_matters_more() {
    let mut role = Role::new();
    role.will_give(Some(NOW + HOUR));
    role.refresher.tick(NOW).await;
    role.refresher.tick(NOW + HOUR - 100).await;
    assert!(role.refresher.trouble.as_ref().is_some_and(|(_, still_good)| *still_good));
    role.refresher.tick(NOW + HOUR).await;
    assert!(role.refresher.trouble.as_ref().is_some_and(|(_, still_good)| !*still_good));
    role.will_give(Some(NOW + 9 * HOUR));
    role.refresher.tick(NOW + HOUR + 100).await;
    assert_eq!(role.refresher.trouble, None);
}

#[tokio::test]
async fn a_start_waits_for_the_first_tries() {
    let directory = tempfile::tempdir().expect("scratch directory");
    let path = directory.path().join("role.json");
    std::fs::write(&path, serde_json::to_vec(&sample::credentials()).expect("JSON")).expect("scratch");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("owner");
    let live = Live::new(document::failure("Nothing.", Time::from_unix(NOW)));
    let (mut tasks, shutdown) = (JoinSet::new(), CancellationToken::new());
    start(vec![Refresh::of_file("app", &path, &live)], &mut tasks, &shutdown).await;
    assert!(live.end(NOW).is_some(), "the first try is over");
    start(Vec::new(), &mut tasks, &shutdown).await;
    shutdown.cancel();
    tasks.join_next().await.expect("one").expect("no panic").expect("ended");
    assert!(tasks.join_next().await.is_none());
}
