//! Who has proved what it is, and for how long that holds.
//!
//! Sources (hostapd on a port, RADIUS accounting, the enrolment port) make claims; [`lease`] holds
//! them against the policy and says what becomes of the nodes' leases. Nothing in here reads a clock
//! or a socket but what says so.

pub mod dot1x;
pub mod lease;
pub mod mtls;
pub mod radius;
pub mod register;
mod sealed;
pub mod store;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use firewall_common::{Addr, Mac, Port};
use firewall_policy::model::Authentication;
use serde::{Deserialize, Serialize};

use self::mtls::trust::Chain;

/// The longest identity or session that a claim may carry, in bytes: that of a RADIUS attribute
/// (RFC 2865, 5).
pub const LONGEST: usize = 253;

/// Who has seen a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// hostapd on that port of the gateway.
    Dot1x(u16),
    /// RADIUS accounting of an access switch.
    Radius,
    /// The enrolment port, by mutual TLS.
    Lease,
}

impl Source {
    /// hostapd on that port.
    pub const fn dot1x(Port(port): Port) -> Self {
        Self::Dot1x(port)
    }

    /// As events, metrics and commands write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dot1x(_) => "dot1x",
            Self::Radius => "radius",
            Self::Lease => "lease",
        }
    }

    /// What it can prove.
    pub const fn proves(self) -> Authentication {
        match self {
            Self::Dot1x(_) | Self::Radius => Authentication::Dot1x,
            Self::Lease => Authentication::Lease,
        }
    }

    /// The only port that it sees, if there is one.
    pub const fn port(self) -> Option<Port> {
        match self {
            Self::Dot1x(port) => Some(Port(port)),
            Self::Radius | Self::Lease => None,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Somebody has proved an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Who has seen it.
    pub source: Source,
    /// As whom.
    pub identity: String,
    /// From which MAC, if the source knows.
    pub mac: Option<Mac>,
    /// From which address, if the source knows.
    pub address: Option<Addr>,
    /// The source's own name for it; two at the same time have different ones.
    pub session: String,
    /// For how long it holds at most; otherwise as the configuration says.
    pub length: Option<Duration>,
    /// The certificates that it rests on, if it does.
    pub chain: Option<Chain>,
}

/// A proof that grants nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Who has seen it.
    pub source: Source,
    /// As whom, if the source knows; else empty.
    pub identity: String,
    /// From which MAC, if the source knows.
    pub mac: Option<Mac>,
    /// From which address, if the source knows.
    pub address: Option<Addr>,
    /// Why.
    pub refusal: Refusal,
}

/// Whose proof has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// That session's.
    Session(String),
    /// Whoever has a session whose name begins so.
    Sessions(String),
    /// Whoever has that MAC.
    Mac(Mac),
    /// Whoever has none of these MACs and is not in grace.
    Others(BTreeSet<Mac>),
    /// Everybody's that the source has seen.
    Everybody,
}

/// What a source says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Somebody has proved an identity, for the first time or again.
    Proven(Proof),
    /// A proof holds no longer.
    Ended {
        /// Who says so. Another source's proofs are not touched.
        source: Source,
        /// Whose.
        whose: Whose,
        /// Why.
        reason: EndReason,
    },
    /// Somebody has tried to prove something, and the source does not believe it.
    Refused(Refused),
    /// The source itself cannot be asked any more.
    SourceLost {
        /// Which.
        source: Source,
    },
    /// It can be asked again. Who has proved something meanwhile, it says with new proofs.
    SourceBack {
        /// Which.
        source: Source,
    },
}

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// As events and metrics write it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(self.name())
            }
        }
    };
}

words! {
    /// Why a lease ended.
    EndReason {
        /// The node, or the switch for it, said so.
        Logoff = "logoff",
        /// The node's cable, or the port, has no carrier.
        Carrier = "carrier",
        /// The node does not prove itself again when asked.
        Silent = "silent",
        /// The node does not say a word when asked to prove itself again.
        Unanswered = "unanswered",
        /// Who had let the node in does not know it any more.
        Forgotten = "forgotten",
        /// Somebody else has proved something from the node's MAC.
        Replaced = "replaced",
        /// The switch that has let the node in begins anew, or ends.
        Restarted = "restarted",
        /// Its certificate was revoked.
        Revoked = "revoked",
        /// The source cannot be asked any more, and there is no grace, or it is over.
        SourceLost = "source_lost",
        /// It has run out.
        Expired = "expired",
        /// The policy has another binding or identity for the node, or no such node.
        Policy = "policy",
        /// Nobody knows who granted it: the daemon was killed before it was on disk.
        Unknown = "unknown",
    }
}

words! {
    /// Why a proof grants no lease.
    Refusal {
        /// No node has that identity.
        Identity = "identity",
        /// The node must prove itself in another way.
        Authentication = "authentication",
        /// It came from another MAC than the node's, or from nobody knows which.
        Mac = "mac",
        /// It came in on another port than the node's.
        Port = "port",
        /// It came from another address than the node's.
        Address = "address",
        /// The identity or the session is longer than any may be.
        Length = "length",
        /// The node is isolated.
        Isolated = "isolated",
        /// Its certificate does not have that name, or does not count.
        Certificate = "certificate",
        /// What it proved cannot be checked now.
        Unavailable = "unavailable",
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

fn from_hexadecimal(text: &str) -> Option<Vec<u8>> {
    let is_plain =
        text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let pairs =
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok());
    is_plain.then(|| pairs.collect()).flatten()
}
