//! Mutual TLS as a source of proof, for nodes that can run `cordon-node`.
//!
//! A node connects, both sides prove their certificates (TLS 1.3, RFC 8446), and the node asks for a
//! lease under one of its certificate's names. [`trust`] knows which certificates count, [`gate`] who
//! may try and how often, [`server`] has the socket. What comes out are [`Statement`]s, each with a
//! way to answer it; whether there is a lease, others decide.
//! [`Statement::claim`] puts it to them.

mod claim;
pub mod gate;
pub mod held;
mod list;
pub mod server;
pub mod trust;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::oneshot;

use self::trust::Chain;

/// What a node has proved, or that it counts no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// It is what it says.
    Proven {
        /// A DNS name in its certificate, in lower case.
        identity: String,
        /// Where it speaks from: to be compared with the node's own addresses.
        peer: SocketAddr,
        /// How long that counts from now on. Never longer than certificate and revocation list do.
        length: Duration,
        /// The certificates that it has shown.
        chain: Chain,
    },
    /// It is not any more.
    Ended {
        /// The name.
        identity: String,
        /// Where it last spoke from.
        peer: SocketAddr,
        /// Why.
        reason: Reason,
    },
    /// What it wanted to prove does not count.
    Refused {
        /// The name, if it came as far as saying one; else empty.
        identity: String,
        /// Where it speaks from.
        peer: SocketAddr,
        /// Why.
        refusal: Refusal,
    },
}

/// Why a proof ends before its time. That a connection ends is no reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The node said so.
    Bye,
    /// Its certificate does not count any more: it was revoked, or its authority is not trusted.
    Distrusted,
}

impl Reason {
    /// As metrics and logs write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bye => "bye",
            Self::Distrusted => "distrusted",
        }
    }
}

/// A statement and who waits for the answer. Only [`Statement::Proven`] waits for one.
#[derive(Debug)]
pub struct Told {
    /// What is said.
    pub statement: Statement,
    /// Dropped without an answer, it is a refusal.
    pub answer: oneshot::Sender<Verdict>,
}

/// What a proof is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is a lease.
    Granted {
        /// For so long: what was proved, or less.
        length: Duration,
    },
    /// There is none.
    Refused(Refusal),
}

/// Why there is no lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The address is no node's that needs such a lease.
    Address,
    /// The node at that address has another identity.
    Identity,
    /// The node is isolated.
    Isolated,
    /// The certificate does not have that name, or does not count any more.
    Certificate,
    /// Certificates cannot be checked now, or nobody decides.
    Unavailable,
}

impl Refusal {
    /// As the node is told, and as metrics and logs write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Identity => "identity",
            Self::Isolated => "isolated",
            Self::Certificate => "certificate",
            Self::Unavailable => "unavailable",
        }
    }
}
