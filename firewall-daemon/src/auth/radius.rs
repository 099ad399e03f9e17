//! RADIUS accounting as a source of proof, for switches that do 802.1X.
//!
//! A switch that has let a station in says so to an accounting server (RFC 2866); here that server
//! listens to configured clients only, believes nothing that is not signed, and sends nothing but the
//! response. [`packet`] reads and signs, [`accounting`] decides without any I/O, [`listener`] has the
//! socket. What comes out are [`Statement`]s; what they are worth, others decide:
//! [`Statement::claim`] puts it to them.

pub mod accounting;
mod claim;
pub mod listener;
pub mod memory;
pub mod packet;
mod refusal;
mod replay;
mod request;
mod secret;
mod sessions;
mod station;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use firewall_common::Mac;

pub use self::refusal::{Counts, Refusal};
pub use self::secret::{Secret, SecretError};

/// What a client says of a station.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// It has been let in.
    Started {
        /// The station's session.
        session: Session,
        /// As whom: what the station has proved to the client's authentication server.
        user: String,
    },
    /// It is still there.
    Interim {
        /// The station's session.
        session: Session,
        /// As whom. A re-authentication may have changed it.
        user: String,
    },
    /// It is gone.
    Stopped {
        /// The station's session.
        session: Session,
        /// Why: Acct-Terminate-Cause (RFC 2866, 5.10).
        cause: Option<u32>,
    },
    /// The client has begun anew, or ends (Accounting-On, Accounting-Off): all its sessions are over.
    ClientRestarted {
        /// Its name in the configuration.
        client: Arc<str>,
        /// How long ago.
        age: Duration,
    },
}

/// A station's stay at a port of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The client's name in the configuration.
    pub client: Arc<str>,
    /// Acct-Session-Id: which of the client's sessions.
    pub id: String,
    /// Calling-Station-Id: the station.
    pub station: Mac,
    /// NAS-Identifier: what the client calls itself.
    pub nas: Option<String>,
    /// NAS-IP-Address or NAS-IPv6-Address.
    pub nas_address: Option<IpAddr>,
    /// NAS-Port.
    pub port: Option<u32>,
    /// NAS-Port-Id: the port's name.
    pub port_id: Option<String>,
    /// Class, as often as it stands there: what the authentication server wants to be told again.
    pub class: Vec<Vec<u8>>,
    /// How often the client speaks of a session: what is configured, or Acct-Interim-Interval if
    /// that is shorter. What a client says lengthens nothing.
    pub interim: Duration,
    /// How long ago it happened, as far as the packet tells. A lease begins there, not when a late
    /// packet arrives.
    pub age: Duration,
}
