//! `cargo xtask vm-test`: loads the kernel programs on other kernels.

use std::env;
use std::fmt::Write;

use anyhow::{Context, Result, ensure};

use crate::build;
use crate::setup::compiler::Core;
use crate::setup::virtual_machines::{self, Qemu};
use crate::verifier_costs::{self, List};
use crate::vm::accelerator::Accelerator;
use crate::vm::guest;
use crate::vm::image::Image;
use crate::vm::kernel::Series;
use crate::vm::report::Report;
use crate::vm::{TESTS, Test};
use crate::workspace::{Profile, Workspace};

/// Boots each kernel and runs all tests on it; returns how many passed. Fails if any did not. `accept` takes what the
/// verifiers walked over into the committed list.
pub(crate) fn run(workspace: &Workspace, core: Core, kernels: &[Series], accept: bool) -> Result<usize> {
    let qemu = Qemu::ensure(workspace)?;
    let images =
        kernels.iter().map(|series| virtual_machines::ensure_kernel(workspace, *series)).collect::<Result<Vec<_>>>()?;
    build::run(workspace, core, &[Profile::Debug, Profile::Release])?;

    let initramfs = workspace.target.join("vm/initramfs.cpio");
    image(workspace)?.write(&initramfs)?;
    let accelerator = Accelerator::probe(&qemu, &images, &initramfs)?;

    let expected = TESTS.map(|test| test.name);
    let mut list = List::read(workspace)?;
    let (mut table, mut costs) = (String::new(), String::new());
    let mut failures = Vec::new();
    for (series, kernel) in kernels.iter().zip(&images) {
        println!("vm-test: booting Linux {}, at most {} s", series.name(), accelerator.guest_limit().as_secs());
        let report = guest::report(&qemu, accelerator, kernel, &initramfs, series.name())?;
        rows(&mut table, *series, &report)?;
        for test in expected {
            let programs = verifier_costs::parse(report.output_of(test));
            costs += &list.compare(series.name(), test, &programs);
            if accept {
                list.accept(series.name(), test, programs)?;
            }
        }
        if let Err(reason) = report.judge(&expected) {
            failures.push(format!("Linux {}: {reason}", series.name()));
        }
    }
    print!("\n{:<28} {:<8} {:<7} what imdsd check says\n{table}", "kernel", "object", "result");
    print!("\nbeside the committed list:\n{costs}");
    ensure!(failures.is_empty(), "vm-test failed: {}", failures.join("; "));
    let passed = expected.len() * kernels.len();
    println!("vm-test: {passed} passed on {} kernels", kernels.len());
    Ok(passed)
}

fn image(workspace: &Workspace) -> Result<Image> {
    let mut image = Image::default();
    for directory in ["/dev", "/proc", "/run", "/sys"] {
        image.directory(directory);
    }
    image.program("/init", &env::current_exe().context("can't find this program's own file")?)?;
    for Test { profile, program, .. } in &TESTS {
        image.program(program, &workspace.binaries(*profile).join("imdsd"))?;
    }
    Ok(image)
}

/// A guest's rows of the table: a test's result, and below it what the test printed.
fn rows(table: &mut String, series: Series, report: &Report) -> Result<()> {
    let kernel = report.kernel.as_deref().unwrap_or_else(|| series.name());
    for test in TESTS.map(|test| test.name) {
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
    }
    Ok(())
}
