//! The credentials of roles: who gives them, when they are renewed, and what a guest reads.
//!
//! An instance's role has static values of the instance's own, given at create and kept in the [`vault`]; or it is one
//! of the operator's config, whose [providers](role::Provider) give credentials to every instance that has the role.
//! What is served is a snapshot that ends by itself when its credentials expire, so that no provider and no task can be
//! late: [`Live`](crate::metadata::live::Live).
//!
//! Secrets stand in files of 0600 and in memory. They are in no error, no log and no store.

mod document;
mod file;
pub mod form;
mod issuer;
mod process;
mod refresh;
pub mod role;
mod schedule;
pub mod vault;

pub use self::issuer::{CredentialsError, Issuer, RoleState, check_given};
pub use self::process::Process;
pub use self::refresh::{Refresh, start};
