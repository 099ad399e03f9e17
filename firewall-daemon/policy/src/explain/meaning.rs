//! What a reason means to the person who has to do something about it.

use firewall_common::{DropReason, PassReason, Verdict};

/// One sentence about a verdict.
pub const fn of(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass(reason) => passed(reason),
        Verdict::Drop(reason) => meaning(reason),
    }
}

/// Why a frame was let through.
pub const fn passed(reason: PassReason) -> &'static str {
    match reason {
        PassReason::Established => "It belongs to a connection that a rule allows.",
        PassReason::Opened => "It opens a connection that a rule allows.",
        PassReason::Related => "It reports an error about a connection that a rule allows.",
        PassReason::Arp => "It asks for, or tells, the MAC of a node that a rule connects.",
        PassReason::NeighbourDiscovery => {
            "It asks for, or tells, the MAC of a node that a rule connects."
        }
        PassReason::Kernel => {
            "It belongs to a connection that a rule allows; the gateway's kernel forwards it, or \
             answers that it is too big or has come too far."
        }
        PassReason::Eapol => "It is for, or from, the authenticator of the port.",
    }
}

/// Why a frame was dropped, and where to look.
pub const fn meaning(reason: DropReason) -> &'static str {
    match reason {
        DropReason::Stopped => {
            "Everything is stopped and no essential rule allows this; `cordon status` says who \
             stopped it and why, `cordon resume` lifts the stop."
        }
        DropReason::StoppedSubnetwork => {
            "The subnetwork of the sender or the receiver is stopped; `cordon resume --subnetwork \
             NAME` lifts the stop."
        }
        DropReason::Isolated => {
            "The sender or the receiver is isolated; `cordon release NODE` lets it back."
        }
        DropReason::Truncated => {
            "The frame ends before its headers do: a faulty device, or an attack."
        }
        DropReason::Ethertype => {
            "Only IPv4, IPv6 and ARP cross the gateway; this is another protocol."
        }
        DropReason::Vlan => {
            "The frame has a priority tag, a reserved tag or more than one tag; look at the switch \
             port's VLAN configuration."
        }
        DropReason::MacSource => {
            "No device may send from a group MAC or from none: a faulty device, or an attack."
        }
        DropReason::ArpSpoof => {
            "The sender claims an address that is not its own, or answers without being asked; if \
             the device was replaced, change its `mac` in the policy."
        }
        DropReason::ArpTarget => {
            "The sender asks for an address that no rule connects it to; usually harmless, and \
             gone once a rule needs it."
        }
        DropReason::NdSpoof => {
            "The neighbour discovery message claims what is not the sender's, or asks for an \
             address that no rule connects it to."
        }
        DropReason::IpHeader => {
            "The IP header contradicts itself or the frame: a faulty device, or an attack."
        }
        DropReason::IpOptions => {
            "IPv4 options can steer a packet around a firewall; none are let through."
        }
        DropReason::IpSource => {
            "No host may send from this address: unspecified, loopback, multicast, reserved, or \
             the receiver's own."
        }
        DropReason::IpDestination => {
            "No unicast frame may go to this address, or the MAC it went to does not fit it."
        }
        DropReason::ExtensionHeader => {
            "IPv6 extension headers can hide what a packet is; only those pass that both subnetworks \
             name in `extension_headers`, in their order and well-formed."
        }
        DropReason::Fragment => {
            "Fragments can hide what a packet is: lower the sender's MTU, or let path MTU discovery \
             work. Where both subnetworks track them, this one is not the next of its datagram."
        }
        DropReason::TransportHeader => {
            "The TCP, UDP or ICMP header contradicts itself or the packet: a faulty device, or an \
             attack."
        }
        DropReason::TcpFlags => {
            "No correct sender sets these TCP flags together: a scanner, or an attack."
        }
        DropReason::TcpState => {
            "The TCP segment belongs to no connection that the gateway saw being opened, or not to \
             this stage of it; connections from before the gateway was installed must be opened \
             again."
        }
        DropReason::UnknownSource => {
            "The source address is no declared node's; declare the node if it should speak."
        }
        DropReason::UnknownDestination => {
            "The destination address is no declared node's; declare the node if it should be \
             reached."
        }
        DropReason::BindingMac => {
            "The node's address came from, or the frame went to, a MAC that the policy does not \
             give it; if the device was replaced, change its `mac`, and if it lies behind a \
             router, the subnetwork's `routers`."
        }
        DropReason::BindingVlan => {
            "The node's address came in another VLAN than its subnetwork's; look at the switch \
             port, or at `vlan` in the policy."
        }
        DropReason::BindingPort => {
            "The node's address came in on another port of the gateway than its subnetwork's: a \
             wrong cable, a loop, or somebody who pretends to be this node."
        }
        DropReason::NoLease => {
            "The node must authenticate before it may speak, and has not done so yet."
        }
        DropReason::LeaseExpired => {
            "The node's authentication has ended and was not renewed; look at its 802.1X \
             supplicant and at the switch."
        }
        DropReason::NoRule => {
            "No rule allows it; if it should be allowed, add an `[[allow]]` to the policy."
        }
        DropReason::Application => {
            "A rule allows the port, but what was said there is not the application's protocol."
        }
        DropReason::Revoked => {
            "The connection was allowed when it was opened, and is not any more."
        }
        DropReason::FlowTableFull => {
            "The gateway follows as many connections as it can; raise `flows` under `[capacity]`, \
             or find out who opens so many."
        }
        DropReason::FlowLimit => {
            "The node has too many connections that nobody has answered yet, or opens too many a \
             second: a scanner, or a server that is down. `[limits]` says how many are too many."
        }
        DropReason::NoRoute => {
            "The destination lies behind a port that is no pair with the one the frame came in on."
        }
        DropReason::RedirectFailed => {
            "The outgoing port could not take the frame; `cordon status` shows whether it is up."
        }
        DropReason::NotArmed => "No policy is active yet, so nothing passes.",
        DropReason::Egress => {
            "The gateway's own kernel wanted to send this out of a port, and neither a live \
             connection nor a rule for `gateway` explains it; look what on the gateway, or behind \
             its other interfaces, sends it."
        }
    }
}
