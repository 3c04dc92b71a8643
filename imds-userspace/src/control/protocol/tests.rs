use super::*;
use crate::registry::request::Json;

#[test]
fn user_data_is_not_shown_and_an_unknown_field_is_refused() {
    let request = r#"{"interfaces":["tap0"],"document":{"user-data":{"text":"secret"}},"metadata_options":{}}"#;
    let create: CreateInstance = serde_json::from_str(request).expect("valid");
    assert_eq!(create.document.0["user-data"]["text"], "secret");
    let set = Change::Set { path: "iam/credentials/Token".into(), value: Json("secret".into()) };
    let change = Command::DocumentChange { instance_id: "i-1".into(), change: Box::new(set) };
    assert!(!format!("{create:?} {change:?}").contains("secret"));
    let unknown = request.replace("\"document", "\"documents");
    serde_json::from_str::<CreateInstance>(&unknown).expect_err("an unknown field");
    let unknown = r#"{"version":1,"command":"instance_list","dry_run":true}"#;
    serde_json::from_str::<Request>(unknown).expect_err("an unknown field");
}
