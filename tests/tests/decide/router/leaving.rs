//! The egress guard: what the gateway's own kernel sends out of a port.

use firewall_common::quota::Limits;

use super::*;

fn by(origin: Origin, port: u16, tag: u16, packet: impl Into<Packet>) -> Arrival {
    Arrival::Out(Leaving { origin, port: Port(port), tag: Vlan(tag) }, packet.into())
}

fn own(port: u16, tag: u16, packet: impl Into<Packet>) -> Arrival {
    by(Origin::Gateway, port, tag, packet)
}

fn forwarded(from: u16, port: u16, tag: u16, packet: impl Into<Packet>) -> Arrival {
    by(Origin::Port(Port(from)), port, tag, packet)
}

/// Out of `outside`, to the hospital's router.
fn to_hospital() -> Packet {
    eth(OUTSIDE, ROUTER).into()
}

fn to_ct() -> Packet {
    eth(TRUNK, CT).into()
}

#[test]
fn the_gateway_speaks_by_rule_and_answers_by_flow() {
    let world = World::new();
    let time = || ipv4(HOSPITAL_GATE4, PACS4) / udp(123, 123);
    world.sequence([
        ("opened outside.0 kept", own(1, 0, to_hospital() / time())),
        ("established gateway", outside(hospital() / ipv4(PACS4, HOSPITAL_GATE4) / udp(123, 123))),
        ("established outside.0 kept", own(1, 0, to_hospital() / time())),
        (
            "opened trunk.130 kept",
            own(0, 130, eth(TRUNK, MONITOR) / ipv4(WARDS_GATE4, MONITOR4) / udp(1, 5000)),
        ),
        // With the tag in the frame, as without offload.
        (
            "established trunk.130 kept",
            own(0, 0, eth(TRUNK, MONITOR) / vlan(130) / ipv4(WARDS_GATE4, MONITOR4) / udp(1, 5000)),
        ),
        ("egress", own(1, 0, to_hospital() / ipv4(HOSPITAL_GATE4, PACS4) / tcp(40000, 104).syn())),
        ("egress", own(0, 120, to_ct() / ipv4(RADIOLOGY_GATE4, CT4) / echo_request(1, 1))),
        ("egress", own(0, 120, to_ct() / ipv4(RADIOLOGY_GATE4, "224.0.0.1") / udp(1, 5353))),
        ("egress", own(2, 0, eth(SIDE, ADMIN) / ipv4(SIDE_GATE4, ADMIN4) / echo_reply(1, 1))),
        ("opened gateway", side(admin() / ipv4(ADMIN4, SIDE_GATE4) / echo_request(1, 1))),
        (
            "established side.0 kept",
            own(2, 0, eth(SIDE, ADMIN) / ipv4(SIDE_GATE4, ADMIN4) / echo_reply(1, 1)),
        ),
        ("egress", own(2, 0, eth(SIDE, ADMIN) / ipv4(SIDE_GATE4, ADMIN4) / echo_reply(2, 1))),
    ]);
}

#[test]
fn the_gateway_opens_as_many_flows_as_a_node_and_no_more() {
    let limits = Limits { half_open: 3, ..Limits::NONE };
    let world = World::with(&Sizes { limits, ..Sizes::default() });
    let asks = |port| own(1, 0, to_hospital() / ipv4(HOSPITAL_GATE4, PACS4) / udp(port, 123));
    let answers = |port| outside(hospital() / ipv4(PACS4, HOSPITAL_GATE4) / udp(123, port));
    for port in 1..=3 {
        world.sequence([("opened outside.0 kept", asks(port))]);
    }
    world.sequence([
        ("flow_limit", asks(4)),
        ("established outside.0 kept", asks(3)),
        ("opened outside.0 router", trunk(ct() / ipv4(CT4, PACS4) / udp(1, 123))),
        ("established gateway", answers(2)),
        ("opened outside.0 kept", asks(4)),
        ("flow_limit", asks(5)),
    ]);
}

#[test]
fn nobody_on_the_gateway_speaks_in_the_name_of_another() {
    let world = World::new();
    world.sequence([("opened outside.0 router", trunk(ct() / ipv4(CT4, PACS4) / udp(40000, 123)))]);
    world.sequence([
        ("egress", own(1, 0, to_hospital() / ipv4(CT4, PACS4) / udp(40000, 123))),
        ("egress", own(0, 120, to_ct() / ipv4(PACS4, CT4) / udp(123, 40000))),
        ("egress", own(1, 0, to_hospital() / ipv4("192.168.9.9", PACS4) / udp(123, 123))),
        ("egress", own(1, 0, eth(CT, ROUTER) / ipv4(HOSPITAL_GATE4, PACS4) / udp(123, 123))),
        ("egress", own(1, 0, eth(TRUNK, ROUTER) / ipv4(HOSPITAL_GATE4, PACS4) / udp(123, 123))),
        ("egress", own(0, 120, eth(TRUNK, Mac::BROADCAST) / arp_request(TRUNK, PACS4, CT4))),
        ("egress", own(0, 120, to_ct() / arp_reply(TRUNK, PACS4, CT, CT4))),
        ("egress", own(0, 120, eth(MR, Mac::BROADCAST) / arp_request(MR, RADIOLOGY_GATE4, CT4))),
        ("egress", own(0, 120, eth(TRUNK, Mac::BROADCAST) / arp_request(MR, RADIOLOGY_GATE4, CT4))),
        ("egress", own(1, 0, to_hospital() / payload([0; 40]))),
        ("established trunk.120 ct", outside(hospital() / ipv4(PACS4, CT4) / udp(123, 40000))),
    ]);
}

#[test]
fn the_gateways_own_packet_leaves_where_its_receiver_is() {
    let world = World::new();
    let time = || ipv4(HOSPITAL_GATE4, PACS4) / udp(123, 123);
    world.sequence([
        ("opened outside.0 kept", own(1, 0, to_hospital() / time())),
        ("egress", own(0, 120, eth(TRUNK, ROUTER) / time())),
        ("egress", own(2, 0, eth(SIDE, ROUTER) / time())),
        ("egress", own(1, 9, to_hospital() / time())),
        ("egress", own(1, 0, to_hospital() / vlan(9) / time())),
        ("egress", own(1, 9, to_hospital() / vlan(9) / time())),
        ("egress", own(1, 9, to_hospital() / vlan(0) / time())),
        ("established outside.0 kept", own(1, 0, to_hospital() / time())),
    ]);
}

#[test]
fn nothing_is_forwarded_from_an_interface_that_nobody_guards() {
    let world = World::new();
    let ask = || ipv4(CT4, PACS4) / udp(40000, 123);
    world.sequence([
        ("opened outside.0 router", trunk(ct() / ask())),
        ("established trunk.120 ct", outside(hospital() / ipv4(PACS4, CT4) / udp(123, 40000))),
        ("egress", by(Origin::Unguarded, 1, 0, to_hospital() / ask())),
        ("egress", by(Origin::Unguarded, 0, 120, to_ct() / ipv4(PACS4, CT4) / udp(123, 40000))),
        (
            "egress",
            by(
                Origin::Unguarded,
                1,
                0,
                to_hospital() / ipv4(HOSPITAL_GATE4, PACS4) / udp(123, 123),
            ),
        ),
        (
            "egress",
            by(
                Origin::Unguarded,
                0,
                120,
                eth(TRUNK, Mac::BROADCAST) / arp_request(TRUNK, RADIOLOGY_GATE4, CT4),
            ),
        ),
    ]);
}

#[test]
fn what_is_for_the_gateway_itself_is_not_forwarded() {
    let world = World::new();
    let ask = || ipv4(ADMIN4, SIDE_GATE4) / echo_request(1, 1);
    world.sequence([
        ("opened gateway", side(admin() / ask())),
        ("egress", forwarded(2, 1, 0, to_hospital() / ask())),
        ("egress", forwarded(2, 0, 120, to_ct() / ask())),
    ]);
}

#[test]
fn nothing_is_forwarded_with_bytes_behind_the_packet_or_to_a_group() {
    let mut world = World::new();
    world.route([PACS4, CT4], Route::Unresolved);
    let ask = || ipv4(CT4, PACS4) / udp(40000, 123);
    let group = || eth(OUTSIDE, Mac::BROADCAST);
    world.sequence([
        ("opened gateway", trunk(ct() / ask())),
        ("egress", forwarded(0, 1, 0, (to_hospital() / ask()).padded_to(80))),
        ("egress", forwarded(0, 1, 0, group() / ask())),
        ("kernel outside.0 kept", forwarded(0, 1, 0, to_hospital() / ask())),
    ]);
}

#[test]
fn what_a_port_has_left_to_the_kernel_leaves() {
    let mut world = World::new();
    world.route([PACS4, CT4], Route::Unresolved);
    let syn = || ipv4(CT4, PACS4) / tcp(40000, 104).syn();
    let answer = || ipv4(PACS4, CT4) / tcp(104, 40000).syn().ack().ack_number(1);
    let ack = || ipv4(CT4, PACS4) / tcp(40000, 104).seq(1).ack().ack_number(1);
    let reset = || ipv4(CT4, PACS4) / tcp(40000, 104).seq(1).rst();
    world.sequence([
        ("egress", forwarded(0, 1, 0, to_hospital() / syn())),
        ("opened gateway", trunk(ct() / syn())),
        ("kernel outside.0 kept", forwarded(0, 1, 0, to_hospital() / syn())),
        ("kernel gateway", outside(hospital() / answer())),
        ("kernel trunk.120 kept", forwarded(1, 0, 120, to_ct() / answer())),
        ("kernel trunk.120 kept", forwarded(1, 0, 0, to_ct() / vlan(120) / answer())),
        ("kernel gateway", trunk(ct() / ack())),
        ("kernel outside.0 kept", forwarded(0, 1, 0, to_hospital() / ack())),
        ("kernel gateway", trunk(ct() / reset())),
        ("kernel outside.0 kept", forwarded(0, 1, 0, to_hospital() / reset())),
        // Only what says nothing new.
        ("kernel gateway", trunk(ct() / ack())),
        ("tcp_state", trunk(ct() / ack() / payload(b"pixels"))),
        (
            "tcp_state",
            outside(hospital() / ipv4(PACS4, CT4) / tcp(104, 40000).seq(9).ack().ack_number(1)),
        ),
    ]);
    world.wait(60);
    world.sequence([
        ("egress", forwarded(0, 1, 0, to_hospital() / reset())),
        ("tcp_state", trunk(ct() / ack())),
    ]);
}

#[test]
fn a_refusal_that_was_left_to_the_kernel_leaves() {
    let mut world = World::new();
    world.route([CT4], Route::Unresolved);
    let syn = || trunk(ct() / ipv4(CT4, PACS4) / tcp(40000, 104).syn());
    let refused = || ipv4(PACS4, CT4) / tcp(104, 40000).rst().ack().ack_number(1);
    world.sequence([
        ("opened outside.0 router", syn()),
        ("kernel gateway", outside(hospital() / refused())),
        ("kernel trunk.120 kept", forwarded(1, 0, 120, to_ct() / refused())),
        ("established outside.0 router", syn()),
    ]);
    world.route([CT4], hop(CT));
    world.sequence([
        ("established trunk.120 ct", outside(hospital() / refused())),
        ("egress", forwarded(1, 0, 120, to_ct() / refused())),
    ]);
}

#[test]
fn a_connection_that_was_reset_by_way_of_the_kernel_stays_closed() {
    let mut world = World::new();
    world.route([CT4], Route::Unresolved);
    let there = |header: Tcp| trunk(ct() / ipv4(CT4, PACS4) / header);
    let back = |header: Tcp| hospital() / ipv4(PACS4, CT4) / header.ack().ack_number(1);
    let archive = || tcp(104, 40000);
    world.sequence([
        ("opened outside.0 router", there(tcp(40000, 104).syn())),
        ("kernel gateway", outside(back(archive().syn()))),
        ("established outside.0 router", there(tcp(40000, 104).seq(1).ack().ack_number(1))),
        ("kernel gateway", outside(back(archive().seq(1).rst()))),
        // It says nothing new, and must not make the connection a half-closed one of an hour.
        ("kernel gateway", outside(back(archive().fin()))),
        ("tcp_state", outside(back(archive().seq(1)) / payload(b"pixels"))),
    ]);
}

#[test]
fn what_is_forwarded_leaves_by_no_other_port_than_its_receivers() {
    let mut world = World::new();
    world.route([PACS4], Route::Unresolved);
    let ask = || ipv4(CT4, PACS4) / udp(40000, 123);
    let answer = || ipv4(PACS4, CT4) / udp(123, 40000);
    world.sequence([
        ("opened gateway", trunk(ct() / ask())),
        ("kernel outside.0 kept", forwarded(0, 1, 0, to_hospital() / ask())),
        ("egress", forwarded(1, 1, 0, to_hospital() / ask())),
        ("egress", forwarded(2, 1, 0, to_hospital() / ask())),
        ("egress", forwarded(0, 2, 0, eth(SIDE, ROUTER) / ask())),
        ("egress", forwarded(0, 0, 130, eth(TRUNK, ROUTER) / ask())),
        ("egress", forwarded(0, 1, 120, to_hospital() / ask())),
        ("egress", forwarded(0, 1, 7, to_hospital() / vlan(7) / ask())),
        ("egress", forwarded(0, 1, 0, eth(CT, ROUTER) / ask())),
        ("egress", forwarded(0, 1, 0, to_hospital() / ipv4(CT4, PACS4) / udp(40001, 123))),
        ("egress", forwarded(0, 1, 0, to_hospital() / ipv4(CT4, PACS4) / gre() / payload([0; 8]))),
        ("egress", forwarded(0, 1, 0, to_hospital() / arp_request(OUTSIDE, HOSPITAL_GATE4, PACS4))),
        ("egress", forwarded(0, 0, 130, eth(TRUNK, MONITOR) / answer())),
        ("kernel trunk.120 kept", forwarded(1, 0, 120, to_ct() / answer())),
    ]);
}

#[test]
fn an_error_that_was_left_to_the_kernel_leaves() {
    let mut world = World::new();
    world.route([CT4], Route::Unresolved);
    let syn = || ct() / ipv4(CT4, PACS4) / tcp(40000, 104).syn();
    let error = || ipv4("172.31.0.2", CT4) / icmp_unreachable(&syn());
    world.sequence([
        ("egress", forwarded(1, 0, 120, to_ct() / error())),
        ("opened outside.0 router", trunk(syn())),
        ("related gateway", outside(hospital() / error())),
        ("kernel trunk.120 kept", forwarded(1, 0, 120, to_ct() / error())),
        ("egress", forwarded(0, 0, 120, to_ct() / error())),
        ("egress", forwarded(1, 0, 130, to_ct() / error())),
        ("egress", forwarded(1, 1, 0, to_hospital() / error())),
    ]);
}

#[test]
fn what_has_changed_while_a_packet_waited_for_its_neighbour_counts() {
    let mut world = World::new();
    world.route([PACS4, MONITOR4], Route::Unresolved);
    let ask = || ipv4(CT4, PACS4) / udp(40000, 123);
    let alarm = || ipv4(CT4, MONITOR4) / udp(40000, 5000);
    let waiting = || forwarded(0, 1, 0, to_hospital() / ask());
    let urgent = || forwarded(0, 0, 130, eth(TRUNK, MONITOR) / alarm());
    world.sequence([
        ("opened gateway", trunk(ct() / ask())),
        ("opened gateway", trunk(ct() / alarm())),
    ]);
    world.memory.bump();
    world.sequence([("kernel outside.0 kept", waiting()), ("kernel trunk.130 kept", urgent())]);
    world.memory.stop(Stop::Ordinary);
    world.sequence([("stopped", waiting()), ("kernel trunk.130 kept", urgent())]);
    world.memory.stop(Stop::Hard);
    world.sequence([("stopped", waiting()), ("stopped", urgent())]);
    world.memory.stop(Stop::None);
    world.stop_subnetwork("hospital", Stop::Ordinary);
    world.sequence([("stopped_subnetwork", waiting()), ("kernel trunk.130 kept", urgent())]);
    world.stop_subnetwork("hospital", Stop::None);
    world.memory.isolate(world.node("ct"), true);
    world.sequence([("egress", waiting()), ("egress", urgent())]);
    world.memory.isolate(world.node("ct"), false);
    world.sequence([("kernel outside.0 kept", waiting())]);
    world.reload(&POLICY.replace(r#""dicom", "ping", "ntp""#, r#""dicom""#));
    world.sequence([("egress", waiting()), ("kernel trunk.130 kept", urgent())]);
    world.wait(60);
    world.sequence([("egress", urgent())]);
}

#[test]
fn what_waited_leaves_where_its_receiver_lives_by_now() {
    let mut world = World::new();
    world.route([MONITOR4], Route::Unresolved);
    let alarm = || ipv4(CT4, MONITOR4) / udp(40000, 5000);
    let waiting = |tag| forwarded(0, 0, tag, eth(TRUNK, MONITOR) / alarm());
    world.sequence([
        ("opened gateway", trunk(ct() / alarm())),
        ("kernel trunk.130 kept", waiting(130)),
    ]);
    world.reload(&POLICY.replace("vlan = 130", "vlan = 131"));
    world.sequence([("egress", waiting(130)), ("kernel trunk.131 kept", waiting(131))]);
}

#[test]
fn a_stop_holds_for_what_the_gateway_says_itself() {
    let world = World::new();
    let time = || own(1, 0, to_hospital() / ipv4(HOSPITAL_GATE4, PACS4) / udp(123, 123));
    let alarm = || own(0, 130, eth(TRUNK, MONITOR) / ipv4(WARDS_GATE4, MONITOR4) / udp(1, 5000));
    let asks =
        || own(0, 130, eth(TRUNK, Mac::BROADCAST) / arp_request(TRUNK, WARDS_GATE4, MONITOR4));
    world.memory.stop(Stop::Ordinary);
    world.sequence([
        ("stopped", time()),
        ("opened trunk.130 kept", alarm()),
        ("arp gateway", asks()),
    ]);
    world.memory.stop(Stop::Hard);
    world.sequence([("stopped", time()), ("stopped", alarm()), ("stopped", asks())]);
    world.memory.stop(Stop::None);
    world.stop_subnetwork("wards", Stop::Hard);
    world.sequence([("opened outside.0 kept", time()), ("stopped_subnetwork", alarm())]);
    world.stop_subnetwork("wards", Stop::None);
    world.memory.isolate(world.node("monitor"), true);
    world.sequence([("egress", alarm()), ("established outside.0 kept", time())]);
}

#[test]
fn a_bridge_sends_nothing_of_its_own() {
    let world = World::new();
    let frames = [
        to_hospital() / ipv4(HOSPITAL_GATE4, PACS4) / udp(123, 123),
        eth(OUTSIDE, Mac::BROADCAST) / arp_request(OUTSIDE, HOSPITAL_GATE4, PACS4),
    ];
    for frame in frames {
        for origin in [Origin::Gateway, Origin::Port(Port(0)), Origin::Unguarded] {
            let leaving = Leaving { origin, port: Port(1), tag: Vlan::UNTAGGED };
            let way = Way::Bridge { peer: Port(0) };
            let result = world.memory.leave(&frame.bytes(), leaving, way, world.now());
            assert_eq!(result, Err(DropReason::Egress), "{origin:?}: {frame:?}");
        }
    }
}

#[test]
fn nothing_leaves_before_a_policy_is_in_force() {
    let memory = Memory::new(&Sizes::default());
    let frame = (to_hospital() / ipv4(HOSPITAL_GATE4, PACS4) / udp(123, 123)).bytes();
    let leaving = Leaving { origin: Origin::Gateway, port: Port(1), tag: Vlan::UNTAGGED };
    assert_eq!(memory.leave(&frame, leaving, Way::Router, Ticks(1)), Err(DropReason::NotArmed));
}
