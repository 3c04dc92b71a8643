//! Daemons that can't start, and command lines without a daemon: a clear error, and nothing half done.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use imds_tests::environment;
use imds_tests::guest::Guest;
use imds_tests::host::Host;
use imds_tests::names;
use imds_tests::process::{self, Output};
use redb::{Database, TableDefinition};

const ADDRESS: &str = "10.0.0.1";

/// Runs a daemon that must end by itself, with failure, by words that contain each of `words`.
#[track_caller]
fn assert_fails(command: &mut Command, words: &[&str]) -> Output {
    let output = process::run(command);
    assert_eq!(output.code, Some(1), "{}{}", output.stdout, output.stderr);
    for word in words {
        assert!(output.stderr.contains(word), "{word} is not in: {}", output.stderr);
    }
    output
}

/// Whether a daemon left a trace in the kernel.
fn traces(host: &Host) -> String {
    host.detach().stdout
}

#[test]
fn of_a_config() {
    let host = Host::prepare();
    let file = host.config().display().to_string();
    for (text, words) in [
        ("max-slots = 8\nmax-slot = 5\n", &["line 2", "max-slot", "imdsd config default"][..]),
        ("[service]\n\nidle_timeout = 5\n", &["line 3", "idle_timeout"]),
        ("max-slots = 1\n", &["line 1", "max-slots", "2 to 16384"]),
        ("[log]\nlevel = \"loud\"\n", &["line 2", "level", "loud"]),
        ("max-slots = [\n", &["line 1", "max-slots"]),
        ("[[roles]]\nname = \"web\"\nuser = 5\n", &["line 3", "roles.user", "imdsd config default"]),
        ("\n[[roles]]\nname = \"web\"\nprovider = \"process\"\n", &["line 2", "role \"web\"", "needs command"]),
        ("this is no TOML\n", &["line 1"]),
    ] {
        names::write(&host.config(), text.as_bytes(), 0o600);
        assert_fails(&mut host.imdsd(), &[words, &[file.as_str()]].concat());
        assert!(!host.state_dir().exists() && !host.run_dir().exists(), "{text}");
    }
    fs::remove_file(host.config()).expect("removed");
    assert_fails(&mut host.imdsd(), &[&file, "No such file", "imdsd config default"]);
    assert_eq!(traces(&host), "");
}

#[test]
fn of_a_config_that_is_printed() {
    let printed = process::run(Command::new(environment::imdsd()).args(["config", "default"]));
    assert!(printed.success(), "{}", printed.stderr);
    let host = Host::with_whole_config(&printed.stdout);
    let guest = Guest::on_veth(ADDRESS);
    let id = host.create(guest.interface(), &[]);
    assert_eq!(guest.get("/latest/meta-data/instance-id", None).text(), id);
}

#[test]
fn of_a_damaged_store() {
    let mut host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let id = host.create(guest.interface(), &["--metadata-options", "HttpTokens=required"]);
    let token = guest.token();
    assert!(host.terminate().success());
    let store = store_of(&host);
    let good = fs::read(&store).expect("the store");
    let name = store.display().to_string();
    let mut half = good.clone();
    half.truncate(good.len() / 2);
    let mut flipped = good.clone();
    flipped.iter_mut().skip(4096).for_each(|byte| *byte ^= 0x55);
    for bad in [b"this is no store".repeat(1000), half, flipped] {
        names::write(&store, &bad, 0o600);
        assert_fails(&mut host.imdsd(), &[&name, "damaged", "move it away"]);
        assert!(fs::read(&store).expect("the store") == bad, "it was overwritten");
        assert!(guest.connect().is_err(), "nothing opened");
    }
    names::write(&store, &good, 0o600);
    host.launch();
    assert_eq!(guest.get("/latest/meta-data/instance-id", Some(&token)).text(), id);
}

#[test]
fn of_a_store_of_another_version() {
    const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
    let mut host = Host::start();
    assert!(host.terminate().success());
    let store = store_of(&host);
    let name = store.display().to_string();
    for (version, way_out) in [(1_000, "move the file away"), (1, "Remove the file and create the instances again")] {
        let database = Database::create(&store).expect("a store");
        let transaction = database.begin_write().expect("a transaction");
        transaction.open_table(META).expect("a table").insert("schema", version).expect("written");
        transaction.commit().expect("committed");
        drop(database);
        assert_fails(&mut host.imdsd(), &[&name, &format!("version {version}"), way_out]);
    }
}

#[test]
fn of_a_store_in_use() {
    let host = Host::start();
    let other = Host::prepare();
    let mut command = Command::new(environment::imdsd());
    command.arg("--run-dir").arg(other.run_dir()).arg("--state-dir").arg(host.state_dir());
    assert_fails(&mut command, &[&store_of(&host).display().to_string(), "in use", "--state-dir"]);
}

#[test]
fn of_a_run_directory_in_use() {
    let host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let id = host.create(guest.interface(), &[]);
    let pid = host.pid().expect("it runs").to_string();
    let run_dir = host.run_dir().display().to_string();
    let other = Host::prepare();
    let mut command = Command::new(environment::imdsd());
    command.arg("--run-dir").arg(host.run_dir()).arg("--state-dir").arg(other.state_dir());
    assert_fails(&mut command, &[&run_dir, &pid, "--run-dir"]);
    let detach = host.detach();
    assert_eq!(detach.code, Some(1), "{}", detach.stdout);
    assert!(detach.stderr.contains(&pid), "{}", detach.stderr);
    assert_eq!(guest.get("/latest/meta-data/instance-id", None).text(), id, "the first one serves on");
}

#[test]
fn without_root() {
    let host = Host::prepare();
    let copies = ["imdsd", "imdsctl"].map(|name| {
        let bytes = fs::read(environment::imdsd().with_file_name(name)).expect("the binary");
        let directory = names::directory();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).expect("a directory for all");
        let copy = directory.join(name);
        names::write(&copy, &bytes, 0o755);
        copy
    });
    let nobody = |program: &Path| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
        command
    };
    assert_fails(&mut nobody(&copies[0]), &["root", "sudo"]);
    assert_fails(nobody(&copies[0]).arg("detach"), &["root", "sudo"]);
    assert_eq!(traces(&host), "");

    let running = Host::start();
    let socket = running.socket().display().to_string();
    assert_fails(nobody(&copies[1]).args(["--socket", &socket, "instance", "list"]), &[&socket, "root"]);
    // Even where the file lets somebody in, the daemon looks who it is.
    fs::set_permissions(running.directory(), fs::Permissions::from_mode(0o711)).expect("opened");
    fs::set_permissions(running.run_dir(), fs::Permissions::from_mode(0o711)).expect("opened");
    fs::set_permissions(running.socket(), fs::Permissions::from_mode(0o666)).expect("opened");
    let output = process::run(nobody(&copies[1]).args(["--socket", &socket, "instance", "list"]));
    assert!(!output.success(), "{}", output.stdout);
    assert!(output.stdout.is_empty() && output.stderr.contains("root"), "{}", output.stderr);
}

/// Runs a daemon, and `imdsd check`, by `wrapper`, where the host lacks what `lacking` names, and has `there`.
#[track_caller]
fn assert_lacks(wrapper: &[&str], lacking: &[&str], there: &[&str]) {
    let host = Host::prepare();
    let wrapped = |arguments: &[String]| {
        let mut command = Command::new(wrapper[0]);
        command.args(&wrapper[1..]).arg(environment::imdsd()).args(arguments);
        command
    };
    let started = assert_fails(&mut wrapped(&host.arguments()), &[lacking, &["lacks", "nothing was changed"]].concat());
    assert_eq!(started.stderr.lines().count(), 1, "{}", started.stderr);
    assert!(!host.state_dir().exists() && !host.run_dir().exists(), "{}", started.stderr);
    assert_eq!(traces(&host), "");

    let checked = assert_fails(&mut wrapped(&["check".to_owned()]), lacking);
    let lines = |name: &str| checked.stdout.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    for name in lacking {
        assert!(lines(name).starts_with(name) && lines(name).contains("  no: "), "{name}: {}", checked.stdout);
    }
    for name in there {
        assert!(lines(name).ends_with("  yes"), "{name}: {}", checked.stdout);
    }
    assert!(!checked.stdout.contains("instructions"), "nothing is loaded: {}", checked.stdout);
}

#[test]
fn without_the_right_to_load_programs() {
    let wrapper = ["setpriv", "--bounding-set", "-bpf,-sys_admin"];
    assert_lacks(&wrapper, &["bpf system call", "network namespace"], &[]);
}

#[test]
fn without_the_right_to_make_links() {
    let wrapper = ["setpriv", "--bounding-set", "-net_admin"];
    assert_lacks(&wrapper, &["veth link"], &["maps", "IPv6", "network namespace"]);
}

#[test]
fn without_a_place_for_pins() {
    let hide = "mount -t tmpfs none /sys/fs && exec \"$@\"";
    let wrapper = ["unshare", "--mount", "sh", "-c", hide, "sh"];
    assert_lacks(&wrapper, &["BPF file system"], &["maps", "helper functions", "veth link", "IPv6 in a namespace"]);
}

#[test]
fn on_a_real_time_kernel() {
    let pretend = "mount -t tmpfs none /sys/kernel && echo 1 > /sys/kernel/realtime && exec \"$@\"";
    let wrapper = ["unshare", "--mount", "sh", "-c", pretend, "sh"];
    assert_lacks(&wrapper, &["uninterrupted programs"], &["maps", "helper functions", "veth link", "IPv6"]);
}

#[test]
fn with_settings_that_can_t_be_written() {
    let freeze = "mount -o bind,ro /proc/sys /proc/sys && exec \"$@\"";
    let wrapper = ["unshare", "--mount", "sh", "-c", freeze, "sh"];
    assert_lacks(&wrapper, &["IPv6 in a namespace"], &["veth link", "BPF file system"]);
}

#[test]
fn of_a_host_that_has_all_it_takes() {
    let output = process::run(Command::new(environment::imdsd()).arg("check"));
    assert!(output.success(), "{}{}", output.stdout, output.stderr);
    assert!(!output.stdout.contains("  no"), "{}", output.stdout);
    for line in ["attaching by tc", "attaching by XDP", "uninterrupted programs"] {
        let found = output.stdout.lines().find(|found| found.starts_with(line));
        assert!(found.is_some_and(|found| !found.ends_with("not tried")), "{line}: {}", output.stdout);
    }
    assert!(output.stdout.contains("in the driver and generic"), "{}", output.stdout);
    for program in ["imds_ingress", "imds_reply"] {
        assert!(output.stdout.contains(&format!("{program}: ")), "{}", output.stdout);
    }
}

#[test]
fn without_a_daemon() {
    let mut host = Host::start();
    assert!(host.terminate().success());
    let socket = host.socket().display().to_string();
    for command in [&["instance", "list"][..], &["stats"], &["options", "set", "--all", "--http-tokens", "required"]] {
        let refused = host.ctl(command);
        assert_eq!(refused.code, Some(1), "{command:?}");
        for word in [socket.as_str(), "no imdsd answers", "start it", "--socket"] {
            assert!(refused.stderr.contains(word), "{command:?}: {}", refused.stderr);
        }
    }
}

#[test]
fn in_a_directory_that_others_write() {
    let host = Host::prepare();
    fs::create_dir(host.run_dir()).expect("made");
    fs::set_permissions(host.run_dir(), fs::Permissions::from_mode(0o777)).expect("opened");
    let run_dir = host.run_dir().display().to_string();
    assert_fails(&mut host.imdsd(), &[&run_dir, "written by others", "chmod"]);
    fs::set_permissions(host.run_dir(), fs::Permissions::from_mode(0o700)).expect("closed");
}

#[test]
fn files_are_their_owners_alone() {
    let host = Host::start();
    let guest = Guest::on_veth(ADDRESS);
    let _ = host.create(guest.interface(), &[]);
    let mode = |path: &Path| fs::metadata(path).expect("it is there").mode() & 0o077;
    for path in [host.run_dir(), host.state_dir(), host.state_dir().join("credentials"), host.socket(), store_of(&host)]
    {
        assert_eq!(mode(&path), 0, "{}", path.display());
    }
}

fn store_of(host: &Host) -> PathBuf {
    host.state_dir().join("imdsd.redb")
}
