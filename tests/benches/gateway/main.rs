//! Measures the real daemon on real packets; see `cargo xtask bench`.

fn main() {}
