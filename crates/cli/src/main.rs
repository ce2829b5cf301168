//! The `t5kit` program.
fn main() {}
