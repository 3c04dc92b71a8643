//! The metadata service: connections on the namespace's listening socket, and what their requests are answered with.
//!
//! Whose connection it is, its peer address says, which the kernel wrote. A library frames nothing and judges nothing
//! here: heads are found by the automaton of `imds-common` and judged by its verdict, as in the kernel.

mod authority;
mod connection;
mod error_page;
mod exchange;
mod inbox;
mod range;
mod response;
#[cfg(test)]
mod sample;
mod server;
mod settings;
mod socket;
mod stream;
mod tenant;
mod trouble;

pub use server::serve;
pub use settings::ServiceSettings;
