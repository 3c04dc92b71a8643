use super::*;
use crate::metadata::sample;

const NOW: u64 = 1_800_000_000;

fn tree() -> Tree {
    Tree::render(&sample::instance(), Some(&sample::identity()), Some(b"\x00user\xff"), true)
}

/// What a lookup finds, in short.
fn found(tree: &Tree, target: &str) -> String {
    let text = |page: &Page| String::from_utf8_lossy(page.body()).into_owned();
    match tree.lookup(target.as_bytes()) {
        Lookup::Leaf(leaf) => format!("leaf {}", text(leaf.page(NOW))),
        Lookup::Directory(listing) => format!("list {}", text(listing)),
        Lookup::Redirect { version, path } => format!("redirect /{version}/{path}/"),
        Lookup::NotFound => "nothing".to_owned(),
    }
}

#[test]
fn targets_lead_where_the_rules_say() {
    let tree = tree();
    let meta_data = "list ami-id\nami-launch-index\nhostname\niam/\ninstance-id\ninstance-type\nlocal-hostname\nlocal-ipv4\n\
                     mac\nplacement/\nreservation-id\nsecurity-groups\ntags/";
    for (target, expected) in [
        ("/latest", "list dynamic\nmeta-data\nuser-data"),
        ("/latest/", "list dynamic\nmeta-data\nuser-data"),
        ("/1.0", "list dynamic\nmeta-data\nuser-data"),
        ("/2022-07-09/", "list dynamic\nmeta-data\nuser-data"),
        ("/latest/meta-data", meta_data),
        ("/latest/meta-data/", meta_data),
        ("/2009-04-04/meta-data/", meta_data),
        ("/latest/dynamic", "list instance-identity/"),
        ("/latest/dynamic/", "list instance-identity/"),
        ("/latest/dynamic/instance-identity", "redirect /latest/dynamic/instance-identity/"),
        ("/latest/dynamic/instance-identity/", "list document\npkcs7\nrsa2048\nsignature"),
        ("/latest/meta-data/placement", "redirect /latest/meta-data/placement/"),
        ("/2021-03-23/meta-data/placement", "redirect /2021-03-23/meta-data/placement/"),
        ("/latest//meta-data//placement", "redirect /latest/meta-data/placement/"),
        ("/latest/meta-data/placement?a=/", "redirect /latest/meta-data/placement/"),
        ("/latest/meta-data/placement/", "list availability-zone\nregion"),
        ("/latest/meta-data/placement/region", "leaf eu-west-2"),
        ("/latest/meta-data/placement/region/", "leaf eu-west-2"),
        ("/latest/meta-data/placement/availability-zone", "leaf eu-west-2c"),
        ("/latest/meta-data/ami-id", "leaf ami-0123456789abcdef0"),
        ("/latest/meta-data/ami-launch-index", "leaf 0"),
        ("/latest/meta-data/hostname", "leaf ip-10-0-0-1.eu-west-2.compute.internal"),
        ("/latest/meta-data/instance-id", "leaf i-0123456789abcdef0"),
        ("/latest/meta-data/instance-type", "leaf t3.micro"),
        ("/latest/meta-data/local-hostname", "leaf ip-10-0-0-1.eu-west-2.compute.internal"),
        ("/latest/meta-data/local-ipv4", "leaf 10.0.0.1"),
        ("/latest/meta-data/mac", "leaf 02:00:00:00:00:01"),
        ("/latest/meta-data/reservation-id", "leaf r-0123456789abcdef0"),
        ("/latest/meta-data/security-groups", "leaf default\nweb"),
        ("/latest/meta-data/iam/", "list info\nsecurity-credentials/"),
        ("/latest/meta-data/iam/security-credentials", "redirect /latest/meta-data/iam/security-credentials/"),
        ("/latest/meta-data/iam/security-credentials/", "list app"),
        ("/latest/meta-data/tags/", "list instance/"),
        ("/latest/meta-data/tags/instance/", "list Empty\nName"),
        ("/latest/meta-data/tags/instance/Name", "leaf one"),
        ("/latest/meta-data/tags/instance/Empty", "leaf "),
        ("/latest/user-data", "leaf \0user\u{fffd}"),
        ("/latest/user-data/", "leaf \0user\u{fffd}"),
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
        "/latest/meta-data/%6dac",
        "/latest%2fmeta-data/mac",
        "/latest/meta-data/mac%3f",
        "/latest/meta-data/mac#x",
        "/latest/meta-data/tags/instance/name",
        "https://169.254.169.254/latest/meta-data/mac",
    ] {
        assert_eq!(found(&tree, target), "nothing", "{target}");
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

/// Walks the tree by its listings alone; returns how many leaves answered.
fn walk(tree: &Tree, path: &str) -> usize {
    match tree.lookup(path.as_bytes()) {
        Lookup::Leaf(_) => 1,
        Lookup::Directory(listing) => {
            let listing = std::str::from_utf8(listing.body()).expect("ASCII");
            assert!(!listing.is_empty() && !listing.ends_with('\n'), "{path}");
            let slash = if path.ends_with('/') { "" } else { "/" };
            listing.lines().map(|name| walk(tree, &format!("{path}{slash}{name}"))).sum()
        }
        other => panic!("{path} is listed and leads to {other:?}"),
    }
}

#[test]
fn everything_that_is_listed_is_found() {
    assert_eq!(walk(&tree(), "/"), VERSIONS.len() * 21);
}

#[test]
fn what_the_instance_has_not_is_neither_listed_nor_found() {
    let mut instance = sample::instance();
    instance.role = None;
    instance.security_groups.clear();
    for user_data in [None, Some(&b""[..])] {
        let tree = Tree::render(&instance, Some(&sample::identity()), user_data, false);
        assert_eq!(found(&tree, "/latest/"), "list dynamic\nmeta-data");
        for path in ["user-data", "meta-data/iam", "meta-data/tags", "meta-data/tags/", "meta-data/security-groups"] {
            assert_eq!(found(&tree, &format!("/latest/{path}")), "nothing", "{path}");
        }
        assert_eq!(walk(&tree, "/latest"), 15);
    }
    instance.tags.clear();
    assert_eq!(
        found(&Tree::render(&instance, Some(&sample::identity()), None, true), "/latest/meta-data/tags/"),
        "nothing"
    );
}

#[test]
fn names_that_no_target_can_spell_are_left_out() {
    let mut instance = sample::instance();
    let keys = ["", ".", "..", "a b", "a/b", "a?b", "a#b", "a%b", "ä", "a\nb", "a\u{7f}", "good+-=.,_:@"];
    instance.tags = keys.into_iter().map(|key| (key.to_owned(), "value".to_owned())).collect();
    let tree = Tree::render(&instance, Some(&sample::identity()), None, true);
    assert_eq!(found(&tree, "/latest/meta-data/tags/instance/"), "list good+-=.,_:@");
    assert_eq!(walk(&tree, "/latest"), 19);
}

#[test]
fn pages_are_dated_by_the_launch() {
    let modified = "Last-Modified: Sun, 22 Nov 2026 09:08:07 GMT\r\n";
    let tree = tree();
    for target in ["/", "/latest/", "/latest/meta-data/placement/", "/latest/meta-data/mac", "/latest/user-data"] {
        let page = match tree.lookup(target.as_bytes()) {
            Lookup::Leaf(leaf) => leaf.page(NOW),
            Lookup::Directory(listing) => listing,
            other => panic!("{other:?}"),
        };
        assert!(String::from_utf8_lossy(page.fields()).contains(modified), "{target}");
    }
}
