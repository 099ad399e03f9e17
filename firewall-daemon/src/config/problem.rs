//! What can be wrong with a configuration.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The most ports a gateway has.
pub(crate) const PORTS: usize = firewall_common::abi::PORTS as usize;
/// `IFNAMSIZ` without the terminating zero (linux/if.h).
pub(crate) const INTERFACE_NAME: usize = 15;

/// What is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Not TOML, or not ours.
    #[error("{message}")]
    Syntax {
        /// What the parser says.
        message: String,
    },
    /// A router with pairs.
    #[error("a router has no pairs: it routes between all of its ports")]
    PairsOfRouter,
    /// A router without ports.
    #[error("the router has no [port.*], so nothing stands inline")]
    NoPorts,
    /// A bridge without ports.
    #[error("[gateway] has no pairs, so nothing stands inline")]
    NoPairs,
    /// More ports than there are counters for.
    #[error("{count} ports are more than the {PORTS} that a gateway has")]
    TooManyPorts {
        /// How many.
        count: usize,
    },
    /// A pair names a port that is nowhere.
    #[error("pairs name port \"{name}\", but there is no [port.{name}]")]
    UnknownPort {
        /// Its name.
        name: String,
    },
    /// A port in two pairs, or twice in one.
    #[error("port \"{name}\" stands in pairs more than once")]
    PortTwice {
        /// Its name.
        name: String,
    },
    /// A port in no pair.
    #[error("port \"{name}\" is in no pair, so nothing could leave it")]
    PortAlone {
        /// Its name.
        name: String,
    },
    /// A name that metrics and policies could not carry.
    #[error("\"{name}\" cannot name a port")]
    PortName {
        /// The name.
        name: String,
    },
    /// A name that the kernel gives no interface.
    #[error("\"{name}\" cannot name a network interface")]
    InterfaceName {
        /// The name.
        name: String,
    },
    /// Two ports share an interface.
    #[error("interface \"{name}\" is used by more than one port")]
    InterfaceTwice {
        /// The interface.
        name: String,
    },
    /// A relative path.
    #[error("{} is not an absolute path", path.display())]
    RelativePath {
        /// The path.
        path: PathBuf,
    },
    /// A group without a name.
    #[error("the group that may command has no name")]
    NoGroup,
    /// Too few or too many.
    #[error("a capacity of {value} {what} is not between {minimum} and {maximum}")]
    Capacity {
        /// Of what.
        what: &'static str,
        /// How many.
        value: u32,
        /// At least.
        minimum: u32,
        /// At most.
        maximum: u32,
    },
    /// A limit that would let nobody speak, or that is more than can be counted.
    #[error("a limit of {value} for {what} is not between 1 and {maximum}")]
    Limit {
        /// The key.
        what: &'static str,
        /// How many.
        value: u32,
        /// At most.
        maximum: u32,
    },
    /// hostapd on a port that the gateway does not have.
    #[error("hostapd is to be on port \"{name}\", which the gateway does not have")]
    HostapdPort {
        /// Its name.
        name: String,
    },
    /// Two of them on one port.
    #[error("port \"{name}\" has more than one hostapd")]
    HostapdTwice {
        /// Its name.
        name: String,
    },
    /// No duration, or one that makes no sense.
    #[error(
        "{what} = \"{text}\" is not a duration between {} s and {} s",
        minimum.as_secs(),
        maximum.as_secs()
    )]
    Duration {
        /// The key.
        what: &'static str,
        /// What stands there.
        text: String,
        /// At least.
        minimum: Duration,
        /// At most.
        maximum: Duration,
    },
    /// An address that others can reach, where that must be said.
    #[error("{address} can be reached from other machines")]
    RemoteListen {
        /// The address.
        address: SocketAddr,
    },
    /// Nobody to listen to.
    #[error("[authentication.radius] has no client, so nobody would be heard")]
    NoClients,
    /// A name that metrics and logs could not carry.
    #[error("\"{name}\" cannot name a client")]
    ClientName {
        /// The name.
        name: String,
    },
    /// Two clients that cannot be told apart.
    #[error("{what} stands for more than one client")]
    ClientTwice {
        /// A name or an address.
        what: String,
    },
}

impl Problem {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Syntax { .. } => "compare it with the packaged example".to_owned(),
            Self::PairsOfRouter => "take pairs out, or write mode = \"bridge\"".to_owned(),
            Self::NoPorts => "write [port.inside] with interface = \"...\"".to_owned(),
            Self::NoPairs => "write pairs = [[\"inside\", \"outside\"]]".to_owned(),
            Self::TooManyPorts { .. } => "divide them between gateways".to_owned(),
            Self::UnknownPort { name } => {
                format!("add [port.{name}] with interface = \"...\", or mend the name")
            }
            Self::PortTwice { .. } => "a port is in exactly one pair".to_owned(),
            Self::PortAlone { .. } => "name it in pairs, or take it out".to_owned(),
            Self::PortName { .. } => "use letters, digits, '-', '_' and '.'".to_owned(),
            Self::InterfaceName { .. } => format!(
                "at most {INTERFACE_NAME} bytes, no spaces, '/' or ':'; `ip link` lists them"
            ),
            Self::InterfaceTwice { .. } => "every port has an interface of its own".to_owned(),
            Self::RelativePath { .. } => "begin it with /".to_owned(),
            Self::NoGroup => "write group = \"cordon\"".to_owned(),
            Self::Limit { what, maximum, value: 0 } => {
                format!(
                    "no node could open a connection; {what} = {maximum} is as good as no limit"
                )
            }
            Self::Limit { maximum, .. } => format!("{maximum} is as good as no limit"),
            Self::HostapdPort { .. } => "name a [port.*] of this file".to_owned(),
            Self::HostapdTwice { .. } => "one authenticates all nodes behind a port".to_owned(),
            Self::Duration { .. } => "write it like \"30s\", \"10m\" or \"2h\"".to_owned(),
            Self::RemoteListen { .. } => {
                "write allow_remote = true if that is meant; better listen on \
                                          an address of the management network"
                    .to_owned()
            }
            Self::NoClients => {
                "add [[authentication.radius.client]], or take the table out".to_owned()
            }
            Self::ClientName { .. } => "use letters, digits, '-', '_' and '.'".to_owned(),
            Self::ClientTwice { .. } => {
                "every client has a name and an address of its own".to_owned()
            }
            Self::Capacity { what, .. } => format!("choose how many {what} there is room for"),
        };
        Some(hint)
    }
}
