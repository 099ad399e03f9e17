//! What a node's statement is worth.

use super::{Reason, Refusal, Statement};
use crate::auth::{self, Claim, EndReason, Proof, Refused, Source, Whose};

impl Statement {
    /// What it claims. A session is a connection: when an older one ends, that ends nothing.
    pub fn claim(self) -> Claim {
        match self {
            Self::Proven { identity, peer, length, chain } => Claim::Proven(Proof {
                source: Source::Lease,
                identity,
                mac: None,
                address: Some(peer.ip().into()),
                session: peer.to_string(),
                length: Some(length),
                chain: Some(chain),
            }),
            Self::Ended { identity: _, peer, reason } => Claim::Ended {
                source: Source::Lease,
                whose: Whose::Session(peer.to_string()),
                reason: match reason {
                    Reason::Bye => EndReason::Logoff,
                    Reason::Distrusted => EndReason::Revoked,
                },
            },
            Self::Refused { identity, peer, refusal } => Claim::Refused(Refused {
                source: Source::Lease,
                identity,
                mac: None,
                address: Some(peer.ip().into()),
                refusal: match refusal {
                    Refusal::Address => auth::Refusal::Address,
                    Refusal::Identity => auth::Refusal::Identity,
                    Refusal::Isolated => auth::Refusal::Isolated,
                    Refusal::Certificate => auth::Refusal::Certificate,
                    Refusal::Unavailable => auth::Refusal::Unavailable,
                },
            }),
        }
    }
}

impl From<auth::Refusal> for Refusal {
    fn from(refusal: auth::Refusal) -> Self {
        match refusal {
            auth::Refusal::Identity | auth::Refusal::Authentication | auth::Refusal::Length => {
                Self::Identity
            }
            auth::Refusal::Mac | auth::Refusal::Port | auth::Refusal::Address => Self::Address,
            auth::Refusal::Isolated => Self::Isolated,
            auth::Refusal::Certificate => Self::Certificate,
            auth::Refusal::Unavailable => Self::Unavailable,
        }
    }
}
