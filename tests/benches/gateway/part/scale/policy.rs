//! Policies of any size, in which the same few nodes speak.

use std::fmt::Write as _;

use firewall_tests::generate;
use firewall_tests::lab::Lab;
use firewall_tests::packet::{Packet, eth, ipv4, payload, udp};

use crate::frames::{FIRST_PORT, FRAME, Frame, SERVICE};
use crate::traffic::{AddressStep, Order, Steps};

/// How much there is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) nodes: u32,
    pub(super) rules: u32,
    /// As a power of two: how many nodes speak.
    pub(super) speakers: u8,
}

const SPEAKER: &str = "172.16.1.0";
/// The lower half of that.
const FIRST: u16 = 0x0100;
const IDENTIFICATION: u16 = 0x1000;
const LISTENER: &str = "172.17.1.0";
/// Nobody's, wherever the flow's number leads.
const STRANGER: &str = "172.18.1.0";

/// A house of nodes and rules, and beside it speakers, whom the last rule lets speak to a listener.
/// They are behind a router.
pub(super) fn files(lab: &Lab, size: Size) -> impl Iterator<Item = (String, String)> + use<> {
    let Size { nodes, rules, speakers } = size;
    let others = nodes - (1 << speakers) - 1;
    let bench = ("50-bench.toml".to_owned(), text(lab, size));
    generate::files(others, rules - 1).chain([bench])
}

/// Addresses in all.
pub(super) fn addresses(size: Size) -> u32 {
    let own = (1 << size.speakers) + 1;
    generate::addresses(size.nodes - own) + own
}

fn text(lab: &Lab, size: Size) -> String {
    let (near, far) = (lab.near().mac(), lab.far().mac());
    let mut text = format!(
        "[subnetwork.speakers]\nport = \"inside\"\nnetworks = [\"172.16.0.0/16\"]\n\
         routers = [\"{near}\"]\n\
         [subnetwork.listeners]\nport = \"outside\"\nnetworks = [\"172.17.0.0/16\"]\n\
         [application.speech]\nudp = [\"4000-4400\"]\n\
         [[allow]]\nname = \"speech\"\nfrom = [\"speakers/*\"]\nto = [\"listener\"]\n\
         applications = [\"speech\"]\n\
         [node.listener]\nsubnetwork = \"listeners\"\naddresses = [\"{LISTENER}\"]\n\
         mac = \"{far}\"\n"
    );
    for speaker in 0..1 << size.speakers {
        let address = format!("addresses = [\"172.16.1.{speaker}\"]");
        writeln!(text, "[node.speaker-{speaker}]\nsubnetwork = \"speakers\"\n{address}").unwrap();
    }
    text
}

/// Who speaks, and where the flow's number lies in what he says.
pub(super) fn request(lab: &Lab) -> Frame {
    between(lab, SPEAKER, SERVICE)
}

/// To a port that no rule allows.
pub(super) fn no_rule(lab: &Lab) -> Frame {
    between(lab, SPEAKER, 9)
}

pub(super) fn unknown_source(lab: &Lab) -> Frame {
    between(lab, STRANGER, SERVICE)
}

fn between(lab: &Lab, source: &str, port: u16) -> Frame {
    let link = eth(lab.near().mac(), lab.far().mac());
    let ip = ipv4(source, LISTENER).identification(IDENTIFICATION);
    single(&(link / ip / udp(FIRST_PORT, port).checksum(0) / payload([0; FRAME - 42])))
}

/// The answer to a request.
pub(super) fn reply(lab: &Lab) -> Frame {
    let link = eth(lab.far().mac(), lab.near().mac());
    let ip = ipv4(LISTENER, SPEAKER).identification(IDENTIFICATION);
    single(&(link / ip / udp(SERVICE, FIRST_PORT).checksum(0) / payload([0; FRAME - 42])))
}

fn single(packet: &Packet) -> Frame {
    Frame { bytes: packet.bytes().try_into().unwrap(), varied: None }
}

/// Flows of requests, spread over the speakers.
pub(super) fn requests(size: Size, flows: u32, order: Order) -> Steps {
    steps(size, flows, order, [26, 34])
}

/// The same flows, of replies.
pub(super) fn replies(size: Size, flows: u32, order: Order) -> Steps {
    steps(size, flows, order, [30, 36])
}

/// The lower half of an address, and a port, lie there.
fn steps(size: Size, flows: u32, order: Order, [address_at, port_at]: [i16; 2]) -> Steps {
    let address = AddressStep {
        at: address_at + 2,
        first: FIRST,
        bits: size.speakers.into(),
        identification: IDENTIFICATION,
    };
    Steps { flows, order, port_at, address: Some(address) }
}
