//! imdsctl
fn main() {}
