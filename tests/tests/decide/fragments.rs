//! Fragments, where both ends' subnetworks track them.

use firewall_common::abi::Stop;
use firewall_policy::explain::Sizes;

use crate::fixture::*;

/// The policy, with a key for two subnetworks.
fn with(inside: &str, outside: &str) -> String {
    POLICY
        .replace("vlan = 120\n", &format!("vlan = 120\n{inside}\n"))
        .replace("routers = [", &format!("{outside}\nrouters = ["))
}

const TRACK: &str = "fragments = \"track\"";
const DROP: &str = "fragments = \"drop\"";

fn world() -> World {
    World::under(&with(TRACK, TRACK), &Sizes::default())
}

/// A datagram of 2,308 bytes in three fragments, from the CT.
fn datagram(identification: u32) -> [Arrival; 3] {
    pieces(&(ct() / ipv4(CT4, PACS4) / udp(123, 123) / payload([7; 2300])), identification)
}

fn pieces(packet: &Packet, identification: u32) -> [Arrival; 3] {
    let pieces: Vec<_> = packet.fragments(1000, identification).into_iter().map(inside).collect();
    pieces.try_into().unwrap()
}

#[test]
fn fragments_in_order_pass_in_both_directions_and_families() {
    let world = world();
    let back = |packet: Packet, identification| {
        packet.fragments(1000, identification).into_iter().map(outside)
    };
    let [first, second, last] = datagram(1);
    world.sequence([
        ("opened out 0", first),
        ("established out 0", second),
        ("established out 0", last.clone()),
        ("fragment", last),
    ]);
    for piece in back(hospital() / ipv4(PACS4, CT4) / udp(123, 123) / payload([8; 2300]), 1) {
        world.sequence([("established out 120", piece)]);
    }
    let asked = ct() / ipv6(CT6, PACS6) / echo_request(7, 1) / payload([7; 2300]);
    let [first, second, last] = pieces(&asked, 1);
    world.sequence([
        ("opened out 0", first),
        ("established out 0", second),
        ("established out 0", last),
    ]);
    for piece in back(hospital() / ipv6(PACS6, CT6) / echo_reply(7, 1) / payload([7; 2300]), 9) {
        world.sequence([("established out 120", piece)]);
    }
    // The identification is free again.
    let [first, second, last] = datagram(1);
    world.sequence([
        ("established out 0", first),
        ("established out 0", second),
        ("established out 0", last),
    ]);
    assert_eq!(world.ledger(), "established 13, fragment 1, opened 2");
}

#[test]
fn fragments_pass_only_where_both_ends_track_them() {
    for (one, other) in [(TRACK, ""), ("", TRACK), (TRACK, DROP), (DROP, DROP)] {
        let world = World::under(&with(one, other), &Sizes::default());
        let [first, second, last] = datagram(1);
        world.sequence([("fragment", first), ("fragment", second), ("fragment", last)]);
    }
    let world = world();
    let [first, ..] =
        pieces(&(ct() / ipv4("10.20.0.99", PACS4) / udp(123, 123) / payload([7; 2300])), 1);
    world.sequence([("fragment", first)]);
}

#[test]
fn the_first_fragment_is_decided_over_like_any_packet() {
    let world = world();
    let first = |packet: Packet| {
        let [first, ..] = pieces(&(packet / payload([7; 2300])), 1);
        first
    };
    let v4 = || ct() / ipv4(CT4, PACS4);
    world.table([
        ("no_rule", first(v4() / udp(123, 124))),
        ("no_rule", first(v4() / gre())),
        ("transport_header", first(v4() / udp(0, 123))),
        ("tcp_flags", first(v4() / tcp(40000, 104).syn())),
        ("tcp_state", first(v4() / tcp(40000, 104).ack())),
        ("binding_mac", first(eth(MR, ROUTER) / vlan(120) / ipv4(CT4, PACS4) / udp(123, 123))),
        ("binding_vlan", first(eth(CT, ROUTER) / ipv4(CT4, PACS4) / udp(123, 123))),
        ("binding_mac", first(eth(CT, STRANGER) / vlan(120) / ipv4(CT4, PACS4) / udp(123, 123))),
        (
            "ip_destination",
            first(eth(CT, Mac::BROADCAST) / vlan(120) / ipv4(CT4, PACS4) / udp(1, 123)),
        ),
        ("transport_header", first(v4() / udp(123, 123).length(900))),
        ("fragment", first(v4() / icmp_unreachable(&(hospital() / ipv4(PACS4, CT4) / udp(1, 1))))),
        ("fragment", first(ct() / ipv6(CT6, PACS6).hop_limit(255) / neighbour_solicitation(PACS6))),
    ]);
    // What was refused has left nothing behind.
    let [first, second, _] = pieces(&(v4() / udp(123, 124) / payload([7; 2300])), 1);
    world.sequence([("no_rule", first), ("fragment", second)]);
}

#[test]
fn what_is_out_of_order_ends_its_datagram() {
    let other = |offset: u16, length: usize| {
        inside(
            ct() / ipv4(CT4, PACS4)
                .protocol(17)
                .identification(1_u16)
                .fragment_offset(offset)
                .more_fragments()
                / payload(vec![9; length]),
        )
    };
    let wrong = [
        // A gap, an overlap, the same again, the first again, a tiny one, an odd one.
        other(250, 1000),
        other(120, 1000),
        other(0, 1000),
        other(125, 8),
        other(125, 1001),
        // Longer than its UDP header says, and than any packet.
        other(125, 1400),
        other(0x1fff, 1000),
    ];
    for (number, wrong) in wrong.into_iter().enumerate() {
        let world = world();
        let [first, second, last] = datagram(1);
        assert_eq!(world.told(&first), "opened out 0", "{number}");
        assert_eq!(world.told(&wrong), "fragment", "{number}");
        world.sequence([("fragment", second), ("fragment", last), ("fragment", first)]);
    }
}

#[test]
fn the_end_of_a_udp_datagram_is_where_its_header_says() {
    let world = world();
    let short = |length: usize| {
        inside(
            ct() / ipv4(CT4, PACS4).protocol(17).identification(1_u16).fragment_offset(250)
                / payload(vec![7; length]),
        )
    };
    let [first, second, last] = datagram(1);
    world.sequence([
        ("opened out 0", first),
        ("established out 0", second),
        ("fragment", short(300)),
        ("fragment", last),
    ]);
    let [first, second, _] = datagram(2);
    let [.., last] = datagram(3);
    world.sequence([
        ("established out 0", first),
        ("established out 0", second),
        ("fragment", last),
    ]);
}

#[test]
fn fragments_that_are_no_fragments_of_a_datagram_are_dropped() {
    let world = world();
    let v6 = || ct() / ipv6(CT6, PACS6);
    let tiny = (ct() / ipv4(CT4, PACS4) / udp(123, 123) / payload([7; 2300])).fragments(8, 1);
    for piece in tiny {
        world.sequence([("fragment", inside(piece))]);
    }
    world.table([
        ("fragment", inside(v6() / fragment(0, false, 1) / udp(123, 123))),
        (
            "fragment",
            inside(v6() / fragment(0, true, 1).length(1) / udp(123, 123) / payload([7; 600])),
        ),
        (
            "extension_header",
            inside(
                v6() / fragment(0, true, 1)
                    / fragment(0, true, 2)
                    / udp(123, 123)
                    / payload([7; 592]),
            ),
        ),
        (
            "extension_header",
            inside(v6() / fragment(0, true, 1) / hop_by_hop() / udp(123, 123) / payload([7; 600])),
        ),
        (
            "extension_header",
            inside(
                v6() / destination_options()
                    / fragment(0, true, 1)
                    / udp(123, 123)
                    / payload([7; 600]),
            ),
        ),
        ("fragment", inside(ct() / ipv6(CT6, PACS6).next_header(44) / payload([17, 0, 0]))),
    ]);
}

#[test]
fn a_datagram_ends_with_what_allowed_it() {
    let mut world = world();
    let [first, second, last] = datagram(1);
    world.sequence([("opened out 0", first)]);
    world.reload(&with(TRACK, TRACK));
    world.sequence([("revoked", second), ("revoked", last)]);

    let [first, second, last] = datagram(2);
    world.sequence([("established out 0", first)]);
    world.memory.stop(Stop::Ordinary);
    world.sequence([("stopped", second.clone())]);
    world.memory.stop(Stop::Hard);
    world.sequence([("stopped", second.clone())]);
    world.memory.stop(Stop::None);
    world.sequence([("established out 0", second), ("established out 0", last)]);

    let [first, second, _] = datagram(3);
    world.sequence([("established out 0", first)]);
    world.stop_subnetwork("radiology", Stop::Ordinary);
    world.sequence([("revoked", second)]);
    world.stop_subnetwork("radiology", Stop::None);

    let [first, second, _] = datagram(4);
    world.sequence([("established out 0", first)]);
    world.memory.isolate(world.node("pacs"), true);
    world.sequence([("revoked", second)]);
    world.memory.isolate(world.node("pacs"), false);

    let [first, second, last] = datagram(5);
    world.sequence([("established out 0", first.clone()), ("established out 0", second)]);
    world.wait(6);
    world.sequence([("fragment", last), ("fragment", first.clone())]);
    world.wait(61);
    world.sequence([("opened out 0", first)]);
}

#[test]
fn another_macs_fragments_neither_pass_nor_end_a_datagram() {
    let world = world();
    let [first, second, last] = datagram(1);
    let forged =
        eth(MR, ROUTER) / vlan(120) / ipv4(CT4, PACS4) / udp(123, 123) / payload([9; 2300]);
    let [one, two, _] = pieces(&forged, 1);
    world.sequence([
        ("opened out 0", first),
        ("binding_mac", two),
        ("binding_mac", one),
        ("established out 0", second),
        ("established out 0", last),
    ]);
}

#[test]
fn a_fragmented_segment_moves_its_connection_on() {
    let world = world();
    let from_ct = || ct() / ipv4(CT4, PACS4);
    let back = || hospital() / ipv4(PACS4, CT4);
    let data = from_ct() / tcp(40000, 104).ack().seq(101).ack_number(301) / payload([7; 2300]);
    let [first, second, last] = pieces(&data, 1);
    world.sequence([
        ("opened out 0", inside(from_ct() / tcp(40000, 104).syn().seq(100))),
        (
            "established out 120",
            outside(back() / tcp(104, 40000).syn().ack().seq(300).ack_number(101).window(60000)),
        ),
        ("established out 0", inside(from_ct() / tcp(40000, 104).ack().seq(101).ack_number(301))),
        ("established out 0", first),
        ("established out 0", second),
        ("tcp_state", outside(back() / tcp(104, 40000).ack().seq(301).ack_number(2401))),
        ("established out 0", last),
        ("established out 120", outside(back() / tcp(104, 40000).ack().seq(301).ack_number(2401))),
    ]);
}

#[test]
fn no_other_connection_completes_a_segment_whose_last_fragment_was_refused() {
    let world = world();
    let from_ct = || ct() / ipv4(CT4, PACS4);
    let acknowledged = |port: u16| tcp(port, 104).ack().seq(101).ack_number(301);
    for port in [40000, 40001] {
        let answer = tcp(104, port).syn().ack().seq(300).ack_number(101).window(60000);
        world.sequence([
            ("opened out 0", inside(from_ct() / tcp(port, 104).syn().seq(100))),
            ("established out 120", outside(hospital() / ipv4(PACS4, CT4) / answer)),
            ("established out 0", inside(from_ct() / acknowledged(port))),
        ]);
    }
    // A reset ends its connection, which has come no further then.
    let reset = from_ct() / tcp(40000, 104).rst().seq(101) / payload([7; 2300]);
    let [first, second, last] = pieces(&reset, 1);
    let [another, next, end] = pieces(&(from_ct() / acknowledged(40001) / payload([9; 2300])), 1);
    world.sequence([
        ("established out 0", first),
        ("established out 0", second),
        ("tcp_state", last),
        ("fragment", another),
        ("fragment", next),
        ("fragment", end),
    ]);
}

#[test]
fn a_hop_by_hop_header_before_every_fragment_must_be_named() {
    let both = |keys: &str| World::under(&with(keys, keys), &Sizes::default());
    let asked = ct() / ipv6(CT6, PACS6) / udp(123, 123) / payload([7; 2300]);
    let pieces = |hop: bool| {
        asked.fragments(1000, 1).into_iter().map(move |piece| {
            let bytes = piece.bytes();
            let (outer, rest) = bytes.split_at(58);
            let header: &[u8] = if hop { &[44, 0, 1, 4, 0, 0, 0, 0] } else { &[] };
            let mut bytes = [outer, header, rest].concat();
            if hop {
                let length = u16::from_be_bytes([bytes[22], bytes[23]]) + 8;
                bytes[22..24].copy_from_slice(&length.to_be_bytes());
                bytes[24] = 0;
            }
            inside(payload(bytes))
        })
    };
    let world = both(TRACK);
    for piece in pieces(true) {
        world.sequence([("extension_header", piece)]);
    }
    let world = both(&format!("{TRACK}\nextension_headers = [\"hop-by-hop\"]"));
    let told: Vec<_> = pieces(true).map(|piece| world.told(&piece)).collect();
    assert_eq!(told, ["opened out 0", "established out 0", "established out 0"]);
}
