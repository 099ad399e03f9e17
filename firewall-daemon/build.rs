//! Embeds the eBPF object that `cargo xtask build` has put under `target/bpf`.

use std::env;
use std::fs;
use std::io;
use std::path::PathBuf;

/// Another object to embed; relative to the workspace's root.
const OVERRIDE: &str = "CORDON_EBPF_OBJECT";

fn main() -> io::Result<()> {
    let directory = |name| env::var_os(name).map(PathBuf::from).unwrap_or_default();
    let chosen = env::var_os(OVERRIDE).unwrap_or_else(|| "target/bpf/firewall-ebpf.o".into());
    let object = directory("CARGO_MANIFEST_DIR").join("..").join(chosen);
    println!("cargo::rerun-if-env-changed={OVERRIDE}");
    println!("cargo::rerun-if-changed={}", object.display());

    let bytes = match fs::read(&object) {
        Ok(bytes) => bytes,
        // Lints and documentation need no object; the daemon refuses to arm an empty one.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            println!("cargo::warning=the eBPF object is missing; run `cargo xtask build`");
            Vec::new()
        }
        Err(error) => return Err(error),
    };
    fs::write(directory("OUT_DIR").join("firewall-ebpf.o"), bytes)
}
