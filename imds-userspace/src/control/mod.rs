//! The operator's socket.

pub mod client;
mod handler;
pub mod protocol;
pub mod run_dir;
pub mod server;
