//! The questions a verdict may ask.

use crate::abi::{Attachment, NodeState, PortState, Publication, Stop, SubnetworkState};
use crate::decide::{self, Course, Note, Question};
use crate::flow::table::Look;
use crate::flow::{Flow, FlowKey, Phase, Sender};
use crate::fragment::{Datagram, FragmentKey};
use crate::identity::{self, Direction, Role};
use crate::image::Line;
use crate::quota::Limits;
use crate::word::Word64;
use crate::{Addr, DropReason, Hop, NodeSlot, Port, SubnetworkSlot, Vlan};

/// How frames cross the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From a port to its peer, as they are.
    Bridge {
        /// The port that frames from [`Tables::port`] leave by.
        peer: Port,
    },
    /// From any subnetwork to any other, as the kernel's routes say.
    Router,
}

/// What the kernel's routes say of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// The MAC of the next hop.
    Hop(Hop),
    /// It leads there, but the next hop's MAC must be resolved by the kernel.
    Unresolved,
    /// It does not lead to where the policy has the destination.
    Astray,
}

/// As large as the kernel's `struct bpf_fib_lookup`.
pub type Lookup = [Word64; 8];

/// The flow table had no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The tables that the decision reads and the flows that it keeps. In the kernel these are maps, on
/// the host they are vectors holding the same bytes.
pub trait Tables {
    /// The port this frame came in on.
    fn port(&self) -> Port;
    /// How frames from there cross the gateway.
    fn way(&self) -> Way;
    /// Whether an authenticator on the gateway speaks IEEE 802.1X with the nodes on that port, which is
    /// the program's own.
    #[inline(always)]
    fn authenticates(&self, _port: Port) -> bool {
        false
    }
    /// The TCP port at which the gateway grants leases to who proves who he is (mutual TLS); 0 if it does
    /// not.
    #[inline(always)]
    fn enrolment(&self) -> u16 {
        0
    }
    /// A port's own MAC and the longest packet that it sends; `None` only if the map is missing.
    fn port_state(&self, port: Port) -> Option<&PortState>;
    /// Whether an address is the gateway's own. A bridge has none.
    fn is_local(&self, address: &Addr) -> bool;
    /// How a packet that came in under the tag `from` gets from its sender to the other end of the
    /// note's key, which the policy has behind `to`.
    fn route(&self, note: &Note, sender: Sender, from: Vlan, to: Attachment) -> Route;
    /// How long a flow may be silent in that phase, in ticks.
    fn timeout(&self, phase: Phase) -> u32;
    /// How many flows one node may open.
    fn limits(&self) -> Limits;
    /// How long a datagram may take from its first fragment to its last, in ticks.
    fn reassembly(&self) -> u32;
    /// The stop of everything and the publication; `None` only if the map is missing.
    fn control(&self) -> Option<(Stop, Publication)>;
    /// A line of the given half of the image.
    fn line(&self, half: u32, line: u32) -> Option<&Line>;
    /// A node's standing.
    fn node(&self, node: NodeSlot) -> Option<&NodeState>;
    /// A subnetwork's standing.
    fn subnetwork(&self, subnetwork: SubnetworkSlot) -> Option<&SubnetworkState>;
    /// The established flow of that key, for who is in a hurry; or that there is none of either kind.
    fn look(&self, key: &FlowKey) -> Look<'_>;
    /// The flow of the note's key, and whether it is established.
    fn find(&self, note: &mut Note) -> Option<(&Flow, bool)>;
    /// Enters the note's flow, half-open; another half-open one may give way.
    fn open(&self, note: &mut Note) -> Result<(), Full>;
    /// Makes the half-open flow that was found for the note an established one.
    fn establish(&self, note: &mut Note) -> Result<(), Full>;
    /// Forgets the flow that was found for the note.
    fn remove(&self, note: &mut Note);
    /// What was asked of a neighbour, kept like a flow.
    fn asked(&self, key: &FlowKey) -> Option<&Flow>;
    /// Keeps what is asked of a neighbour; an older question may give way.
    fn ask(&self, key: &FlowKey, question: &Flow) -> Result<(), Full>;
    /// A datagram that comes in fragments.
    fn datagram(&self, key: &FragmentKey) -> Option<&Datagram>;
    /// Enters a datagram that is not there yet; an older one may give way.
    fn begin_datagram(&self, key: &FragmentKey, datagram: &Datagram) -> Result<(), Full>;
    /// Forgets a datagram.
    fn forget_datagram(&self, key: &FragmentKey);

    // What follows answers from the image. The kernel calls each as a function that the verifier
    // walks once, with nothing known but the types, instead of once for every way there.

    /// [`decide::consult`].
    #[inline(always)]
    fn consult(&self, note: &mut Note, question: Question) -> Result<(), DropReason> {
        decide::consult(self, note, question)
    }

    /// [`decide::charge`].
    #[inline(always)]
    fn charge(&self, note: &mut Note) -> Result<(), DropReason> {
        decide::charge(self, note)
    }

    /// [`decide::refund`].
    #[inline(always)]
    fn refund(&self, note: &mut Note, flow: &Flow) {
        decide::refund(self, note, flow);
    }

    /// [`decide::follow`]; the passage is left in the note.
    #[inline(always)]
    fn follow(&self, note: &mut Note, course: Course, flow: &Flow) -> Result<(), DropReason> {
        decide::follow(self, note, course, flow)
    }

    /// [`decide::begin`]; the passage is left in the note.
    #[inline(always)]
    fn begin(&self, note: &mut Note, course: Course) -> Result<(), DropReason> {
        decide::begin(self, note, course)
    }

    /// [`decide::admit`].
    #[inline(always)]
    fn admit(&self, note: &mut Note) -> Result<(), DropReason> {
        decide::admit(self, note)
    }

    /// [`decide::track`].
    #[inline(always)]
    fn track(&self, note: &mut Note) -> Result<(), DropReason> {
        decide::track(self, note)
    }

    /// [`decide::reassemble`]; the passage is left in the note.
    #[inline(always)]
    fn reassemble(&self, note: &mut Note) -> Result<(), DropReason> {
        decide::reassemble(self, note)
    }

    /// [`identity::identify`].
    #[inline(always)]
    fn identify(&self, note: &mut Note, role: Role) -> Result<(), DropReason> {
        identity::identify(self, note, role)
    }

    /// [`identity::search`].
    #[inline(always)]
    fn search(&self, note: &mut Note, role: Role) -> Result<(), DropReason> {
        identity::search(self, note, role)
    }

    /// [`identity::permit`].
    #[inline(always)]
    fn permit(&self, note: &mut Note, direction: Direction) -> Result<(), DropReason> {
        identity::permit(self, note, direction)
    }
}
