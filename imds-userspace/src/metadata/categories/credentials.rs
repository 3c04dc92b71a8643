//! `iam` and `identity-credentials`

use serde_json::json;

use crate::metadata::bearer::{Bearer, ByBearer};
use crate::metadata::document::Document;
use crate::metadata::json;
use crate::metadata::live::Deliveries;
use crate::metadata::tree::Planting;

pub(super) fn plant(document: &Document, credentials: &ByBearer<Deliveries>, tree: &mut Planting) {
    let iam = &document.iam;
    if let (Some(role), Some(_)) = (&iam.role, &credentials.role) {
        let info = json::object(&[
            ("Code", json!("Success")),
            ("LastUpdated", json!(iam.last_updated)),
            ("InstanceProfileArn", json!(iam.instance_profile_arn)),
            ("InstanceProfileId", json!(iam.instance_profile_id)),
        ]);
        tree.text(&["meta-data", "iam", "info"], &info);
        tree.credentials(&["meta-data", "iam", "security-credentials", role], Bearer::Role);
    }
    let info = json::object(&[
        ("Code", json!("Success")),
        ("LastUpdated", json!(document.pending_time)),
        ("AccountId", json!(document.account_id)),
    ]);
    let directory = ["meta-data", "identity-credentials", "ec2"];
    tree.text(&[&directory[..], &["info"]].concat(), &info);
    if credentials.instance.is_some() {
        tree.credentials(&[&directory[..], &["security-credentials", "ec2-instance"]].concat(), Bearer::Instance);
    }
}
