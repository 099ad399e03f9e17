//! The daemon's configuration file.
//!
//! What is missing has the default of the packaged `cordon.toml`; what is unknown or makes no sense
//! is an error with a line.

mod authentication;
mod problem;
mod raw;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use firewall_common::Port as PortIndex;
use firewall_common::tables::Way;
use serde::Deserialize;

pub use self::authentication::{Authentication, Hostapd, Mtls, Radius, RadiusClient};
pub use self::problem::Problem;

/// Where the daemon and `cordon stop-all --direct` look unless told otherwise.
pub const DEFAULT_PATH: &str = "/etc/cordon/cordon.toml";

/// A configuration that makes sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Latch, leases, history, audit.
    pub state: State,
    /// The control socket.
    pub control: Control,
    /// The metrics page.
    pub metrics: Metrics,
    /// The policy files.
    pub policy: Policy,
    /// The pinned maps and links.
    pub bpf: Bpf,
    /// How much there is room for.
    pub capacity: Capacity,
    /// How much one node may take.
    pub limits: Limits,
    /// How the gateway stands inline.
    pub gateway: Gateway,
    /// How nodes' proofs are taken.
    pub authentication: Authentication,
}

/// `[state]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The daemon's own directory.
    pub directory: PathBuf,
}

/// `[control]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// The Unix socket.
    pub socket: PathBuf,
    /// Whose members may command.
    pub group: String,
}

/// `[metrics]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Where the page is served.
    pub listen: SocketAddr,
}

/// `[policy]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Where the `*.toml` lie.
    pub directory: PathBuf,
}

/// `[bpf]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bpf {
    /// In a BPF file system.
    pub directory: PathBuf,
}

/// `[capacity]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Nodes.
    pub nodes: u32,
    /// Rules.
    pub rules: u32,
    /// Established flows.
    pub flows: u32,
}

/// `[limits]`, of each node
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Flows that nobody has answered.
    pub half_open: u32,
    /// New flows a second.
    pub new_flows: u32,
}

/// `[gateway]` and `[port.*]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    mode: Mode,
    /// The ports; the position is the [`PortIndex`]. A bridge's: first those of the first pair, and
    /// so on. A router's: by name.
    ports: Vec<Port>,
}

/// How the gateway stands inline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Frames cross between the two ports of a pair.
    Bridge,
    /// Packets are routed between the subnetworks.
    Router,
}

/// `[port.NAME]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// NAME.
    pub name: String,
    /// The network interface.
    pub interface: String,
    /// Where the program is to run.
    pub xdp: Xdp,
    /// Whether frames may be longer than a page, up to 9,018 bytes.
    pub jumbo: bool,
}

/// Where the XDP program is to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Xdp {
    /// In the driver; if it cannot, the daemon does not start.
    #[default]
    Native,
    /// After the kernel has made a socket buffer: slower, on any card.
    Generic,
}

impl Gateway {
    /// Every port with its index.
    pub fn ports(&self) -> impl Iterator<Item = (PortIndex, &Port)> {
        (0_u16..).map(PortIndex).zip(&self.ports)
    }

    /// The index of the port of that name.
    pub fn port(&self, name: &str) -> Option<PortIndex> {
        self.ports().find(|(_, port)| port.name == name).map(|(index, _)| index)
    }

    /// How it stands inline.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// The port that this one's frames leave from, if that is always the same.
    pub const fn peer(&self, PortIndex(index): PortIndex) -> Option<PortIndex> {
        match self.mode {
            // The two of a pair stand side by side.
            Mode::Bridge => Some(PortIndex(index ^ 1)),
            Mode::Router => None,
        }
    }

    /// How frames from that port cross it.
    pub const fn way(&self, port: PortIndex) -> Way {
        match self.peer(port) {
            Some(peer) => Way::Bridge { peer },
            None => Way::Router,
        }
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is read and makes no sense.
    #[error("{}:{line}: {problem}", path.display())]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// Which line, counted from 1.
        line: usize,
        /// What is wrong.
        problem: Problem,
    },
}

impl ConfigError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Read { .. } => {
                Some("name another with --config, or start from the packaged example".to_owned())
            }
            Self::Invalid { problem, .. } => problem.hint(),
        }
    }
}

impl Config {
    /// Reads the file.
    ///
    /// # Errors
    /// [`ConfigError`], with a sentence and a hint.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// From a file's text; the path is for the errors.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`], with a sentence and a hint.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        raw::parse(text).map_err(|(problem, span)| ConfigError::Invalid {
            path: path.to_owned(),
            line: line(text, &span),
            problem,
        })
    }
}

impl std::str::FromStr for Config {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        Self::parse(text, Path::new("cordon.toml"))
    }
}

fn line(text: &str, span: &Range<usize>) -> usize {
    let before = text.as_bytes().iter().take(span.start);
    1 + before.filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests;
