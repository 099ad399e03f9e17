//! Gateways that do the same job in the same surroundings.

mod peer;

use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use firewall_daemon::dataplane::sys;
use firewall_tests::lab::{Lab, Process};
use firewall_tests::packet::Mac;
use serde_json::Value;

use crate::frames::{self, Ends, Family, Side};
use crate::kernel;
use crate::program::Program;

pub(crate) use self::peer::{Bare, Nftables, Rules};

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
    // A MAC belongs to one node or router, and that to one subnetwork.
    match family {
        Family::V4 | Family::V6 => {}
        Family::Tagged => [near.0[3], far.0[3]] = [7, 7],
        Family::Crowd => near.0[3] = 9,
    }
    Ends { near, near_sees: far, far, far_sees: near }
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
    lab.inside().route("10.5.0.0/16", frames::NEAR_V4);
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

/// What the maps hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) nodes: u32,
    pub(crate) rules: u32,
    pub(crate) flows: u32,
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
        let policy = small_policy(&lab);
        Self::start_with(lab, one_file(&policy), mode, None)
    }

    /// A bridge with the small policy and so much room.
    pub(crate) fn small(room: Room) -> Self {
        let lab = Lab::new();
        let policy = small_policy(&lab);
        Self::with_room(lab, one_file(&policy), room)
    }

    pub(crate) fn with_policy(lab: Lab, policy: &str) -> Self {
        Self::start_with(lab, one_file(policy), Mode::Bridge, None)
    }

    /// A bridge with a policy of those files (name, text) and so much room.
    pub(crate) fn with_room(
        lab: Lab,
        policy: impl IntoIterator<Item = (String, String)>,
        room: Room,
    ) -> Self {
        Self::start_with(lab, policy, Mode::Bridge, Some(room))
    }

    fn start_with(
        lab: Lab,
        policy: impl IntoIterator<Item = (String, String)>,
        mode: Mode,
        room: Option<Room>,
    ) -> Self {
        let directory = lab.directory();
        for name in ["state", "policies"] {
            fs::create_dir(directory.join(name)).unwrap();
        }
        for (name, text) in policy {
            fs::write(directory.join("policies").join(name), text).unwrap();
        }
        fs::write(directory.join("cordon.toml"), configuration(&lab, mode, room)).unwrap();
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
        sys::open_pin(&self.maps().join(name)).unwrap()
    }

    /// Every pinned map, by its name.
    pub(crate) fn all_maps(&self) -> Vec<(String, OwnedFd)> {
        let entries = fs::read_dir(self.maps()).unwrap().map(|entry| entry.unwrap());
        let name = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
        entries.map(|entry| (name(&entry), sys::open_pin(&entry.path()).unwrap())).collect()
    }

    /// Where the maps are pinned.
    fn maps(&self) -> PathBuf {
        let bpf = self.lab.bpffs().join("cordon");
        let mut directories = fs::read_dir(&bpf).unwrap().map(|entry| entry.unwrap().path());
        let maps = directories.find(|path| path.to_string_lossy().contains("maps-"));
        maps.expect("a directory of maps")
    }

    /// The program that guards the port of that side.
    pub(crate) fn program(&self, side: Side) -> Program {
        let port = match side {
            Side::Near => "inside",
            Side::Far => "outside",
        };
        let link = sys::open_pin(&self.lab.bpffs().join("cordon/links").join(port)).unwrap();
        Program::attached(kernel::program(sys::link_info(link.as_fd()).unwrap().program))
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

fn one_file(policy: &str) -> [(String, String); 1] {
    [("bench.toml".to_owned(), policy.to_owned())]
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

fn configuration(lab: &Lab, mode: Mode, room: Option<Room>) -> String {
    let directory = lab.directory().display();
    let capacity = room.map_or_else(String::new, |Room { nodes, rules, flows }| {
        format!("[capacity]\nnodes = {nodes}\nrules = {rules}\nflows = {flows}\n")
    });
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
{capacity}[limits]
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

fn small_policy(lab: &Lab) -> String {
    let [plain, tagged, crowd] =
        [Family::V4, Family::Tagged, Family::Crowd].map(|family| bridged(lab, family));
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
    policy += &format!(
        "[subnetwork.crowd]\nport = \"inside\"\nnetworks = [\"10.5.0.0/16\"]\n\
         routers = [\"{}\"]\n",
        crowd.near
    );
    for one in 0..1 << frames::CROWD_BITS {
        let address = format!("addresses = [\"10.5.1.{one}\"]");
        policy += &format!("[node.crowd-{one}]\nsubnetwork = \"crowd\"\n{address}\n");
    }
    policy += "[application.telemetry]\nudp = [\"4000-4400\"]\ntcp = [\"4000\"]\n";
    for [name, from, to] in [
        ["telemetry", "host-near", "host-far"],
        ["telemetry-tagged", "host-near-tagged", "host-far-tagged"],
        ["telemetry-crowd", "crowd/*", "host-far"],
    ] {
        policy += &format!(
            "[[allow]]\nname = \"{name}\"\nfrom = [\"{from}\"]\nto = [\"{to}\"]\n\
             applications = [\"telemetry\"]\n"
        );
    }
    policy
}
