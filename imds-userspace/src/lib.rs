//! The daemon and its command line, room by room. Arrows run downward only:
//! bins → control → registry → {dataplane, metadata}; service → {metadata, registry's read side}.

pub mod cli;
mod clock;
pub mod config;
pub mod control;
pub mod credentials;
pub mod dataplane;
pub mod events;
mod heap;
pub mod metadata;
pub mod private_directory;
pub mod private_file;
pub mod registry;
pub mod service;
