//! Why a packet was not believed, and how often that happened.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why a packet leads to no statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    /// From an address that is no client's.
    UnknownClient,
    /// Shorter than it says, too long, or with an attribute that does not fit.
    Malformed,
    /// Not an Accounting-Request.
    Code,
    /// Signed with another secret, or changed on its way.
    Authenticator,
    /// Without the Message-Authenticator that the client must send.
    NoMessageAuthenticator,
    /// With a Message-Authenticator that is wrong, or two of them.
    MessageAuthenticator,
    /// An attribute has another length or other characters than it may have, or stands there twice.
    Attribute,
    /// An attribute that must be there is not.
    MissingAttribute,
    /// It does not say when it happened, and the client must.
    Undated,
    /// It happened too long ago.
    Stale,
    /// It has not happened yet, says the gateway's clock.
    Early,
    /// It was said before.
    Replayed,
    /// There is no room to remember it.
    Full,
    /// An Acct-Status-Type that says nothing about stations.
    Status,
    /// Calling-Station-Id is missing or no MAC: an administrator's login, for example.
    NoStation,
    /// The session belongs to another station.
    OtherStation,
    /// Something later is known of the session.
    Superseded,
    /// The session is over.
    SessionOver,
}

impl Refusal {
    /// Every reason.
    pub const ALL: [Self; 18] = [
        Self::UnknownClient,
        Self::Malformed,
        Self::Code,
        Self::Authenticator,
        Self::NoMessageAuthenticator,
        Self::MessageAuthenticator,
        Self::Attribute,
        Self::MissingAttribute,
        Self::Undated,
        Self::Stale,
        Self::Early,
        Self::Replayed,
        Self::Full,
        Self::Status,
        Self::NoStation,
        Self::OtherStation,
        Self::Superseded,
        Self::SessionOver,
    ];

    /// As metrics and logs write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownClient => "unknown_client",
            Self::Malformed => "malformed",
            Self::Code => "code",
            Self::Authenticator => "authenticator",
            Self::NoMessageAuthenticator => "no_message_authenticator",
            Self::MessageAuthenticator => "message_authenticator",
            Self::Attribute => "attribute",
            Self::MissingAttribute => "missing_attribute",
            Self::Undated => "undated",
            Self::Stale => "stale",
            Self::Early => "early",
            Self::Replayed => "replayed",
            Self::Full => "full",
            Self::Status => "status",
            Self::NoStation => "no_station",
            Self::OtherStation => "other_station",
            Self::Superseded => "superseded",
            Self::SessionOver => "session_over",
        }
    }

    /// Whether the client is told that it was heard all the same: else it would go on saying it, and
    /// take us for dead.
    pub const fn is_acknowledged(self) -> bool {
        match self {
            Self::UnknownClient
            | Self::Malformed
            | Self::Code
            | Self::Authenticator
            | Self::NoMessageAuthenticator
            | Self::MessageAuthenticator
            | Self::Attribute
            | Self::MissingAttribute
            | Self::Undated
            | Self::Stale
            | Self::Early
            | Self::Replayed
            | Self::Full => false,
            Self::Status
            | Self::NoStation
            | Self::OtherStation
            | Self::Superseded
            | Self::SessionOver => true,
        }
    }
}

/// How often what happened, since the daemon started. Copies count together.
#[derive(Clone, Debug, Default)]
pub struct Counts(Arc<Cells>);

#[derive(Debug, Default)]
struct Cells {
    statements: AtomicU64,
    retransmissions: AtomicU64,
    refusals: [AtomicU64; Refusal::ALL.len()],
}

impl Counts {
    /// Packets that were statements.
    pub fn statements(&self) -> u64 {
        self.0.statements.load(Ordering::Relaxed)
    }

    /// Packets that were answered before.
    pub fn retransmissions(&self) -> u64 {
        self.0.retransmissions.load(Ordering::Relaxed)
    }

    /// Packets that were refused for that reason.
    pub fn refusals(&self, refusal: Refusal) -> u64 {
        self.0.refusals[refusal as usize].load(Ordering::Relaxed)
    }

    pub(super) fn statement(&self) {
        self.0.statements.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn retransmission(&self) {
        self.0.retransmissions.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refusal(&self, refusal: Refusal) {
        self.0.refusals[refusal as usize].fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_place_of_its_own() {
        for (index, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(refusal as usize, index, "{}", refusal.name());
        }
    }
}
