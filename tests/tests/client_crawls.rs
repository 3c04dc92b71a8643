//! Clients that read all that is listed: curl, cloud-init, and the requests of Amazon Linux's ec2-metadata.

use std::collections::BTreeMap;

use imds_tests::credentials;
use imds_tests::family::Family;
use imds_tests::namespace::Namespace;
use imds_tests::over_both_families;
use imds_tests::process::Output;
use imds_tests::situation::Situation::{Disabled, FarRequired, Optional, Required, TooFarOptional, TooFarRequired};
use imds_tests::situation::{BY_TOKENS, INTERFACES, NO_WAY, REGION, Scene, USER_DATA};
use serde_json::{Value, json};

over_both_families!(every_listed_name_is_there_in_every_version, cloud_init, ec2_metadata);

const CLOUD_INIT: &str = include_str!("../clients/python/cloud_init.py");
/// The newest version that cloud-init asks for.
const CLOUD_INIT_VERSION: &str = "2021-03-23";

fn every_listed_name_is_there_in_every_version(family: Family) {
    let scene = Scene::new(family);
    let guest = scene.enter(Required);
    let pages = guest.crawl(&guest.token());
    let versions: Vec<_> = pages["/"].lines().collect();
    assert!(versions.contains(&"latest") && versions.contains(&"1.0") && versions.len() > 25, "{versions:?}");
    for version in versions {
        assert_eq!(pages[&format!("/{version}/meta-data/instance-id")], scene.id);
        assert_eq!(pages[&format!("/{version}/user-data")], USER_DATA);
    }
    assert_eq!(pages["/latest/meta-data/placement/region"], REGION);
    assert_eq!(pages["/latest/meta-data/network/interfaces/macs/"].lines().count(), INTERFACES);
    let leaves = pages.keys().filter(|path| path.starts_with("/latest/meta-data/") && !path.ends_with('/')).count();
    assert!(leaves > 150, "{leaves}");
    assert_eq!(pages["/latest/meta-data/tags/instance/"], "Name\na+b\na,b\napp=web\nstage\nx@y");
    let role = &pages[&credentials::path(credentials::ROLE)];
    assert!(role.contains(credentials::SECRET_ACCESS_KEY) && pages.contains_key(&credentials::path("")));
    let stats = scene.host.stats(&scene.id);
    assert_eq!((stats.no_token(), stats.no_token_rejected()), (0, 0));
}

fn cloud_init(family: Family) {
    let scene = Scene::new(family);
    let guest = scene.enter(Optional);
    let pages = guest.crawl(&guest.token());
    let disabled = "Ec2 IMDS endpoint returned a 403 error. HTTP endpoint is disabled. Aborting.";
    let lost = "Timed out, no response from urls";
    // It never reads without a token.
    for (situation, way, warning) in [
        (Optional, BY_TOKENS, None),
        (Required, BY_TOKENS, None),
        (FarRequired, BY_TOKENS, None),
        (Disabled, NO_WAY, Some(disabled)),
        (TooFarOptional, BY_TOKENS, Some(lost)),
        (TooFarRequired, BY_TOKENS, Some(lost)),
    ] {
        let (output, seen) = scene.play(situation, |guest| guest.cloud_init(CLOUD_INIT));
        let found: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        assert_eq!((&found["found"], seen), (&json!(warning.is_none()), way), "{situation:?}: {found}");
        if let Some(warning) = warning {
            assert!(found["warnings"].to_string().contains(warning), "{situation:?}: {found}");
            continue;
        }
        assert_eq!(found["warnings"], json!([]), "{situation:?}");
        let values = ["address", "instance-id", "region", "user-data"].map(|name| &found[name]);
        assert_eq!(values, [family.url(), &scene.id, REGION, USER_DATA].map(|value| json!(value)).each_ref());
        assert_eq!(found["identity"]["instanceId"], scene.id.as_str());
        check_all_is_found(&pages, &found["meta-data"]);
    }
}

/// Fails unless cloud-init has each page but the credentials, which it leaves out on purpose.
fn check_all_is_found(pages: &BTreeMap<String, String>, found: &Value) {
    let root = format!("/{CLOUD_INIT_VERSION}/meta-data/");
    let mut leaves = 0;
    for (path, body) in pages.iter().filter(|(path, _)| !path.ends_with('/')) {
        let Some(names) = path.strip_prefix(&root).filter(|names| !names.contains("security-credentials")) else {
            continue;
        };
        // A key is found by its name instead of its number.
        if names.starts_with("public-keys/") {
            continue;
        }
        let leaf = names.split('/').fold(found, |directory, name| &directory[name]);
        // Lines are a list, and JSON is read.
        let text = match leaf {
            Value::String(text) => text.clone(),
            Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n"),
            other => {
                assert_eq!(serde_json::from_str::<Value>(body).ok().as_ref(), Some(other), "{path}");
                continue;
            }
        };
        assert_eq!(&text, body, "{path}");
        leaves += 1;
    }
    assert!(leaves >= 150, "{leaves}");
}

/// What ec2-metadata asks for, below `latest/`: with its repeated slashes, and whether the instance has it or not.
const ASKED: [&str; 28] = [
    "meta-data/ami-id",
    "meta-data/ami-launch-index",
    "meta-data/ami-manifest-path",
    "meta-data/ancestor-ami-ids",
    "meta-data/placement/availability-zone-id",
    "meta-data/services/domain",
    "meta-data/block-device-mapping/",
    "meta-data/instance-id",
    "meta-data/instance-type",
    "meta-data/local-hostname",
    "meta-data/local-ipv4",
    "meta-data/kernel-id",
    "meta-data/placement/availability-zone",
    "meta-data/placement/region",
    "meta-data/services/partition",
    "meta-data/product-codes",
    "meta-data/public-hostname",
    "meta-data/public-ipv4",
    "meta-data/public-keys/",
    "meta-data/public-keys/0/",
    "meta-data/public-keys/0/openssh-key",
    "/meta-data/ramdisk-id",
    "/meta-data/reservation-id",
    "meta-data/security-groups",
    "user-data",
    "meta-data/tags/instance/",
    "meta-data/tags/instance/stage",
    "meta-data/tags/instance/none",
];

/// A token as the script asks for it.
fn script_token(guest: &Namespace) -> Output {
    let ttl = "X-aws-ec2-metadata-token-ttl-seconds: 900";
    guest.run(
        "curl",
        &[
            "-s",
            "-g",
            "-f",
            "--max-time",
            "2",
            "-X",
            "PUT",
            "-H",
            ttl,
            &format!("{}/latest/api/token", guest.family.url()),
        ],
    )
}

fn ec2_metadata(family: Family) {
    let scene = Scene::new(family);
    for (situation, way) in [(Optional, BY_TOKENS), (Required, BY_TOKENS), (FarRequired, BY_TOKENS)] {
        let (missing, seen) = scene.play(situation, |guest| {
            let token = script_token(guest).stdout;
            let pages = guest.crawl(&token);
            let header = format!("X-aws-ec2-metadata-token:{token}");
            let expected = |path: &str| pages.get(&format!("/latest/{path}").replace("//", "/")).cloned();
            ASKED
                .iter()
                .filter(|path| {
                    let url = format!("{}/latest/{path}", family.url());
                    let read = guest.run("curl", &["-q", "-s", "-g", "-H", &header, "-f", &url]);
                    match expected(path) {
                        Some(body) => assert_eq!((read.code, read.stdout), (Some(0), body), "{path}"),
                        // 22: the script's "not available".
                        None => assert_eq!((read.code, read.stdout.as_str()), (Some(22), ""), "{path}"),
                    }
                    expected(path).is_none()
                })
                .count()
        });
        assert_eq!(seen, way, "{situation:?}");
        assert!(missing > 0 && missing < ASKED.len() - 10, "{missing} of what it asks for are missing");
    }
    // It ends when it gets no token: 22 is a refusal, 28 no answer.
    for (situation, code) in [(Disabled, 22), (TooFarOptional, 28), (TooFarRequired, 28)] {
        let refused = script_token(scene.enter(situation));
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(code), ""), "{situation:?}");
    }
}
