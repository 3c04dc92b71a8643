//! What the kernel's maps take.

use std::fs;

use super::round::Extent;
use super::stack::Daemon;
use crate::bpf::MapMemory;
use crate::host::Host;

/// Slots of the smaller host. What a slot takes is what the larger one's maps have more.
const FEW: u64 = 1_024;
const MANY: u64 = 2_048;

/// Prints the row.
pub(super) fn measure(_: &Extent) {
    let [few, many] = [FEW, MANY].map(|slots| {
        let daemon = Daemon::with_config(&format!("max-slots = {slots}\n"));
        maps(&daemon.host)
    });
    let total = |maps: &[(String, MapMemory)]| maps.iter().map(|(_, map)| map.bytes).sum::<u64>();
    let each = |few: u64, many: u64| many.saturating_sub(few) / (MANY - FEW);
    let slot = each(total(&few), total(&many));
    println!("maps: the kernel's memory of the pinned maps, by slot: an instance has one for each interface");
    println!("  a slot: {slot} bytes; whatever their number: {} bytes", total(&few).saturating_sub(slot * FEW));
    for ((name, few), (_, many)) in few.iter().zip(&many) {
        println!("    {:>6} bytes  {name}, {} entries of {FEW} slots", each(few.bytes, many.bytes), few.entries);
    }
}

/// The pinned maps of a daemon by name.
fn maps(host: &Host) -> Vec<(String, MapMemory)> {
    let pin = host.service_namespace().pin("IMDS_OPTIONS");
    let directory = pin.parent().expect("it is in one");
    let names = fs::read_dir(directory).expect("it is there").flatten().map(|entry| entry.file_name());
    let mut names: Vec<_> = names.filter_map(|name| name.into_string().ok()).collect();
    names.retain(|name| name.starts_with("IMDS_"));
    names.sort();
    names.into_iter().map(|name| (name.clone(), MapMemory::pinned(&directory.join(name)))).collect()
}
