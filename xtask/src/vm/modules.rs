//! Parts of a kernel that Debian builds as modules: found with all that they depend on, for a guest to load in order.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::process;

/// Where a guest has its modules: loaded in the order of their names.
pub(crate) const DIRECTORY: &str = "/modules";
/// What the black-box tests make on a host, and how `imdsd` attaches where there is no tcx.
pub(crate) const OF_A_HOST: &[&str] = &[
    "veth",
    "bridge",
    "tun",
    "macvlan",
    "macvtap",
    "vrf",
    "8021q",
    "dummy",
    "sch_ingress",
    "cls_bpf",
    "cls_u32",
    "act_mirred",
];
/// What a guest has that is an instance: its network card, and a further client behind it.
pub(crate) const OF_AN_INSTANCE: &[&str] = &["virtio_pci", "virtio_net", "veth"];
/// Where a module says which others it needs, after a NUL and before one: in its section `.modinfo`.
const DEPENDS: &[u8] = b"\0depends=";

/// A kernel's modules: where those are that are files, and what is built in.
pub(crate) struct Modules {
    files: BTreeMap<String, PathBuf>,
    built_in: String,
}

impl Modules {
    /// Finds those of an unpacked kernel package.
    pub(crate) fn of(kernel: &Path) -> Result<Self> {
        let releases = kernel.join("lib/modules");
        let release = entries(&releases)?.pop().with_context(|| format!("{} is empty", releases.display()))?;
        let mut files = BTreeMap::new();
        collect(&release.join("kernel"), &mut files)?;
        let built_in = release.join("modules.builtin");
        let built_in = fs::read_to_string(&built_in).with_context(|| format!("can't read {}", built_in.display()))?;
        Ok(Self { files, built_in })
    }

    /// Writes the wanted modules and those that they depend on into a folder, uncompressed; their files, each after
    /// those that it needs. What is built in has none.
    pub(crate) fn unpack(&self, wanted: &[&str], into: &Path) -> Result<Vec<PathBuf>> {
        fs::create_dir_all(into).with_context(|| format!("can't make {}", into.display()))?;
        let mut order = Vec::new();
        for name in wanted {
            self.add(name, into, &mut order)?;
        }
        Ok(order)
    }

    fn add(&self, name: &str, into: &Path, order: &mut Vec<PathBuf>) -> Result<()> {
        let unpacked = into.join(format!("{name}.ko"));
        if order.contains(&unpacked) {
            return Ok(());
        }
        let Some(file) = self.files.get(name) else {
            ensure!(self.is_built_in(name), "the kernel has no module {name}");
            return Ok(());
        };
        let content = decompressed(file)?;
        for needed in dependencies(&content) {
            self.add(&needed, into, order)?;
        }
        fs::write(&unpacked, content).with_context(|| format!("can't write {}", unpacked.display()))?;
        order.push(unpacked);
        Ok(())
    }

    fn is_built_in(&self, name: &str) -> bool {
        self.built_in.lines().filter_map(|path| name_of(Path::new(path))).any(|built_in| built_in == name)
    }
}

/// A module's name, by which others depend on it, from its file's; none for other files.
fn name_of(file: &Path) -> Option<String> {
    let (name, end) = file.file_name()?.to_str()?.split_once(".ko")?;
    ["", ".xz"].contains(&end).then(|| name.replace('-', "_"))
}

fn collect(directory: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for path in entries(directory)? {
        if path.is_dir() {
            collect(&path, files)?;
        } else if let Some(name) = name_of(&path) {
            files.insert(name, path);
        }
    }
    Ok(())
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).with_context(|| format!("can't read {}", directory.display()))?;
    Ok(entries.collect::<Result<Vec<_>, _>>()?.into_iter().map(|entry| entry.path()).collect())
}

fn decompressed(file: &Path) -> Result<Vec<u8>> {
    if file.extension().is_none_or(|extension| extension != "xz") {
        return fs::read(file).with_context(|| format!("can't read {}", file.display()));
    }
    let mut xz = Command::new("xz");
    xz.args(["--decompress", "--stdout"]).arg(file).stderr(Stdio::inherit());
    let output = xz.output().with_context(|| process::cannot_start(&xz))?;
    process::check(&xz, output.status)?;
    Ok(output.stdout)
}

fn dependencies(module: &[u8]) -> Vec<String> {
    let Some(start) = module.windows(DEPENDS.len()).position(|window| window == DEPENDS) else { return Vec::new() };
    let list = module[start + DEPENDS.len()..].split(|byte| *byte == 0).next().unwrap_or_default();
    let names = String::from_utf8_lossy(list);
    names.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_others_depend_on() {
        assert_eq!(name_of(Path::new("net/bridge/bridge.ko")).as_deref(), Some("bridge"));
        assert_eq!(name_of(Path::new("net/sched/sch-ingress.ko.xz")).as_deref(), Some("sch_ingress"));
        assert_eq!(name_of(Path::new("modules.order")), None);
    }

    #[test]
    fn dependencies_are_read_from_the_module() {
        assert_eq!(dependencies(b"ELF\0license=GPL\0depends=stp,llc\0name=bridge\0"), ["stp", "llc"]);
        assert!(dependencies(b"ELF\0depends=\0name=veth\0").is_empty());
        assert!(dependencies(b"ELF\0name=veth\0").is_empty());
    }
}
