//! The node `ct-1` must authenticate, and does.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use super::{
    Gateway, eventually,
    policy::{FAR, NEAR, images},
};
use crate::packet::{Packet, payload, udp};

/// How long a lease may take to come into force, or to end.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a frame may take from one side to the other.
const CROSSING: Duration = Duration::from_millis(2);

/// The policy of [`images`], whose node `ct-1` must authenticate in that way, as `ct-1.example`.
pub(crate) fn authenticated(way: &str) -> String {
    let node = "roles = [\"modality\"]\n";
    let wanted = format!("{node}authentication = \"{way}\"\nidentity = \"ct-1.example\"\n");
    images().replacen(node, &wanted, 1)
}

impl Gateway {
    /// A gateway with nothing started, whose node `ct-1` must authenticate in that way, as
    /// `ct-1.example`.
    pub fn prepare_authenticated(way: &str) -> Self {
        Self::prepare(&authenticated(way))
    }

    /// A log that `ct-1` sends and a rule permits.
    pub fn permitted_log() -> Packet {
        let [headers, _] = NEAR.to(&FAR);
        headers / udp(40_000, 514) / payload(b"a log")
    }

    /// Whether a frame of `ct-1` crosses.
    pub fn crosses(&self) -> bool {
        let before = self.glance();
        self.lab().near().port().send(&Self::permitted_log());
        sleep(CROSSING);
        self.drops_since(&before).is_empty()
    }

    /// Waits until frames of `ct-1` cross, or until they do not; how long that has taken.
    pub fn waits_until_it_crosses(&self, is: bool) -> Duration {
        let begun = Instant::now();
        assert!(eventually(PATIENCE, || self.crosses() == is), "{:?}", self.events());
        begun.elapsed()
    }

    /// The drops of a frame of `ct-1` that does not cross.
    pub fn assert_dropped_as(&self, reason: &str) {
        let before = self.ledger();
        self.lab().near().port().send(&Self::permitted_log());
        self.since(&before).assert_drops(&[("inside", reason, 1)]);
    }

    /// How long the lease of `ct-1` still lasts, in seconds.
    pub fn lease_seconds(&self) -> Option<u64> {
        let nodes = self.wait(self.api().nodes(&Default::default())).expect("the nodes").nodes;
        let node = nodes.into_iter().find(|node| node.name == "ct-1");
        node.expect("the node ct-1").lease_seconds
    }

    /// How often a lease has ended for that reason.
    pub fn ended_as(&self, reason: &str) -> usize {
        self.with_reason("lease", reason)
    }

    /// How often a proof was refused for that reason.
    pub fn refused_as(&self, reason: &str) -> usize {
        self.with_reason("lease_refused", reason)
    }

    fn with_reason(&self, kind: &str, reason: &str) -> usize {
        let events = self.events().into_iter().filter(|event| event.kind.name() == kind);
        events.filter(|event| event.reason.as_deref() == Some(reason)).count()
    }
}
