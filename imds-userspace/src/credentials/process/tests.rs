use std::fs::{self, Permissions};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::*;

/// Somebody who is nobody.
const OTHER: u32 = 65_534;
/// Far more than any of these programs takes.
const LONG: Duration = Duration::from_secs(60);

const GOOD: &str = r#"{"Version":1,"AccessKeyId":"A","SecretAccessKey":"wJalrXUtn","SessionToken":"T","Expiration":"2100-01-01T00:00:00Z"}"#;

/// A directory in which a program finds its script, and may write.
fn scratch() -> tempfile::TempDir {
    let scratch = tempfile::tempdir().expect("scratch directory");
    fs::set_permissions(scratch.path(), Permissions::from_mode(0o777)).expect("owner");
    scratch
}

/// A shell that runs `script` with the directory in `$1`; as somebody else where the tests are root's.
fn shell(scratch: &tempfile::TempDir, script: &str) -> Process {
    let (uid, gid) = if rustix::process::geteuid().is_root() {
        (OTHER, OTHER)
    } else {
        (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
    };
    let directory = scratch.path().to_str().expect("UTF-8").to_owned();
    let arguments = vec!["-c".to_owned(), script.to_owned(), "sh".to_owned(), directory];
    Process { program: "/bin/sh".into(), arguments, uid, gid, time_limit: LONG }
}

fn written(scratch: &tempfile::TempDir, name: &str) -> String {
    fs::read_to_string(scratch.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

async fn refused(process: &Process) -> String {
    let message = process.run().await.expect_err("refused").to_string();
    assert!(message.contains(process.program.to_str().expect("UTF-8")), "{message}");
    assert!(!message.contains("wJalrXUtn") && !message.contains("echo"), "{message}");
    message
}

/// Waits until a process is gone, or waits only for its parent.
async fn until_dead(pid: &str) {
    let stat = Path::new("/proc").join(pid.trim()).join("stat");
    let dead = async {
        while fs::read_to_string(&stat).is_ok_and(|text| !text.contains(") Z ")) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LONG, dead).await.unwrap_or_else(|_| panic!("{pid} lives"));
}

#[tokio::test]
async fn what_it_prints_is_taken() {
    let scratch = scratch();
    let credentials = shell(&scratch, &format!("echo '{GOOD}'")).run().await.expect("good");
    assert_eq!((credentials.access_key_id.as_str(), credentials.token.as_str()), ("A", "T"));
    assert_eq!(credentials.expiration, "2100-01-01T00:00:00Z");
}

#[tokio::test]
async fn it_has_nothing_of_the_daemons() {
    let scratch = scratch();
    // What a careless part of the daemon might leave open.
    let open = fs::File::open("/dev/zero").expect("there");
    rustix::io::fcntl_setfd(&open, rustix::io::FdFlags::empty()).expect("open");
    let script = format!(
        "readlink /proc/$$/cwd > \"$1/cwd\"; cd \"$1\"; cat /proc/self/status > status; ls -l /proc/$$/fd > fds
         tr '\\0' '\\n' < /proc/$$/environ > environ; ulimit -c > core; cat > input; echo a secret >&2; echo '{GOOD}'"
    );
    let process = shell(&scratch, &script);
    process.run().await.expect("good");
    let status = written(&scratch, "status");
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}: {status}"));
        line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    let all_four = |id: u32| [id; 4].map(|id| id.to_string()).join(" ");
    assert_eq!(field("Uid:"), all_four(process.uid));
    assert_eq!(field("Gid:"), all_four(process.gid));
    assert_eq!(field("NoNewPrivs:"), "1");
    if rustix::process::geteuid().is_root() {
        assert_eq!(field("Groups:"), "");
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
            assert_eq!(field(set), "0000000000000000", "{set}");
        }
    }
    assert_eq!(written(&scratch, "environ"), format!("{}={}\n", PATH.0, PATH.1));
    assert_eq!(written(&scratch, "cwd"), "/\n");
    assert_eq!(written(&scratch, "core"), "0\n");
    assert_eq!(written(&scratch, "input"), "");
    let fds = written(&scratch, "fds");
    assert!(!fds.contains("/dev/zero"), "descriptor {} is open: {fds}", open.as_raw_fd());
    assert!(fds.contains("0 -> /dev/null") && fds.contains("2 -> /dev/null"), "{fds}");
}

#[tokio::test]
async fn who_takes_too_long_is_killed_with_all_that_it_started() {
    let scratch = scratch();
    let script = "trap '' TERM; sleep 1000 & echo $! > \"$1/child\"; echo $$ > \"$1/leader\"; wait; sleep 1000";
    let process = Process { time_limit: Duration::from_millis(500), ..shell(&scratch, script) };
    let message = refused(&process).await;
    assert!(message.contains("took longer than 0 seconds and was killed"), "{message}");
    for name in ["leader", "child"] {
        until_dead(&written(&scratch, name)).await;
    }
}

#[tokio::test]
async fn what_it_leaves_behind_is_killed_and_keeps_nobody_waiting() {
    let scratch = scratch();
    let script = format!("sleep 1000 & echo $! > \"$1/child\"; echo '{GOOD}'");
    shell(&scratch, &script).run().await.expect("good");
    until_dead(&written(&scratch, "child")).await;
}

#[tokio::test]
async fn who_is_no_longer_waited_for_is_killed() {
    let scratch = scratch();
    let process = shell(&scratch, "echo $$ > \"$1/leader\"; sleep 1000");
    let leader = scratch.path().join("leader");
    let started = async {
        while !fs::read_to_string(&leader).is_ok_and(|text| text.ends_with('\n')) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        ended = process.run() => panic!("{ended:?}"),
        () = started => (),
    }
    until_dead(&written(&scratch, "leader")).await;
}

#[tokio::test]
async fn too_much_output_is_refused_and_not_waited_for() {
    let scratch = scratch();
    let process = shell(&scratch, "trap '' PIPE; while :; do echo wJalrXUtn wJalrXUtn wJalrXUtn wJalrXUtn; done");
    let message = refused(&process).await;
    assert!(message.ends_with("printed more than 65536 bytes and was killed"), "{message}");
}

#[tokio::test]
async fn a_failure_is_told_without_what_was_printed() {
    let scratch = scratch();
    let cases = [
        (format!("echo '{GOOD}'; exit 3"), "failed (exit status: 3); run it by hand"),
        (format!("echo '{GOOD}'; kill -9 $$"), "failed (signal: 9 (SIGKILL))"),
        (GOOD.replace("{\"Version\":1", "echo '{\"Version\":2") + "'", "printed: its Version is not 1"),
        (GOOD.replace("SessionToken", "Token").replace('{', "echo '{") + "'", "printed: it has no key SessionToken"),
        ("echo wJalrXUtn".to_owned(), "printed: line 1, column 1: not JSON"),
        (":".to_owned(), "printed: line 1, column 0: not JSON"),
    ];
    for (script, expected) in cases {
        let message = refused(&shell(&scratch, &script)).await;
        assert!(message.contains(expected), "{script}: {message}");
    }
    let missing = Process { program: "/nonexistent/program".into(), ..shell(&scratch, "") };
    assert!(refused(&missing).await.contains("can't be run (No such file"), "{missing:?}");
}
