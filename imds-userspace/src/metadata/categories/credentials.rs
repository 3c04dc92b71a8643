//! `iam` and `identity-credentials`

use serde_json::json;

use crate::metadata::document::{Credentials, Document, Time};
use crate::metadata::json;
use crate::metadata::tree::Planting;

pub(super) fn plant(document: &Document, tree: &mut Planting) {
    let iam = &document.iam;
    if let (Some(role), Some(credentials)) = (&iam.role, &iam.credentials) {
        let info = json::object(&[
            ("Code", json!("Success")),
            ("LastUpdated", json!(iam.last_updated)),
            ("InstanceProfileArn", json!(iam.instance_profile_arn)),
            ("InstanceProfileId", json!(iam.instance_profile_id)),
        ]);
        tree.text(&["meta-data", "iam", "info"], &info);
        let path = ["meta-data", "iam", "security-credentials", role];
        plant_credentials(credentials, &format!("the role {role}"), iam.last_updated, &path, tree);
    }
    let info = json::object(&[
        ("Code", json!("Success")),
        ("LastUpdated", json!(document.pending_time)),
        ("AccountId", json!(document.account_id)),
    ]);
    let directory = ["meta-data", "identity-credentials", "ec2"];
    tree.text(&[&directory[..], &["info"]].concat(), &info);
    if let Some(credentials) = &document.identity_credentials.credentials {
        let path = [&directory[..], &["security-credentials", "ec2-instance"]].concat();
        plant_credentials(credentials, "the instance", document.pending_time, &path, tree);
    }
}

/// The credentials, and EC2's failure from their expiration on. An expiration that can't be read is one that has
/// passed.
fn plant_credentials(
    credentials: &Credentials,
    owner: &str,
    updated: Option<Time>,
    path: &[&str],
    tree: &mut Planting,
) {
    let expiration = Time::parse(&credentials.expiration).unwrap_or_default();
    let success = json::object(&[
        ("Code", json!("Success")),
        ("LastUpdated", json!(updated)),
        ("Type", json!("AWS-HMAC")),
        ("AccessKeyId", json!(credentials.access_key_id)),
        ("SecretAccessKey", json!(credentials.secret_access_key)),
        ("Token", json!(credentials.token)),
        ("Expiration", json!(expiration)),
    ]);
    let failure = json::object(&[
        ("Code", json!("AssumeRoleUnauthorizedAccess")),
        ("Message", json!(format!("The credentials of {owner} expired at {expiration}."))),
        ("LastUpdated", json!(expiration)),
    ]);
    tree.text_during(path, &success, 0..expiration.unix());
    tree.text_during(path, &failure, expiration.unix()..u64::MAX);
}
