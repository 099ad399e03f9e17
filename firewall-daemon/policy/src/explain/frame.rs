//! The first frame of a flow, and the answer to it, as two nodes would send them. Checksums are left
//! zero: a firewall that decides by them would be deciding by what hosts check anyway.

use std::net::IpAddr;

use firewall_common::{Mac, Port, Vlan};

use crate::model::Protocol;

/// One end on the wire.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) address: IpAddr,
    /// What its frames carry: its own MAC, or that of the router it is behind.
    pub(super) mac: Mac,
    pub(super) vlan: Vlan,
    pub(super) port: Port,
}

/// The initiator's port, or the identifier of its echo: the first dynamic one (RFC 6335).
const INITIATOR: u16 = 49152;

/// What `from` sends first.
pub(super) fn opening(from: &End, to: &End, protocol: Protocol, port: u16) -> Option<Vec<u8>> {
    let segment = match protocol {
        Protocol::Tcp => tcp(INITIATOR, port, SYN),
        Protocol::Udp => udp(INITIATOR, port),
        Protocol::Echo => echo(from.address.is_ipv4(), true),
    };
    frame(from, to, protocol, &segment)
}

/// What `to` answers.
pub(super) fn answer(from: &End, to: &End, protocol: Protocol, port: u16) -> Option<Vec<u8>> {
    let segment = match protocol {
        Protocol::Tcp => tcp(port, INITIATOR, SYN | ACK),
        Protocol::Udp => udp(port, INITIATOR),
        Protocol::Echo => echo(from.address.is_ipv4(), false),
    };
    frame(to, from, protocol, &segment)
}

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// None if the two are of different families.
fn frame(from: &End, to: &End, protocol: Protocol, segment: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(segment.len()).ok()?;
    let mut bytes = [to.mac.0, from.mac.0].concat();
    if from.vlan != Vlan::UNTAGGED {
        bytes.extend([0x81, 0x00]);
        bytes.extend(from.vlan.0.to_be_bytes());
    }
    let number = |v4, v6| match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Echo if from.address.is_ipv4() => v4,
        Protocol::Echo => v6,
    };
    let protocol = number(1, 58);
    match (from.address, to.address) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            bytes.extend([0x08, 0x00, 0x45, 0]);
            bytes.extend((20 + length).to_be_bytes());
            bytes.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
            bytes.extend(source.octets());
            bytes.extend(destination.octets());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            bytes.extend(length.to_be_bytes());
            bytes.extend([protocol, 64]);
            bytes.extend(source.octets());
            bytes.extend(destination.octets());
        }
        (IpAddr::V4(_) | IpAddr::V6(_), _) => return None,
    }
    bytes.extend(segment);
    Some(bytes)
}

fn tcp(source: u16, destination: u16, flags: u8) -> Vec<u8> {
    let mut bytes = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    // The answer acknowledges the SYN, whose sequence number is 0.
    bytes.extend([0, 0, 0, 0, 0, 0, 0, u8::from(flags & ACK != 0)]);
    bytes.extend([5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
    bytes
}

fn udp(source: u16, destination: u16) -> Vec<u8> {
    let mut bytes = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    bytes.extend([0, 8, 0, 0]);
    bytes
}

fn echo(v4: bool, request: bool) -> Vec<u8> {
    let kind = match (v4, request) {
        (true, true) => 8,
        (true, false) => 0,
        (false, true) => 128,
        (false, false) => 129,
    };
    let [high, low] = INITIATOR.to_be_bytes();
    vec![kind, 0, 0, 0, high, low, 0, 1]
}
