//! The tree of one instance: what it holds, rendered once, and found by a request's target.

pub mod bearer;
mod categories;
pub mod completion;
pub mod date;
pub mod document;
pub mod field;
pub mod identity;
pub mod instance;
mod instance_type;
pub(crate) mod json;
pub mod live;
mod names;
pub mod patch;
#[cfg(test)]
pub(crate) mod sample;
pub mod target;
pub mod tree;
mod versions;

pub(crate) use categories::identity_document;
pub use names::region_of;
