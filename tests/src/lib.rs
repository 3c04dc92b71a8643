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
//! | [`attachment`] | how daemons attach, and tests of each way |
//! | [`host`], [`stats`] | a daemon on directories of its own, its command line, its counters |
//! | [`namespace`], [`guest`] | network namespaces, and how they hang on the host |
//! | [`family`] | by which address of the service's: IPv4 and IPv6 |
//! | [`machine`] | a virtual machine at a tap of the host's |
//! | [`http`], [`client`], [`credentials`] | requests byte by byte; real clients; what boto3 finds |
//! | [`situation`], [`crawl`] | what clients meet, and find there; all that is listed |
//! | [`capture`], [`witness`], [`packet`], [`tap`], [`tap_connection`] | packets as they came, and such as no client sends |
//! | [`told`] | what an operator is told of packets |
//! | [`script`], [`volley`] | connections segment by segment, many side by side |
//! | [`verdicts`] | requests, and what each mode answers them |
//! | [`numbered`] | other traffic, whose packets are numbered |
//! | [`provider`], [`front`] | a service of the host's own, and a program that lets everything through to it |
//! | [`bpf`], [`golden`] | programs run by hand on a frame; cases of what they make of it |
//! | [`small_disk`] | a disk that is full |
//! | [`service_namespace`] | the namespace of a daemon's listening sockets |
//! | [`demo`], [`bench`], [`soak`] | the demo's steps; the benchmark's rows; everything at once |

pub mod attachment;
pub mod bench;
pub mod bpf;
pub mod capture;
pub mod client;
pub mod crawl;
pub mod credentials;
pub mod demo;
pub mod environment;
pub mod family;
pub mod front;
pub mod golden;
pub mod guest;
pub mod host;
pub mod http;
pub mod machine;
pub mod names;
pub mod namespace;
pub mod neighbour;
pub mod numbered;
pub mod packet;
pub mod process;
pub mod provider;
pub mod reaper;
pub mod script;
pub mod service_namespace;
pub mod situation;
pub mod small_disk;
pub mod soak;
pub mod stats;
pub mod tap;
pub mod tap_connection;
pub mod told;
pub mod verdicts;
pub mod volley;
pub mod wait;
pub mod witness;
