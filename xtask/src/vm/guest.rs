//! A booted guest: QEMU as a child that never outlives this program, and what its console says.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Signal, set_parent_process_death_signal};

use crate::process;
use crate::setup::virtual_machines::Qemu;
use crate::vm::accelerator::Accelerator;
use crate::vm::report::{Line, Report};
use crate::vm_init::Role;

/// MiB of a guest's memory: kernel, the image packed, and unpacked in no more than half of it, and room for the verifier.
const MEMORY: &str = "4096";
/// A panic ends the guest at once. `quiet` leaves errors and panics on the console. An emulated processor has nothing
/// to mitigate, and is slowed down much by trying.
const KERNEL_COMMAND_LINE: &str = "console=ttyS0 panic=-1 quiet mitigations=off rdinit=/init";
/// How long a guest may take to switch itself off after its final line.
const POWER_OFF_LIMIT: Duration = Duration::from_secs(10);

/// Makes an emulated guest's clock count instructions, 2 ns each, and leap over the time in which nothing runs: so no
/// time-out in it depends on what else the host does. Not for guests that talk to somebody outside. With it Linux 6.1
/// doesn't get a second processor to start.
const OWN_TIME: [&str; 4] = ["-icount", "shift=1,sleep=off", "-smp", "1"];
/// A guest in the host's time.
const HOST_TIME: [&str; 2] = ["-smp", "2"];

/// What a guest is booted from.
pub(crate) struct Boot {
    /// A kernel's image.
    pub(crate) kernel: PathBuf,
    /// Its file system.
    pub(crate) image: PathBuf,
    /// What else the kernel is told.
    pub(crate) parameters: &'static str,
}

impl Boot {
    /// QEMU's arguments for a guest whose first process has this role. Its console is QEMU's input and output.
    pub(crate) fn arguments(&self, accelerator: Accelerator, role: Role) -> Vec<OsString> {
        let alone = role != Role::Instance && accelerator == Accelerator::Tcg;
        // What follows `--` is /init's.
        let command_line = format!("{KERNEL_COMMAND_LINE} {} -- vm-init {}", self.parameters, role.name());
        let mut arguments: Vec<OsString> = [
            &["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio"][..],
            &["-machine", "q35", "-accel", accelerator.name(), "-m", MEMORY],
            if alone { &OWN_TIME } else { &HOST_TIME },
            &["-append", &command_line],
        ]
        .concat()
        .into_iter()
        .map(OsString::from)
        .collect();
        arguments.extend(["-kernel".into(), self.kernel.clone().into(), "-initrd".into(), self.image.clone().into()]);
        arguments
    }
}

/// A running QEMU: killed when dropped, and by the kernel if this program dies without that.
pub(crate) struct Guest {
    qemu: Child,
    console: Receiver<String>,
}

/// What a guest's console gives next.
pub(crate) enum Console {
    /// A line, without its end.
    Line(String),
    /// Nothing any more: the guest has ended.
    Ended,
    /// Nothing before the deadline.
    Overdue,
}

impl Guest {
    /// Boots a guest. What QEMU itself has to say goes to `complaints`.
    pub(crate) fn start(
        qemu: &Qemu,
        accelerator: Accelerator,
        boot: &Boot,
        role: Role,
        complaints: Stdio,
    ) -> Result<Self> {
        let mut command = qemu.command()?;
        command.args(boot.arguments(accelerator, role)).stderr(complaints);
        Self::spawn(command)
    }

    /// Starts what has a guest's console for its output.
    fn spawn(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        // SAFETY: between fork and exec the closure makes one system call and allocates nothing.
        unsafe {
            command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
        }
        let mut qemu = command.spawn().with_context(|| process::cannot_start(&command))?;
        let console = lines(qemu.stdout.take().context("QEMU was started without its console")?);
        Ok(Self { qemu, console })
    }

    /// Waits for the next line of the console.
    pub(crate) fn next(&mut self, deadline: Instant) -> Console {
        match self.console.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => Console::Line(line),
            Err(RecvTimeoutError::Disconnected) => Console::Ended,
            Err(RecvTimeoutError::Timeout) => Console::Overdue,
        }
    }
}

impl Guest {
    /// Whether it comes as far as its first process in time.
    pub(crate) fn reaches_first_process(&mut self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        while let Console::Line(line) = self.next(deadline) {
            if let Some(Line::Kernel(_)) = Line::parse(&line) {
                return true;
            }
        }
        false
    }

    /// Shows its console, each line after `label`, and returns its report once that is complete, the guest has ended, or
    /// its time is over, when it is killed.
    pub(crate) fn report(mut self, limit: Duration, label: &str) -> Report {
        let deadline = Instant::now() + limit;
        let mut report = Report::default();
        loop {
            match self.next(deadline) {
                Console::Line(line) => {
                    println!("[{label}] {line}");
                    if report.take(&line) {
                        let off = Instant::now() + POWER_OFF_LIMIT;
                        while let Console::Line(line) = self.next(off) {
                            println!("[{label}] {line}");
                        }
                        return report;
                    }
                }
                Console::Ended => return report,
                Console::Overdue => {
                    report.kill(limit);
                    return report;
                }
            }
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // Neither can fail in a way that matters: a child that has ended already is only reaped.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

fn lines(console: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(console).split(b'\n').map_while(Result::ok) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            if sender.send(text).is_err() {
                break;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Far less than any machine needs for `echo`.
    const LIMIT: Duration = Duration::from_secs(30);

    /// What is made of a guest whose console is a script's output.
    fn judged(script: &str, limit: Duration) -> Result<(), String> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Guest::spawn(command).expect("a shell").report(limit, "script").judge(&["debug", "release"])
    }

    const BOTH: &str = "echo 'vm-test: debug passed'; echo 'vm-test: release passed';";

    #[test]
    fn a_guest_that_ran_every_test_passes_without_a_wait_for_what_comes_after() {
        assert_eq!(judged(&format!("{BOTH} echo 'vm-test: 2 passed, 0 failed'"), LIMIT), Ok(()));
    }

    #[test]
    fn a_guest_that_ends_without_its_final_line_is_a_failure() {
        let reason = judged(BOTH, LIMIT).expect_err("no final line");
        assert!(reason.contains("ended before its final line"), "{reason}");
    }

    #[test]
    fn a_guest_that_says_no_more_is_killed_at_its_limit() {
        // It would outlive the test by far.
        let reason = judged(&format!("{BOTH} exec sleep 100000"), Duration::from_secs(1)).expect_err("no final line");
        assert!(reason.contains("no final line within 1 s and was killed"), "{reason}");
    }

    #[test]
    fn a_guest_that_says_other_tests_or_another_count_is_a_failure() {
        for (said, word) in [
            ("echo 'vm-test: debug passed'; echo 'vm-test: 1 passed, 0 failed'", "release"),
            (&format!("{BOTH} echo 'vm-test: more passed'; echo 'vm-test: 3 passed, 0 failed'"), "more"),
            (&format!("{BOTH} echo 'vm-test: 3 passed, 0 failed'"), "3 passed"),
        ] {
            let reason = judged(said, LIMIT).expect_err(said);
            assert!(reason.contains(word), "{reason}");
        }
    }
}
