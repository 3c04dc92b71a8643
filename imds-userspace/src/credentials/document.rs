//! The documents of credentials: themselves, and EC2's failure where there are none (behaviour.md section 6).

use serde_json::json;

use crate::metadata::document::{Credentials, Time};
use crate::metadata::json;
use crate::metadata::live::{Edition, Page};

/// EC2's code of a role that gives nothing; SDKs know it.
const FAILURE: &str = "AssumeRoleUnauthorizedAccess";

/// What a role is called in messages.
pub(super) fn the_role(name: &str) -> String {
    format!("the role {name}")
}

/// The credentials of `owner`, given at `updated`; from their expiration on, a failure.
pub(super) fn success(owner: &str, credentials: &Credentials, updated: Time) -> Edition {
    let end = credentials.end();
    let Credentials { access_key_id, secret_access_key, token, expiration: _ } = credentials;
    let document = json::object(&[
        ("Code", json!("Success")),
        ("LastUpdated", json!(updated)),
        ("Type", json!("AWS-HMAC")),
        ("AccessKeyId", json!(access_key_id)),
        ("SecretAccessKey", json!(secret_access_key)),
        ("Token", json!(token)),
        // Clients parse this one form only.
        ("Expiration", json!(end)),
    ]);
    let expired = format!("The credentials of {owner} expired at {end}.");
    Edition::ending(Page::new(document, updated.unix()), end.unix(), failure_page(&expired, end))
}

/// Why a role gives nothing since `at`. A guest reads it: it holds nothing of the host's.
pub(super) fn failure(message: &str, at: Time) -> Edition {
    Edition::lasting(failure_page(message, at))
}

fn failure_page(message: &str, at: Time) -> Page {
    let document = json::object(&[("Code", json!(FAILURE)), ("Message", json!(message)), ("LastUpdated", json!(at))]);
    Page::new(document, at.unix())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::live::Live;
    use crate::metadata::sample;

    fn updated() -> Time {
        Time::parse("2026-11-22T09:08:07Z").expect("a time")
    }

    fn body(edition: Edition, now: u64) -> String {
        String::from_utf8(Live::new(edition).page(now).body().to_vec()).expect("UTF-8")
    }

    #[test]
    fn credentials_are_byte_exact_until_the_second_in_which_they_expire() {
        let credentials = sample::credentials();
        let end = credentials.end().unix();
        assert_eq!(
            body(success(&the_role("app"), &credentials, updated()), end - 1),
            r#"{
  "Code" : "Success",
  "LastUpdated" : "2026-11-22T09:08:07Z",
  "Type" : "AWS-HMAC",
  "AccessKeyId" : "ASIAEXAMPLE",
  "SecretAccessKey" : "secret/key+1",
  "Token" : "session==",
  "Expiration" : "2100-01-02T03:04:05Z"
}"#
        );
        assert_eq!(
            body(success(&the_role("app"), &credentials, updated()), end),
            r#"{
  "Code" : "AssumeRoleUnauthorizedAccess",
  "Message" : "The credentials of the role app expired at 2100-01-02T03:04:05Z.",
  "LastUpdated" : "2100-01-02T03:04:05Z"
}"#
        );
    }

    #[test]
    fn a_failure_is_byte_exact() {
        assert_eq!(
            body(failure("Nothing \"yet\".", updated()), u64::MAX),
            r#"{
  "Code" : "AssumeRoleUnauthorizedAccess",
  "Message" : "Nothing \"yet\".",
  "LastUpdated" : "2026-11-22T09:08:07Z"
}"#
        );
    }

    #[test]
    fn an_unreadable_expiration_has_passed() {
        let credentials = Credentials { expiration: "soon".into(), ..sample::credentials() };
        let shown = body(success(&the_role("app"), &credentials, updated()), 0);
        assert!(shown.contains(FAILURE) && !shown.contains("secret"), "{shown}");
    }
}
