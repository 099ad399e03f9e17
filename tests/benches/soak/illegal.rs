//! What must not pass. Each frame holds a word by which a leak is found.

use firewall_tests::gateway::policy::{FAR, NEAR, Station};
use firewall_tests::packet::{
    Mac, Packet, echo_request, eth, hop_by_hop, ipv4, ipv6, payload, service_vlan, tcp, udp, vlan,
};

pub(crate) const WORD: &[u8] = b"what no rule permits";

/// Why these frames are dropped.
pub(crate) const REASONS: &[&str] = &[
    "binding_mac",
    "binding_port",
    "ethertype",
    "extension_header",
    "fragment",
    "ip_header",
    "ip_options",
    "ip_source",
    "mac_source",
    "no_rule",
    "tcp_flags",
    "tcp_state",
    "transport_header",
    "unknown_destination",
    "unknown_source",
    "vlan",
];

pub(crate) fn from_near() -> Vec<Packet> {
    let mut packets = everywhere(&NEAR, &FAR);
    for headers in NEAR.to(&FAR) {
        packets.extend([
            &headers / tcp(50_000, 80).syn(),
            &headers / udp(50_000, 123) / word(),
            &headers / tcp(50_001, 104).ack() / word(),
        ]);
    }
    packets
}

pub(crate) fn from_far() -> Vec<Packet> {
    let mut packets = everywhere(&FAR, &NEAR);
    for (back, forged) in FAR.to(&NEAR).into_iter().zip(NEAR.to(&FAR)) {
        packets.extend([
            &back / tcp(50_000, 104).syn(),
            &back / tcp(104, 50_000).rst().ack() / word(),
            &back / udp(514, 50_000) / word(),
            &back / echo_request(1, 1) / word(),
            // In the name of the one on the other side.
            &forged / udp(50_000, 514) / word(),
        ]);
    }
    packets
}

fn everywhere(from: &Station, to: &Station) -> Vec<Packet> {
    let (nobody, link) = (Mac::local(9), || eth(from.mac, to.mac));
    let v4 = || ipv4(from.v4, to.v4) / udp(50_000, 514) / word();
    let v6 = || ipv6(from.v6, to.v6) / udp(50_000, 514) / word();
    let mut packets = vec![
        eth(nobody, to.mac) / v4(),
        eth(nobody, to.mac) / v6(),
        eth(Mac::BROADCAST, to.mac) / v4(),
        link() / vlan(7) / v4(),
        link() / vlan(0) / v6(),
        link() / service_vlan(7) / v6(),
        link().ethertype(0x88b5) / payload([WORD, &[0; 30]].concat()),
        link() / ipv4("10.20.0.99", to.v4) / udp(50_000, 514) / word(),
        link() / ipv6("fd00:20::99", to.v6) / udp(50_000, 514) / word(),
        link() / ipv4(from.v4, "10.20.0.99") / udp(50_000, 514) / word(),
        link() / ipv4("127.0.0.1", to.v4) / udp(50_000, 514) / word(),
        link() / ipv6("::1", to.v6) / udp(50_000, 514) / word(),
        link() / ipv4(from.v4, to.v4).ttl(0) / udp(50_000, 514) / word(),
        link() / ipv4(from.v4, to.v4).options([1, 1, 1, 1]) / udp(50_000, 514) / word(),
        link() / ipv6(from.v6, to.v6) / hop_by_hop() / udp(50_000, 514) / word(),
        link() / ipv4(from.v4, to.v4) / tcp(50_002, 104).syn().fin() / word(),
        link() / ipv6(from.v6, to.v6) / tcp(50_002, 104) / word(),
        (link() / v4()).trailing([WORD, WORD].concat()),
    ];
    packets.extend((link() / v4()).fragments(24, 1));
    packets
}

fn word() -> Packet {
    payload(WORD).into()
}
