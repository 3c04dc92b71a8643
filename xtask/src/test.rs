//! `cargo xtask test`: every test there is.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::fuzz::Extent;
use crate::setup::compiler::Core;
use crate::setup::{clients, rivals};
use crate::vm::kernel::Series;
use crate::vm::suite::Choice;
use crate::workspace::{Profile, Workspace};
use crate::{build, fuzz, process, vm_instance, vm_test};

/// Each black-box test makes namespaces and a daemon of its own; more at once only slow each other down.
const BLACK_BOX_THREADS: &str = "4";

/// Runs all suites, those after a failed one too, and ends with a summary line.
pub(crate) fn run(workspace: &Workspace, core: Core, in_virtual_machines: bool) -> Result<()> {
    process::require_root("the black-box tests (they make network namespaces and load kernel programs)")?;
    clients::ensure_for_tests(workspace)?;
    rivals::ensure(workspace)?;
    let objects = build::run(workspace, core, &[Profile::Debug, Profile::Release])?;
    let object = objects.first().context("no object was built")?;

    let mut suites = vec![
        ("unit", unit(workspace, object)),
        ("black-box", black_box(workspace)),
        ("fuzz targets", fuzz::run(workspace, &[], Extent::Bounded, false)),
    ];
    if in_virtual_machines {
        suites.push((
            "virtual machines",
            vm_test::run(workspace, core, &[Series::V6_1, Series::V6_12], &Choice::default(), false),
        ));
        suites.push(("machines as instances", vm_instance::run(workspace, core, Series::V6_12)));
    }

    let summary: Vec<_> = suites
        .iter()
        .map(|(name, result)| match result {
            Ok(passed) => format!("{name} {passed} passed"),
            Err(_) => format!("{name} FAILED"),
        })
        .collect();
    for (name, result) in &suites {
        if let Err(error) = result {
            println!("xtask test: {name}: {error:#}");
        }
    }
    println!(
        "xtask test: {}{}",
        summary.join(", "),
        if in_virtual_machines { "" } else { ", virtual machines left out" }
    );
    ensure!(suites.iter().all(|(_, result)| result.is_ok()), "not all tests passed");
    Ok(())
}

/// What black-box tests, the demo and the benchmark are told about where things are.
pub(crate) fn black_box_environment(workspace: &Workspace) -> [(&'static str, PathBuf); 4] {
    [
        ("IMDS_BIN_DIR", workspace.binaries(Profile::Release)),
        ("IMDS_DEBUG_IMDSD", workspace.binaries(Profile::Debug).join("imdsd")),
        ("IMDS_CLIENTS", workspace.clients()),
        ("IMDS_RIVALS", workspace.rivals()),
    ]
}

/// Builds a binary of the black-box tests' package; the command that runs it.
pub(crate) fn binary(workspace: &Workspace, name: &str) -> Result<Command> {
    process::run(workspace.cargo().args(["build", "--package", "imds-tests", "--bin", name, "--release", "--locked"]))?;
    let mut command = Command::new(workspace.binaries(Profile::Release).join(name));
    command.envs(black_box_environment(workspace));
    Ok(command)
}

fn unit(workspace: &Workspace, object: &Path) -> Result<usize> {
    let mut cargo = workspace.cargo();
    cargo
        .args([
            "test",
            "--workspace",
            "--exclude",
            "imds-ebpf",
            "--exclude",
            "imds-tests",
            "--locked",
            "--no-fail-fast",
        ])
        .env(build::OBJECT_VARIABLE, object);
    run_counted(&mut cargo)
}

fn black_box(workspace: &Workspace) -> Result<usize> {
    let mut cargo = workspace.cargo();
    cargo
        .args([
            "test",
            "--package",
            "imds-tests",
            "--locked",
            "--no-fail-fast",
            "--",
            "--test-threads",
            BLACK_BOX_THREADS,
        ])
        .envs(black_box_environment(workspace));
    run_counted(&mut cargo)
}

/// Runs a cargo test with its output shown; returns how many tests passed. Fails if any failed, or none ran.
pub(crate) fn run_counted(cargo: &mut Command) -> Result<usize> {
    let mut child = cargo.stdout(Stdio::piped()).spawn().with_context(|| process::cannot_start(cargo))?;
    let output = child.stdout.take().context("cargo was started without its output")?;
    let mut passed = 0;
    for line in BufReader::new(output).lines() {
        let line = line?;
        passed += passed_in(&line).unwrap_or(0);
        println!("{line}");
    }
    process::check(cargo, child.wait()?)?;
    if passed == 0 {
        bail!("no test ran at all, so nothing was tested");
    }
    Ok(passed)
}

/// The count in the closing line of one test binary; none for other lines.
fn passed_in(line: &str) -> Option<usize> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    counts.split_once(" passed;")?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_counted() {
        let line = "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        assert_eq!(passed_in(line), Some(12));
        assert_eq!(passed_in("test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured"), Some(3));
    }

    #[test]
    fn other_lines_count_nothing() {
        assert_eq!(passed_in("running 12 tests"), None);
        assert_eq!(passed_in("test result: nothing"), None);
        assert_eq!(passed_in("my test result: ok. 12 passed; 0 failed"), None);
    }
}
