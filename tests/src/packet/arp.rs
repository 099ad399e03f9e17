//! ARP, RFC 826, with every field open.

use std::net::Ipv4Addr;

use super::{Around, Header, Mac, ToIpv4, setters};

/// Who has `target`? asked by `sender`. The Ethernet header says separately who it goes to.
pub fn arp_request(
    sender: impl Into<Mac>,
    sender_address: impl ToIpv4,
    target_address: impl ToIpv4,
) -> Arp {
    arp(1, sender, sender_address, Mac::ZERO, target_address)
}

/// `sender_address` is at `sender`, told to the target.
pub fn arp_reply(
    sender: impl Into<Mac>,
    sender_address: impl ToIpv4,
    target: impl Into<Mac>,
    target_address: impl ToIpv4,
) -> Arp {
    arp(2, sender, sender_address, target, target_address)
}

/// Any operation between any two.
pub fn arp(
    operation: u16,
    sender: impl Into<Mac>,
    sender_address: impl ToIpv4,
    target: impl Into<Mac>,
    target_address: impl ToIpv4,
) -> Arp {
    Arp {
        hardware: 1,
        protocol: 0x0800,
        hardware_length: 6,
        protocol_length: 4,
        operation,
        sender: sender.into(),
        sender_address: sender_address.to_ipv4(),
        target: target.into(),
        target_address: target_address.to_ipv4(),
    }
}

/// See [`arp`].
#[derive(Clone, Debug)]
pub struct Arp {
    hardware: u16,
    protocol: u16,
    hardware_length: u8,
    protocol_length: u8,
    operation: u16,
    sender: Mac,
    sender_address: Ipv4Addr,
    target: Mac,
    target_address: Ipv4Addr,
}

impl Arp {
    setters! {
        /// The hardware space; 1 is Ethernet.
        hardware: u16;
        /// The protocol space; 0x0800 is IPv4.
        protocol: u16;
        /// What the length of hardware addresses is said to be; they stay six bytes.
        hardware_length: u8;
        /// What the length of protocol addresses is said to be; they stay four bytes.
        protocol_length: u8;
        /// 1 is a request, 2 a reply.
        operation: u16;
        /// The sender's hardware address.
        sender: Mac;
        /// The sender's protocol address.
        sender_address: Ipv4Addr;
        /// The target's hardware address.
        target: Mac;
        /// The target's protocol address.
        target_address: Ipv4Addr;
    }
}

impl Header for Arp {
    fn write(&self, _around: &Around<'_>, _rest: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(28);
        bytes.extend(self.hardware.to_be_bytes());
        bytes.extend(self.protocol.to_be_bytes());
        bytes.extend([self.hardware_length, self.protocol_length]);
        bytes.extend(self.operation.to_be_bytes());
        bytes.extend(self.sender.octets());
        bytes.extend(self.sender_address.octets());
        bytes.extend(self.target.octets());
        bytes.extend(self.target_address.octets());
        bytes
    }

    fn named_by_ethertype(&self, _length: usize) -> Option<u16> {
        Some(0x0806)
    }
}
