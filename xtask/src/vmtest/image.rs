//! What runs on the kernel: a shell, the programs that tests start, the tests, and their libraries.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::archive::Archive;
use super::kernel::Kernel;
use crate::{process, workspace};

/// The first process.
const INIT: &str = include_str!("init.sh");

/// What `init.sh` and the tests take from busybox.
const APPLETS: [&str; 9] =
    ["cat", "dmesg", "grep", "insmod", "ls", "mount", "poweroff", "sh", "sleep"];

/// What the tests start besides.
const PROGRAMS: [&str; 5] = ["ethtool", "ip", "nft", "ping", "tc"];

/// A test binary and what it is to be run with.
pub(super) struct Run {
    /// Its name.
    pub(super) name: String,
    /// Where it lies on this machine.
    pub(super) binary: PathBuf,
    /// Arguments, none of which has blanks.
    pub(super) arguments: Vec<String>,
}

/// Builds the archive that `kernel` starts from.
pub(super) fn build(kernel: &Kernel, programs: &[PathBuf], runs: &[Run]) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for directory in ["dev", "proc", "run", "sys", "tmp"] {
        archive.directory(directory)?;
    }
    archive.file("init", INIT.as_bytes())?;
    archive.file("etc/group", b"root:x:0:\n")?;
    archive.file("etc/passwd", b"root:x:0:0:root:/tmp:/bin/sh\n")?;
    archive.file("plan", plan(kernel, runs)?.as_bytes())?;
    for (name, bytes) in kernel.modules()? {
        archive.file(format!("modules/{name}.ko"), &bytes)?;
    }
    add(&mut archive, "bin/busybox", &find("busybox")?)?;
    for applet in APPLETS {
        archive.link(format!("bin/{applet}"), "busybox")?;
    }
    for program in PROGRAMS {
        add(&mut archive, &format!("bin/{program}"), &find(program)?)?;
    }
    let binaries = programs.iter().chain(runs.iter().map(|run| &run.binary));
    for binary in binaries {
        add(&mut archive, &format!("tests/{}", file_name(binary)?), &stripped(binary)?)?;
    }
    archive.finish()
}

/// The lines that `init.sh` reads.
fn plan(kernel: &Kernel, runs: &[Run]) -> Result<String> {
    let mut plan = String::new();
    for (module, _) in kernel.modules()? {
        plan.push_str(&format!("insmod /modules/{module}.ko\n"));
    }
    for Run { name, binary, arguments } in runs {
        let file = file_name(binary)?;
        plan.push_str(&format!("run {name} /tests/{file} {}\n", arguments.join(" ")));
    }
    Ok(plan)
}

/// A program, and the libraries that it is linked with where its loader looks for them.
fn add(archive: &mut Archive, path: &str, program: &Path) -> Result<()> {
    let bytes = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    archive.file(path, &bytes)?;
    // Fails for what is linked statically.
    let linked = process::output(Command::new("ldd").arg(program)).unwrap_or_default();
    for library in linked.split_whitespace().filter(|word| word.starts_with('/')) {
        let bytes = fs::read(library).with_context(|| format!("cannot read {library}"))?;
        archive.file(library, &bytes)?;
    }
    Ok(())
}

/// Without what only debuggers read: that is four fifths of a test binary.
fn stripped(binary: &Path) -> Result<PathBuf> {
    let directory = workspace::vm().join("stripped");
    fs::create_dir_all(&directory)?;
    let output = directory.join(file_name(binary)?);
    process::run(Command::new("strip").arg("--strip-debug").arg("-o").arg(&output).arg(binary))?;
    Ok(output)
}

fn find(program: &str) -> Result<PathBuf> {
    process::find(program).with_context(|| format!("{program} is missing; run `cargo xtask setup`"))
}

fn file_name(path: &Path) -> Result<&str> {
    path.file_name().and_then(|name| name.to_str()).context("a program without a name")
}
