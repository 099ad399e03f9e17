//! The answers. Their discriminants are the counters' indices; their names are the contract.

macro_rules! reasons {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// Every reason, in the order of the discriminants.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The stable name that counters, events, metrics and `explain` use.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The reason of that name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|reason| reason.name() == name)
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                formatter.write_str(self.name())
            }
        }
    };
}

reasons! {
    /// Why a frame was let through.
    PassReason {
        /// A segment of a flow that is already allowed.
        Established = "established",
        /// The first frame of a flow that a rule allows.
        Opened = "opened",
        /// An ICMP error that quotes a live flow.
        Related = "related",
        /// ARP between two nodes that some rule connects.
        Arp = "arp",
        /// Neighbour discovery between two nodes that some rule connects.
        NeighbourDiscovery = "nd",
        /// A frame of an allowed flow that is left to the gateway's kernel, which resolves the
        /// neighbour, or answers that the packet is too big or has come too far.
        Kernel = "kernel",
        /// IEEE 802.1X between a node and the authenticator of the port that it is attached to.
        Eapol = "eapol",
    }
}

reasons! {
    /// Why a frame was dropped.
    DropReason {
        /// Stop-all is in force.
        Stopped = "stopped",
        /// The subnetwork of the sender or the receiver is stopped.
        StoppedSubnetwork = "stopped_subnetwork",
        /// The sender or the receiver is isolated.
        Isolated = "isolated",
        /// The frame ends before its headers do.
        Truncated = "truncated",
        /// Neither IPv4, IPv6 nor ARP, nor 802.1X where it is spoken.
        Ethertype = "ethertype",
        /// A priority tag, stacked tags, an 802.1ad tag, or any tag where the binding has none.
        Vlan = "vlan",
        /// A group or zero source MAC.
        MacSource = "mac_source",
        /// ARP that claims what its sender does not own.
        ArpSpoof = "arp_spoof",
        /// ARP about an address that no rule connects to the sender.
        ArpTarget = "arp_target",
        /// Neighbour discovery that claims what its sender does not own, or that no rule connects.
        NdSpoof = "nd_spoof",
        /// An IP header that contradicts itself or the frame.
        IpHeader = "ip_header",
        /// IPv4 options.
        IpOptions = "ip_options",
        /// A source address that no host may use.
        IpSource = "ip_source",
        /// A destination address that no unicast frame may carry.
        IpDestination = "ip_destination",
        /// An IPv6 extension header.
        ExtensionHeader = "extension_header",
        /// A fragment.
        Fragment = "fragment",
        /// A transport header that contradicts itself or the packet.
        TransportHeader = "transport_header",
        /// TCP flags that no correct sender sets.
        TcpFlags = "tcp_flags",
        /// A TCP segment that does not fit the state of its connection, or has none.
        TcpState = "tcp_state",
        /// The source address is no declared node's.
        UnknownSource = "unknown_source",
        /// The destination address is no declared node's.
        UnknownDestination = "unknown_destination",
        /// The node's address came from, or went to, another MAC.
        BindingMac = "binding_mac",
        /// The node's address came in another VLAN.
        BindingVlan = "binding_vlan",
        /// The node's address came in on another port.
        BindingPort = "binding_port",
        /// A node that must authenticate never did.
        NoLease = "no_lease",
        /// A node's authentication ended.
        LeaseExpired = "lease_expired",
        /// No rule allows it.
        NoRule = "no_rule",
        /// A rule allows it, the application gate does not.
        Application = "application",
        /// The flow was allowed under an earlier policy and is not any more.
        Revoked = "revoked",
        /// The flow table is full.
        FlowTableFull = "flow_table_full",
        /// The node has too many half-open flows.
        FlowLimit = "flow_limit",
        /// The destination lies behind another pair of ports.
        NoRoute = "no_route",
        /// The kernel had no port to send it out of.
        RedirectFailed = "redirect_failed",
        /// No policy is active yet.
        NotArmed = "not_armed",
        /// The gateway's kernel wanted to send it out of a port, and neither a live flow nor a rule
        /// explains it.
        Egress = "egress",
    }
}

/// What happens to a frame, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It is forwarded.
    Pass(PassReason),
    /// It is dropped.
    Drop(DropReason),
}

/// A refusal on the way of established packets, whose code then lies apart from theirs: in the
/// instruction cache that is the difference between one stretch and twenty.
#[inline(always)]
pub(crate) const fn refuse<T>(reason: DropReason) -> Result<T, DropReason> {
    core::hint::cold_path();
    Err(reason)
}

/// How many verdicts there are: the stride of one port in the verdict counters.
pub const VERDICTS: u32 = PASS_REASONS + DROP_REASONS;
const PASS_REASONS: u32 = count(PassReason::ALL.len());
const DROP_REASONS: u32 = count(DropReason::ALL.len());

#[expect(clippy::cast_possible_truncation, reason = "the lists above have a few dozen entries")]
const fn count(length: usize) -> u32 {
    length as u32
}

impl Verdict {
    /// The counter's index within a port: passes first, then drops.
    #[inline(always)]
    pub const fn index(self) -> u32 {
        match self {
            Self::Pass(reason) => reason as u32,
            Self::Drop(reason) => PASS_REASONS + reason as u32,
        }
    }

    /// Every verdict, in the order of [`Verdict::index`].
    pub fn all() -> impl Iterator<Item = Self> {
        let passes = PassReason::ALL.iter().copied().map(Self::Pass);
        passes.chain(DropReason::ALL.iter().copied().map(Self::Drop))
    }

    /// The verdict with that counter index.
    pub fn from_index(index: u32) -> Option<Self> {
        Self::all().find(|verdict| verdict.index() == index)
    }

    /// The reason's stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass(reason) => reason.name(),
            Self::Drop(reason) => reason.name(),
        }
    }

    /// `pass` or `drop`.
    pub const fn action(self) -> &'static str {
        match self {
            Self::Pass(_) => "pass",
            Self::Drop(_) => "drop",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_has_its_own_counter() {
        for (expected, verdict) in Verdict::all().enumerate() {
            assert_eq!(verdict.index() as usize, expected);
            assert_eq!(Verdict::from_index(verdict.index()), Some(verdict));
        }
        assert_eq!(Verdict::all().count(), VERDICTS as usize);
    }

    #[test]
    fn the_drop_reasons_are_those_of_the_contract() {
        let names: Vec<_> = DropReason::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(
            names.join(", "),
            "stopped, stopped_subnetwork, isolated, truncated, ethertype, vlan, mac_source, \
             arp_spoof, arp_target, nd_spoof, ip_header, ip_options, ip_source, ip_destination, \
             extension_header, fragment, transport_header, tcp_flags, tcp_state, unknown_source, \
             unknown_destination, binding_mac, binding_vlan, binding_port, no_lease, \
             lease_expired, no_rule, application, revoked, flow_table_full, flow_limit, no_route, \
             redirect_failed, not_armed, egress"
        );
    }
}
