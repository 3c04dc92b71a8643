//! Instances as `imdsctl` makes, shows and deletes them.

use imds_tests::guest::Guest;
use imds_tests::host::Host;
use imds_tests::names;

const ADDRESS: &str = "10.0.0.1";
const ID: &str = "i-0123456789abcdef0";

#[test]
fn creating_again_with_the_same_content_succeeds() {
    let host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let data = names::file("user-data", b"#!/bin/sh\n", 0o600);
    let data = data.to_str().expect("UTF-8");
    let content = ["--instance-id", ID, "--tag", "Name=web", "--user-data-file", data];
    host.create(guest.interface(), &content);
    let token = guest.token();
    let first = host.ask(&["instance", "show", ID]);
    assert_eq!(host.create(guest.interface(), &content), ID);
    assert_eq!(host.ask(&["instance", "show", ID]), first);
    assert_eq!(guest.get("/latest/user-data", Some(&token)).text(), "#!/bin/sh\n", "its tokens live on");
    host.set(ID, &["--http-tokens", "required"]);
    host.create(guest.interface(), &content);
    let shown = host.ask(&["options", "show", ID]);
    assert_eq!(shown["HttpTokens"], "required", "a hook that retries changes nothing");
}

#[test]
fn creating_again_with_other_content_is_refused() {
    let host = Host::start();
    let (guest, other) = (Guest::on_veth(ADDRESS), Guest::on_veth(ADDRESS));
    let content = ["--instance-id", ID, "--tag", "Name=web", "--metadata-options", "HttpTokens=required"];
    host.create(guest.interface(), &content);
    let before = host.ask(&["instance", "list"]);
    let create = ["instance", "create", "--interface"];
    for different in [
        [&create[..], &[guest.interface()], &content, &["--tag", "Team=a"]].concat(),
        [&create[..], &[guest.interface()], &content, &["--instance-type", "t3.large"]].concat(),
        [&create[..], &[guest.interface(), "--instance-id", ID]].concat(),
        [&create[..], &[other.interface()], &content].concat(),
        [&create[..], &[guest.interface(), "--interface", other.interface()], &content].concat(),
    ] {
        let refused = host.ctl(&different);
        assert_eq!(refused.code, Some(4), "{different:?}: {}", refused.stderr);
        assert!(refused.stderr.contains(ID) && refused.stderr.contains("delete it first"), "{}", refused.stderr);
        assert_eq!(host.ask(&["instance", "list"]), before);
    }
}

#[test]
fn instances_are_listed_shown_and_deleted() {
    let host = Host::start();
    assert_eq!(host.ask(&["instance", "list"]), serde_json::json!([]));
    let guests = [Guest::on_veth(ADDRESS), Guest::on_veth(ADDRESS)];
    let ids = guests.each_ref().map(|guest| host.create(guest.interface(), &["--tag", "Name=web"]));
    let list = host.ask(&["instance", "list"]);
    assert_eq!(list.as_array().map(Vec::len), Some(2));
    let shown = host.ask(&["instance", "show", &ids[0]]);
    assert_eq!(shown["interfaces"][0]["name"], guests[0].interface());
    assert_eq!(shown["interfaces"][0]["status"], "enforced");
    assert_eq!(shown["tags"]["Name"], "web");
    assert_eq!(shown["private_ip"], "10.0.0.1");
    let table = host.ctl(&["instance", "list"]);
    assert!(ids.iter().all(|id| table.stdout.contains(id)), "{}", table.stdout);
    host.delete(&ids[0]);
    assert_eq!(host.ctl(&["instance", "delete", &ids[0]]).code, Some(3));
    assert_eq!(host.ask(&["instance", "list"]), serde_json::json!([host.ask(&["instance", "show", &ids[1]])]));
}

#[test]
fn counters_are_printed_for_one_and_for_all() {
    let host = Host::start();
    let guests = [Guest::on_veth(ADDRESS), Guest::on_veth(ADDRESS)];
    let ids = guests.each_ref().map(|guest| host.create(guest.interface(), &[]));
    assert_eq!(guests[0].get("/latest/meta-data/", None).status, 200);
    let all = host.ask(&["stats"]);
    assert_eq!(all["instances"].as_array().map(Vec::len), Some(2));
    assert!(all["host"].is_object());
    let one = host.ask(&["stats", &ids[1]]);
    assert_eq!(one["instances"].as_array().map(Vec::len), Some(1));
    assert!(one["host"].is_null());
    assert_eq!((host.stats(&ids[0]).no_token(), host.stats(&ids[1]).no_token()), (1, 0));
    let table = host.ctl(&["stats"]);
    assert!(table.stdout.contains("MetadataNoToken") && table.stdout.contains(&ids[0]), "{}", table.stdout);
}
