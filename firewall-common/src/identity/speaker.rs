//! One end of a frame, and what rules may call it.

use crate::image::{Party, Selector};
use crate::{Port, SubnetworkSlot, Vlan};

/// One end of a frame: an identity, and the binding of its subnetwork.
#[derive(Clone, Copy, Debug, Default)]
pub struct Speaker {
    /// Its identity; the default for a router.
    pub party: Party,
    /// Its subnetwork.
    pub subnetwork: SubnetworkSlot,
    /// The only tag its frames carry.
    pub vlan: Vlan,
    /// The port it lives behind.
    pub port: Port,
    /// What rules may call it, by [`Selector::kind`]. In memory, so that the verifier walks the
    /// loop over the shapes without knowing which.
    pub(super) selectors: [Selector; 4],
}

impl Speaker {
    /// A node, or an undeclared address, of a subnetwork.
    #[inline(always)]
    pub(super) fn new(party: Party, subnetwork: SubnetworkSlot, vlan: Vlan, port: Port) -> Self {
        let (node, class) = if party.is_node() {
            (Selector::node(party.node()), Selector::class(party.class()))
        } else {
            (Selector::NOBODY, Selector::NOBODY)
        };
        let selectors = [node, class, Selector::any(subnetwork), Selector::NOBODY];
        Self { party, subnetwork, vlan, port, selectors }
    }

    /// The gateway itself, whose subnetwork is none: it cannot be stopped, its rules can.
    #[inline(always)]
    pub(crate) fn gateway() -> Self {
        let nobody = Selector::NOBODY;
        let selectors = [Selector::GATEWAY, nobody, nobody, nobody];
        let (vlan, port) = (Vlan::UNTAGGED, Port::GATEWAY);
        Self { party: Party::default(), subnetwork: SubnetworkSlot(0), vlan, port, selectors }
    }

    /// The routers of a subnetwork.
    #[inline(always)]
    pub(super) fn router(subnetwork: SubnetworkSlot, vlan: Vlan, port: Port) -> Self {
        let nobody = Selector::NOBODY;
        let selectors = [nobody, nobody, nobody, Selector::routers(subnetwork)];
        Self { party: Party::default(), subnetwork, vlan, port, selectors }
    }
}
