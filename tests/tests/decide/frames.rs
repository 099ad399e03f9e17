//! Frames that no policy can allow: table A of the conformance list, in both directions.

use crate::fixture::*;

fn v4() -> Ipv4 {
    ipv4(CT4, PACS4)
}

fn v6() -> Ipv6 {
    ipv6(CT6, PACS6)
}

fn back4() -> Ipv4 {
    ipv4(PACS4, CT4)
}

fn back6() -> Ipv6 {
    ipv6(PACS6, CT6)
}

fn syn() -> Tcp {
    tcp(40000, 104).syn()
}

fn untagged() -> Eth {
    eth(CT, ROUTER)
}

#[test]
fn tags_beyond_the_binding_are_dropped() {
    let world = World::new();
    let stack = |depth: u16| {
        let outer = (0..depth).fold(Packet::from(untagged()), |outer, _| outer / vlan(120));
        outer / v4() / syn()
    };
    world.table([
        ("opened out 0", inside(stack(1))),
        (
            "opened out 0",
            inside(untagged() / vlan(120).priority(7).drop_eligible(true) / v4() / syn()),
        ),
        ("vlan", inside(untagged() / vlan(0) / v4() / syn())),
        ("vlan", inside(untagged() / vlan(4095) / v4() / syn())),
        ("vlan", inside(stack(2))),
        ("vlan", inside(stack(3))),
        ("vlan", inside(stack(5))),
        ("vlan", inside(stack(10))),
        ("vlan", inside(untagged() / vlan(0) / vlan(120) / v4() / syn())),
        ("vlan", inside(untagged() / vlan(120) / vlan(0) / v4() / syn())),
        ("vlan", inside(untagged() / service_vlan(0) / v4() / syn())),
        ("vlan", inside(untagged() / service_vlan(120) / v4() / syn())),
        ("vlan", inside(untagged() / service_vlan(120) / vlan(120) / v4() / syn())),
        ("vlan", inside(untagged() / vlan(120).tpid(0x9100) / v4() / syn())),
        ("ethertype", inside(untagged() / vlan(120).tpid(0x9200) / v4() / syn())),
        ("binding_vlan", inside(untagged() / vlan(42) / v4() / syn())),
        ("binding_vlan", inside(untagged() / v4() / syn())),
        ("vlan", outside(hospital() / vlan(42) / back4() / tcp(104, 40000).syn())),
        ("vlan", outside(hospital() / vlan(0) / back4() / syn())),
        (
            "vlan",
            left(eth(PIPETTE, STRANGER) / vlan(42) / ipv4(PIPETTE4, ANALYSER4) / tcp(4, 443).syn()),
        ),
    ]);
}

#[test]
fn protocols_beside_ip_and_arp_do_not_cross() {
    let world = World::new();
    let of = |ethertype| untagged() / vlan(120).ethertype(ethertype) / payload([0; 46]);
    world.table([
        ("ethertype", inside(ct() / snap() / v4() / syn())),
        ("ethertype", inside(untagged() / snap() / v4() / syn())),
        ("vlan", inside(untagged() / vlan(0) / snap() / v4() / syn())),
        ("ethertype", inside(ct() / llc(0x42, 0x42, 3) / payload([0; 40]))),
        ("ethertype", inside(eth(CT, "01:80:c2:00:00:00") / llc(0x42, 0x42, 3) / payload([0; 40]))),
        ("ethertype", inside(of(0x88e5))),
        ("ethertype", inside(of(0x8864))),
        ("ethertype", inside(of(0x8847))),
        ("ethertype", inside(of(0x888e))),
        ("ethertype", inside(of(0x88cc))),
        ("ethertype", inside(of(0x8808))),
        ("ethertype", inside(of(0x8035))),
        ("ethertype", inside(of(0))),
        ("ethertype", outside(hospital() / snap() / back4() / syn())),
    ]);
}

#[test]
fn link_addresses_must_fit_what_they_carry() {
    let world = World::new();
    let from = |mac: Mac| inside(eth(mac, ROUTER) / vlan(120) / v4() / syn());
    let to = |mac: Mac| inside(eth(CT, mac) / vlan(120) / v4() / syn());
    world.table([
        ("mac_source", from(Mac::BROADCAST)),
        ("mac_source", from(Mac([1, 0, 0x5e, 0, 0, 1]))),
        ("mac_source", from(Mac([3, 0, 0, 0x20, 0, 0x11]))),
        ("mac_source", from(Mac::ZERO)),
        ("ip_destination", to(Mac::BROADCAST)),
        ("ip_destination", to(Mac([1, 0, 0x5e, 0, 0, 1]))),
        ("binding_mac", to(STRANGER)),
        ("binding_mac", to(Mac::ZERO)),
        ("opened out 0", to(OTHER_ROUTER)),
        ("ip_destination", inside(ct() / ipv4(CT4, "224.0.0.251") / udp(5353, 5353))),
        ("ip_destination", inside(ct() / ipv6(CT6, "ff02::fb") / udp(5353, 5353))),
        ("mac_source", outside(eth(Mac::BROADCAST, CT) / back4() / syn())),
        ("ip_destination", outside(eth(ROUTER, Mac::BROADCAST) / back4() / syn())),
    ]);
}

#[test]
fn sources_that_no_host_may_use_are_dropped() {
    let world = World::new();
    let v4_from = |source: &str| inside(ct() / ipv4(source, PACS4) / syn());
    let v6_from = |source: &str| inside(ct() / ipv6(source, PACS6) / syn());
    world.table([
        ("ip_source", v4_from("127.0.0.1")),
        ("ip_source", v4_from("0.0.0.0")),
        ("ip_source", v4_from("0.1.2.3")),
        ("ip_source", v4_from("255.255.255.255")),
        ("ip_source", v4_from("224.0.0.1")),
        ("ip_source", v4_from("240.0.0.1")),
        ("ip_source", v4_from(PACS4)),
        ("unknown_source", v4_from("10.21.0.11")),
        ("unknown_source", v4_from("169.254.0.1")),
        ("unknown_source", v4_from("10.20.0.255")),
        ("unknown_source", v4_from("10.20.0.0")),
        ("binding_port", v4_from(MONITOR4)),
        ("ip_source", v6_from("::1")),
        ("ip_source", v6_from("::")),
        ("ip_source", v6_from("::10.20.0.11")),
        ("ip_source", v6_from("::ffff:10.20.0.11")),
        ("ip_source", v6_from("ff02::1")),
        ("ip_source", v6_from("2002:a14:b::1")),
        ("ip_source", v6_from(PACS6)),
        ("unknown_source", v6_from("fe80::11")),
        ("ip_source", outside(hospital() / ipv4(CT4, CT4) / syn())),
        ("ip_source", outside(hospital() / ipv4("127.0.0.1", CT4) / syn())),
        ("ip_source", outside(hospital() / ipv6("::ffff:10.0.5.20", CT6) / syn())),
        ("binding_port", outside(hospital() / ipv4(MR4, CT4) / syn())),
    ]);
}

#[test]
fn destinations_that_no_unicast_frame_may_have_are_dropped() {
    let world = World::new();
    world.table([
        ("ip_destination", inside(ct() / ipv4(CT4, "127.0.0.1") / syn())),
        ("ip_destination", inside(ct() / ipv4(CT4, "0.0.0.0") / syn())),
        ("ip_destination", inside(ct() / ipv4(CT4, "240.0.0.1") / syn())),
        ("ip_destination", inside(ct() / ipv6(CT6, "::") / syn())),
        ("ip_destination", inside(ct() / ipv6(CT6, "::1") / syn())),
        ("ip_destination", inside(ct() / ipv6(CT6, "::ffff:10.0.5.20") / syn())),
        ("ip_destination", inside(ct() / ipv6(CT6, "2002:a00:514::1") / syn())),
        ("unknown_destination", inside(ct() / ipv4(CT4, "10.0.255.255") / syn())),
        ("no_rule", inside(ct() / ipv4(CT4, MR4) / syn())),
    ]);
}

#[test]
fn ipv4_headers_that_lie_are_dropped() {
    let world = World::new();
    let with = |header: Ipv4| inside(ct() / header / syn());
    world.table([
        ("ip_options", with(v4().options([131, 7, 4, 10, 0, 5, 20]))),
        ("ip_options", with(v4().options([137, 7, 4, 10, 0, 5, 20]))),
        ("ip_options", with(v4().options([7, 7, 4, 0, 0, 0, 0]))),
        ("ip_options", with(v4().options([1, 1, 1, 1]))),
        ("ip_header", with(v4().flags(4))),
        ("ip_header", with(v4().ttl(0))),
        ("ip_header", with(v4().total_length(41))),
        ("ip_header", with(v4().total_length(65535))),
        ("ip_header", with(v4().total_length(19))),
        ("ip_header", with(v4().header_words(4))),
        ("ip_header", with(v4().version(6))),
        ("ip_header", with(v4().version(0))),
        (
            "ip_header",
            inside(untagged() / vlan(120).ethertype(0x86dd) / v4() / syn() / payload([0; 40])),
        ),
        ("ip_header", inside(untagged() / vlan(120).ethertype(0x0800) / v6() / syn())),
        ("ip_header", inside(ct() / v6().hop_limit(0) / syn())),
        ("ip_header", inside(ct() / v6().payload_length(21) / syn())),
        ("transport_header", inside(ct() / v6().payload_length(0) / syn())),
        ("opened out 0", with(v4().dont_fragment().ttl(1))),
        ("ip_options", outside(hospital() / back4().options([7, 7, 4, 0, 0, 0, 0]) / syn())),
        ("ip_header", outside(hospital() / back4().ttl(0) / syn())),
    ]);
}

#[test]
fn fragments_are_dropped_whatever_their_shape() {
    let world = World::new();
    let datagram = ct() / v4() / udp(40000, 123) / payload([7; 64]);
    for fragment in datagram.fragments(8, 1) {
        world.table([("fragment", inside(fragment))]);
    }
    let datagram = ct() / v6() / udp(40000, 123) / payload([7; 64]);
    for piece in datagram.fragments(32, 1) {
        world.table([("fragment", inside(piece))]);
    }
    world.table([
        ("fragment", inside(ct() / v4().fragment_offset(1) / syn())),
        ("fragment", inside(ct() / v4().fragment_offset(0x1fff) / syn())),
        ("fragment", inside(ct() / v4().more_fragments() / syn())),
        ("fragment", inside(ct() / v6() / fragment(0, false, 1) / syn())),
        ("fragment", inside(ct() / v6() / fragment(0, true, 1) / fragment(0, true, 2) / syn())),
        (
            "fragment",
            inside(
                ct() / v6().hop_limit(255) / fragment(0, false, 1) / neighbour_solicitation(PACS6),
            ),
        ),
        ("fragment", outside(hospital() / back4().more_fragments() / syn())),
        ("fragment", outside(hospital() / back6() / fragment(0, true, 1) / syn())),
    ]);
}

#[test]
fn extension_headers_are_dropped_in_any_order() {
    let world = World::new();
    let hops = ["fd00:20::12".parse().unwrap()];
    let many = (0..40).fold(ct() / v6(), |outer, _| outer / destination_options());
    world.table([
        ("extension_header", inside(ct() / v6() / hop_by_hop() / syn())),
        ("extension_header", inside(ct() / v6() / destination_options() / syn())),
        ("extension_header", inside(many / syn())),
        ("extension_header", inside(ct() / v6() / routing_header(0, 0, &[]) / syn())),
        ("extension_header", inside(ct() / v6() / routing_header(0, 1, &hops) / syn())),
        ("extension_header", inside(ct() / v6() / routing_header(4, 0, &hops) / syn())),
        ("extension_header", inside(ct() / v6() / esp(1, 1) / syn())),
        ("extension_header", inside(ct() / v6() / ah(1, 1) / syn())),
        ("extension_header", inside(ct() / v6().next_header(135) / payload([0; 8]))),
        ("extension_header", inside(ct() / v6().next_header(139) / payload([0; 8]))),
        ("extension_header", inside(ct() / v6().next_header(140) / payload([0; 8]))),
        ("extension_header", inside(ct() / v6() / destination_options() / hop_by_hop() / syn())),
        ("extension_header", outside(hospital() / back6() / routing_header(0, 0, &[]) / syn())),
        ("no_rule", inside(ct() / v6().next_header(59))),
        ("no_rule", inside(ct() / v6().next_header(200) / payload([0; 40]))),
    ]);
}

#[test]
fn protocols_that_no_rule_can_name_are_dropped() {
    let world = World::new();
    let inner = ipv4(CT4, PACS4) / tcp(40000, 104).syn();
    world.table([
        ("no_rule", inside(ct() / v4() / inner.clone())),
        ("no_rule", inside(ct() / v4() / ipv6(CT6, PACS6) / syn())),
        ("no_rule", inside(ct() / v4() / gre() / inner.clone())),
        ("no_rule", inside(ct() / v6() / inner)),
        ("no_rule", inside(ct() / v4() / esp(1, 1) / payload([0; 20]))),
        ("no_rule", inside(ct() / v4() / ah(1, 1) / syn())),
        ("no_rule", inside(ct() / v4().protocol(132) / payload([0; 20]))),
        ("no_rule", inside(ct() / v4().protocol(253) / payload([0; 20]))),
        ("no_rule", inside(ct() / v4().protocol(254) / payload([0; 20]))),
        ("no_rule", inside(ct() / v4().protocol(0) / payload([0; 20]))),
        ("no_rule", inside(ct() / v4().protocol(2) / payload([0; 8]))),
        ("no_rule", inside(ct() / v4().protocol(58) / icmpv6(128, 0))),
        ("no_rule", inside(ct() / v6().next_header(1) / icmp(8, 0))),
        ("no_rule", outside(hospital() / back4() / gre() / payload([0; 20]))),
    ]);
}

#[test]
fn what_is_sent_to_a_group_does_not_cross() {
    let world = World::new();
    let group = |mac: &str| eth(CT, mac) / vlan(120);
    world.table([
        (
            "no_rule",
            inside(
                group("01:00:5e:00:00:16") / ipv4(CT4, "224.0.0.22").protocol(2) / payload([0; 8]),
            ),
        ),
        (
            "no_rule",
            inside(group("01:00:5e:00:00:fb") / ipv4(CT4, "224.0.0.251") / udp(5353, 5353)),
        ),
        ("unknown_destination", inside(ct() / ipv4(CT4, "10.20.0.255") / udp(137, 137))),
        (
            "ip_destination",
            inside(group("ff:ff:ff:ff:ff:ff") / ipv4(CT4, "10.20.0.255") / udp(137, 137)),
        ),
        (
            "no_rule",
            inside(group("ff:ff:ff:ff:ff:ff") / ipv4(CT4, "255.255.255.255") / udp(67, 68)),
        ),
        (
            "ip_source",
            inside(group("ff:ff:ff:ff:ff:ff") / ipv4("0.0.0.0", "255.255.255.255") / udp(68, 67)),
        ),
        ("no_rule", inside(ct() / ipv4(CT4, PACS4) / udp(67, 68))),
        ("no_rule", inside(group("33:33:00:00:00:fb") / ipv6(CT6, "ff02::fb") / udp(5353, 5353))),
        (
            "extension_header",
            inside(
                group("33:33:00:00:00:16") / ipv6(CT6, "ff02::16") / hop_by_hop() / icmpv6(143, 0),
            ),
        ),
        ("no_rule", inside(group("33:33:00:00:00:16") / ipv6(CT6, "ff02::16") / icmpv6(143, 0))),
    ]);
}

#[test]
fn transport_headers_that_lie_are_dropped() {
    let world = World::new();
    let with = |header: Tcp| inside(ct() / v4() / header);
    let datagram = |header: Udp| inside(ct() / v4() / header / payload([7; 8]));
    world.table([
        ("transport_header", with(tcp(0, 104).syn())),
        ("transport_header", with(tcp(40000, 0).syn())),
        ("transport_header", with(syn().data_offset(4))),
        ("transport_header", with(syn().data_offset(6))),
        ("transport_header", inside((ct() / v4() / syn()).truncated(57).patched(20, [0, 39]))),
        ("opened out 0", datagram(udp(40000, 123))),
        ("transport_header", datagram(udp(0, 123))),
        ("transport_header", datagram(udp(40000, 0))),
        ("transport_header", datagram(udp(40000, 123).length(15))),
        ("transport_header", datagram(udp(40000, 123).length(17))),
        ("transport_header", datagram(udp(40000, 123).length(0))),
        ("transport_header", inside(ct() / v4().protocol(17) / payload([0; 7]))),
        ("transport_header", inside(ct() / v4().protocol(1) / payload([8, 0, 0, 0]))),
        ("opened out 0", inside((ct() / v4() / syn()).padded())),
        ("opened out 0", inside((ct() / v4() / syn()).padded_to(64))),
        ("transport_header", inside((ct() / v4() / syn()).padded_to(65))),
        ("transport_header", inside((ct() / v6() / syn()).trailing(b"covert"))),
        (
            "transport_header",
            outside((hospital() / back4() / tcp(104, 40000).syn().ack()).padded_to(65)),
        ),
        ("transport_header", outside(hospital() / back4() / udp(123, 40000).length(9))),
    ]);
}

#[test]
fn flags_that_no_correct_sender_sets_are_dropped() {
    let world = World::new();
    let with = |flags: u8| inside(ct() / v4() / tcp(40000, 104).flags(flags));
    world.table([
        ("tcp_flags", with(0x00)),
        ("tcp_flags", with(0x29)),
        ("tcp_flags", with(0xff)),
        ("tcp_flags", with(0x03)),
        ("tcp_flags", with(0x06)),
        ("tcp_flags", with(0x01)),
        ("tcp_flags", with(0x08)),
        ("tcp_flags", with(0x22)),
        ("tcp_flags", with(0x30)),
        ("tcp_flags", with(0x07)),
        ("tcp_flags", with(0x15)),
        ("tcp_flags", inside(ct() / v4() / syn() / payload(b"GET"))),
        ("tcp_flags", inside(ct() / v6() / syn() / payload(b"GET"))),
        ("opened out 0", with(0x02)),
        ("opened out 0", with(0xc2)),
        ("tcp_state", with(0x10)),
        ("tcp_state", with(0x11)),
        ("tcp_state", with(0x12)),
        ("tcp_state", with(0x04)),
        ("tcp_state", with(0x14)),
    ]);
}

#[test]
fn a_frame_cut_anywhere_is_dropped() {
    let world = World::new();
    for whole in
        [ct() / v4() / syn(), ct() / v6() / syn(), ct() / arp_request(CT, CT4, "10.20.0.1")]
    {
        for length in 0..whole.bytes().len() {
            let told = world.told(&inside(whole.clone().truncated(length)));
            let expected: &[&str] = &["truncated", "ip_header"];
            assert!(expected.contains(&&*told), "{length}: {told}");
        }
    }
}
