//! Policies of any size, in which the same few nodes speak.

use std::fmt::Write as _;

use firewall_tests::lab::Lab;
use firewall_tests::packet::{Packet, eth, ipv4, payload, udp};

use crate::frames::{FIRST_PORT, FRAME, Frame, SERVICE};
use crate::traffic::{AddressStep, Steps};

/// How much there is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) nodes: u32,
    pub(super) rules: u32,
    /// As a power of two: how many nodes speak.
    pub(super) speakers: u8,
}

const SPEAKER: &str = "10.16.1.0";
/// The lower half of that.
const FIRST: u16 = 0x0100;
const IDENTIFICATION: u16 = 0x1000;
const LISTENER: &str = "10.32.1.0";
/// Nobody's, and in the speakers' network.
const STRANGER: &str = "10.31.255.1";

/// The speakers are behind a router; everybody else has a MAC of his own. One rule lets the
/// speakers speak, each other one connects two others.
pub(super) fn text(lab: &Lab, size: Size) -> String {
    let Size { nodes, rules, speakers } = size;
    let speakers = 1 << speakers;
    let (near, far) = (lab.near().mac(), lab.far().mac());
    let mut text = format!(
        "version = 1\n\
         [subnetwork.ward]\nport = \"inside\"\nnetworks = [\"10.16.0.0/12\"]\nrouters = [\"{near}\"]\n\
         [subnetwork.hospital]\nport = \"outside\"\nnetworks = [\"10.32.0.0/12\"]\n\
         [application.telemetry]\nudp = [\"4000-4400\"]\n\
         [application.images]\ntcp = [\"104\"]\n\
         [[allow]]\nname = \"telemetry\"\nfrom = [\"ward/speaker\"]\nto = [\"listener\"]\n\
         applications = [\"telemetry\"]\n\
         [node.listener]\nsubnetwork = \"hospital\"\naddresses = [\"{LISTENER}\"]\nmac = \"{far}\"\n"
    );
    for speaker in 0..speakers {
        let node = "subnetwork = \"ward\"\nroles = [\"speaker\"]";
        writeln!(text, "[node.s{speaker}]\n{node}\naddresses = [\"10.16.1.{speaker}\"]").unwrap();
    }
    let others = nodes - speakers - 1;
    for other in 0..others {
        let (subnetwork, network) = if other % 2 == 0 { ("ward", 1) } else { ("hospital", 2) };
        // 10.16.2.0 and 10.32.2.0 are the first.
        let [_, high, middle, low] = (0x200 + other / 2).to_be_bytes();
        let high_of_network = network * 16 + high;
        writeln!(
            text,
            "[node.n{other}]\nsubnetwork = \"{subnetwork}\"\n\
             addresses = [\"10.{high_of_network}.{middle}.{low}\"]\n\
             mac = \"02:00:0{network}:{high:02x}:{middle:02x}:{low:02x}\""
        )
        .unwrap();
    }
    let pairs = others / 2;
    for rule in 0..(rules - 1).min(pairs * pairs) {
        let from = 2 * (rule % pairs);
        let to = 2 * ((rule + rule / pairs) % pairs) + 1;
        writeln!(
            text,
            "[[allow]]\nname = \"r{rule}\"\nfrom = [\"n{from}\"]\nto = [\"n{to}\"]\n\
             applications = [\"images\"]"
        )
        .unwrap();
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
pub(super) fn requests(size: Size, flows: u32) -> Steps {
    steps(size, flows, [26, 34])
}

/// The same flows, of replies.
pub(super) fn replies(size: Size, flows: u32) -> Steps {
    steps(size, flows, [30, 36])
}

/// The lower half of an address, and a port, lie there.
fn steps(size: Size, flows: u32, [address_at, port_at]: [i16; 2]) -> Steps {
    let address = AddressStep {
        at: address_at + 2,
        first: FIRST,
        bits: size.speakers.into(),
        identification: IDENTIFICATION,
    };
    Steps { flows, port_at, address: Some(address) }
}
