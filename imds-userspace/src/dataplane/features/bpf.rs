//! What the kernel programs are made of: the system call, maps, helper functions, the JIT compiler.

use std::fs;
use std::io;

use aya::maps::{Array, MapData, MapError, MapType};
use aya::programs::{ProgramError, ProgramType};
use aya::sys::{BpfHelper, is_helper_supported, is_map_supported, is_program_supported};

use super::{Feature, State, reason};
use crate::dataplane::tables::MMAPABLE;

/// The kinds of maps in the object.
const MAPS: &[(MapType, &str)] = &[
    (MapType::Hash, "hash"),
    (MapType::Array, "array"),
    (MapType::PerCpuArray, "per-CPU array"),
    (MapType::RingBuf, "ring buffer"),
];

/// The helper functions that the programs call, each with a kind of program that has it: the clocks, the maps and the
/// ring buffer are every kind's.
const HELPERS: &[(ProgramType, &[BpfHelper])] = &[
    (
        ProgramType::SchedClassifier,
        &[
            BpfHelper::BPF_FUNC_map_lookup_elem,
            BpfHelper::BPF_FUNC_ktime_get_ns,
            BpfHelper::BPF_FUNC_ktime_get_boot_ns,
            BpfHelper::BPF_FUNC_skb_load_bytes,
            BpfHelper::BPF_FUNC_skb_store_bytes,
            BpfHelper::BPF_FUNC_skb_change_proto,
            BpfHelper::BPF_FUNC_skb_change_tail,
            BpfHelper::BPF_FUNC_skb_change_type,
            BpfHelper::BPF_FUNC_csum_diff,
            BpfHelper::BPF_FUNC_l4_csum_replace,
            BpfHelper::BPF_FUNC_redirect,
            BpfHelper::BPF_FUNC_redirect_peer,
            BpfHelper::BPF_FUNC_clone_redirect,
            BpfHelper::BPF_FUNC_loop,
            BpfHelper::BPF_FUNC_ringbuf_reserve,
            BpfHelper::BPF_FUNC_ringbuf_submit,
            BpfHelper::BPF_FUNC_ringbuf_discard,
        ],
    ),
    (ProgramType::Xdp, &[BpfHelper::BPF_FUNC_xdp_get_buff_len, BpfHelper::BPF_FUNC_xdp_load_bytes]),
];

/// What `net.core.bpf_jit_enable` reads where programs are interpreted.
const INTERPRETED: &str = "0";

/// The system call first, which all else needs.
pub(super) fn probe() -> Vec<Feature> {
    let call = Feature::tried(
        "bpf system call",
        programs(),
        "a kernel with CONFIG_BPF_SYSCALL and CONFIG_NET_CLS_ACT is needed",
    );
    let tries = call.is_there();
    let mut features = vec![call];
    let others: [(_, fn() -> State); 4] =
        [("maps", maps), ("mapped arrays", mapped_arrays), ("helper functions", helpers), ("JIT compiler", jit)];
    features.extend(others.map(|(name, probe)| Feature::new(name, if tries { probe() } else { State::NotTried })));
    features
}

fn programs() -> io::Result<()> {
    match is_program_supported(ProgramType::SchedClassifier) {
        Ok(true) => Ok(()),
        Ok(false) => Err(io::Error::new(io::ErrorKind::Unsupported, "the kernel has no programs for tc")),
        Err(ProgramError::SyscallError(error)) => Err(error.io_error),
        Err(error) => Err(io::Error::other(error)),
    }
}

fn maps() -> State {
    let lacking = MAPS.iter().filter_map(|(kind, name)| match is_map_supported(*kind) {
        Ok(true) => None,
        Ok(false) => Some((*name).to_owned()),
        Err(error) => Some(format!("{name} ({})", error.io_error)),
    });
    all(lacking.collect())
}

fn mapped_arrays() -> State {
    match Array::<MapData, u64>::create(1, MMAPABLE) {
        Ok(_) => State::There("yes"),
        Err(MapError::CreateError { io_error, .. }) => State::Lacking(reason(&io_error, NEWER)),
        Err(error) => State::Lacking(format!("{error}: {NEWER}")),
    }
}

fn helpers() -> State {
    let all_of_them = HELPERS.iter().flat_map(|(kind, helpers)| helpers.iter().map(move |helper| (*kind, *helper)));
    let lacking = all_of_them.filter_map(|(kind, helper)| match is_helper_supported(kind, helper) {
        Ok(true) => None,
        Ok(false) => Some(name(helper)),
        Err(error) => Some(format!("{} ({error})", name(helper))),
    });
    all(lacking.collect())
}

/// As the kernel's documentation calls it.
fn name(helper: BpfHelper) -> String {
    format!("{helper:?}").replacen("BPF_FUNC_", "bpf_", 1)
}

/// What a kernel that lacks something of BPF must become.
const NEWER: &str = "a newer kernel is needed; 6.1 is the oldest that imdsd is tested on";

fn all(lacking: Vec<String>) -> State {
    match lacking.as_slice() {
        [] => State::There("yes"),
        names => State::Lacking(format!("without {}: {NEWER}", names.join(", "))),
    }
}

/// Callbacks, which the programs use, are refused where programs are interpreted.
fn jit() -> State {
    // Only the host's first network namespace has the file; where it isn't there, loading the programs tells.
    judge_jit(fs::read_to_string("/proc/sys/net/core/bpf_jit_enable").ok().as_deref())
}

fn judge_jit(setting: Option<&str>) -> State {
    if setting.map(str::trim) == Some(INTERPRETED) {
        return State::Lacking("it is switched off: `sysctl -w net.core.bpf_jit_enable=1`".to_owned());
    }
    State::There("yes")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use aya_obj::Object;

    use super::*;
    use crate::dataplane::object;

    /// The object of this build; none in one without.
    fn built() -> Option<Object> {
        (!object::OBJECT.is_empty()).then(|| Object::parse(object::OBJECT).expect("an object"))
    }

    #[test]
    fn every_helper_that_the_programs_call_is_tried_and_no_other() {
        /// A call (`BPF_JMP | BPF_CALL`) of a helper has no source register.
        const CALL: u8 = 0x85;
        let Some(object) = built() else { return };
        let instructions = object.functions.values().flat_map(|function| &function.instructions);
        let calls = instructions.filter(|instruction| instruction.code == CALL && instruction.src_reg() == 0);
        let called: BTreeSet<_> = calls.map(|call| call.imm).collect();
        let tried: BTreeSet<_> =
            HELPERS.iter().flat_map(|(_, helpers)| *helpers).map(|helper| *helper as i32).collect();
        assert_eq!(tried, called, "helper functions by their numbers in enum bpf_func_id");
    }

    #[test]
    fn every_kind_of_map_in_the_object_is_tried() {
        let Some(object) = built() else { return };
        let made: BTreeSet<_> = object.maps.values().map(aya_obj::Map::map_type).collect();
        let tried: BTreeSet<_> = MAPS.iter().map(|(kind, _)| *kind as u32).collect();
        assert_eq!(tried, made, "maps by their numbers in enum bpf_map_type");
    }

    #[test]
    fn what_is_lacking_is_named() {
        assert_eq!(all(Vec::new()), State::There("yes"));
        let State::Lacking(reason) = all(vec![name(BpfHelper::BPF_FUNC_loop), "bpf_redirect_peer".to_owned()]) else {
            panic!("two are lacking");
        };
        assert!(reason.starts_with("without bpf_loop, bpf_redirect_peer: a newer kernel"), "{reason}");
    }

    #[test]
    fn interpreted_programs_are_no_good() {
        assert!(matches!(judge_jit(Some("0\n")), State::Lacking(reason) if reason.contains("bpf_jit_enable=1")));
        assert_eq!([Some("1\n"), Some("2\n"), None].map(judge_jit), [const { State::There("yes") }; 3]);
    }
}
