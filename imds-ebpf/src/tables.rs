//! The places and flows of a slot: bounded searches in one map value.
//!
//! There is no lock, so two CPUs may take one free entry at once, or run on one flow. That harms nobody else, and opens
//! nothing: what is left of two flows in one entry is limited, as [`imds_common::flow`] says; one whose key was
//! overwritten is an unknown one, judged by the daemon and limited; and a place is read again after it was written. The
//! machine's `&mut` says to the compiler that nobody else is there: all that it could make of that is to load or store a
//! field a little earlier or later, which the machine allows for.

use core::arch::asm;
use core::ffi::c_void;

use aya_ebpf::helpers::generated::{bpf_ktime_get_ns, bpf_loop};
use imds_common::flow::{FLOWS, Flow, first_index};
use imds_common::place::{CLAIMED, Client, PLACES, Place, READY};
use imds_common::slot::Tables;

use crate::maps::{Hits, IMDS_SCRATCH};

/// Milliseconds since boot, wrapping: the clock of places and flows.
#[inline(always)]
pub fn now_ms() -> u32 {
    // SAFETY: the helper only returns the clock.
    (unsafe { bpf_ktime_get_ns() } / 1_000_000) as u32
}

#[inline(always)]
fn place_at(tables: *mut Tables, index: usize) -> *mut Place {
    // SAFETY: the index is masked to the table's length, inside the map value behind `tables`.
    unsafe { &raw mut (*tables).places[index & (PLACES - 1)] }
}

#[inline(always)]
fn flow_at(tables: *mut Tables, index: usize) -> *mut Flow {
    // SAFETY: the index is masked to the table's length, inside the map value behind `tables`.
    unsafe { &raw mut (*tables).flows[index & (FLOWS - 1)] }
}

/// Where the search for a client's place begins: addresses behind one interface differ in their last bytes.
#[inline(always)]
fn first_place(client: &Client) -> usize {
    (client.address[3] ^ client.address[15] ^ client.mac[5]) as usize & (PLACES - 1)
}

#[inline(always)]
fn same_client(place: *const Place, client: &Client) -> bool {
    // SAFETY: only an address, inside a live map value.
    is_same(unsafe { &raw const (*place).client }, client)
}

#[inline(always)]
fn is_same(one: *const Client, client: &Client) -> bool {
    const WORDS: usize = size_of::<Client>() / 8;
    // SAFETY: a Client is 32 bytes without padding, in a map value or a local; the other is a local.
    let (a, b) = unsafe {
        (one.cast::<[u64; WORDS]>().read_unaligned(), (client as *const Client).cast::<[u64; WORDS]>().read_unaligned())
    };
    (a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]) == 0
}

/// A search through a slot's table; it stands on the stack, where the callbacks of one `bpf_loop` find it. A callback
/// instead of a loop: the verifier walks it once, not once for each entry. What it comes to stands in the scratch map:
/// old verifiers take what a callback finds on the stack for what is there at its first call.
struct Search<'a> {
    tables: *mut Tables,
    client: &'a Client,
    key: u64,
    now_ms: u32,
    first: u32,
    hits: *mut Hits,
}

/// No entry.
const NONE: u32 = u32::MAX;

impl Search<'_> {
    /// Looks at up to so many entries: which one has what is looked for, and which is the first free one.
    #[inline(always)]
    fn run(&mut self, entries: usize, look: extern "C" fn(u64, *mut c_void) -> i64) -> Hits {
        // SAFETY: this CPU's scratch, whole as long as the program runs; the callback has the helper's signature, and
        // its context lives over the call.
        unsafe {
            self.hits.write(Hits { found: NONE, free: NONE });
            bpf_loop(entries as u32, look as *mut c_void, (&raw mut *self).cast(), 0);
            self.hits.read()
        }
    }
}

/// Room for what a search comes to.
#[inline(always)]
fn hits() -> Option<*mut Hits> {
    let scratch = IMDS_SCRATCH.get_ptr_mut(0)?;
    // SAFETY: this CPU's scratch, whole as long as the program runs.
    Some(unsafe { &raw mut (*scratch).search })
}

/// Goes on with a search.
const GO_ON: i64 = 0;
/// Ends a search.
const STOP: i64 = 1;

extern "C" fn look_at_place(step: u64, search: *mut c_void) -> i64 {
    // SAFETY: `Search::run` gives it, and nobody else has its hits meanwhile.
    let (search, hits) = unsafe {
        let search = &*search.cast::<Search<'_>>();
        (search, &mut *search.hits)
    };
    let index = search.first.wrapping_add(step as u32) & (PLACES as u32 - 1);
    let place = place_at(search.tables, index as usize);
    // SAFETY: a live map value; what another CPU writes meanwhile is read again under its claim.
    let (ready, free) = unsafe { ((*place).state == READY, (*place).is_free(search.now_ms)) };
    if ready && same_client(place, search.client) {
        hits.found = index;
        return STOP;
    }
    if free && hits.free == NONE {
        hits.free = index;
    }
    GO_ON
}

extern "C" fn look_at_flow(step: u64, search: *mut c_void) -> i64 {
    // SAFETY: `Search::run` gives it, and nobody else has its hits meanwhile.
    let (search, hits) = unsafe {
        let search = &*search.cast::<Search<'_>>();
        (search, &mut *search.hits)
    };
    let index = search.first.wrapping_add(step as u32) & (FLOWS as u32 - 1);
    let flow = flow_at(search.tables, index as usize);
    // SAFETY: a live map value.
    let (key, free) = unsafe { ((*flow).key, (*flow).is_free(search.now_ms)) };
    if key == search.key {
        hits.found = index;
        return STOP;
    }
    if free && hits.free == NONE {
        hits.free = index;
    }
    GO_ON
}

/// Looks for a client's place.
#[inline(always)]
fn find_place(tables: *mut Tables, client: &Client, now_ms: u32) -> Hits {
    let first = first_place(client) as u32;
    let Some(hits) = hits() else { return Hits { found: NONE, free: NONE } };
    let hits = Search { tables, client, key: 0, now_ms, first, hits }.run(PLACES, look_at_place);
    if hits.found != NONE {
        // SAFETY: a live map value.
        unsafe { (*place_at(tables, hits.found as usize)).touched = now_ms };
    }
    hits
}

/// The place of a client, if it has one.
#[inline(always)]
pub fn known_place(tables: *mut Tables, client: &Client, now_ms: u32) -> Option<u32> {
    /// A function with a stack of its own, whose result fits a register.
    #[inline(never)]
    fn find(tables: *mut Tables, client: &Client, now_ms: u32) -> u32 {
        find_place(tables, client, now_ms).found
    }
    known(find(tables, client, now_ms))
}

/// The place of a client, a new one if it has none: `None` if all are taken by others that live.
#[inline(always)]
pub fn place(tables: *mut Tables, client: &Client, now_ms: u32) -> Option<u32> {
    known(find_or_take_place(tables, client, now_ms))
}

#[inline(always)]
fn known(place: u32) -> Option<u32> {
    if place == NONE { None } else { Some(place & (PLACES as u32 - 1)) }
}

/// A function with a stack of its own, whose result fits a register.
#[inline(never)]
fn find_or_take_place(tables: *mut Tables, client: &Client, now_ms: u32) -> u32 {
    let Hits { found, free } = find_place(tables, client, now_ms);
    if found != NONE || free == NONE {
        return found;
    }
    let place = place_at(tables, free as usize);
    // SAFETY: a live map value; the state keeps readers away until the client is whole.
    unsafe {
        core::ptr::write_volatile(&raw mut (*place).state, CLAIMED);
        (*place).client = *client;
        (*place).touched = now_ms;
        core::ptr::write_volatile(&raw mut (*place).state, READY);
    }
    // Another CPU's client took it too: this packet is dropped and will be sent again. Volatile, so that it is read.
    // SAFETY: a live map value, copied out.
    let kept = unsafe { core::ptr::read_volatile(&raw const (*place).client) };
    if is_same(&raw const kept, client) { free } else { NONE }
}

/// The client at a place, if it is whole.
#[inline(always)]
pub fn client_at(tables: *mut Tables, place: u32) -> Option<Client> {
    if place as usize >= PLACES {
        return None;
    }
    let place = place_at(tables, place as usize);
    // SAFETY: a live map value, copied out.
    unsafe { if (*place).state == READY { Some((*place).client) } else { None } }
}

/// The entries of a connection's table that a search came to.
pub struct Entries {
    /// The flow with the key.
    pub known: Option<*mut Flow>,
    /// Where none has the key, the first free entry: `None` if every entry is a live connection's.
    pub free: Option<*mut Flow>,
}

/// Looks for the flow with this key.
#[inline(always)]
pub fn flows(tables: *mut Tables, key: u64, now_ms: u32) -> Entries {
    const NOBODY: Client = Client { address: [0; 16], mac: [0; 6], gateway: [0; 6], family: 0, vlan: 0 };
    let first = first_index(key) as u32;
    let Some(hits) = hits() else { return Entries { known: None, free: None } };
    let hits = Search { tables, client: &NOBODY, key, now_ms, first, hits }.run(FLOWS, look_at_flow);
    let entry = |index: u32| if index == NONE { None } else { Some(flow_at(tables, index as usize)) };
    Entries { known: entry(hits.found), free: entry(hits.free) }
}

/// Says that this processor has a segment of a flow in hand that carries anything, or a SYN. Whether it is alone. Each
/// call is followed by one of [`leave`].
#[inline(always)]
pub fn enter(flow: *mut Flow) -> bool {
    // SAFETY: a field of a live map value, which nobody touches but by `add`.
    unsafe { add(&raw mut (*flow).inside, 1) == 0 }
}

/// The other end of [`enter`].
#[inline(always)]
pub fn leave(flow: *mut Flow) {
    // SAFETY: as in `enter`.
    unsafe { add(&raw mut (*flow).inside, u64::MAX) };
}

/// Adds to a word that others may add to at once, and returns what it was before. Rust offers none of that for this
/// target, which has it since Linux 5.12.
///
/// # Safety
///
/// `word` is in a live map value, at a multiple of eight.
#[inline(always)]
unsafe fn add(word: *mut u64, count: u64) -> u64 {
    let mut value = count;
    // SAFETY: one instruction, which reads and writes that word alone, in one order with all loads and stores around it.
    unsafe {
        asm!(
            "{value} = atomic_fetch_add((u64 *)({word} + 0), {value})",
            word = in(reg) word,
            value = inout(reg) value,
            options(nostack)
        );
    }
    value
}
