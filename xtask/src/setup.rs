//! `cargo xtask setup`: installs what building and testing need, and only what is missing.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::{ebpf, process, workspace};

/// Programs the tests start, and the Debian package each comes in.
const PROGRAMS: [(&str, &str); 11] = [
    ("bpftool", "bpftool"),
    ("curl", "curl"),
    ("echoscu", "dcmtk"),
    ("ethtool", "ethtool"),
    ("hostapd", "hostapd"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("openssl", "openssl"),
    ("radclient", "freeradius-utils"),
    ("tcpdump", "tcpdump"),
    ("wpa_supplicant", "wpasupplicant"),
];

/// Programs that the demonstration starts.
const DEMO_PROGRAMS: [(&str, &str); 4] = [
    ("dump2dcm", "dcmtk"),
    ("nsenter", "util-linux"),
    ("ping", "iputils-ping"),
    ("ss", "iproute2"),
];

/// Programs whose packages are unpacked: installed, they would start a server at every boot.
const SERVERS: [Server; 2] = [
    Server { program: "freeradius", package: "freeradius", place: "usr/sbin/freeradius" },
    Server { program: "promtool", package: "prometheus", place: "usr/bin/promtool" },
];

struct Server {
    program: &'static str,
    package: &'static str,
    /// Where the program lies in the package.
    place: &'static str,
}

/// Tools that are built from source and kept under `target/tools`.
const TOOLS: [Tool; 2] = [
    // 0.11 wants LLVM 23, which no packaged rustc has yet.
    Tool {
        name: "bpf-linker",
        version: "0.10.3",
        features: &["--no-default-features", "--features", "rust-llvm-22"],
    },
    Tool { name: "cargo-machete", version: "0.9.2", features: &[] },
];

struct Tool {
    name: &'static str,
    version: &'static str,
    features: &'static [&'static str],
}

/// Brings this machine to where `build`, `check` and `test` work.
pub(crate) fn run() -> Result<()> {
    let missing = Missing::look();
    if missing.is_nothing() {
        eprintln!("setup: everything is there");
        return Ok(());
    }
    let Missing { compiler, packages, servers, tools } = &missing;
    if *compiler || !packages.is_empty() || !servers.is_empty() {
        if !is_debian() {
            bail!("{}", missing.recipe("setup can install packages on Debian only"));
        }
        if !process::is_root() {
            bail!("{}", missing.recipe("setup can install packages as root only"));
        }
        update_package_lists()?;
        install_packages(*compiler, packages)?;
        for server in servers {
            server.unpack()?;
        }
    }
    for tool in tools {
        tool.install()?;
    }
    let still = Missing::look();
    if !still.is_nothing() {
        bail!("{}", still.recipe("something is still missing after the installation"));
    }
    eprintln!("setup: done");
    Ok(())
}

/// What this machine lacks.
struct Missing {
    compiler: bool,
    packages: Vec<&'static str>,
    servers: Vec<&'static Server>,
    tools: Vec<&'static Tool>,
}

impl Missing {
    fn look() -> Self {
        Self {
            compiler: !ebpf::Compiler::find().is_ok_and(|compiler| compiler.has_clippy()),
            packages: PROGRAMS
                .iter()
                .chain(&DEMO_PROGRAMS)
                .filter(|(program, _)| process::find(program).is_none())
                .map(|&(_, package)| package)
                .collect(),
            servers: SERVERS.iter().filter(|server| !server.is_there()).collect(),
            tools: TOOLS.iter().filter(|tool| !tool.is_installed()).collect(),
        }
    }

    fn is_nothing(&self) -> bool {
        let Self { compiler, packages, servers, tools } = self;
        !compiler && packages.is_empty() && servers.is_empty() && tools.is_empty()
    }

    /// The commands that install by hand what is missing, after a sentence that says why.
    fn recipe(&self, why: &str) -> String {
        let Self { compiler, packages, servers, tools } = self;
        let mut lines = vec![format!("{why}; what is missing comes with")];
        if *compiler {
            lines.push(format!(
                "  apt-get install --no-install-recommends {}",
                compiler_packages(true).join(" ")
            ));
            lines.push("or, where those packages do not exist,".to_owned());
            lines.push(format!(
                "  rustup toolchain install {} --profile minimal --component rust-src,clippy",
                ebpf::NIGHTLY
            ));
        }
        let mut packages = packages.clone();
        packages.extend(servers.iter().map(|server| server.package));
        if !packages.is_empty() {
            lines.push(format!("  apt-get install --no-install-recommends {}", packages.join(" ")));
        }
        for tool in tools {
            lines.push(format!("  cargo {}", tool.arguments("target/tools").join(" ")));
        }
        lines.join("\n")
    }
}

impl Tool {
    fn is_installed(&self) -> bool {
        let Self { name, version, features: _ } = self;
        let said = process::output(Command::new(workspace::tool(name)).arg("--version"));
        said.is_ok_and(|said| said.split_whitespace().any(|word| word == *version))
    }

    fn arguments(&self, root: &str) -> Vec<String> {
        let Self { name, version, features } = self;
        let mut arguments: Vec<String> =
            ["install", name, "--version", version, "--locked", "--root", root]
                .map(str::to_owned)
                .into();
        arguments.extend(features.iter().map(|&feature| feature.to_owned()));
        arguments
    }

    fn install(&self) -> Result<()> {
        eprintln!("setup: building {} {} into target/tools", self.name, self.version);
        let root = workspace::tools();
        process::run(
            process::cargo().args(self.arguments(&root.to_string_lossy())).args(["--force"]),
        )
        .with_context(|| format!("cannot build {}", self.name))
    }
}

impl Server {
    fn is_there(&self) -> bool {
        process::find(self.program).is_some() || workspace::tool(self.program).is_file()
    }

    fn unpack(&self) -> Result<()> {
        let Self { program, package, place } = self;
        eprintln!("setup: unpacking {program} into target/tools");
        unpack(package, &workspace::tools().join(program))?;
        fs::create_dir_all(workspace::tools().join("bin"))?;
        let _of_an_older_package = fs::remove_file(workspace::tool(program));
        symlink(Path::new("..").join(program).join(place), workspace::tool(program))
            .with_context(|| format!("cannot link {program}"))?;
        if self.is_there() { Ok(()) } else { bail!("the package {package} holds no {place}") }
    }
}

/// Installs the packages of programs that only one task needs, unless they are there.
pub(crate) fn need(programs: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<_> = programs
        .iter()
        .filter(|(program, _)| process::find(program).is_none())
        .map(|&(_, package)| package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !is_debian() || !process::is_root() {
        let packages = missing.join(" ");
        bail!(
            "setup can install packages on Debian and as root only; what is missing comes with\n  \
             apt-get install --no-install-recommends {packages}"
        );
    }
    update_package_lists()?;
    install_packages(false, &missing)
}

/// Asks what the archives hold now.
pub(crate) fn update_package_lists() -> Result<()> {
    eprintln!("setup: updating the package lists");
    process::run(apt().arg("update"))
}

fn install_packages(compiler: bool, packages: &[&str]) -> Result<()> {
    let mut wanted: Vec<&str> = packages.to_vec();
    if compiler {
        wanted.extend(compiler_packages(is_known(compiler_packages(true)[1])));
    }
    if wanted.is_empty() {
        return Ok(());
    }
    eprintln!("setup: installing {}", wanted.join(" "));
    process::run(apt().args(["install", "-y", "--no-install-recommends"]).args(wanted))
}

/// Debian 12 carries the compiler under other names, in its security archive.
fn compiler_packages(debian_12: bool) -> [&'static str; 3] {
    if debian_12 {
        ["rustc-web", "libstd-rust-web-dev-bpf", "rust-web-clippy"]
    } else {
        ["rustc", "libstd-rust-dev-bpf", "rust-clippy"]
    }
}

fn is_known(package: &str) -> bool {
    process::output(Command::new("apt-cache").args(["show", package]))
        .is_ok_and(|said| !said.is_empty())
}

/// The directory of xdp-filter's objects, which only the benchmarks need. They come in a package of
/// which nothing else is wanted: it is unpacked, not installed.
pub(crate) fn xdp_filter() -> Result<PathBuf> {
    let directory = workspace::tools().join("xdp-filter");
    if let Some(objects) = xdp_filter_objects(&directory) {
        return Ok(objects);
    }
    if !is_debian() {
        bail!(
            "the benchmarks compare with xdp-filter, which setup takes from Debian's package libxdp1"
        );
    }
    eprintln!("setup: unpacking xdp-filter's objects into target/tools");
    update_package_lists()?;
    unpack("libxdp1", &directory)?;
    xdp_filter_objects(&directory).context("the package libxdp1 holds no xdpfilt_dny_all.o")
}

fn xdp_filter_objects(directory: &Path) -> Option<PathBuf> {
    let architectures = fs::read_dir(directory.join("usr/lib")).ok()?.flatten();
    architectures
        .map(|architecture| architecture.path().join("bpf"))
        .find(|objects| objects.join("xdpfilt_dny_all.o").is_file())
}

/// Downloads a package and unpacks it into a directory, which is there only when it is complete.
pub(crate) fn unpack(package: &str, directory: &Path) -> Result<()> {
    let partial = directory.with_extension("partial");
    for old in [&*partial, directory] {
        let _ = fs::remove_dir_all(old);
    }
    fs::create_dir_all(&partial).with_context(|| format!("cannot create {}", partial.display()))?;
    process::run(apt().current_dir(&partial).args([
        "-o",
        // apt's own user may not write here, which is worth a warning to apt and none to us.
        "APT::Sandbox::User=root",
        "download",
        package,
    ]))?;
    let archive = fs::read_dir(&partial)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .with_context(|| format!("apt-get downloaded no {package} package"))?;
    process::run(Command::new("dpkg-deb").arg("--extract").arg(&archive).arg(&partial))?;
    fs::remove_file(archive)?;
    fs::rename(&partial, directory)
        .with_context(|| format!("cannot create {}", directory.display()))
}

fn apt() -> Command {
    let mut apt = Command::new("apt-get");
    apt.args(["-q", "-o", "DPkg::Lock::Timeout=300"])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null());
    apt
}

fn is_debian() -> bool {
    Path::new("/etc/debian_version").is_file() && process::find("apt-get").is_some()
}

/// PATH with our own tools first, for tests that start them.
pub(crate) fn path() -> Result<OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = [workspace::tools().join("bin")]
        .into_iter()
        .chain(env::split_paths(&path))
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")]);
    env::join_paths(directories).context("a directory in PATH has a colon in its name")
}
