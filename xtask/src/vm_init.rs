//! The first process of a guest: runs the tests, reports on the console, switches the guest off.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::mount::{MountFlags, mount};
use rustix::system::{RebootCommand, reboot, uname};

use crate::vm::report::Line;
use crate::vm::{TESTS, Test};

/// What the tested programs expect to be mounted: type, and where.
const FILE_SYSTEMS: [(&str, &str); 5] =
    [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev"), ("bpf", "/sys/fs/bpf"), ("tmpfs", "/run")];

/// Runs every test; never returns in a guest.
pub(crate) fn run() -> Result<()> {
    ensure!(
        std::process::id() == 1,
        "vm-init runs as the first process of a virtual machine: use `cargo xtask vm-test`"
    );
    match mount_all() {
        Ok(()) => report(),
        // Without the report's last line the host counts this as a failure.
        Err(error) => println!("vm-init: {error:#}"),
    }
    reboot(RebootCommand::PowerOff).context("the guest can't be switched off")
}

fn mount_all() -> Result<()> {
    for (kind, path) in FILE_SYSTEMS {
        fs::create_dir_all(path).with_context(|| format!("can't make {path}"))?;
        mount(kind, path, kind, MountFlags::empty(), None).with_context(|| format!("can't mount {path}"))?;
    }
    Ok(())
}

fn report() {
    println!("{}", Line::Kernel(&uname().release().to_string_lossy()));
    let failed = TESTS.iter().filter(|test| !passes(test)).count();
    println!("{}", Line::End { passed: TESTS.len() - failed, failed });
}

fn passes(test: &Test) -> bool {
    let outcome = Command::new(test.program).args(test.arguments).stdin(Stdio::null()).output();
    let failure = match outcome {
        Ok(output) => {
            for text in
                String::from_utf8_lossy(&output.stdout).lines().chain(String::from_utf8_lossy(&output.stderr).lines())
            {
                println!("{}", Line::Output { test: test.name, text });
            }
            (!output.status.success()).then(|| output.status.to_string())
        }
        Err(error) => Some(format!("{} can't be started: {error}", test.program)),
    };
    match &failure {
        None => println!("{}", Line::Passed(test.name)),
        Some(reason) => println!("{}", Line::Failed { test: test.name, reason }),
    }
    failure.is_none()
}
