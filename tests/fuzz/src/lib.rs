//! The rules of `imds-common` against what must always hold of them, whatever comes.
//!
//! Each target takes any bytes and panics where something doesn't hold. `cargo xtask fuzz` looks for such bytes, led by
//! what code they reach; `corpus/` holds the few that reach all that is known, and the tests replay those, here and
//! through the loaded kernel programs.
//!
//! | module | what it holds |
//! |---|---|
//! | [`head`] | the target of the request grammar: the kernel's rule agrees with the daemon's, or the daemon is stricter |
//! | [`token`] | the target of the token codec: good is what was minted, to the letter, and nothing else |
//! | [`flow`] | the target of the flow machine: steps of the model |
//! | [`model`] | a flow's surroundings: clients, the two kernel programs, the daemon |
//! | [`corpus`] | the committed inputs |

pub mod corpus;
pub mod flow;
pub mod head;
pub mod model;
pub mod token;
