//! Extension headers and fragments through a router, and past its egress guard.

use super::*;

fn forwarded(from: u16, port: u16, packet: impl Into<Packet>) -> Arrival {
    let leaving =
        Leaving { origin: Origin::Port(Port(from)), port: Port(port), tag: Vlan::UNTAGGED };
    Arrival::Out(leaving, packet.into())
}

fn own(port: u16, packet: impl Into<Packet>) -> Arrival {
    let leaving = Leaving { origin: Origin::Gateway, port: Port(port), tag: Vlan::UNTAGGED };
    Arrival::Out(leaving, packet.into())
}

fn world() -> World {
    let mut world = World::new();
    let keys = "fragments = \"track\"\nextension_headers = [\"hop-by-hop\"]\nnetworks = [";
    world.reload(&POLICY.replace("networks = [", keys));
    world
}

fn pieces(packet: &Packet) -> [Packet; 3] {
    packet.fragments(1000, 1).try_into().unwrap()
}

fn datagram(link: Packet, hops: u8) -> [Packet; 3] {
    pieces(&(link / ipv4(CT4, PACS4).ttl(hops) / udp(123, 123) / payload([7; 2300])))
}

#[test]
fn fragments_are_forwarded_in_both_directions() {
    let world = world();
    let [one, two, three] = datagram(ct(), 64);
    world.sequence([
        ("opened outside.0 router", trunk(one)),
        ("established outside.0 router", trunk(two)),
        ("established outside.0 router", trunk(three)),
    ]);
    let back = hospital() / ipv4(PACS4, CT4) / udp(123, 123) / payload([7; 2300]);
    let [one, two, three] = pieces(&back);
    world.sequence([
        ("established trunk.120 ct", outside(one)),
        ("established trunk.120 ct", outside(two)),
        ("established trunk.120 ct", outside(three)),
    ]);
    let v6 = ct() / ipv6(CT6, PACS6) / hop_by_hop() / udp(123, 123);
    world.sequence([
        ("opened outside.0 router", trunk(v6.clone())),
        ("established outside.0 router", trunk(v6)),
    ]);
}

#[test]
fn what_the_kernel_sends_of_a_datagram_is_explained_by_what_it_has_sent_before() {
    let mut world = world();
    world.route([PACS4, PACS6], Route::Unresolved);
    let [one, two, three] = datagram(ct(), 64);
    let [out_one, out_two, out_three] = datagram(eth(OUTSIDE, ROUTER).into(), 63);
    world.sequence([
        // Nothing has come in yet.
        ("egress", forwarded(0, 1, out_one.clone())),
        ("opened gateway", trunk(one)),
        ("kernel gateway", trunk(two)),
        // What has come in does not explain it.
        ("egress", forwarded(0, 1, out_two.clone())),
        ("kernel outside.0 kept", forwarded(0, 1, out_one)),
        ("egress", forwarded(2, 1, out_two.clone())),
        ("egress", own(1, out_two.clone())),
        ("egress", forwarded(0, 2, out_three.clone())),
        ("kernel outside.0 kept", forwarded(0, 1, out_two)),
        ("kernel gateway", trunk(three)),
        ("kernel outside.0 kept", forwarded(0, 1, out_three.clone())),
        ("egress", forwarded(0, 1, out_three)),
    ]);
    let v6 = |link: Packet| link / ipv6(CT6, PACS6) / hop_by_hop() / udp(123, 123);
    world.sequence([
        ("egress", forwarded(0, 1, v6(eth(OUTSIDE, ROUTER).into()))),
        ("opened gateway", trunk(v6(ct()))),
        ("kernel outside.0 kept", forwarded(0, 1, v6(eth(OUTSIDE, ROUTER).into()))),
        ("egress", own(1, v6(eth(OUTSIDE, ROUTER).into()))),
    ]);
}

#[test]
fn the_gateway_itself_neither_takes_nor_sends_what_is_not_plain() {
    let world = world();
    let asked = admin() / ipv4(ADMIN4, SIDE_GATE4) / echo_request(1, 1) / payload([7; 2300]);
    let [one, ..] = pieces(&asked);
    let time = eth(OUTSIDE, ROUTER) / ipv4(HOSPITAL_GATE4, PACS4) / udp(123, 123);
    let [out, ..] = pieces(&(time / payload([7; 2300])));
    world.sequence([
        ("fragment", side(one)),
        ("egress", own(1, out)),
        (
            "extension_header",
            side(admin() / ipv6(ADMIN6, SIDE_GATE6) / hop_by_hop() / echo_request(1, 1)),
        ),
    ]);
}

#[test]
fn a_later_fragment_that_cannot_be_sent_ends_its_datagram() {
    let world = world();
    let [one, two, three] = datagram(ct(), 2);
    let [_, late, _] = datagram(ct(), 1);
    world.sequence([
        ("opened outside.0 router", trunk(one)),
        ("fragment", trunk(late)),
        ("fragment", trunk(two)),
        ("fragment", trunk(three)),
    ]);
}
