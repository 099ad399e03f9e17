//! How the firewall stands.

use serde::{Deserialize, Serialize};

use crate::{Authentication, Caller, LeaseSource, NodeState, names};

/// Answers `GET /v1/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The daemon's version.
    pub version: String,
    /// When the daemon started, RFC 3339.
    pub started: String,
    /// How long ago that is.
    pub uptime_seconds: u64,
    /// How the gateway stands inline.
    pub mode: Mode,
    /// The stop of everything.
    pub stop: Stop,
    /// What is in force.
    pub policy: Policy,
    /// The gateway's ports, in the order of the configuration.
    pub ports: Vec<Port>,
    /// The subnetworks, by name.
    pub subnetworks: Vec<Subnetwork>,
    /// How many nodes stand how; combinations without nodes may be missing.
    pub nodes: Vec<NodeCount>,
    /// Who is configured to say that nodes are what they say.
    #[serde(default)]
    pub sources: Vec<LeaseSource>,
    /// How full the flow tables are.
    pub flows: FlowTable,
    /// What the daemon checks about itself and the kernel.
    pub health: Vec<Check>,
}

names! {
    /// How the gateway stands inline.
    Mode {
        /// Frames cross between the ports of a pair.
        Bridge = "bridge",
        /// Packets are routed between the ports.
        Router = "router",
    }
}

names! {
    /// How far a stop goes.
    #[derive(Default)]
    StopLevel {
        /// Traffic flows as the policy says.
        #[default]
        None = "none",
        /// Only essential rules are in force.
        Ordinary = "ordinary",
        /// Nothing passes.
        Hard = "hard",
    }
}

/// A stop, and how it came about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// How far it goes.
    pub level: StopLevel,
    /// Since when, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Caller>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The policy in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Goes up with every change of policy, stop or authentication.
    pub generation: u32,
    /// Its hash, lower-case hex; empty while none is active.
    pub hash: String,
    /// A policy is active; until then everything is dropped.
    pub armed: bool,
    /// When it was activated, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activated: Option<String>,
    /// How many nodes it declares.
    pub nodes: u32,
    /// How many rules it has.
    pub rules: u32,
}

/// A port of the gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Its name in configuration and policy.
    pub name: String,
    /// The network interface.
    pub interface: String,
    /// The interface's index; 0 while there is no such interface.
    pub interface_index: u32,
    /// The interface's driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Where the program runs.
    pub xdp: XdpMode,
    /// Whether the card hides VLAN tags from the program.
    pub vlan_offload: VlanOffload,
    /// The program is attached, it is ours, and a policy is active.
    pub armed: bool,
    /// The port that its frames leave from, in bridge mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
}

names! {
    /// Where the XDP program runs.
    XdpMode {
        /// In the driver.
        Native = "native",
        /// After the kernel has made a socket buffer: slower.
        Generic = "generic",
        /// Nowhere.
        None = "none",
    }
}

names! {
    /// Whether the card strips VLAN tags on reception.
    VlanOffload {
        /// Off: the program sees the tags.
        Off = "off",
        /// On: the program cannot see the tags.
        On = "on",
        /// The card does not tell.
        Unknown = "unknown",
    }
}

names! {
    /// How much an outage costs (ZVEI).
    Criticality {
        /// An outage can be planned.
        Planned = "planned",
        /// An outage hurts soon.
        TimeCritical = "time-critical",
        /// An outage hurts at once.
        RealTime = "real-time",
    }
}

/// A subnetwork.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnetwork {
    /// Its name.
    pub name: String,
    /// How much an outage costs.
    pub criticality: Criticality,
    /// Its port of the gateway.
    pub port: String,
    /// Its VLAN; absent: untagged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// How many nodes it has.
    pub nodes: u32,
    /// Its own stop.
    pub stop: Stop,
    /// The stricter of its own stop and the stop of everything.
    pub effective: StopLevel,
}

/// How many nodes stand alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeCount {
    /// Their subnetwork.
    pub subnetwork: String,
    /// How they authenticate.
    pub authentication: Authentication,
    /// How they stand.
    pub state: NodeState,
    /// How many.
    pub count: u64,
}

/// How full the flow tables are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowTable {
    /// Established flows.
    pub count: u64,
    /// Room for established flows.
    pub capacity: u64,
    /// Flows whose responder has not answered.
    pub half_open: u64,
    /// Room for those beside a full table of the others; beyond it older ones give way.
    pub half_open_capacity: u64,
}

names! {
    /// The outcome of a check.
    Health {
        /// As it should be.
        Ok = "ok",
        /// Works, but somebody should look.
        Warn = "warn",
        /// Does not work.
        Fail = "fail",
    }
}

/// Something the daemon checks about itself and the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Its stable name.
    pub name: String,
    /// How it came out.
    pub state: Health,
    /// One plain sentence.
    pub sentence: String,
}
