use serde_json::json;

use super::*;

#[test]
fn a_patch_is_merged() {
    let mut document = json!({ "a": 1, "b": { "c": 2, "d": [1, 2] }, "e": "x" });
    merge(
        &mut document,
        json!({ "a": null, "b": { "d": [3], "f": { "g": 1, "h": null } }, "e": { "i": 1 }, "j": null }),
    );
    assert_eq!(document, json!({ "b": { "c": 2, "d": [3], "f": { "g": 1 } }, "e": { "i": 1 } }));
}

fn after(document: &Value, path: &str, text: &str) -> String {
    set(document, &json!({}), path, text)
        .map_or_else(|error| error.to_string(), |document| document.to_value().to_string())
}

#[test]
fn the_field_decides_how_a_value_is_read() {
    let (none, deep) = (json!({}), format!("{}{}", "[".repeat(20), "]".repeat(20)));
    for (path, text, expected) in [
        ("ami-launch-index", "5", r#"{"ami-launch-index":5}"#),
        ("tags/0", "5", r#"{"tags":{"0":"5"}}"#),
        ("tags/number", "5", r#"{"tags":{"number":"5"}}"#),
        ("tags/yes", "true", r#"{"tags":{"yes":"true"}}"#),
        ("tags/null", "null", r#"{"tags":{"null":"null"}}"#),
        ("tags/quoted", "\"a\"", r#"{"tags":{"quoted":"\"a\""}}"#),
        ("placement/group-name", "\"a b\"", r#"{"placement":{"group-name":"\"a b\""}}"#),
        ("user-data/text", "\"hello\"", r#"{"user-data":{"base64":"ImhlbGxvIg=="}}"#),
        ("user-data/text", "{\"a\":1}", r#"{"user-data":{"base64":"eyJhIjoxfQ=="}}"#),
        ("user-data", "{\"text\":\"a\"}", r#"{"user-data":{"base64":"YQ=="}}"#),
        ("instance-type", "\"m5.large\"", r#"{"instance-type":"m5.large"}"#),
        ("elastic-gpus/a", "{\"b\":1}", r#"{"elastic-gpus":{"a":{"b":1}}}"#),
        ("elastic-gpus/a/b", "\"c\"", r#"{"elastic-gpus":{"a":{"b":"c"}}}"#),
        ("elastic-inference/a", "words", r#"{"elastic-inference":{"a":"words"}}"#),
        ("elastic-gpus/a", "{\"b\":", "document, at elastic-gpus/a: it begins as JSON and is none (EOF"),
        ("elastic-gpus/a", &"[".repeat(200), "document, at elastic-gpus/a: it begins as JSON and is none (recursion"),
        ("elastic-gpus/a", &deep, "document: it nests lists and objects more than 16 levels deep"),
        ("", "{}", "document: no path is given; `imdsctl instance update"),
        ("/", "{}", "document: no path is given; `imdsctl instance update"),
        ("tags/list", "[1]", r#"{"tags":{"list":"[1]"}}"#),
        ("/tags/a~1b~0c/", "x", r#"{"tags":{"a/b~c":"x"}}"#),
        ("tags/Empty", "", r#"{"tags":{"Empty":""}}"#),
        ("hibernation/configured", "true", r#"{"hibernation":{"configured":true}}"#),
        ("product-codes", "[\"a\", \"b\"]", r#"{"product-codes":["a","b"]}"#),
        ("placement", "{\"group-name\": \"g\"}", r#"{"placement":{"group-name":"g"}}"#),
        ("product-codes/0", "a", r#"{"product-codes":["a"]}"#),
        (
            "network/interfaces/0/mac",
            "02:00:00:00:00:09",
            r#"{"network":{"interfaces":[{"mac":"02:00:00:00:00:09"}]}}"#,
        ),
        ("nothing", "x", "document, at nothing: unknown field `nothing`"),
        ("hibernation/configured", "maybe", "document, at hibernation/configured: invalid type: string \"maybe\""),
        ("placement", "{\"zone\": 1}", "document, at placement/zone: unknown field `zone`"),
        ("ami-id/x", "x", "document, at ami-id: invalid type: map"),
        ("product-codes/1", "a", "document, at product-codes: invalid type: map"),
        ("iam/credentials/Token", "SECRET", "document, at iam/credentials: it is not of the form"),
    ] {
        let found = after(&none, path, text);
        assert!(found.starts_with(expected) && !found.contains("SECRET"), "{path} {text}: {found}");
    }
    let some = json!({ "product-codes": ["a", "b"], "ami-id": "ami-1" });
    assert_eq!(after(&some, "product-codes/1", "c"), r#"{"ami-id":"ami-1","product-codes":["a","c"]}"#);
    assert_eq!(after(&some, "product-codes/2", "c"), r#"{"ami-id":"ami-1","product-codes":["a","b","c"]}"#);
    assert!(after(&some, "product-codes/3", "c").contains("3 is no place in a list of 2"));
    assert!(after(&some, "ami-id/x", "c").contains("there is nothing below a value, so no x"));
}

#[test]
fn what_is_derived_is_set_at_the_places_where_it_is_shown() {
    let derived = json!({
        "ami-id": "ami-1",
        "security-groups": ["default"],
        "network": { "interfaces": [{ "mac": "a", "local-ipv4s": ["10.0.0.1"] }, { "mac": "b" }, { "mac": "c" }] },
    });
    let first = json!({ "network": { "interfaces": [{ "vpc-id": "vpc-1" }] } });
    for (document, path, text, expected) in [
        (json!({}), "network/interfaces/1/subnet-id", "s", r#"{"network":{"interfaces":[{},{"subnet-id":"s"},{}]}}"#),
        (
            first.clone(),
            "network/interfaces/2/subnet-id",
            "s",
            r#"{"network":{"interfaces":[{"vpc-id":"vpc-1"},{},{"subnet-id":"s"}]}}"#,
        ),
        (
            json!({}),
            "network/interfaces/3/subnet-id",
            "s",
            r#"{"network":{"interfaces":[{},{},{},{"subnet-id":"s"}]}}"#,
        ),
        (
            json!({}),
            "network/interfaces/4/subnet-id",
            "s",
            "document, at network/interfaces/4/subnet-id: 4 is no place in a list of 3",
        ),
        (
            json!({}),
            "network/interfaces/0/local-ipv4s/1",
            "10.0.0.2",
            r#"{"network":{"interfaces":[{"local-ipv4s":["10.0.0.1","10.0.0.2"]},{},{}]}}"#,
        ),
        (json!({}), "security-groups/1", "web", r#"{"security-groups":["default","web"]}"#),
        (json!({}), "security-groups/0", "web", r#"{"security-groups":["web"]}"#),
        (json!({}), "ami-id/x", "c", "document, at ami-id/x: there is nothing below a value, so no x"),
    ] {
        let changed = set(&document, &derived, path, text);
        let changed = changed.map_or_else(|error| error.to_string(), |document| document.to_value().to_string());
        assert_eq!(changed, expected, "{path}");
    }
    for path in ["ami-id", "/network/interfaces/1", "network/interfaces/0/local-ipv4s/0", "security-groups"] {
        let error = unset(&first, &derived, path).expect_err(path).to_string();
        assert!(error.starts_with("document, at ") && error.contains("is derived and not set"), "{error}");
    }
    for path in ["", "//", "ami-id/x", "network/interfaces/3"] {
        let error = unset(&first, &derived, path).expect_err(path).to_string();
        assert!(error.contains("nothing is set there"), "{error}");
    }
}

#[test]
fn a_value_is_taken_away() {
    let document = json!({ "product-codes": ["a", "b"], "tags": { "a/b": "1" }, "placement": { "region": "r" } });
    let without = |path| unset(&document, &json!({}), path).map(|document| document.to_value());
    assert_eq!(
        without("product-codes/0").expect("there"),
        json!({ "product-codes": ["b"], "tags": { "a/b": "1" }, "placement": { "region": "r" } })
    );
    assert_eq!(without("placement").expect("there"), json!({ "product-codes": ["a", "b"], "tags": { "a/b": "1" } }));
    assert_eq!(
        without("placement/region").expect("there"),
        json!({ "product-codes": ["a", "b"], "tags": { "a/b": "1" } }),
        "an empty part is no part"
    );
    assert!(without("tags/a~1b").is_ok());
    for path in ["", "/", "ami-id", "placement/zone", "product-codes/2", "product-codes/x", "placement/region/x", "a/b"]
    {
        let error = without(path).expect_err(path).to_string();
        assert!(error.contains("nothing is set there"), "{error}");
    }
}

#[test]
fn a_value_is_found() {
    let document = json!({ "a": { "b": [1, { "c/d": 2 }] } });
    assert_eq!(get(&document, ""), Some(&document));
    assert_eq!(get(&document, "a/b/0"), Some(&json!(1)));
    assert_eq!(get(&document, "/a/b/1/c~1d"), Some(&json!(2)));
    assert_eq!(get(&document, "a/b/2").or(get(&document, "a/b/c")).or(get(&document, "a/b/0/x")), None);
}

#[test]
fn a_path_has_an_end() {
    let (none, many, long) = (json!({}), format!("elastic-gpus/x/{}", "a/".repeat(200_000)), "a".repeat(1025));
    for path in [many.as_str(), &long, "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q"] {
        let errors = [set(&none, &none, path, "1").map(drop), unset(&none, &none, path).map(drop)];
        for error in errors.map(|changed| changed.expect_err("too long").to_string()) {
            assert_eq!(error, "document: the path is too long; give at most 16 names, in 1024 bytes");
        }
        assert_eq!(get(&none, path), None);
    }
}
