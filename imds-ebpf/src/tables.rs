//! The places and flows of a slot: bounded searches in one map value.
//!
//! The target has no compare-and-exchange that Rust offers, so two CPUs may take one free entry at once. That harms
//! nobody else and opens nothing: a flow overwritten so is an unknown one, judged by the daemon and limited, and a
//! place is read again after it was written.

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use imds_common::flow::{FLOWS, Flow, first_index};
use imds_common::place::{CLAIMED, Client, PLACES, Place, READY};
use imds_common::slot::Tables;

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
    const WORDS: usize = size_of::<Client>() / 8;
    // SAFETY: a Client is 32 bytes without padding in a map value at an offset of 8; the other is a local.
    let (a, b) = unsafe {
        (
            (&raw const (*place).client).cast::<[u64; WORDS]>().read_unaligned(),
            (client as *const Client).cast::<[u64; WORDS]>().read_unaligned(),
        )
    };
    (a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]) == 0
}

/// The place of a client, a new one if it has none: `None` if all are taken by others that live.
#[inline(always)]
pub fn place(tables: *mut Tables, client: &Client, now_ms: u32) -> Option<u32> {
    let first = first_place(client);
    let mut free = PLACES;
    for step in 0..PLACES {
        let index = (first + step) & (PLACES - 1);
        let place = place_at(tables, index);
        // SAFETY: a live map value; what another CPU writes meanwhile is read again under its claim.
        let ready = unsafe { (*place).state == READY };
        if ready && same_client(place, client) {
            // SAFETY: as above.
            unsafe { (*place).touched = now_ms };
            return Some(index as u32);
        }
        // SAFETY: as above.
        if free == PLACES && unsafe { (*place).is_free(now_ms) } {
            free = index;
        }
    }
    if free == PLACES {
        return None;
    }
    let place = place_at(tables, free);
    // SAFETY: a live map value; the state keeps readers away until the client is whole.
    unsafe {
        core::ptr::write_volatile(&raw mut (*place).state, CLAIMED);
        (*place).client = *client;
        (*place).touched = now_ms;
        core::ptr::write_volatile(&raw mut (*place).state, READY);
    }
    // Another CPU's client took it too: this packet is dropped and will be sent again.
    if same_client(place, client) { Some((free & (PLACES - 1)) as u32) } else { None }
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

/// The flow with this key.
#[inline(always)]
pub fn flow(tables: *mut Tables, key: u64) -> Option<*mut Flow> {
    let first = first_index(key);
    for step in 0..FLOWS {
        let flow = flow_at(tables, first + step);
        // SAFETY: a live map value.
        if unsafe { (*flow).key } == key {
            return Some(flow);
        }
    }
    None
}

/// A free entry: `None` if every entry is a live connection's.
#[inline(always)]
pub fn free_flow(tables: *mut Tables, key: u64, now_ms: u32) -> Option<*mut Flow> {
    let first = first_index(key);
    for step in 0..FLOWS {
        let flow = flow_at(tables, first + step);
        // SAFETY: a live map value.
        if unsafe { (*flow).is_free(now_ms) } {
            return Some(flow);
        }
    }
    None
}
