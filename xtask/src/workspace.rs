//! Where things lie: the workspace's root and the directories the tasks write to.

use std::env;
use std::path::{Path, PathBuf};

/// The workspace's root, as an absolute path.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/"))
}

/// Where cargo puts what runs on this machine.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// Where everything that is built for the kernel lies. The daemon's build script looks here, so
/// it does not move with `CARGO_TARGET_DIR`.
pub(crate) fn bpf() -> PathBuf {
    root().join("target/bpf")
}

/// Where `setup` installs the tools that the distribution does not have.
pub(crate) fn tools() -> PathBuf {
    root().join("target/tools")
}

/// Where kernels for test machines are kept, and what is made for them.
pub(crate) fn vm() -> PathBuf {
    root().join("target/vm")
}

/// The path of an installed tool.
pub(crate) fn tool(name: &str) -> PathBuf {
    tools().join("bin").join(name)
}

/// Whether nobody is watching, so that nothing may be skipped.
pub(crate) fn is_ci() -> bool {
    env::var_os("CI").is_some_and(|value| value == "true")
}
