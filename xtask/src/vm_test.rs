//! `cargo xtask vm-test`: the black-box tests on other kernels.

use std::fmt::Write;
use std::fs;
use std::panic;
use std::path::Path;
use std::process::Stdio;
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::build;
use crate::setup::clients;
use crate::setup::compiler::Core;
use crate::setup::virtual_machines::{self, Qemu};
use crate::verifier_costs::{self, List};
use crate::vm::accelerator::Accelerator;
use crate::vm::guest::{Boot, Guest};
use crate::vm::image::Image;
use crate::vm::kernel::Series;
use crate::vm::mishaps;
use crate::vm::modules::{self, Modules};
use crate::vm::plan::{self, Kind, Test};
use crate::vm::report::Report;
use crate::vm::suite::{self, Binary, Choice};
use crate::vm_init::{DEBUG_IMDSD, Role};
use crate::workspace::{Profile, Workspace};

/// What the tests run beside the binaries under test: clients, and the shell that cleans up after them with its tools.
const PROGRAMS: [&str; 14] = [
    "cat", "curl", "grep", "ip", "mount", "readlink", "rm", "setpriv", "sh", "sleep", "sysctl", "tc", "unshare", "wget",
];
/// Each object, by the daemon that embeds it: the test's name, the program, and the profile.
const CHECKS: [(&str, &str, Profile); 2] =
    [("debug", DEBUG_IMDSD, Profile::Debug), ("release", "/bin/imdsd-release", Profile::Release)];

/// Keeps IPv6 out of a kernel, as some hosts do.
const NO_IPV6: &str = "ipv6.disable=1";
/// How long a guest of such a kernel may take, which starts a daemon in vain and little more.
const NO_IPV6_LIMIT: Duration = Duration::from_secs(300);

/// A guest to be booted, and what it must run.
struct Run {
    series: Series,
    /// Its name before its lines.
    label: String,
    boot: Boot,
    tests: Vec<Test>,
}

impl Run {
    fn expected(&self) -> Vec<&str> {
        self.tests.iter().map(|test| test.name.as_str()).collect()
    }
}

/// Boots each kernel and runs the tests on it, and some where it has no IPv6; returns how many passed. Fails if any did
/// not. `accept` takes what the verifiers walked over into the committed list.
pub(crate) fn run(
    workspace: &Workspace,
    core: Core,
    kernels: &[Series],
    choice: &Choice,
    accept: bool,
) -> Result<usize> {
    let qemu = Qemu::ensure(workspace)?;
    clients::ensure_programs()?;
    build::run(workspace, core, &[Profile::Debug, Profile::Release])?;
    let usual = usual_runs(workspace, kernels, choice)?;
    let without_ipv6 = runs_without_ipv6(workspace, kernels, choice)?;
    let boots: Vec<_> = usual.iter().chain(&without_ipv6).map(|run| &run.boot).collect();
    ensure!(!boots.is_empty(), "no test's name holds {:?}", choice.only);
    let accelerator = Accelerator::probe(&qemu, &boots)?;
    let limit = accelerator.guest_limit(choice.extent);

    let mut failures = Vec::new();
    let mut passed = 0;
    if let Some(series) = kernels.last() {
        passed += mishaps::run(workspace, &qemu, accelerator, *series)?;
    }
    let mut list = List::read(workspace)?;
    let (mut table, mut costs) = (String::new(), String::new());
    for (runs, limit) in [(&without_ipv6, NO_IPV6_LIMIT), (&usual, limit)] {
        for (run, report) in runs.iter().zip(side_by_side(&qemu, accelerator, runs, limit)) {
            let (report, name) = (report?, run.series.name());
            for (test, _, _) in CHECKS.iter().filter(|(test, ..)| run.expected().contains(test)) {
                row(&mut table, run.series, &report, test)?;
                let programs = verifier_costs::parse(report.output_of(test));
                costs += &list.compare(name, test, &programs);
                if accept {
                    list.accept(name, test, programs)?;
                }
            }
            match report.judge(&run.expected()) {
                Ok(()) => passed += run.tests.len(),
                Err(reason) => failures.push(format!("Linux {}: {reason}", run.label)),
            }
        }
    }
    if !usual.is_empty() {
        print!("\n{:<28} {:<8} {:<7} what imdsd check says\n{table}", "kernel", "object", "result");
        print!("\nbeside the committed list:\n{costs}");
    }
    ensure!(failures.is_empty(), "vm-test failed: {}", failures.join("; "));
    println!("vm-test: {passed} passed on {} kernels", kernels.len());
    Ok(passed)
}

/// Boots these guests at the same time: an emulated one keeps one processor busy, whatever it has itself.
fn side_by_side(qemu: &Qemu, accelerator: Accelerator, runs: &[Run], limit: Duration) -> Vec<Result<Report>> {
    thread::scope(|scope| {
        let guests = runs.iter().map(|run| {
            let Run { label, tests, .. } = run;
            println!("vm-test: booting Linux {label} for {} tests, at most {} s", tests.len(), limit.as_secs());
            scope.spawn(move || {
                let guest = Guest::start(qemu, accelerator, &run.boot, Role::Tests, Stdio::inherit())?;
                Ok(guest.report(limit, label))
            })
        });
        let guests: Vec<_> = guests.collect();
        let reports = guests.into_iter().map(ScopedJoinHandle::join);
        reports.map(|report| report.unwrap_or_else(|panic| panic::resume_unwind(panic))).collect()
    })
}

/// A guest for each kernel with both objects and the chosen part of the suite.
fn usual_runs(workspace: &Workspace, kernels: &[Series], choice: &Choice) -> Result<Vec<Run>> {
    let binaries = suite::build(workspace)?;
    let check = |(name, program, _): (&str, &str, Profile)| Test {
        name: name.to_owned(),
        program: program.to_owned(),
        kind: Kind::Check,
    };
    let mut tests = suite::tests(&binaries, choice)?;
    let kernels = if tests.is_empty() { &[] } else { kernels };
    tests.splice(..0, CHECKS.map(check));
    let run = |series: &Series| Run::prepare(workspace, *series, None, &binaries, tests.clone());
    kernels.iter().map(run).collect()
}

/// A guest for each kernel that was booted without IPv6.
fn runs_without_ipv6(workspace: &Workspace, kernels: &[Series], choice: &Choice) -> Result<Vec<Run>> {
    let binaries = suite::build_without_ipv6(workspace)?;
    let mut tests = suite::all(&binaries)?;
    tests.retain(|test| test.name.contains(&choice.only));
    let kernels = if tests.is_empty() { &[] } else { kernels };
    let run = |series: &Series| Run::prepare(workspace, *series, Some(NO_IPV6), &binaries, tests.clone());
    kernels.iter().map(run).collect()
}

impl Run {
    /// Writes the guest's image. A kernel that is told more has an image of its own.
    fn prepare(
        workspace: &Workspace,
        series: Series,
        parameters: Option<&'static str>,
        binaries: &[Binary],
        tests: Vec<Test>,
    ) -> Result<Self> {
        let parameters = parameters.unwrap_or_default();
        let label = format!("{} {parameters}", series.name()).trim_end().to_owned();
        let kernel = virtual_machines::ensure_kernel(workspace, series)?;
        let directory = workspace.target.join("vm/guests").join(label.replace(' ', "-"));
        let modules = Modules::of(&kernel.directory)?.unpack(modules::OF_A_HOST, &directory.join("modules"))?;
        let list = directory.join("list");
        fs::write(&list, plan::list(&tests)).with_context(|| format!("can't write {}", list.display()))?;

        let mut image = Image::new(&modules)?;
        image.installed(&PROGRAMS)?;
        for (name, program, profile) in CHECKS {
            if tests.iter().any(|test| test.name == name) {
                image.program(program, &workspace.binaries(profile).join("imdsd"))?;
            }
        }
        for name in ["imdsd", "imdsctl"] {
            let program = Path::new("/bin").join(name).display().to_string();
            image.program(&program, &workspace.binaries(Profile::Release).join(name))?;
        }
        for binary in binaries {
            image.program(&binary.program(), &binary.file)?;
        }
        image.file(plan::LIST, &list);
        let to = directory.join("initramfs.cpio");
        image.write(&to)?;
        Ok(Self { series, label, boot: Boot { kernel: kernel.image, image: to, parameters }, tests })
    }
}

/// A guest's row of the table: what became of an object, and what the check of it printed.
fn row(table: &mut String, series: Series, report: &Report, test: &str) -> Result<()> {
    let kernel = report.kernel.as_deref().unwrap_or_else(|| series.name());
    let result = match report.results.iter().find(|(name, _)| name == test) {
        Some((_, Ok(()))) => "passed",
        Some((_, Err(_))) => "failed",
        None => "not run",
    };
    let mut lines = report.output_of(test);
    writeln!(table, "{kernel:<28} {test:<8} {result:<7} {}", lines.next().unwrap_or("-"))?;
    for line in lines {
        writeln!(table, "{:<46}{line}", "")?;
    }
    Ok(())
}
