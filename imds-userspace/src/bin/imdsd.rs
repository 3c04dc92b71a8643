//! imdsd
fn main() {}
