//! Virtual machines: guests on other kernels that run the tests, and guests that are instances themselves.

pub(crate) mod accelerator;
mod cpio;
pub(crate) mod guest;
pub(crate) mod image;
pub(crate) mod kernel;
pub(crate) mod machine;
pub(crate) mod mishaps;
pub(crate) mod modules;
pub(crate) mod plan;
pub(crate) mod report;
pub(crate) mod suite;
