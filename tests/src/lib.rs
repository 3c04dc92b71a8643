//! Black-box tests: a daemon, guests in network namespaces, and real packets between them.
//!
//! Everything that is made on the host carries the process's own prefix ([`names`]) and is removed when its owner is
//! dropped; what is left when the process dies is removed by a helper that outlives it ([`reaper`]). What can't be set
//! up panics and says why.
//!
//! | module | what it holds |
//! |---|---|
//! | [`environment`] | where binaries and clients are |
//! | [`names`], [`reaper`], [`process`], [`wait`] | names of our own, their removal, commands and waits with a bound |
//! | [`host`], [`stats`] | a daemon on directories of its own, its command line, its counters |
//! | [`namespace`], [`guest`] | network namespaces, and how they hang on the host |
//! | [`machine`] | a virtual machine at a tap of the host's |
//! | [`http`], [`client`], [`credentials`] | requests byte by byte; curl, wget and boto3; what boto3 finds |
//! | [`capture`], [`packet`], [`tap`], [`tap_connection`] | packets as they came, and such as no client sends |
//! | [`demo`] | the demo's steps |

pub mod capture;
pub mod client;
pub mod credentials;
pub mod demo;
pub mod environment;
pub mod guest;
pub mod host;
pub mod http;
pub mod machine;
pub mod names;
pub mod namespace;
pub mod packet;
pub mod process;
pub mod reaper;
pub mod stats;
pub mod tap;
pub mod tap_connection;
pub mod wait;
