use super::*;

#[test]
fn user_data_is_not_shown_and_an_unknown_field_is_refused() {
    let request = r#"{"interfaces":["tap0"],"tags":{},"user_data":"c2VjcmV0","metadata_options":{}}"#;
    let create: CreateInstance = serde_json::from_str(request).expect("valid");
    assert_eq!(create.user_data, Some(EncodedUserData("c2VjcmV0".into())));
    assert!(!format!("{create:?}").contains("c2VjcmV0"));
    let unknown = request.replace("user_data", "userdata");
    serde_json::from_str::<CreateInstance>(&unknown).expect_err("an unknown field");
    let unknown = r#"{"version":1,"command":"instance_list","dry_run":true}"#;
    serde_json::from_str::<Request>(unknown).expect_err("an unknown field");
}
