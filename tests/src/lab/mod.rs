//! A laboratory: a gateway between two sides, in network namespaces of their own.
//!
//! ```text
//! near hosts - eth0 ---- inside  GATEWAY  outside ---- eth0 - far hosts
//! ```
//!
//! A side with one host is a veth pair. A side with several has a switch in between: a Linux bridge
//! in one more namespace. Nothing in a lab speaks unless it is told to: no addresses, no IPv6
//! autoconfiguration, no spanning tree.
//!
//! A lab leaves nothing behind when it is dropped, by a panic too. What a killed test run left is
//! swept by the first lab of the next one.

mod bpffs;
mod link;
mod namespace;
mod port;
mod process;
mod sweep;

use std::{
    path::Path,
    process::{Command, id},
    sync::{
        Once,
        atomic::{AtomicUsize, Ordering},
    },
};

use tempfile::TempDir;

pub use bpffs::BpfFs;
pub use link::Link;
pub use namespace::{Handle, Namespace};
pub use port::RawPort;
pub use process::Process;

use crate::packet::Mac;

/// See the [module](self). Fields are dropped in order: processes die with their namespaces before
/// the pins go.
#[derive(Debug)]
pub struct Lab {
    prefix: String,
    near: Side,
    far: Side,
    gateway: Namespace,
    bpffs: BpfFs,
    directory: TempDir,
}

impl Lab {
    /// A gateway with one host on either side.
    #[expect(clippy::new_without_default, reason = "a lab is no plain value")]
    pub fn new() -> Self {
        Self::with_hosts(1, 1)
    }

    /// A gateway with so many hosts on the near and on the far side, at least one each.
    pub fn with_hosts(near: usize, far: usize) -> Self {
        let prefix = unique_prefix();
        let directory = tempfile::Builder::new().prefix(&prefix).rand_bytes(0).tempdir();
        let directory = directory.unwrap_or_else(|error| panic!("directory of {prefix}: {error}"));
        let bpffs = BpfFs::mount(&directory.path().join("bpf"));
        let gateway = Namespace::with_prefix(&prefix, "gateway");
        let near = Side::new(&prefix, "near", &gateway, "inside", 1, near);
        let far = Side::new(&prefix, "far", &gateway, "outside", 2, far);
        Self { prefix, near, far, gateway, bpffs, directory }
    }

    /// The gateway's namespace, with the interfaces `inside` and `outside`.
    pub fn gateway(&self) -> &Namespace {
        &self.gateway
    }

    /// The gateway's interface towards the near side.
    pub fn inside(&self) -> &Link {
        &self.near.port
    }

    /// The gateway's interface towards the far side.
    pub fn outside(&self) -> &Link {
        &self.far.port
    }

    /// The bridge between the near side's hosts, of which there are several.
    pub fn near_switch(&self) -> &Link {
        let Some((_, bridge)) = &self.near.switch else { panic!("the near side has no switch") };
        bridge
    }

    /// The first host of the near side.
    pub fn near(&self) -> &Host {
        self.near_host(0)
    }

    /// The first host of the far side.
    pub fn far(&self) -> &Host {
        self.far_host(0)
    }

    /// A host of the near side, counted from 0.
    pub fn near_host(&self, index: usize) -> &Host {
        &self.near.hosts[index]
    }

    /// A host of the far side, counted from 0.
    pub fn far_host(&self, index: usize) -> &Host {
        &self.far.hosts[index]
    }

    /// Makes the near side's cable again, both ends: other interfaces with the same names and
    /// hardware addresses. The only host of that side loses its addresses. On the gateway it is first
    /// called `name`.
    pub fn replug(&self, name: &str) -> Link {
        self.inside().delete();
        self.make_again(name)
    }

    /// The same, after it was deleted.
    pub fn make_again(&self, name: &str) -> Link {
        let near = self.near();
        let inside = (&self.gateway, name, Mac([2, 0, 0, 0, 0, 1]));
        Link::pair(inside, (&near.namespace, near.link.name(), near.mac)).0
    }

    /// The same for the far side, which has several hosts: they stay plugged into their switch.
    pub fn replug_far(&self) {
        let Some((switch, bridge)) = &self.far.switch else { panic!("the far side has no switch") };
        self.outside().delete();
        let outside = (&self.gateway, "outside", Mac([2, 0, 0, 0, 0, 2]));
        let (_, uplink) = Link::pair(outside, (switch, "uplink", Mac([2, 0, 0, 1, 2, 0])));
        uplink.enslave(bridge);
    }

    /// Where this lab's own BPF file system is mounted. Processes started from the lab see it;
    /// those of `ip netns exec` do not.
    pub fn bpffs(&self) -> &Path {
        self.bpffs.path()
    }

    /// A directory for configuration, sockets and logs, removed with the lab.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// What the names of all of this lab's namespaces start with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// One more namespace of this lab, quiet and with nothing but a loopback interface.
    pub fn namespace(&self, name: &str) -> Namespace {
        Namespace::with_prefix(&self.prefix, name)
    }

    /// Starts `command` and kills it when the guard is dropped. What it says goes to
    /// `NAME.log` in [`Lab::directory`]. The name is unique in the lab.
    pub fn process(&self, name: &str, command: Command) -> Process {
        Process::logged(command, &self.directory().join(format!("{name}.log")))
    }
}

/// A host: a namespace with one interface, `eth0`.
#[derive(Debug)]
pub struct Host {
    namespace: Namespace,
    link: Link,
    mac: Mac,
}

impl Host {
    /// The host's namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The host's interface.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// The hardware address that the lab gave it: `02:00:00:00:SIDE:HOST`, where the near side is
    /// 1, the far side 2, and the first host 1.
    pub fn mac(&self) -> Mac {
        self.mac
    }

    /// Opens the host's interface for frames.
    pub fn port(&self) -> RawPort {
        RawPort::open(&self.link)
    }

    /// See [`Handle::run`].
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.namespace.run(work)
    }

    /// See [`Handle::command`].
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        self.namespace.command(program)
    }
}

/// One side of the gateway.
#[derive(Debug)]
struct Side {
    port: Link,
    hosts: Vec<Host>,
    switch: Option<(Namespace, Link)>,
}

impl Side {
    fn new(
        prefix: &str,
        name: &str,
        gateway: &Namespace,
        port: &str,
        number: u8,
        count: usize,
    ) -> Self {
        assert!((1..=250).contains(&count), "a side has 1 to 250 hosts, not {count}");
        let gateway_end = (gateway, port, Mac([2, 0, 0, 0, 0, number]));
        let namespaces = (1..=count).map(|host| {
            let name = if count == 1 { name.to_owned() } else { format!("{name}-{host}") };
            let host = u8::try_from(host).unwrap();
            (Namespace::with_prefix(prefix, &name), Mac([2, 0, 0, 0, number, host]))
        });
        let namespaces: Vec<_> = namespaces.collect();
        if let [(namespace, mac)] = namespaces.as_slice() {
            let (port, link) = Link::pair(gateway_end, (namespace, "eth0", *mac));
            let hosts = namespaces.into_iter();
            let hosts = hosts.map(|(namespace, mac)| Host { namespace, link: link.clone(), mac });
            return Self { port, hosts: hosts.collect(), switch: None };
        }

        let switch = Namespace::with_prefix(prefix, &format!("{name}-switch"));
        let bridge = Link::bridge(&switch, "bridge");
        let socket = |host| Mac([2, 0, 0, 1, number, host]);
        let (port, uplink) = Link::pair(gateway_end, (&switch, "uplink", socket(0)));
        uplink.enslave(&bridge);
        let hosts = namespaces.into_iter().zip(1..).map(|((namespace, mac), host)| {
            let end = (&switch, &*format!("port{host}"), socket(host));
            let (link, end) = Link::pair((&namespace, "eth0", mac), end);
            end.enslave(&bridge);
            Host { namespace, link, mac }
        });
        Self { port, hosts: hosts.collect(), switch: Some((switch, bridge)) }
    }
}

/// `cordon-PID-NUMBER`, unique among all that run at the same time.
fn unique_prefix() -> String {
    static SWEPT: Once = Once::new();
    SWEPT.call_once(sweep::sweep);
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("{}{}-{}", sweep::PREFIX, id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Runs `command` to its end and panics, with what it said, unless it succeeded.
fn must(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}: {said}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}
