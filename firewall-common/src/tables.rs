//! The questions a verdict may ask.

use crate::abi::{NodeState, Publication, Stop, SubnetworkState, Timeouts};
use crate::decide::{self, Note, Question};
use crate::flow::{Flow, FlowKey};
use crate::identity::{self, Direction, Role};
use crate::image::Line;
use crate::{DropReason, NodeSlot, Port, SubnetworkSlot};

/// The flow table had no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The tables that the decision reads and the flows that it keeps. In the kernel these are maps, on
/// the host they are vectors holding the same bytes.
pub trait Tables {
    /// The port this frame came in on.
    fn port(&self) -> Port;
    /// The port that frames from [`Tables::port`] leave by.
    fn peer(&self) -> Port;
    /// How long flows live.
    fn timeouts(&self) -> Timeouts;
    /// The stop of everything and the publication; `None` only if the map is missing.
    fn control(&self) -> Option<(Stop, Publication)>;
    /// A line of the given half of the image.
    fn line(&self, half: u32, line: u32) -> Option<&Line>;
    /// A node's standing.
    fn node(&self, node: NodeSlot) -> Option<&NodeState>;
    /// A subnetwork's standing.
    fn subnetwork(&self, subnetwork: SubnetworkSlot) -> Option<&SubnetworkState>;
    /// An established flow.
    fn flow(&self, key: &FlowKey) -> Option<&Flow>;
    /// A half-open flow.
    fn half_open(&self, key: &FlowKey) -> Option<&Flow>;
    /// Enters an established flow.
    fn insert(&self, key: &FlowKey, flow: &Flow) -> Result<(), Full>;
    /// Enters a half-open flow; an older one may give way.
    fn insert_half_open(&self, key: &FlowKey, flow: &Flow) -> Result<(), Full>;
    /// Forgets an established flow.
    fn remove(&self, key: &FlowKey);
    /// Forgets a half-open flow.
    fn remove_half_open(&self, key: &FlowKey);

    // What follows answers from the image. The kernel calls each as a function that the verifier
    // walks once, with nothing known but the types, instead of once for every way there.

    /// [`decide::consult`].
    #[inline(always)]
    fn consult(&self, note: &mut Note, question: Question) -> Result<(), DropReason> {
        decide::consult(self, note, question)
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
