//! The operator's socket.

pub mod client;
pub mod protocol;
