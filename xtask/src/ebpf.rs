//! Builds the object that is loaded into the kernel.
//!
//! `bpfel-unknown-none` is a tier 3 target: rustup ships no core library for it, so the compiler
//! that builds it is not the one that builds the rest of the workspace. What comes out does not
//! depend on where it was built; `cargo xtask build --check` proves that.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use object::build::elf::{Builder, SectionData};
use object::elf;

use crate::{process, workspace};

/// The LLVM that our bpf-linker is built for: it links whatever compilers with this LLVM emit.
pub(crate) const LLVM_MAJOR: &str = "22";

/// A nightly of that LLVM, for systems whose packages lack a core library for BPF.
pub(crate) const NIGHTLY: &str = "nightly-2026-05-20";

const TARGET: &str = "bpfel-unknown-none";
const PACKAGE: &str = "firewall-ebpf";

/// A compiler that can build for the kernel.
pub(crate) struct Compiler {
    rustc: PathBuf,
    sysroot: PathBuf,
    /// The compiler's own libLLVM.
    llvm: PathBuf,
    core: Core,
}

/// Where the target's core library comes from.
#[derive(Clone, Copy)]
enum Core {
    Prebuilt,
    Source,
}

impl Compiler {
    /// The first usable compiler: `CORDON_EBPF_RUSTC`, the pinned nightly, Debian's.
    pub(crate) fn find() -> Result<Self> {
        if let Some(rustc) = env::var_os("CORDON_EBPF_RUSTC") {
            return Self::probe(Path::new(&rustc)).context("CORDON_EBPF_RUSTC is of no use");
        }
        let nightly = rustup_home().join(format!("toolchains/{NIGHTLY}-{}", host()));
        let mut reasons = Vec::new();
        for rustc in [nightly.join("bin/rustc"), PathBuf::from("/usr/bin/rustc")] {
            if !rustc.exists() {
                continue;
            }
            match Self::probe(&rustc) {
                Ok(compiler) => return Ok(compiler),
                Err(error) => reasons.push(format!("{error:#}")),
            }
        }
        if reasons.is_empty() {
            reasons.push("neither Debian's rustc nor the pinned nightly is installed".to_owned());
        }
        bail!(
            "no compiler can build the eBPF object: {}; run `cargo xtask setup`, which installs \
             one or prints how",
            reasons.join("; ")
        );
    }

    fn probe(rustc: &Path) -> Result<Self> {
        let ask = |argument: &[&str]| process::output(compiler_command(rustc).args(argument));
        let version = ask(&["-vV"])?;
        let llvm = version.lines().find_map(|line| line.strip_prefix("LLVM version: "));
        if llvm.and_then(|llvm| llvm.split('.').next()) != Some(LLVM_MAJOR) {
            bail!(
                "{} has LLVM {}, while bpf-linker is built for LLVM {LLVM_MAJOR}",
                rustc.display(),
                llvm.unwrap_or("of unknown version")
            );
        }
        let sysroot = PathBuf::from(ask(&["--print", "sysroot"])?.trim());
        let core = if has_prebuilt_core(&sysroot) {
            Core::Prebuilt
        } else if sysroot.join("lib/rustlib/src/rust/library/core").is_dir() {
            Core::Source
        } else {
            bail!(
                "{} has neither a core library for {TARGET} nor the sources to build one",
                rustc.display()
            );
        };
        let llvm = find_llvm(&sysroot).with_context(|| {
            format!("cannot find the libLLVM.so.{LLVM_MAJOR} of {}", rustc.display())
        })?;
        Ok(Self { rustc: rustc.to_owned(), sysroot, llvm, core })
    }

    /// Which compiler it is, for people.
    fn describe(&self) -> String {
        let core = match self.core {
            Core::Prebuilt => "with a prebuilt core library",
            Core::Source => "building the core library from source",
        };
        format!("{} {core}", self.rustc.display())
    }

    /// Whether the linter of the same version is installed.
    pub(crate) fn has_clippy(&self) -> bool {
        self.clippy().is_some()
    }

    fn clippy(&self) -> Option<PathBuf> {
        Some(self.sysroot.join("bin/clippy-driver")).filter(|driver| driver.is_file())
    }

    /// A cargo command for the eBPF package in the workspace at `root`, writing to `target`.
    fn cargo(
        &self,
        subcommand: &str,
        root: &Path,
        target: &Path,
        flags: &[&str],
    ) -> Result<Command> {
        let linker = workspace::tool("bpf-linker");
        if !linker.is_file() {
            bail!("bpf-linker is missing; run `cargo xtask setup`");
        }
        let cargo_home =
            env::var_os("CARGO_HOME").map_or_else(|| home().join(".cargo"), PathBuf::from);
        let mut rustflags = vec![
            format!("-Clinker={}", linker.display()),
            "-Clink-arg=--btf".to_owned(),
            "-Cdebuginfo=2".to_owned(),
            "-Ctarget-cpu=v3".to_owned(),
            format!("--remap-path-prefix={}=/src", root.display()),
            format!("--remap-path-prefix={}=/cargo", cargo_home.display()),
        ];
        rustflags.extend(flags.iter().map(|&flag| flag.to_owned()));

        let mut cargo = match self.core {
            Core::Prebuilt => process::cargo(),
            // -Zbuild-std ties cargo to the library's sources, so they come from one toolchain.
            Core::Source => {
                let mut cargo = compiler_command(&self.sysroot.join("bin/cargo"));
                cargo.arg("-Zbuild-std=core");
                cargo
            }
        };
        cargo.current_dir(root).stdin(Stdio::null());
        for variable in FOREIGN {
            cargo.env_remove(variable);
        }
        cargo
            .arg(subcommand)
            .args(["--release", "--locked", "--package", PACKAGE, "--target", TARGET])
            .arg("--target-dir")
            .arg(target)
            .env("RUSTC", &self.rustc)
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTC_WRAPPER", "")
            .env("CARGO_ENCODED_RUSTFLAGS", rustflags.join("\u{1f}"))
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1")
            .env("CARGO_PROFILE_RELEASE_DEBUG", "2")
            .env("CARGO_PROFILE_RELEASE_LTO", "fat")
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "3")
            .env("CARGO_PROFILE_RELEASE_PANIC", "abort")
            .env("LD_LIBRARY_PATH", self.link_llvm()?);
        Ok(cargo)
    }

    /// A directory that holds nothing but the right libLLVM: bpf-linker opens the first file of
    /// that name it meets, and distributions keep several versions side by side.
    fn link_llvm(&self) -> Result<PathBuf> {
        let directory = workspace::bpf().join("llvm");
        let link = directory.join(format!("libLLVM.so.{LLVM_MAJOR}"));
        if fs::read_link(&link).is_ok_and(|target| target == self.llvm) {
            return Ok(directory);
        }
        fs::create_dir_all(&directory)
            .and_then(|()| match fs::remove_file(&link) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                Ok(()) | Err(_) => std::os::unix::fs::symlink(&self.llvm, &link),
            })
            .with_context(|| format!("cannot create {}", link.display()))?;
        Ok(directory)
    }
}

/// What an outer cargo, rustup or a developer's shell may have set for the host's build.
const FOREIGN: [&str; 13] = [
    "CARGO_BUILD_RUSTC",
    "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER",
    "CARGO_TARGET_BPFEL_UNKNOWN_NONE_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "LD_LIBRARY_PATH",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTDOC",
    "RUSTFLAGS",
    "RUSTUP_TOOLCHAIN",
];

/// Builds the object and puts it where the daemon's build script looks for it.
pub(crate) fn build() -> Result<()> {
    let compiler = Compiler::find()?;
    let started = Instant::now();
    eprintln!("==> eBPF object ({})", compiler.describe());
    let object = compile(&compiler, workspace::root(), &workspace::bpf())?;
    let path = workspace::bpf().join("firewall-ebpf.o");
    let changed = fs::read(&path).ok().as_ref() != Some(&object);
    // An unchanged file keeps its time, so the daemon is not built again for nothing.
    if changed {
        fs::write(&path, &object).with_context(|| format!("cannot write {}", path.display()))?;
    }
    eprintln!(
        "    {} bytes, {}, {:.1} s",
        object.len(),
        if changed { "changed" } else { "unchanged" },
        started.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Lints the eBPF package with the target's own `cfg`s, warnings denied.
pub(crate) fn lint() -> Result<()> {
    let compiler = Compiler::find()?;
    // In a directory of its own: other flags in the same one would rebuild the object each time.
    let target = workspace::bpf().join("lint");
    let mut cargo = compiler.cargo("check", workspace::root(), &target, &["-Dwarnings"])?;
    match compiler.clippy() {
        Some(driver) => {
            cargo.env("RUSTC_WORKSPACE_WRAPPER", driver);
        }
        None => eprintln!(
            "note: {} has no clippy beside it, so only the compiler's own lints run",
            compiler.rustc.display()
        ),
    }
    process::run(&mut cargo)
}

/// Builds the object from nothing, in two places, and compares. Both places hold the same copy of
/// the sources, so that an edit meanwhile does not look like a difference.
pub(crate) fn prove_reproducible() -> Result<()> {
    let compiler = Compiler::find()?;
    eprintln!("==> eBPF object, twice ({})", compiler.describe());
    let scratch = workspace::bpf().join("check");
    let (near, far) = (scratch.join("near"), scratch.join("some/where/far"));
    clear(&scratch)?;
    copy_sources(workspace::root(), &near)?;
    copy_sources(&near, &far)?;
    let first = compile(&compiler, &near, &near.join("target"))?;
    let second = compile(&compiler, &far, &far.join("target"))?;
    if first != second {
        let place = first.iter().zip(&second).position(|(first, second)| first != second);
        bail!(
            "the eBPF object depends on where it is built: {} and {} bytes, first difference at \
             byte {}; both builds are kept in {}",
            first.len(),
            second.len(),
            place.unwrap_or(first.len().min(second.len())),
            scratch.display()
        );
    }
    clear(&scratch)?;
    eprintln!("    both builds have the same {} bytes", first.len());
    Ok(())
}

fn compile(compiler: &Compiler, root: &Path, target: &Path) -> Result<Vec<u8>> {
    process::run(&mut compiler.cargo("build", root, target, &[])?)
        .context("cannot build the eBPF object")?;
    let path = target.join(TARGET).join("release").join(PACKAGE);
    let linked = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    strip(&linked).with_context(|| format!("cannot strip {}", path.display()))
}

/// Leaves out the DWARF sections, which are ten times the rest and mean nothing to the kernel.
/// BTF stays. Done here and not with llvm-strip, whose output differs from version to version.
fn strip(linked: &[u8]) -> Result<Vec<u8>> {
    let mut object = Builder::read(linked)?;
    for section in &mut object.sections {
        let name = section.name.as_slice();
        section.delete = name.starts_with(b".debug_") || name.starts_with(b".rel.debug_");
    }
    object.delete_orphans();
    // LLVM keeps the names of sections and symbols in one table, the builder wants two.
    let names = object.sections.add();
    names.name = b".shstrtab"[..].into();
    names.sh_type = elf::SHT_STRTAB;
    names.data = SectionData::SectionString;
    let mut stripped = Vec::new();
    object.write(&mut stripped)?;
    Ok(stripped)
}

/// Copies everything a build reads, and nothing it writes.
fn copy_sources(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        if kind.is_dir() {
            if name != "target" && name != ".git" {
                copy_sources(&entry.path(), &to.join(name))?;
            }
        } else if kind.is_file() {
            fs::copy(entry.path(), to.join(name))
                .with_context(|| format!("cannot copy {}", entry.path().display()))?;
        }
    }
    Ok(())
}

fn clear(directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory)
            .with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    Ok(())
}

/// Whether a core library for the kernel's target lies in the sysroot.
fn has_prebuilt_core(sysroot: &Path) -> bool {
    let directory = sysroot.join("lib/rustlib").join(TARGET).join("lib");
    let Ok(entries) = fs::read_dir(directory) else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libcore-") && name.ends_with(".rlib")
    })
}

/// rustup's libraries lie in `lib`, Debian's in `lib/<architecture>`, Fedora's in `lib64`.
fn find_llvm(sysroot: &Path) -> Option<PathBuf> {
    let lib = sysroot.join("lib");
    let architecture = lib.join(host().replace("-unknown", ""));
    let prefix = format!("libLLVM.so.{LLVM_MAJOR}");
    [architecture, lib, sysroot.join("lib64")].iter().find_map(|directory| {
        let mut found: Vec<_> = fs::read_dir(directory)
            .ok()?
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
            .map(|entry| entry.path())
            .collect();
        found.sort();
        found.into_iter().next()
    })
}

/// A program of the compiler's toolchain, out of reach of rustup's choice for this workspace.
fn compiler_command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for variable in FOREIGN {
        command.env_remove(variable);
    }
    command
}

fn rustup_home() -> PathBuf {
    env::var_os("RUSTUP_HOME").map_or_else(|| home().join(".rustup"), PathBuf::from)
}

fn home() -> PathBuf {
    env::var_os("HOME").map_or_else(|| PathBuf::from("/root"), PathBuf::from)
}

fn host() -> String {
    format!("{}-unknown-linux-gnu", env::consts::ARCH)
}
