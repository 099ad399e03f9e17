//! The hospital in a box: every machine is a network namespace.
//!
//! ```text
//! ct, workstation, laptop - switch - inside GATEWAY outside - switch - pacs, ris, office
//! ```

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process;

use anyhow::{Context as _, Result, bail};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::namespace::{self, Namespace};

/// What the names of all these laboratories start with; the id of the process that made one is next.
const PREFIX: &str = "cordon-demo-";
/// A file in the directory of a laboratory that outlives the process that made it.
const KEPT: &str = "kept";

/// Tags and checksums must be whole in a frame that XDP redirects, and a redirect to the other end
/// of a veth pair delivers nothing unless this end runs NAPI, which `gro on` brings while it is up.
const FEATURES: &str = "gro on tx off tso off gso off txvlan off rxvlan off \
                        tx-vlan-stag-hw-insert off rx-vlan-stag-hw-parse off";

/// A machine with one interface, `eth0`.
pub(super) struct Host {
    pub(super) namespace: Namespace,
    pub(super) address: &'static str,
    pub(super) mac: &'static str,
}

impl Host {
    /// Tells this machine where another one is, so that it need not ask.
    pub(super) fn knows(&self, other: &Self) -> Result<()> {
        let Self { address, mac, .. } = other;
        self.namespace.ip(&format!("neighbour replace {address} lladdr {mac} dev eth0"))
    }
}

/// The hospital.
pub(super) struct Lab {
    name: String,
    directory: PathBuf,
    pub(super) gateway: Namespace,
    /// Radiology's switch; its socket to the gateway is called `uplink`, the others as the machines.
    pub(super) inside: Namespace,
    pub(super) ct: Host,
    pub(super) workstation: Host,
    pub(super) laptop: Host,
    pub(super) pacs: Host,
    pub(super) ris: Host,
    pub(super) office: Host,
    _leftovers: Leftovers,
}

/// Takes away what has been made so far, also when making the rest fails.
struct Leftovers {
    name: String,
    keep: bool,
}

impl Drop for Leftovers {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        if let Err(error) = remove(&self.name) {
            eprintln!("{} stays behind: {error:#}; try `cargo xtask demo --down`", self.name);
        }
        super::process::reap();
    }
}

impl Lab {
    /// Builds it, and takes away first what killed demonstrations have left.
    pub(super) fn new() -> Result<Self> {
        for name in names()?.iter().filter(|name| is_abandoned(name)) {
            // Two demonstrations may do so at once.
            let _removed_meanwhile = remove(name);
        }
        let (name, directory) = make_directory()?;
        let leftovers = Leftovers { name: name.clone(), keep: false };
        let pins = directory.join("bpf");
        fs::create_dir(&pins)?;
        mount(Some("bpf"), &pins, Some("bpf"), MsFlags::empty(), Some("mode=0700"))
            .context("cannot mount a BPF file system")?;
        let gateway = Namespace::new(format!("{name}-gateway"))?;
        let switch = Switch::new(&name, "inside", &gateway)?;
        let ct = switch.host("ct", "10.20.0.11", "02:00:00:20:00:11")?;
        let workstation = switch.host("workstation", "10.20.0.12", "02:00:00:20:00:12")?;
        let laptop = switch.host("laptop", "10.20.0.66", "02:00:00:20:00:66")?;
        let inside = switch.namespace;
        let switch = Switch::new(&name, "outside", &gateway)?;
        let pacs = switch.host("pacs", "10.20.0.20", "02:00:00:20:00:20")?;
        let ris = switch.host("ris", "10.20.0.30", "02:00:00:20:00:30")?;
        let office = switch.host("office", "10.20.0.50", "02:00:00:20:00:50")?;
        let _leftovers = leftovers;
        Ok(Self {
            name,
            directory,
            gateway,
            inside,
            ct,
            workstation,
            laptop,
            pacs,
            ris,
            office,
            _leftovers,
        })
    }

    /// What the names of its namespaces start with.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// For configuration, images, sockets and logs.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Lets it outlive this process.
    pub(super) fn keep(mut self) -> Result<()> {
        fs::write(self.directory.join(KEPT), "")?;
        self._leftovers.keep = true;
        Ok(())
    }
}

/// A Linux bridge in a namespace of its own, plugged into a port of the gateway.
struct Switch<'a> {
    lab: &'a str,
    namespace: Namespace,
}

impl<'a> Switch<'a> {
    fn new(lab: &'a str, port: &str, gateway: &Namespace) -> Result<Self> {
        let namespace = Namespace::new(format!("{lab}-{port}-switch"))?;
        // 8: frames to the group of 802.1X, which are for the gateway.
        namespace
            .ip("link add bridge type bridge mcast_snooping 0 stp_state 0 group_fwd_mask 8")?;
        namespace.ip("link set bridge up")?;
        let switch = Self { lab, namespace };
        switch.plug("uplink", gateway, port, "")?;
        Ok(switch)
    }

    fn host(&self, name: &str, address: &'static str, mac: &'static str) -> Result<Host> {
        let namespace = Namespace::new(format!("{}-{name}", self.lab))?;
        self.plug(name, &namespace, "eth0", mac)?;
        namespace.ip(&format!("address add {address}/24 dev eth0"))?;
        Ok(Host { namespace, address, mac })
    }

    fn plug(&self, socket: &str, other: &Namespace, interface: &str, mac: &str) -> Result<()> {
        let mac = if mac.is_empty() { String::new() } else { format!("address {mac}") };
        self.namespace.ip(&format!(
            "link add {socket} type veth peer name {interface} {mac} netns {}",
            other.name()
        ))?;
        // Both up before either is set.
        self.namespace.ip(&format!("link set {socket} up master bridge"))?;
        other.ip(&format!("link set {interface} up"))?;
        self.namespace.ethtool(socket, FEATURES)?;
        other.ethtool(interface, FEATURES)
    }
}

/// Takes down every laboratory that no running demonstration needs, and says which.
pub(super) fn down() -> Result<Vec<String>> {
    let mut gone = names()?;
    gone.retain(|name| is_abandoned(name) || is_kept(name));
    gone.iter().try_for_each(|name| remove(name))?;
    Ok(gone)
}

fn make_directory() -> Result<(String, PathBuf)> {
    for number in 0..100 {
        let name = format!("{PREFIX}{}-{number}", process::id());
        let directory = directory_of(&name);
        match fs::DirBuilder::new().mode(0o700).create(&directory) {
            Ok(()) => return Ok((name, directory)),
            // A kept laboratory of a process that had the same id.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("cannot create {}", directory.display()));
            }
        }
    }
    bail!("too many laboratories are kept; `cargo xtask demo --down` takes them down")
}

fn directory_of(name: &str) -> PathBuf {
    std::env::temp_dir().join(name)
}

/// Every laboratory there is.
fn names() -> Result<Vec<String>> {
    let entries = fs::read_dir(std::env::temp_dir())?.flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    Ok(names.filter(|name| maker(name).is_some()).collect())
}

/// The process that made the laboratory of this name.
fn maker(name: &str) -> Option<u32> {
    let (process, number) = name.strip_prefix(PREFIX)?.split_once('-')?;
    number.parse::<u32>().ok()?;
    process.parse().ok()
}

fn is_kept(name: &str) -> bool {
    directory_of(name).join(KEPT).exists()
}

fn is_abandoned(name: &str) -> bool {
    let is_over = |process: u32| !Path::new("/proc").join(process.to_string()).exists();
    maker(name).is_some_and(is_over) && !is_kept(name)
}

/// Ends the processes, then takes away their network, then the pins and the files.
fn remove(name: &str) -> Result<()> {
    let machines = format!("{name}-");
    for entry in fs::read_dir(namespace::DIRECTORY).into_iter().flatten().flatten() {
        if let Some(machine) = entry.file_name().to_str().filter(|it| it.starts_with(&machines)) {
            namespace::remove(machine)?;
        }
    }
    let directory = directory_of(name);
    // Not mounted where making the laboratory failed early; else it cannot be removed below.
    let _not_mounted = umount2(&directory.join("bpf"), MntFlags::MNT_DETACH);
    fs::remove_dir_all(&directory).with_context(|| format!("cannot remove {}", directory.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_laboratories_of_this_kind_have_a_maker() {
        assert_eq!(maker("cordon-demo-4711-0"), Some(4711));
        for name in ["cordon-demo-4711", "cordon-4711-0", "cordon-demo-x-0", "cordon-demo-1-0-ct"] {
            assert_eq!(maker(name), None, "{name}");
        }
    }
}
