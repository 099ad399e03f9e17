//! Three gateways that do the same job in the same surroundings.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use firewall_daemon::dataplane::sys;
use firewall_tests::lab::{Lab, Process};
use firewall_tests::packet::Mac;
use serde_json::Value;

use crate::frames::{self, Ends, Family};
use crate::kernel::{self, MapKind};
use crate::traffic;

/// Two hosts and what stands between them.
pub(crate) trait Gateway {
    fn lab(&self) -> &Lab;

    /// The MACs that the hosts use.
    fn ends(&self, family: Family) -> Ends;

    /// Lets a request and a reply of so many flows cross.
    fn establish(&self, family: Family, flows: u16) {
        let (near, far) = (self.lab().near().port(), self.lab().far().port());
        for flow in 0..flows {
            let [request, reply] = frames::handshake(self.ends(family), family, flow);
            near.send(&request);
            far.send(&reply);
        }
    }
}

/// The far host itself is what the near one sees.
fn bridged(lab: &Lab, family: Family) -> Ends {
    let (mut near, mut far) = (lab.near().mac(), lab.far().mac());
    if family == Family::Tagged {
        // A MAC belongs to one node, and that node to one subnetwork.
        near.0[3] = 7;
        far.0[3] = 7;
    }
    Ends { near, near_sees: far, far, far_sees: near }
}

/// An XDP program that redirects every frame.
pub(crate) struct Bare {
    lab: Lab,
    _links: Vec<OwnedFd>,
}

impl Bare {
    pub(crate) fn new() -> Self {
        let lab = Lab::new();
        let mut links = Vec::new();
        for (from, to) in [(lab.inside(), lab.outside()), (lab.outside(), lab.inside())] {
            let devices = kernel::map(MapKind::Devices, 4, 1);
            lab.gateway().run(|| kernel::set_element(&devices, 0, [to.index()]));
            let program = kernel::load(&traffic::bare_redirect(&devices));
            let from = from.index();
            links.push(lab.gateway().run(|| kernel::attach(&program, from)));
        }
        Self { lab, _links: links }
    }
}

impl Gateway for Bare {
    fn lab(&self) -> &Lab {
        &self.lab
    }

    fn ends(&self, family: Family) -> Ends {
        bridged(&self.lab, family)
    }
}

/// The kernel forwards what nftables accepts.
pub(crate) struct Nftables {
    lab: Lab,
}

const RULES: &str = "\
table inet bench {
    chain forward {
        type filter hook forward priority filter; policy drop;
        ct state established accept
        ip saddr 10.1.0.10 ip daddr 10.2.0.20 udp dport 4000-4100 ct state new accept
        ip6 saddr fd00:1::10 ip6 daddr fd00:2::20 udp dport 4000-4100 ct state new accept
    }
}
";

impl Nftables {
    pub(crate) fn new() -> Self {
        let lab = Lab::new();
        address(&lab);
        lab.gateway().run(|| {
            for setting in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
                fs::write(Path::new("/proc/sys/net").join(setting), "1").unwrap();
            }
        });
        let mut nft = lab.gateway().command("nft");
        let mut nft = nft.args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
        nft.stdin.take().unwrap().write_all(RULES.as_bytes()).unwrap();
        assert!(nft.wait().unwrap().success(), "nft refuses the rules");
        Self { lab }
    }
}

impl Gateway for Nftables {
    fn lab(&self) -> &Lab {
        &self.lab
    }

    fn ends(&self, family: Family) -> Ends {
        routed(&self.lab, family)
    }
}

/// Gives a router its addresses, and lets it know its neighbours.
fn address(lab: &Lab) {
    for (port, host, addresses, neighbours) in [
        (
            lab.inside(),
            lab.near(),
            ["10.1.0.1/24", "fd00:1::1/64"],
            [frames::NEAR_V4, frames::NEAR_V6],
        ),
        (
            lab.outside(),
            lab.far(),
            ["10.2.0.1/24", "fd00:2::1/64"],
            [frames::FAR_V4, frames::FAR_V6],
        ),
    ] {
        addresses.into_iter().for_each(|address| port.address(address));
        neighbours.into_iter().for_each(|neighbour| port.neighbour(neighbour, host.mac()));
    }
}

/// Each host sees the router.
fn routed(lab: &Lab, family: Family) -> Ends {
    let Ends { near, far, .. } = bridged(lab, family);
    let (near_sees, far_sees) = (lab.inside().mac(), lab.outside().mac());
    Ends { near, near_sees, far, far_sees }
}

/// How Cordon stands inline.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Bridge,
    Router,
}

/// The real daemon.
pub(crate) struct Cordon {
    process: Option<Process>,
    starts: u32,
    mode: Mode,
    lab: Lab,
}

impl Cordon {
    /// With the small policy.
    pub(crate) fn new() -> Self {
        Self::standing(Mode::Bridge)
    }

    /// The same in that mode.
    pub(crate) fn standing(mode: Mode) -> Self {
        let lab = Lab::new();
        if mode == Mode::Router {
            address(&lab);
        }
        let policy = small_policy(bridged(&lab, Family::V4), bridged(&lab, Family::Tagged));
        Self::start_with(lab, &policy, mode)
    }

    pub(crate) fn with_policy(lab: Lab, policy: &str) -> Self {
        Self::start_with(lab, policy, Mode::Bridge)
    }

    fn start_with(lab: Lab, policy: &str, mode: Mode) -> Self {
        let directory = lab.directory();
        for name in ["state", "policies"] {
            fs::create_dir(directory.join(name)).unwrap();
        }
        fs::write(directory.join("policies/bench.toml"), policy).unwrap();
        fs::write(directory.join("cordon.toml"), configuration(&lab, mode)).unwrap();
        let mut cordon = Self { process: None, starts: 0, mode, lab };
        cordon.start();
        cordon
    }

    /// Starts the daemon, again if it was killed, and waits until it is ready.
    pub(crate) fn start(&mut self) {
        let mut daemon = self.lab.gateway().command(binary("cordond"));
        daemon.arg("--config").arg(self.configuration());
        let mut process = self.lab.process(&format!("cordond-{}", self.starts), daemon);
        process.wait_for_log("ready", Duration::from_secs(120));
        self.process = Some(process);
        self.starts += 1;
    }

    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    pub(crate) fn configuration(&self) -> PathBuf {
        self.lab.directory().join("cordon.toml")
    }

    pub(crate) fn policy(&self) -> PathBuf {
        self.lab.directory().join("policies/bench.toml")
    }

    /// A command line of the administrator.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(binary("cordon"));
        command.arg("--config").arg(self.configuration()).arg("--json").args(arguments);
        command
    }

    /// What the administrator is answered.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Value {
        answer(&mut self.command(arguments))
    }

    /// The pinned map of that name.
    pub(crate) fn map(&self, name: &str) -> OwnedFd {
        let bpf = self.lab.bpffs().join("cordon");
        let mut directories = fs::read_dir(&bpf).unwrap().map(|entry| entry.unwrap().path());
        let maps = directories.find(|path| path.to_string_lossy().contains("maps-"));
        sys::open_pin(&maps.expect("a directory of maps").join(name)).unwrap()
    }

    /// The program that guards the inner port.
    pub(crate) fn program(&self) -> OwnedFd {
        let link = sys::open_pin(&self.lab.bpffs().join("cordon/links/inside")).unwrap();
        kernel::program(sys::link_info(link.as_fd()).unwrap().program)
    }
}

impl Gateway for Cordon {
    fn lab(&self) -> &Lab {
        &self.lab
    }

    fn ends(&self, family: Family) -> Ends {
        match self.mode {
            Mode::Bridge => bridged(&self.lab, family),
            Mode::Router => routed(&self.lab, family),
        }
    }
}

/// Runs a command that answers in JSON.
pub(crate) fn answer(command: &mut Command) -> Value {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn binary(name: &str) -> PathBuf {
    let directory = std::env::var_os("CORDON_BIN_DIR").expect("start this by `cargo xtask bench`");
    Path::new(&directory).join(name)
}

/// Looks every millisecond until it is so; panics after ten seconds.
pub(crate) fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < end, "not within ten seconds: {what}");
        sleep(Duration::from_millis(1));
    }
}

fn configuration(lab: &Lab, mode: Mode) -> String {
    let directory = lab.directory().display();
    let mode = match mode {
        Mode::Bridge => "mode = \"bridge\"\npairs = [[\"inside\", \"outside\"]]",
        Mode::Router => "mode = \"router\"",
    };
    format!(
        r#"[state]
directory = "{directory}/state"
[control]
socket = "{directory}/control.sock"
group = "root"
[metrics]
listen = "127.0.0.1:9618"
[policy]
directory = "{directory}/policies"
[bpf]
directory = "{bpf}/cordon"
[limits]
half_open = 65535
new_flows = 65535
[gateway]
{mode}
[port.inside]
interface = "inside"
[port.outside]
interface = "outside"
"#,
        bpf = lab.bpffs().display()
    )
}

fn small_policy(plain: Ends, tagged: Ends) -> String {
    let mut policy = String::from("version = 1\n");
    for (side, port, tag, networks) in [
        ("near", "inside", "", "\"10.1.0.0/24\", \"fd00:1::/64\""),
        ("far", "outside", "", "\"10.2.0.0/24\", \"fd00:2::/64\""),
        ("near-tagged", "inside", "vlan = 120\n", "\"10.3.0.0/24\""),
        ("far-tagged", "outside", "vlan = 120\n", "\"10.4.0.0/24\""),
    ] {
        policy +=
            &format!("[subnetwork.{side}]\nport = \"{port}\"\n{tag}networks = [{networks}]\n");
    }
    let node = |name: &str, addresses: &[&str], Mac(mac): Mac| {
        let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
        let subnetwork = name.trim_start_matches("host-");
        format!(
            "[node.{name}]\nsubnetwork = \"{subnetwork}\"\naddresses = {addresses:?}\nmac = \"{mac}\"\n"
        )
    };
    policy += &node("host-near", &[frames::NEAR_V4, frames::NEAR_V6], plain.near);
    policy += &node("host-far", &[frames::FAR_V4, frames::FAR_V6], plain.far);
    policy += &node("host-near-tagged", &[frames::NEAR_TAGGED], tagged.near);
    policy += &node("host-far-tagged", &[frames::FAR_TAGGED], tagged.far);
    policy += "[application.telemetry]\nudp = [\"4000-4100\"]\ntcp = [\"4000\"]\n";
    for suffix in ["", "-tagged"] {
        policy += &format!(
            "[[allow]]\nname = \"telemetry{suffix}\"\nfrom = [\"host-near{suffix}\"]\n\
             to = [\"host-far{suffix}\"]\napplications = [\"telemetry\"]\n"
        );
    }
    policy
}
