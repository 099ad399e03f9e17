//! Check 1.5, of a bridge and of a router: what is altered in a connection, one thing at a time, and
//! what comes after its end.

use crate::world::*;

in_both_modes! {
    b_1_5_wrong_flags_in_the_handshake_are_dropped,
    b_1_5_an_altered_source_address_is_dropped,
    b_1_5_an_altered_destination_address_is_dropped,
    b_1_5_an_altered_port_is_dropped,
    b_1_5_altered_sequence_numbers_of_an_established_session_are_dropped,
    b_1_5_altered_flags_are_dropped_and_the_connection_goes_on,
    b_1_5_an_altered_protocol_is_dropped,
    b_1_5_a_packet_within_a_second_after_close_is_dropped,
    b_1_5_a_packet_after_the_timeout_is_dropped,
    b_1_5_an_altered_datagram_and_one_after_the_timeout_are_dropped,
    b_1_5_an_altered_ping_and_one_after_the_timeout_are_dropped,
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// A family's headers of the CT's connection to the archive, there and back.
fn families() -> [(Packet, Packet); 2] {
    [
        (ct() / ipv4(CT4, PACS4), hospital() / ipv4(PACS4, CT4)),
        (ct() / ipv6(CT6, PACS6), hospital() / ipv6(PACS6, CT6)),
    ]
}

/// What becomes of a frame that has a node's address and another's MAC: of those for a router, each has
/// the router's.
const fn to_another_mac(mode: Mode) -> &'static str {
    mode.either("binding_mac", "no_rule")
}

/// The sequence numbers of the two SYNs.
const CLIENT: u32 = 0x1000;
const SERVER: u32 = 0x8000_0000;

/// What the CT sends next behind the handshake, or its SYN.
fn client(flags: u8) -> Tcp {
    let sequence = CLIENT + u32::from(flags & SYN == 0);
    tcp(40000, 104).flags(flags).seq(sequence).ack_number(SERVER + 1)
}

/// The same of the archive.
fn server(flags: u8) -> Tcp {
    let sequence = SERVER + u32::from(flags & SYN == 0);
    tcp(104, 40000).flags(flags).seq(sequence).ack_number(CLIENT + 1)
}

fn out(headers: &Packet, flags: u8) -> Arrival {
    inside(headers / client(flags))
}

fn back(headers: &Packet, flags: u8) -> Arrival {
    outside(headers / server(flags))
}

fn connect(world: &World, (there, here): &(Packet, Packet)) {
    world.sequence([
        ("opened out 0", out(there, SYN)),
        ("established out 120", back(here, SYN | ACK)),
        ("established out 0", out(there, ACK)),
    ]);
}

fn b_1_5_wrong_flags_in_the_handshake_are_dropped(mode: Mode) {
    let world = World::new(mode);
    for (there, here) in families() {
        world.sequence([
            ("tcp_state", out(&there, ACK)),
            ("tcp_state", out(&there, SYN | ACK)),
            ("no_rule", back(&here, SYN | ACK)),
            ("opened out 0", out(&there, SYN)),
            ("tcp_state", out(&there, ACK)),
            ("tcp_state", out(&there, FIN | ACK)),
            ("tcp_flags", out(&there, SYN | FIN)),
            ("tcp_flags", out(&there, 0)),
            ("tcp_state", back(&here, SYN)),
            ("tcp_state", back(&here, FIN | ACK)),
            ("established out 120", back(&here, SYN | ACK)),
            ("tcp_state", back(&here, ACK)),
            ("established out 0", out(&there, ACK)),
        ]);
    }
}

fn b_1_5_an_altered_source_address_is_dropped(mode: Mode) {
    let world = World::new(mode);
    families().iter().for_each(|family| connect(&world, family));
    let ack = || client(ACK);
    world.sequence([
        ("binding_mac", inside(ct() / ipv4(MR4, PACS4) / ack())),
        ("binding_mac", inside(ct() / ipv6(MR6, PACS6) / ack())),
        ("unknown_source", inside(ct() / ipv4("10.20.0.99", PACS4) / ack())),
        ("no_rule", outside(hospital() / ipv4(MONITOR4, CT4) / server(ACK))),
    ]);
}

fn b_1_5_an_altered_destination_address_is_dropped(mode: Mode) {
    let world = World::new(mode);
    families().iter().for_each(|family| connect(&world, family));
    let ack = || client(ACK);
    world.sequence([
        ("no_rule", inside(ct() / ipv4(CT4, MONITOR4) / ack())),
        ("no_rule", inside(ct() / ipv6(CT6, "fd00:1::30") / ack())),
        ("unknown_destination", inside(ct() / ipv4(CT4, "10.0.9.9") / ack())),
        (to_another_mac(mode), outside(hospital() / ipv4(PACS4, MR4) / server(ACK))),
    ]);
}

fn b_1_5_an_altered_port_is_dropped(mode: Mode) {
    let world = World::new(mode);
    for family in families() {
        connect(&world, &family);
        let (there, here) = &family;
        let sent =
            |from, to| inside(there / tcp(from, to).ack().seq(CLIENT + 1).ack_number(SERVER + 1));
        let answered =
            |from, to| outside(here / tcp(from, to).ack().seq(SERVER + 1).ack_number(CLIENT + 1));
        world.sequence([
            ("tcp_state", sent(40001, 104)),
            ("tcp_state", sent(40000, 11112)),
            ("no_rule", sent(40000, 105)),
            ("no_rule", answered(105, 40000)),
            ("no_rule", answered(104, 40001)),
            ("established out 0", out(there, ACK)),
        ]);
    }
}

fn b_1_5_altered_sequence_numbers_of_an_established_session_are_dropped(mode: Mode) {
    // The largest window that is not scaled, which is what both ends allow.
    const WINDOW: u32 = 0xffff;
    let world = World::new(mode);
    for family in families() {
        connect(&world, &family);
        let (there, here) = &family;
        let out_at = |number: u32| inside(there / client(ACK).seq(number) / payload(b"data"));
        let back_at = |number: u32| outside(here / server(ACK).seq(number) / payload(b"data"));
        for distance in [WINDOW, 1 << 20, 1 << 31] {
            world.sequence([
                ("tcp_state", out_at(CLIENT + 1 + distance)),
                ("tcp_state", back_at((SERVER + 1).wrapping_add(distance))),
                ("tcp_state", out_at(CLIENT.wrapping_sub(distance))),
                ("tcp_state", back_at(SERVER.wrapping_sub(distance))),
            ]);
        }
        let out_for = |number: u32| inside(there / client(ACK).ack_number(number));
        let back_for = |number: u32| outside(here / server(ACK).ack_number(number));
        world.sequence([
            // Nobody acknowledges what was never sent, or long ago.
            ("tcp_state", out_for(SERVER + 2)),
            ("tcp_state", back_for(CLIENT + 2)),
            ("tcp_state", out_for(SERVER - WINDOW - 1000)),
            ("tcp_state", back_for(CLIENT.wrapping_sub(WINDOW + 1000))),
            ("established out 0", out_at(CLIENT + 1)),
            ("established out 120", back_at(SERVER + 1)),
        ]);
    }
}

fn b_1_5_altered_flags_are_dropped_and_the_connection_goes_on(mode: Mode) {
    let world = World::new(mode);
    for family in families() {
        connect(&world, &family);
        let (there, here) = &family;
        world.sequence([
            ("tcp_flags", out(there, 0)),
            ("tcp_flags", out(there, SYN | FIN)),
            ("tcp_flags", out(there, SYN | RST)),
            ("tcp_flags", out(there, FIN)),
            ("tcp_flags", out(there, ACK | 0x20)),
            ("tcp_state", out(there, SYN | ACK)),
            ("tcp_state", back(here, SYN)),
            ("established out 0", out(there, ACK)),
            ("established out 120", back(here, ACK)),
        ]);
    }
}

fn b_1_5_an_altered_protocol_is_dropped(mode: Mode) {
    let world = World::new(mode);
    for family in families() {
        connect(&world, &family);
        let (there, here) = &family;
        world.sequence([
            ("no_rule", inside(there / udp(40000, 104))),
            ("no_rule", outside(here / udp(104, 40000))),
        ]);
    }
}

fn b_1_5_a_packet_within_a_second_after_close_is_dropped(mode: Mode) {
    let world = World::new(mode);
    for family in families() {
        let (there, here) = &family;
        let last = || client(ACK).seq(CLIENT + 2).ack_number(SERVER + 2);
        connect(&world, &family);
        world.sequence([
            ("established out 0", out(there, FIN | ACK)),
            ("established out 120", outside(here / server(FIN | ACK).ack_number(CLIENT + 2))),
            ("established out 0", inside(there / last())),
            ("tcp_state", inside(there / last() / payload(b"data"))),
            ("tcp_state", outside(here / server(ACK).seq(SERVER + 2) / payload(b"data"))),
        ]);
        world.forget_flows();
        connect(&world, &family);
        world.sequence([
            ("established out 0", out(there, RST)),
            ("tcp_state", out(there, ACK)),
            ("no_rule", back(here, ACK)),
        ]);
    }
}

fn b_1_5_a_packet_after_the_timeout_is_dropped(mode: Mode) {
    let world = World::new(mode);
    for family in families() {
        let (there, here) = &family;
        connect(&world, &family);
        world.wait(24 * 3600 + 2);
        world.sequence([("tcp_state", out(there, ACK)), ("no_rule", back(here, ACK))]);
    }
}

fn b_1_5_an_altered_datagram_and_one_after_the_timeout_are_dropped(mode: Mode) {
    let world = World::new(mode);
    for (there, here) in families() {
        world.sequence([
            ("opened out 0", inside(&there / udp(40000, 123))),
            ("no_rule", outside(&here / udp(123, 40001))),
            ("no_rule", outside(&here / udp(124, 40000))),
            ("established out 120", outside(&here / udp(123, 40000))),
            ("no_rule", inside(&there / udp(40000, 124))),
        ]);
        world.wait(182);
        world.sequence([("no_rule", outside(&here / udp(123, 40000)))]);
    }
    world.sequence([
        ("opened out 0", inside(ct() / ipv4(CT4, PACS4) / udp(40000, 123))),
        ("no_rule", outside(hospital() / ipv4(MONITOR4, CT4) / udp(123, 40000))),
        (to_another_mac(mode), outside(hospital() / ipv4(PACS4, MR4) / udp(123, 40000))),
    ]);
}

fn b_1_5_an_altered_ping_and_one_after_the_timeout_are_dropped(mode: Mode) {
    let world = World::new(mode);
    for (there, here) in families() {
        world.sequence([
            ("no_rule", outside(&here / echo_reply(7, 1))),
            ("opened out 0", inside(&there / echo_request(7, 1))),
            ("no_rule", outside(&here / echo_reply(8, 1))),
            ("no_rule", outside(&here / echo_request(7, 1))),
            ("no_rule", inside(&there / echo_reply(7, 1))),
            ("established out 120", outside(&here / echo_reply(7, 1))),
        ]);
        world.wait(182);
        world.sequence([("no_rule", outside(&here / echo_reply(7, 1)))]);
    }
}
