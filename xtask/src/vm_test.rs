//! `cargo xtask vm-test`: the black-box tests on other kernels.

use std::fmt::Write;
use std::fs;
use std::panic;
use std::path::Path;
use std::thread::{self, ScopedJoinHandle};

use anyhow::{Context, Result, ensure};

use crate::build;
use crate::setup::clients;
use crate::setup::compiler::Core;
use crate::setup::virtual_machines::{self, Qemu};
use crate::verifier_costs::{self, List};
use crate::vm::accelerator::Accelerator;
use crate::vm::guest::{self, Boot};
use crate::vm::image::Image;
use crate::vm::kernel::Series;
use crate::vm::modules::{self, Modules};
use crate::vm::plan::{self, Kind, Test};
use crate::vm::report::Report;
use crate::vm::suite::{self, Binary, Choice};
use crate::workspace::{Profile, Workspace};

/// What the tests run beside the binaries under test: clients, and the shell that cleans up after them with its tools.
const PROGRAMS: [&str; 14] = [
    "cat", "curl", "grep", "ip", "mount", "readlink", "rm", "setpriv", "sh", "sleep", "sysctl", "tc", "unshare", "wget",
];
/// Each object, by the daemon that embeds it: the test's name, the program, and the profile.
const CHECKS: [(&str, &str, Profile); 2] =
    [("debug", "/bin/imdsd-debug", Profile::Debug), ("release", "/bin/imdsd-release", Profile::Release)];

/// Boots each kernel and runs the tests on it; returns how many passed. Fails if any did not. `accept`
/// takes what the verifiers walked over into the committed list.
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
    let binaries = suite::build(workspace)?;
    let tests = tests(&binaries, choice)?;
    let boots = kernels.iter().map(|series| boot(workspace, *series, &binaries, &tests)).collect::<Result<Vec<_>>>()?;
    let accelerator = Accelerator::probe(&qemu, &boots)?;
    let limit = accelerator.guest_limit(choice.extent);

    let expected: Vec<_> = tests.iter().map(|test| test.name.as_str()).collect();
    let mut list = List::read(workspace)?;
    let (mut table, mut costs) = (String::new(), String::new());
    let mut failures = Vec::new();
    // Side by side: an emulated guest keeps one processor busy, whatever it has itself.
    let reports = thread::scope(|scope| {
        let guests = kernels.iter().zip(&boots).map(|(series, boot)| {
            let name = series.name();
            println!("vm-test: booting Linux {name} for {} tests, at most {} s", tests.len(), limit.as_secs());
            let qemu = &qemu;
            scope.spawn(move || guest::report(qemu, accelerator, boot, limit, name))
        });
        let guests: Vec<_> = guests.collect();
        guests.into_iter().map(ScopedJoinHandle::join).collect::<Vec<_>>()
    });
    for (series, report) in kernels.iter().zip(reports) {
        let name = series.name();
        let report = report.unwrap_or_else(|panic| panic::resume_unwind(panic))?;
        rows(&mut table, *series, &report)?;
        for (test, _, _) in CHECKS {
            let programs = verifier_costs::parse(report.output_of(test));
            costs += &list.compare(name, test, &programs);
            if accept {
                list.accept(name, test, programs)?;
            }
        }
        if let Err(reason) = report.judge(&expected) {
            failures.push(format!("Linux {name}: {reason}"));
        }
    }
    print!("\n{:<28} {:<8} {:<7} what imdsd check says\n{table}", "kernel", "object", "result");
    print!("\nbeside the committed list:\n{costs}");
    ensure!(failures.is_empty(), "vm-test failed: {}", failures.join("; "));
    let passed = expected.len() * kernels.len();
    println!("vm-test: {passed} passed on {} kernels", kernels.len());
    Ok(passed)
}

fn tests(binaries: &[Binary], choice: &Choice) -> Result<Vec<Test>> {
    let check = |(name, program, _): (&str, &str, Profile)| Test {
        name: name.to_owned(),
        program: program.to_owned(),
        kind: Kind::Check,
    };
    let mut tests: Vec<_> = CHECKS.map(check).into();
    tests.extend(suite::tests(binaries, choice)?);
    Ok(tests)
}

fn boot(workspace: &Workspace, series: Series, binaries: &[Binary], tests: &[Test]) -> Result<Boot> {
    let kernel = virtual_machines::ensure_kernel(workspace, series)?;
    let directory = workspace.target.join("vm/guests").join(series.name());
    let modules = Modules::of(&kernel.directory)?.unpack(modules::OF_A_HOST, &directory.join("modules"))?;
    let list = directory.join("list");
    fs::write(&list, plan::list(tests)).with_context(|| format!("can't write {}", list.display()))?;

    let mut image = Image::new(&modules)?;
    image.installed(&PROGRAMS)?;
    for (_, program, profile) in CHECKS {
        image.program(program, &workspace.binaries(profile).join("imdsd"))?;
    }
    for name in ["imdsd", "imdsctl"] {
        image.program(
            &Path::new("/bin").join(name).display().to_string(),
            &workspace.binaries(Profile::Release).join(name),
        )?;
    }
    for binary in binaries {
        image.program(&binary.program(), &binary.file)?;
    }
    image.file(plan::LIST, &list);
    let to = directory.join("initramfs.cpio");
    image.write(&to)?;
    Ok(Boot { kernel: kernel.image, image: to })
}

/// A guest's rows of the table: what became of each object, and what the check of it printed.
fn rows(table: &mut String, series: Series, report: &Report) -> Result<()> {
    let kernel = report.kernel.as_deref().unwrap_or_else(|| series.name());
    for (test, _, _) in CHECKS {
        let result = match report.results.iter().find(|(name, _)| name == test) {
            Some((_, Ok(()))) => "passed",
            Some((_, Err(_))) => "failed",
            None => "not run",
        };
        let mut lines = report.output_of(test);
        writeln!(table, "{kernel:<28} {test:<14} {result:<7} {}", lines.next().unwrap_or("-"))?;
        for line in lines {
            writeln!(table, "{:<46}{line}", "")?;
        }
    }
    Ok(())
}
