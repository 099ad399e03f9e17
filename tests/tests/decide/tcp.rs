//! TCP connections, from the SYN to the last ACK.

use crate::fixture::*;

/// One connection of the CT to the archive, seen from both sides.
struct Connection {
    out: Packet,
    back: Packet,
    client: u16,
}

impl Connection {
    fn v4() -> Self {
        let (out, back) = (ct() / ipv4(CT4, PACS4), hospital() / ipv4(PACS4, CT4));
        Self { out, back, client: 40000 }
    }

    fn v6() -> Self {
        let (out, back) = (ct() / ipv6(CT6, PACS6), hospital() / ipv6(PACS6, CT6));
        Self { out, back, client: 40000 }
    }

    fn out(&self, flags: u8) -> Arrival {
        self.out_at(flags, CLIENT + u32::from(flags & SYN == 0))
    }

    fn out_at(&self, flags: u8, sequence: u32) -> Arrival {
        let header = tcp(self.client, 104).flags(flags).seq(sequence);
        inside(&self.out / header.ack_number(SERVER + 1))
    }

    fn back(&self, flags: u8) -> Arrival {
        self.back_at(flags, SERVER + u32::from(flags & SYN == 0))
    }

    fn back_at(&self, flags: u8, sequence: u32) -> Arrival {
        let header = tcp(104, self.client).flags(flags).seq(sequence);
        outside(&self.back / header.ack_number(CLIENT + 1))
    }

    fn out_data(&self) -> Arrival {
        let (side, packet) = self.out(PSH | ACK);
        (side, packet / payload(b"A-ASSOCIATE"))
    }

    fn back_data(&self) -> Arrival {
        let (side, packet) = self.back(PSH | ACK);
        (side, packet / payload(b"accepted"))
    }

    fn establish(&self, world: &World) {
        world.sequence([
            ("opened out 0", self.out(SYN)),
            ("established out 120", self.back(SYN | ACK)),
            ("established out 0", self.out(ACK)),
        ]);
        world.ledger();
    }
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const PSH: u8 = 8;
const ACK: u8 = 16;

/// The sequence numbers of the two SYNs.
const CLIENT: u32 = 0x1000;
const SERVER: u32 = 0x8000_0000;

#[test]
fn a_connection_lives_from_handshake_to_close_and_changes_its_tag_on_the_way() {
    for connection in [Connection::v4(), Connection::v6()] {
        let world = World::new();
        world.sequence([
            ("opened out 0", connection.out(SYN)),
            ("established out 120", connection.back(SYN | ACK)),
            ("established out 0", connection.out(ACK)),
            ("established out 0", connection.out_data()),
            ("established out 120", connection.back_data()),
            ("established out 0", connection.out_at(FIN | ACK, CLIENT + 12)),
            ("established out 120", connection.back_data()),
            ("established out 0", connection.out_at(ACK, CLIENT + 13)),
            ("established out 120", connection.back_at(FIN | ACK, SERVER + 9)),
            ("established out 0", connection.out_at(ACK, CLIENT + 13)),
        ]);
        assert_eq!(world.ledger(), "established 9, opened 1");
        assert_eq!(world.memory.flow_counts(), (0, 1));
    }
}

#[test]
fn after_the_close_no_data_passes_and_soon_nothing_does() {
    let (world, connection) = (World::new(), Connection::v4());
    connection.establish(&world);
    world.sequence([
        ("established out 0", connection.out(FIN | ACK)),
        ("established out 120", connection.back(FIN | ACK)),
        ("tcp_state", connection.out_data()),
        ("tcp_state", connection.back_data()),
        ("established out 0", connection.out_at(ACK, CLIENT + 2)),
        ("established out 120", connection.back(FIN | ACK)),
    ]);
    world.wait(10);
    world.sequence([("tcp_state", connection.out(ACK)), ("no_rule", connection.back(ACK))]);
    assert_eq!(world.ledger(), "established 4, no_rule 1, tcp_state 3");
    assert_eq!(world.memory.flow_counts(), (0, 0));
}

#[test]
fn wrong_flags_in_the_handshake_do_not_complete_it() {
    let (world, connection) = (World::new(), Connection::v4());
    world.sequence([
        ("no_rule", connection.back(SYN)),
        ("tcp_state", connection.out(SYN | ACK)),
        ("tcp_state", connection.out(ACK)),
        ("opened out 0", connection.out(SYN)),
        ("tcp_state", connection.out(ACK)),
        ("tcp_state", connection.out(FIN | ACK)),
        ("tcp_state", connection.out(SYN | ACK)),
        ("tcp_state", connection.out_data()),
        ("tcp_state", connection.back(SYN)),
        ("tcp_state", connection.back(FIN | ACK)),
        ("tcp_state", connection.back_data()),
        ("established out 0", connection.out(SYN)),
        ("established out 120", connection.back(SYN | ACK)),
        ("tcp_state", connection.out(SYN | ACK)),
        ("tcp_state", connection.back(SYN)),
        ("tcp_state", connection.back_data()),
        ("tcp_state", connection.back(ACK)),
        ("established out 120", connection.back(SYN | ACK)),
        ("established out 0", connection.out(SYN)),
    ]);
    assert_eq!(world.memory.flow_counts(), (1, 0));
    world.sequence([("established out 0", connection.out(ACK))]);
    assert_eq!(world.memory.flow_counts(), (0, 1));
    assert_eq!(world.ledger(), "established 5, no_rule 1, opened 1, tcp_state 13");
}

#[test]
fn a_segment_from_the_middle_of_a_connection_opens_nothing() {
    let (world, connection) = (World::new(), Connection::v4());
    world.sequence([
        ("tcp_state", connection.out(ACK)),
        ("tcp_state", connection.out_data()),
        ("tcp_state", connection.out(RST)),
        ("tcp_state", connection.out(FIN | ACK)),
        ("no_rule", connection.back_data()),
        ("no_rule", connection.back(RST)),
    ]);
    assert_eq!(world.memory.flow_counts(), (0, 0));
}

#[test]
fn a_reset_ends_a_connection_at_once() {
    for reset in [RST, RST | ACK] {
        let (world, connection) = (World::new(), Connection::v4());
        connection.establish(&world);
        world.sequence([
            ("established out 120", connection.back(reset)),
            ("no_rule", connection.back(reset)),
            ("tcp_state", connection.out_data()),
        ]);
        assert_eq!(world.memory.flow_counts(), (0, 0));
    }
    let (world, connection) = (World::new(), Connection::v4());
    world.sequence([
        ("opened out 0", connection.out(SYN)),
        ("tcp_state", connection.back(RST)),
        ("established out 120", connection.back(RST | ACK)),
        ("no_rule", connection.back(SYN | ACK)),
    ]);
}

#[test]
fn a_responder_that_remembers_an_older_connection_is_reset() {
    let (world, connection) = (World::new(), Connection::v4());
    world.sequence([
        ("opened out 0", connection.out(SYN)),
        (
            "established out 120",
            outside(&connection.back / tcp(104, 40000).ack().seq(9).ack_number(0x0bad)),
        ),
        ("tcp_state", connection.out_at(RST, 0x0bae)),
        ("established out 0", connection.out_at(RST, 0x0bad)),
        ("opened out 0", connection.out(SYN)),
        ("established out 120", connection.back(SYN | ACK)),
        ("established out 0", connection.out(ACK)),
    ]);
}

#[test]
fn a_port_is_used_again_after_the_close() {
    let (world, connection) = (World::new(), Connection::v4());
    connection.establish(&world);
    world.sequence([
        ("established out 120", connection.back(FIN | ACK)),
        ("established out 0", connection.out(FIN | ACK)),
        ("established out 120", connection.back_at(ACK, SERVER + 2)),
        ("established out 0", connection.out(SYN)),
        ("tcp_state", connection.out_data()),
        ("established out 120", connection.back(SYN | ACK)),
        ("established out 0", connection.out(ACK)),
        ("established out 120", connection.back_data()),
    ]);
}

#[test]
fn silence_ends_a_connection_by_its_phase() {
    let (world, connection) = (World::new(), Connection::v4());
    world.sequence([("opened out 0", connection.out(SYN))]);
    world.wait(30);
    world.sequence([("no_rule", connection.back(SYN | ACK))]);
    connection.establish(&world);
    world.wait(24 * 3600 - 1);
    world.sequence([("established out 120", connection.back_data())]);
    world.wait(24 * 3600);
    world.sequence([("no_rule", connection.back_data()), ("tcp_state", connection.out_data())]);
    connection.establish(&world);
    world.sequence([("established out 0", connection.out(FIN | ACK))]);
    world.wait(3599);
    world.sequence([("established out 120", connection.back_data())]);
    world.wait(3600);
    world.sequence([("no_rule", connection.back_data())]);
}

#[test]
fn altered_addresses_and_ports_are_another_flow() {
    let (world, connection) = (World::new(), Connection::v4());
    connection.establish(&world);
    let data = || tcp(40000, 104).psh().ack();
    world.sequence([
        ("binding_mac", inside(ct() / ipv4(MR4, PACS4) / data())),
        ("no_rule", inside(ct() / ipv4(CT4, MONITOR4) / data())),
        ("tcp_state", inside(&connection.out / tcp(40001, 104).ack())),
        ("tcp_state", inside(&connection.out / tcp(40000, 11112).ack())),
        ("no_rule", inside(&connection.out / tcp(40000, 105).ack())),
        ("tcp_flags", inside(&connection.out / data().urg())),
        ("no_rule", outside(&connection.back / tcp(105, 40000).ack())),
        ("established out 0", connection.out_data()),
    ]);
}

#[test]
fn a_rule_has_a_direction() {
    let world = World::new();
    world.sequence([
        ("no_rule", outside(hospital() / ipv4(PACS4, CT4) / tcp(40000, 104).syn())),
        ("no_rule", outside(hospital() / ipv6(PACS6, CT6) / tcp(40000, 104).syn())),
        ("no_rule", outside(hospital() / ipv4(PACS4, CT4) / tcp(104, 40000).syn())),
    ]);
}

#[test]
fn an_untagged_pair_talks_in_both_families() {
    let world = World::new();
    let analyser = Mac::local(0x20);
    for (out, back) in [
        (
            eth(PIPETTE, analyser) / ipv4(PIPETTE4, ANALYSER4),
            eth(analyser, PIPETTE) / ipv4(ANALYSER4, PIPETTE4),
        ),
        (
            eth(PIPETTE, analyser) / ipv6(PIPETTE6, ANALYSER6),
            eth(analyser, PIPETTE) / ipv6(ANALYSER6, PIPETTE6),
        ),
    ] {
        world.sequence([
            ("opened out 0", left(&out / tcp(40000, 443).syn())),
            ("established out 0", right(&back / tcp(443, 40000).syn().ack().ack_number(1))),
            ("established out 0", left(&out / tcp(40000, 443).seq(1).ack().ack_number(1))),
            ("binding_port", right(&out / tcp(40000, 443).ack())),
            ("binding_port", left(&back / tcp(443, 40000).ack())),
        ]);
    }
}
