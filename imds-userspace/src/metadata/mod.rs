//! The tree of one instance: what it holds, rendered once, and found by a request's target.

mod categories;
pub mod date;
pub mod identity;
pub mod instance;
mod json;
pub mod page;
mod placement;
#[cfg(test)]
pub(crate) mod sample;
pub mod target;
pub mod tree;

pub(crate) use categories::identity_document;
pub use placement::{default_hostname, region_of};
