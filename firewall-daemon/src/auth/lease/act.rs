//! What becomes of claims: what is to be done in the kernel, and who should know.

use std::sync::Arc;
use std::time::Duration;

use firewall_common::NodeSlot;

use crate::auth::{EndReason, Refused, Source};

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// The kernel lets the node speak until then.
    Hold {
        /// Which node.
        slot: NodeSlot,
        /// Until when.
        until: Duration,
    },
    /// The kernel lets the node speak no longer.
    End {
        /// Which node.
        slot: NodeSlot,
    },
    /// Somebody should know.
    Tell(News),
}

/// What somebody should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A node may speak.
    Granted {
        /// Which.
        node: Arc<str>,
        /// Who says so.
        source: Source,
        /// As whom.
        identity: Arc<str>,
    },
    /// A lease goes on by another session, from another source, or its source is back.
    Renewed {
        /// Whose.
        node: Arc<str>,
        /// Who says so.
        source: Source,
    },
    /// A lease goes on for its grace only.
    InGrace {
        /// Whose.
        node: Arc<str>,
        /// Who is lost.
        source: Source,
        /// For how long.
        grace: Duration,
    },
    /// A node may not speak any more.
    Ended {
        /// Which.
        node: Arc<str>,
        /// Who had granted it.
        source: Source,
        /// Why.
        reason: EndReason,
    },
    /// A proof granted nothing.
    Refused(Refused),
    /// A source cannot be asked any more.
    Lost {
        /// Which.
        source: Source,
        /// How many leases have ended by that.
        ended: usize,
        /// How many go on for their grace.
        in_grace: usize,
    },
    /// It can be asked again.
    Back {
        /// Which.
        source: Source,
    },
}
