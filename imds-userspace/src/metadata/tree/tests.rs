use serde_json::json;

use super::*;
use crate::metadata::sample;

const NOW: u64 = 1_800_000_000;

fn tree() -> Tree {
    sample::tree(&sample::instance(), true, true)
}

/// What a lookup finds at a time, in short.
fn found_at(tree: &Tree, target: &str, now: u64) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match tree.lookup(target.as_bytes(), now) {
        Lookup::Text(body) => format!("leaf {}", text(body)),
        Lookup::UserData => "user data".to_owned(),
        Lookup::Credentials(deliveries) => format!("leaf {}", text(deliveries.page(now, true).body())),
        Lookup::Directory(listing) => {
            let mut names = Vec::new();
            listing.write(&mut names);
            assert_eq!(names.len(), listing.length(), "{target}");
            format!("list {}", text(&names))
        }
        Lookup::Redirect(target) => target.names().fold("redirect ".to_owned(), |path, name| path + "/" + &text(name)),
        Lookup::NotFound => "nothing".to_owned(),
    }
}

fn found(tree: &Tree, target: &str) -> String {
    found_at(tree, target, NOW)
}

#[test]
fn targets_lead_where_the_rules_say() {
    let tree = tree();
    let meta_data = "list ami-id\nami-launch-index\nami-manifest-path\nblock-device-mapping/\nevents/\nhibernation/\n\
                     hostname\niam/\nidentity-credentials/\ninstance-action\ninstance-id\ninstance-life-cycle\n\
                     instance-type\nlocal-hostname\nlocal-ipv4\nmac\nmetrics/\nnetwork/\nplacement/\nprofile\n\
                     reservation-id\nsecurity-groups\nservices/\nsystem\ntags/";
    let redirect = "redirect /latest/meta-data/placement";
    for (target, expected) in [
        ("/latest", "list dynamic\nmeta-data\nuser-data"),
        ("/latest/", "list dynamic\nmeta-data\nuser-data"),
        ("/1.0", "list meta-data\nuser-data"),
        ("/2022-07-09/", "list dynamic\nmeta-data\nuser-data"),
        ("/latest/meta-data", meta_data),
        ("/latest/meta-data/", meta_data),
        ("/latest/dynamic", "list fws/\ninstance-identity/"),
        ("/latest/dynamic/", "list fws/\ninstance-identity/"),
        ("/latest/dynamic/instance-identity", "redirect /latest/dynamic/instance-identity"),
        ("/latest/dynamic/instance-identity/", "list document\npkcs7\nrsa2048\nsignature"),
        ("/latest/meta-data/placement", redirect),
        ("/2021-03-23/meta-data/placement", "redirect /2021-03-23/meta-data/placement"),
        ("/latest//meta-data//placement", redirect),
        ("/latest/meta-data/placement?a=/", redirect),
        ("/latest/meta-data/placement/", "list availability-zone\nregion"),
        ("/latest/meta-data/placement/region", "leaf eu-west-2"),
        ("/latest/meta-data/placement/region/", "leaf eu-west-2"),
        ("/latest/meta-data/placement/availability-zone", "leaf eu-west-2c"),
        ("/latest/meta-data/ami-id", "leaf ami-0123456789abcdef0"),
        ("/latest/meta-data/iam/", "list info\nsecurity-credentials/"),
        ("/latest/meta-data/iam/security-credentials", "redirect /latest/meta-data/iam/security-credentials"),
        ("/latest/meta-data/iam/security-credentials/", "list app"),
        ("/latest/meta-data/iam/security-credentials/app", "leaf the role's credentials"),
        ("/latest/meta-data/iam/security-credentials/app/", "leaf the role's credentials"),
        ("/latest/meta-data/tags/", "list instance/"),
        ("/latest/meta-data/tags/instance/", "list Empty\nName"),
        ("/latest/meta-data/tags/instance/Name", "leaf one"),
        ("/latest/meta-data/tags/instance/Empty", "leaf "),
        ("/latest/meta-data/network/interfaces/macs/", "list 02:00:00:00:00:01/"),
        ("/latest/user-data", "user data"),
        ("/latest/user-data/", "user data"),
        ("//latest//meta-data/mac", "leaf 02:00:00:00:00:01"),
        ("/latest/meta-data/mac?x=1", "leaf 02:00:00:00:00:01"),
        ("http://169.254.169.254/latest/meta-data/mac", "leaf 02:00:00:00:00:01"),
        ("HTTP://h:80//latest/meta-data/mac/?x", "leaf 02:00:00:00:00:01"),
    ] {
        assert_eq!(found(&tree, target), expected, "{target}");
    }
}

#[test]
fn other_spellings_find_nothing() {
    let tree = tree();
    for target in [
        "*",
        "latest",
        "/Latest",
        "/latest/api",
        "/latest/api/token",
        "/latest/api/token/",
        "/2016-11-15",
        "/2030-01-01/meta-data/",
        "/latest/meta-data/mac/x",
        "/latest/meta-data/mac//x",
        "/latest/meta-data/none",
        "/latest/user-data/x",
        "/latest/meta-data/./mac",
        "/latest/meta-data/placement/../mac",
        "/latest/meta-data/mac#x",
        "/latest/meta-data/tags/instance/name",
        "https://169.254.169.254/latest/meta-data/mac",
    ] {
        assert_eq!(found(&tree, target), "nothing", "{target}");
    }
}

#[test]
fn names_are_found_encoded_too() {
    let tree = sample::tree(&sample::everything(), true, true);
    let redirect = "redirect /latest/meta-data/pl%61cement";
    for (target, expected) in [
        ("/latest/meta-data/%6dac", "leaf 02:00:00:00:00:05"),
        ("/l%61test/meta%2Ddata/m%61c/", "leaf 02:00:00:00:00:05"),
        ("/latest/meta-data/tags/instance/a+b", "leaf plus"),
        ("/latest/meta-data/tags/instance/a%2Bb", "leaf plus"),
        ("/latest/meta-data/tags/instance/app%3dweb", "leaf equals"),
        ("/latest/meta-data/tags/instance/x%40y", "leaf at"),
        ("/latest/meta-data/tags/instance/a%2Cb", "leaf comma"),
        ("/latest/meta-data/network/interfaces/macs/02%3A00%3A00%3A00%3A00%3A05/mac", "leaf 02:00:00:00:00:05"),
        ("/latest/meta-data/public-keys/0%3Dmy-key/", "list openssh-key"),
        ("/latest/meta-data/pl%61cement", redirect),
        ("/latest/user-d%61ta", "user data"),
    ] {
        assert_eq!(found(&tree, target), expected, "{target}");
    }
}

#[test]
fn hostile_encodings_find_nothing() {
    let tree = sample::tree(&sample::everything(), true, true);
    for target in [
        "/latest/meta-data/%",
        "/latest/meta-data/mac%",
        "/latest/meta-data/mac%2",
        "/latest/meta-data/mac%zz",
        "/latest/meta-data/ma%6",
        "/latest/meta-data/ma%6g",
        "/latest/meta-data/mac%00",
        "/latest/meta-data/%00mac",
        "/latest/meta-data/mac%3f",
        "/latest/meta-data/mac%23",
        "/latest/meta-data/mac%20",
        "/latest/meta-data/mac%2f",
        "/latest/meta-data%2fmac",
        "/latest%2fmeta-data/mac",
        "%2flatest/meta-data/mac",
        "/latest/meta-data/placement%2fregion",
        "/latest/meta-data/placement/%2e%2e/mac",
        "/latest/meta-data/placement/%2E./mac",
        "/latest/meta-data/%2e/mac",
        "/latest/meta-data/%256dac",
        "/latest/meta-data/%25256dac",
        "/latest/meta-data/tags/instance/a%252Bb",
        "/latest/meta-data/tags/instance/a%20b",
        "/latest/meta-data/%c1%ad%61%63",
        "/latest/%61pi/token",
        "/latest/api%2ftoken",
    ] {
        assert_eq!(found(&tree, target), "nothing", "{target}");
    }
}

#[test]
fn four_directories_need_no_slash_and_the_others_do() {
    let tree = sample::tree(&sample::everything(), true, true);
    let macs = "meta-data/network/interfaces/macs";
    let mac = format!("{macs}/02:00:00:00:00:05");
    let encoded = format!("{macs}/02%3a00:00:00:00:05");
    let devices = "meta-data/block-device-mapping";
    for path in ["meta-data/tags/instance", devices, macs, &mac, &encoded, "/meta-data//t%61gs/instance"] {
        for version in ["latest", "2021-03-23"] {
            let listing = found(&tree, &format!("/{version}/{path}"));
            assert!(listing.starts_with("list "), "{path}: {listing}");
            assert_eq!(listing, found(&tree, &format!("/{version}/{path}/")), "{path}");
        }
    }
    let associations = format!("{mac}/ipv4-associations");
    for path in [
        "meta-data/tags",
        "meta-data/network",
        "meta-data/network/interfaces",
        &associations,
        "meta-data/placement",
        "meta-data/iam/security-credentials",
        "dynamic/instance-identity",
    ] {
        assert_eq!(found(&tree, &format!("/latest/{path}")), format!("redirect /latest/{path}"));
    }
}

#[test]
fn the_versions_are_listed() {
    let tree = tree();
    let versions = "list 1.0\n2007-01-19\n2007-03-01\n2007-08-29\n2007-10-10\n2007-12-15\n2008-02-01\n2008-09-01\n2009-04-04\n\
                    2011-01-01\n2011-05-01\n2012-01-12\n2014-02-25\n2014-11-05\n2015-10-20\n2016-04-19\n2016-06-30\n2016-09-02\n\
                    2018-03-28\n2018-08-17\n2018-09-24\n2019-10-01\n2020-10-27\n2021-01-03\n2021-03-23\n2021-07-15\n2022-07-09\n\
                    2022-09-24\n2024-04-11\nlatest";
    for target in ["/", "//", "/?x", "http://h", "http://h/"] {
        assert_eq!(found(&tree, target), versions, "{target}");
    }
}

#[test]
fn a_version_has_what_was_released_by_then() {
    let tree = sample::tree(&sample::everything(), true, true);
    for (first, before, path) in [
        ("2007-01-19", "1.0", "meta-data/public-ipv4"),
        ("2009-04-04", "2008-09-01", "dynamic/instance-identity/document"),
        ("2011-01-01", "2009-04-04", "meta-data/network/"),
        ("2016-06-30", "2016-04-19", "meta-data/network/interfaces/macs/02:00:00:00:00:05/ipv6s"),
        ("2018-03-28", "2016-09-02", "meta-data/spot/instance-action"),
        ("2020-10-27", "2019-10-01", "meta-data/placement/region"),
        ("2021-03-23", "2021-01-03", "meta-data/tags/"),
        ("2021-07-15", "2021-03-23", "meta-data/autoscaling/"),
    ] {
        assert_ne!(found(&tree, &format!("/{first}/{path}")), "nothing", "{first} {path}");
        assert_eq!(found(&tree, &format!("/{before}/{path}")), "nothing", "{before} {path}");
    }
    let listed = |version| found(&tree, &format!("/{version}/meta-data/placement/"));
    assert_eq!(listed("2019-10-01"), "list availability-zone\navailability-zone-id");
    assert_eq!(listed("2008-02-01"), "list availability-zone");
    assert_eq!(listed("1.0"), "nothing");
}

/// Walks the tree by its listings alone; returns how many leaves answered.
fn walk(tree: &Tree, path: &str, now: u64) -> usize {
    match found_at(tree, path, now).split_once(' ') {
        Some(("leaf", _)) | Some(("user", _)) => 1,
        Some(("list", listing)) => {
            assert!(!listing.is_empty() && !listing.ends_with('\n'), "{path}");
            let slash = if path.ends_with('/') { "" } else { "/" };
            listing.lines().map(|name| walk(tree, &format!("{path}{slash}{name}"), now)).sum()
        }
        // As for a key pair's name, which is listed without a slash.
        Some(("redirect", target)) if path == target && path.contains('=') => walk(tree, &format!("{target}/"), now),
        other => panic!("{path} is listed and leads to {other:?}"),
    }
}

#[test]
fn everything_that_is_listed_is_found_in_every_version_at_any_time() {
    for instance in [sample::instance(), sample::everything(), sample::with(json!({ "ipv6": "::1" }))] {
        let tree = sample::tree(&instance, true, true);
        for now in [0, 1_600_000_000, NOW, 1_895_215_043, 4_102_444_800, u64::MAX - 1] {
            assert!(walk(&tree, "/", now) > VERSIONS.len() * 5, "{now}");
        }
    }
    assert_eq!(walk(&sample::tree(&sample::everything(), true, true), "/latest", NOW), 94);
}

#[test]
fn a_key_is_listed_with_its_name_and_found_by_its_number() {
    let tree = sample::tree(&sample::everything(), false, false);
    let keys = "/latest/meta-data/public-keys/";
    assert_eq!(found(&tree, keys), "list 0=my-key\n1=other");
    for directory in ["1/", "1=other/"] {
        assert_eq!(found(&tree, &format!("{keys}{directory}")), "list openssh-key", "{directory}");
    }
    assert_eq!(found(&tree, &format!("{keys}0/openssh-key")), "leaf ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA== my-key");
    assert_eq!(found(&tree, &format!("{keys}0")), format!("redirect {keys}0"));
    assert_eq!(found(&tree, &format!("{keys}2")), "nothing");
}

#[test]
fn keys_are_listed_by_their_numbers_and_under_any_name() {
    let key = |number: usize| json!({ "name": format!("{number} a/b?c#d%25"), "openssh-key": number.to_string() });
    let tree =
        sample::tree(&sample::with(json!({ "public-keys": (0..12).map(key).collect::<Vec<_>>() })), false, false);
    let keys = "/latest/meta-data/public-keys/";
    let listed: Vec<_> = (0..12).map(|number| format!("{number}={number} a/b?c#d%25")).collect();
    assert_eq!(found(&tree, keys), format!("list {}", listed.join("\n")));
    for number in 0..12 {
        assert_eq!(found(&tree, &format!("{keys}{number}/openssh-key")), format!("leaf {number}"));
    }
    assert_eq!(found(&tree, &format!("{keys}0=0%20a%2fb%3fc%23d%2525/")), "nothing", "a slash is in no name");
}

#[test]
fn what_the_instance_has_not_is_neither_listed_nor_found() {
    let tree = sample::tree(&sample::with(json!({ "tags": { "a": "b" } })), false, false);
    assert_eq!(found(&tree, "/latest/"), "list dynamic\nmeta-data");
    for path in [
        "user-data",
        "meta-data/ancestor-ami-ids",
        "meta-data/autoscaling/",
        "meta-data/events/recommendations/",
        "meta-data/iam",
        "meta-data/identity-credentials/ec2/security-credentials/",
        "meta-data/ipv6",
        "meta-data/kernel-id",
        "meta-data/managed-ssh-keys/",
        "meta-data/placement/group-name",
        "meta-data/public-ipv4",
        "meta-data/public-keys/",
        "meta-data/spot/",
        "meta-data/tags",
        "meta-data/tags/",
        "meta-data/tags/instance/a",
    ] {
        assert_eq!(found(&tree, &format!("/latest/{path}")), "nothing", "{path}");
    }
    let listed = found(&tree, "/latest/meta-data/");
    for name in ["iam", "tags", "spot", "public", "ipv6", "kernel", "auto"] {
        assert!(!listed.contains(&format!("\n{name}")), "{listed}");
    }
}

#[test]
fn names_that_no_target_can_spell_are_left_out() {
    let keys = ["a b", "a/b", "a?b", "a#b", "a%b", "ä", ".", "..", "good+-=.,_:@"];
    let tags: serde_json::Map<_, _> = keys.into_iter().map(|key| (key.to_owned(), json!("value"))).collect();
    let tree = sample::tree(&sample::with(json!({ "tags": tags })), false, true);
    assert_eq!(found(&tree, "/latest/meta-data/tags/instance/"), "list good+-=.,_:@");
    walk(&tree, "/latest", NOW);
}

#[test]
fn what_stands_for_a_time_changes_in_the_very_second() {
    let tree = sample::tree(
        &sample::with(json!({ "spot": { "time": "2030-01-01T00:10:00Z", "action": "stop" } })),
        false,
        false,
    );
    let due = 1_893_456_600;
    let path = "/latest/meta-data/spot/instance-action";
    let notice = r#"leaf {"action": "stop", "time": "2030-01-01T00:10:00Z"}"#;
    for (now, expected) in [(due - 121, "nothing"), (due - 120, notice), (due - 1, notice), (due, "nothing")] {
        assert_eq!(found_at(&tree, path, now), expected, "{now}");
        assert_eq!(found_at(&tree, "/latest/meta-data/", now).contains("\nspot/"), expected != "nothing", "{now}");
        assert_eq!(found_at(&tree, "/latest/meta-data/spot/termination-time", now), "nothing", "it is only stopped");
    }
}

#[test]
fn a_tree_is_small_and_shows_no_secret() {
    let tree = sample::tree(&sample::everything(), true, true);
    assert_eq!(std::str::from_utf8(tree.modified()), Ok("Sun, 22 Nov 2026 09:08:07 GMT"));
    let bytes = tree.text.len() + size_of_val(&*tree.nodes) + size_of_val(&*tree.periods);
    let document = serde_json::to_vec(&sample::everything().document).expect("JSON").len();
    // 16 KiB above the document is what an instance may cost altogether.
    assert!(bytes < document + 8 * 1024, "{bytes} bytes for {document}");
    let shown = format!("{tree:?}");
    assert!(shown.contains("bytes") && !shown.contains("secret"), "{shown}");
}
