//! Every rule of the metadata service, once.
//!
//! The kernel programs and the daemon call the same functions of this crate, so that the two can't
//! drift apart. Nothing here does I/O, allocates, or knows of aya.
//!
//! | module | what it holds |
//! |---|---|
//! | [`options`] | the metadata options of an instance, and the 64-bit word the kernel reads |
//! | [`request`] | the grammar of a request's head |
//! | [`token`] | the session token: codec, MAC, expiry |
//! | [`verdict`] | what a request is answered with |
//! | [`answer`] | the bytes of an answer without a body |
//! | [`address`] | the service's addresses, and the identity that a packet's source carries |
//! | [`budget`] | how many packets a second an instance may send |
//! | [`extension`] | IPv6 extension headers, and what stands behind them |
//! | [`event`] | what the kernel tells the daemon of one packet |
//! | [`flow`] | the state of one TCP connection, as the kernel follows it |
//! | [`place`] | one client behind an interface |
//! | [`sender`] | who may send to the service from behind an interface |
//! | [`slot`] | what the kernel holds of one interface |
//! | [`counters`] | the numbered reasons, and the counters |
#![cfg_attr(not(test), no_std)]

pub mod address;
pub mod answer;
pub mod budget;
pub mod counters;
pub mod event;
pub mod extension;
pub mod flow;
pub mod options;
pub mod place;
pub mod request;
pub mod sender;
pub mod slot;
pub mod token;
pub mod verdict;

/// Types that maps share with the kernel: no padding, every bit pattern valid.
///
/// # Safety
///
/// The implementor is `repr(C)` or `repr(transparent)`, `Copy`, without padding, and valid for every
/// bit pattern; each asserts its size beside its definition.
pub unsafe trait Shared: Copy + 'static {}

// SAFETY: an integer has no padding and no invalid bit pattern.
unsafe impl Shared for u32 {}
// SAFETY: as above.
unsafe impl Shared for u64 {}
