//! Asks an image in host memory what it would say of flows that are live in the kernel: the same
//! code over the same bytes, so there is no second opinion.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use firewall_common::abi::{Attachment, NodeState, PortState, Publication, Stop, SubnetworkState};
use firewall_common::decide::{Moment, Note, Question};
use firewall_common::flow::table::Look;
use firewall_common::flow::{Flow, FlowKey, Phase, Sender, Signature, other};
use firewall_common::fragment::{Datagram, FragmentKey};
use firewall_common::image::Line;
use firewall_common::quota::Limits;
use firewall_common::tables::{Full, Route, Way};
use firewall_common::{
    Addr, DropReason, Generation, Mac, NodeSlot, Port, SubnetworkSlot, Tables, Ticks, Vlan,
};
use firewall_policy::Image;

use super::maps::Maps;
use super::neighbourhood;
use crate::config::Config;

/// An image, with the standings that the kernel has.
pub struct Ask<'a> {
    maps: Arc<Maps>,
    image: &'a Image,
    config: &'a Config,
    local: HashSet<Addr>,
    port: Port,
    now: Ticks,
}

impl<'a> Ask<'a> {
    /// Of that image.
    pub fn new(
        maps: Arc<Maps>,
        image: &'a Image,
        config: &'a Config,
        now: Ticks,
    ) -> io::Result<Self> {
        let local = neighbourhood::local(&maps)?;
        Ok(Self { maps, image, config, local, port: Port(0), now })
    }

    /// What the image says of a live flow, stops left out: how its next frame would fare, from the
    /// initiator or, while that one has not been heard since the flow was authorised again, from
    /// the responder. The kernel may be writing the flow; if neither end is whole, it goes on.
    pub fn flow(&mut self, key: &FlowKey, flow: &Flow) -> Result<(), DropReason> {
        let initiator = flow.state().initiator();
        let mut ends = [initiator, other(initiator)].into_iter();
        let Some(sender) = ends.find(|end| is_heard(flow.side(*end))) else { return Ok(()) };
        let signature = flow.side(sender);
        self.port = signature.port();
        let moment = Moment { stop: Stop::None, half: 0, generation: Generation(0), now: self.now };
        let mut note = Note { key: *key, sender, signature, moment, ..Note::default() };
        let question = match initiator {
            Sender::Low => Question::FlowOpenedByLow,
            Sender::High => Question::FlowOpenedByHigh,
        };
        self.consult(&mut note, question)
    }
}

/// An end that was not heard has zeros for its MAC, which no frame that passes carries.
fn is_heard(signature: Signature) -> bool {
    signature.source() != Mac::default()
}

impl Tables for Ask<'_> {
    fn port(&self) -> Port {
        self.port
    }

    fn way(&self) -> Way {
        self.config.gateway.way(self.port)
    }

    fn enrolment(&self) -> u16 {
        self.config.authentication.enrolment()
    }

    fn port_state(&self, port: Port) -> Option<&PortState> {
        self.maps.port_states.get(usize::from(port.0))
    }

    fn is_local(&self, address: &Addr) -> bool {
        self.local.contains(address)
    }

    fn route(&self, _note: &Note, _sender: Sender, _from: Vlan, _to: Attachment) -> Route {
        Route::Unresolved
    }

    fn timeout(&self, _phase: Phase) -> u32 {
        0
    }

    fn limits(&self) -> Limits {
        Limits::NONE
    }

    fn reassembly(&self) -> u32 {
        0
    }

    fn control(&self) -> Option<(Stop, Publication)> {
        None
    }

    fn line(&self, _half: u32, line: u32) -> Option<&Line> {
        self.image.lines.get(line as usize)
    }

    fn node(&self, node: NodeSlot) -> Option<&NodeState> {
        self.maps.nodes.get(node.0 as usize)
    }

    fn subnetwork(&self, _subnetwork: SubnetworkSlot) -> Option<&SubnetworkState> {
        static RUNNING: SubnetworkState = SubnetworkState::running();
        Some(&RUNNING)
    }

    fn look(&self, _key: &FlowKey) -> Look<'_> {
        Look::Absent
    }

    fn find(&self, _note: &mut Note) -> Option<(&Flow, bool)> {
        None
    }

    fn open(&self, _note: &mut Note) -> Result<(), Full> {
        Err(Full)
    }

    fn establish(&self, _note: &mut Note) -> Result<(), Full> {
        Err(Full)
    }

    fn remove(&self, _note: &mut Note) {}

    fn asked(&self, _key: &FlowKey) -> Option<&Flow> {
        None
    }

    fn ask(&self, _key: &FlowKey, _question: &Flow) -> Result<(), Full> {
        Err(Full)
    }

    fn datagram(&self, _key: &FragmentKey) -> Option<&Datagram> {
        None
    }

    fn begin_datagram(&self, _key: &FragmentKey, _datagram: &Datagram) -> Result<(), Full> {
        Err(Full)
    }

    fn forget_datagram(&self, _key: &FragmentKey) {}
}
