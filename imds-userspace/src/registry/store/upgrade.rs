//! Records of schema 1 as those of schema 2: what stood in fields of the instance stands in its document.

use serde_json::{Map, Value, json};

/// Turns a record of schema 1 into one of schema 2; none if it isn't one. `digest` is that of its user data.
pub(super) fn from_1(record: &[u8], digest: Option<String>) -> Option<Vec<u8>> {
    let mut record: Map<String, Value> = serde_json::from_slice(record).ok()?;
    let Value::Object(mut old) = record.remove("instance")? else { return None };
    let mut document = Map::new();
    for (from, to) in [
        ("image_id", "ami-id"),
        ("instance_type", "instance-type"),
        ("private_ip", "local-ipv4"),
        ("hostname", "local-hostname"),
        ("security_groups", "security-groups"),
    ] {
        document.insert(to.to_owned(), old.remove(from)?);
    }
    if let Some(Value::Object(tags)) = old.remove("tags")
        && !tags.is_empty()
    {
        document.insert("tags".to_owned(), tags.into());
    }
    if let Some(Value::Object(mut role)) = old.remove("role") {
        document.insert(
            "iam".to_owned(),
            json!({ "role": role.remove("name")?, "credentials": role.remove("credentials")? }),
        );
    }
    let mut take = |name| old.remove(name);
    let (pending_time, mac) = (take("pending_time")?, take("mac")?);
    let instance = json!({
        "instance_id": take("instance_id")?,
        "reservation_id": take("reservation_id")?,
        "pending_time": pending_time,
        "macs": [mac],
        "account_id": take("account_id")?,
        "availability_zone": take("availability_zone")?,
        "modified": pending_time,
        "document": document,
    });
    record.insert("instance".to_owned(), instance);
    record.extend(digest.map(|digest| ("created_user_data".to_owned(), digest.into())));
    serde_json::to_vec(&record).ok()
}
