//! `iam/security-credentials/<role>`: the credentials, and EC2's failure where there are none (behaviour.md section 6).

use crate::metadata::date;
use crate::metadata::instance::Credentials;
use crate::metadata::json;
use crate::metadata::live::Edition;
use crate::metadata::page::Page;

/// EC2's code of a role that gives nothing; SDKs know it.
const FAILURE: &str = "AssumeRoleUnauthorizedAccess";

/// When credentials expire, in seconds since 1970. An expiration that can't be read is one that has passed.
pub(super) fn expiration(credentials: &Credentials) -> u64 {
    date::seconds_of(&credentials.expiration).unwrap_or_default()
}

/// The credentials of a role, given at `updated`; from their expiration on, a failure.
pub(super) fn success(role: &str, credentials: &Credentials, updated: u64) -> Edition {
    let Credentials { access_key_id, secret_access_key, token, expiration: _ } = credentials;
    let end = expiration(credentials);
    // Clients parse this one form only.
    let (written, last_updated) = (date::document_time(end), date::document_time(updated));
    let document = json::object(&[
        ("Code", Some("Success")),
        ("LastUpdated", Some(&last_updated)),
        ("Type", Some("AWS-HMAC")),
        ("AccessKeyId", Some(access_key_id)),
        ("SecretAccessKey", Some(secret_access_key)),
        ("Token", Some(token)),
        ("Expiration", Some(&written)),
    ]);
    let expired = format!("The credentials of the role {role} expired at {written}.");
    Edition::ending(Page::text(document, Some(updated)), end, failure_page(&expired, end))
}

/// Why a role gives nothing since `at`. A guest reads it: it holds nothing of the host's.
pub(super) fn failure(message: &str, at: u64) -> Edition {
    Edition::lasting(failure_page(message, at))
}

fn failure_page(message: &str, at: u64) -> Page {
    let document = json::object(&[
        ("Code", Some(FAILURE)),
        ("Message", Some(message)),
        ("LastUpdated", Some(&date::document_time(at))),
    ]);
    Page::text(document, Some(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::live::Live;
    use crate::metadata::sample;

    /// 2026-11-22T09:08:07Z
    const UPDATED: u64 = 1_795_338_487;

    fn body(edition: Edition, now: u64) -> String {
        String::from_utf8(Live::new(edition).page(now).body().to_vec()).expect("UTF-8")
    }

    #[test]
    fn credentials_are_byte_exact_until_the_second_in_which_they_expire() {
        let credentials = sample::credentials();
        let end = expiration(&credentials);
        assert_eq!(
            body(success("app", &credentials, UPDATED), end - 1),
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
            body(success("app", &credentials, UPDATED), end),
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
            body(failure("Nothing \"yet\".", UPDATED), u64::MAX),
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
        let shown = body(success("app", &credentials, UPDATED), 0);
        assert!(shown.contains(FAILURE) && !shown.contains("secret"), "{shown}");
    }
}
