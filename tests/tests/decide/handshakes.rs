//! Who begins a TCP connection and who ends it: only who has seen its sequence numbers.

use crate::fixture::*;
use crate::windows::*;

#[test]
fn a_reset_ends_a_connection_only_where_its_sender_stands() {
    for talk in [TALK, WRAPPING] {
        for flags in [RST, RST | ACK] {
            let world = talk.established();
            world.sequence([
                ("established out 0", out(talk.out(ACK, 0, 0) / bytes(1000))),
                ("tcp_state", out(talk.out(flags, 1 + WINDOW, 0))),
                ("tcp_state", out(talk.out(flags, 1 << 31, 0))),
                ("tcp_state", out(talk.out(flags, 999_u32.wrapping_sub(WINDOW), 0))),
                ("tcp_state", back(talk.back(flags, 1 << 30, 0))),
                // Its receiver challenges it (RFC 5961, 3.2), so nothing ends here.
                ("established out 0", out(talk.out(flags, 1001, 0))),
                ("established out 0", out(talk.out(flags, 999, 0))),
                ("established out 120", back(talk.back(ACK, 0, 1000) / bytes(10))),
                ("established out 0", out(talk.out(flags, 1000, 0))),
                ("no_rule", back(talk.back(ACK, 10, 1000))),
            ]);
            assert_eq!(world.memory.flow_counts(), (0, 0));
        }
    }
}

#[test]
fn only_who_has_seen_the_syn_refuses_it() {
    let world = World::new();
    let refusal = |number| back(tcp(104, 40000).rst().ack().seq(0).ack_number(number));
    world.sequence([
        ("opened out 0", out(tcp(40000, 104).syn().seq(TALK.ct))),
        ("tcp_state", refusal(0)),
        ("tcp_state", refusal(TALK.ct)),
        ("tcp_state", refusal(TALK.ct + 2)),
        ("tcp_state", back(tcp(104, 40000).rst().seq(0).ack_number(TALK.ct + 1))),
        ("tcp_state", out(tcp(40000, 104).rst().seq(TALK.ct))),
        ("established out 120", refusal(TALK.ct + 1)),
        ("no_rule", refusal(TALK.ct + 1)),
    ]);
}

#[test]
fn only_who_has_seen_the_other_syn_completes_a_handshake() {
    let world = World::new();
    world.sequence([
        ("opened out 0", out(tcp(40000, 104).syn().seq(TALK.ct))),
        ("tcp_state", back(TALK.back(SYN | ACK, BEFORE, 1))),
        ("tcp_state", back(TALK.back(SYN | ACK, BEFORE, BEFORE))),
        ("established out 120", back(TALK.back(SYN | ACK, BEFORE, 0))),
        ("tcp_state", back(TALK.back(SYN | ACK, BEFORE, 1))),
        ("tcp_state", out(TALK.out(ACK, 0, 1))),
        ("tcp_state", out(TALK.out(ACK, 0, BEFORE))),
        ("tcp_state", out(TALK.out(FIN | ACK, 0, 1))),
        ("tcp_state", out(TALK.out(ACK, 1 << 20, 0))),
    ]);
    assert_eq!(world.memory.flow_counts(), (1, 0));
    // The acknowledgement is lost before it gets here, the data behind it is not.
    world.sequence([("established out 0", out(TALK.out(ACK, 1460, 0) / bytes(1460)))]);
    assert_eq!(world.memory.flow_counts(), (0, 1));
}

#[test]
fn a_port_that_is_used_again_has_new_windows() {
    let world = TALK.established();
    let next = Talk { ct: 0x9000_0000, pacs: 0x3000_0000 };
    world.sequence([
        ("established out 0", out(TALK.out(FIN | ACK, 0, 0))),
        ("established out 120", back(TALK.back(FIN | ACK, 0, 1))),
        ("established out 0", out(TALK.out(ACK, 1, 1))),
        ("established out 0", out(tcp(40000, 104).syn().seq(next.ct))),
        ("tcp_state", back(TALK.back(SYN | ACK, BEFORE, 0))),
        ("established out 120", back(next.back(SYN | ACK, BEFORE, 0))),
        ("tcp_state", out(TALK.out(ACK, 1, 1))),
        ("established out 0", out(next.out(ACK, 0, 0))),
        ("established out 120", back(next.back(ACK, 0, 0) / bytes(100))),
        ("tcp_state", back(TALK.back(ACK, 1, 1) / bytes(100))),
    ]);
}

#[test]
fn an_initiator_that_asks_anew_before_it_is_answered_has_its_last_syn_answered() {
    let world = World::new();
    let next = Talk { ct: 0x9000_0000, ..TALK };
    world.sequence([
        ("opened out 0", out(tcp(40000, 104).syn().seq(TALK.ct))),
        ("established out 0", out(tcp(40000, 104).syn().seq(next.ct))),
        ("tcp_state", back(TALK.back(SYN | ACK, BEFORE, 0))),
        ("established out 120", back(next.back(SYN | ACK, BEFORE, 0))),
        ("established out 0", out(next.out(ACK, 0, 0))),
    ]);
}

#[test]
fn an_initiator_that_lost_its_memory_resets_what_the_responder_remembers() {
    let world = TALK.established();
    let next = Talk { ct: 0x9000_0000, pacs: 0x3000_0000 };
    world.sequence([
        ("established out 0", out(tcp(40000, 104).syn().seq(next.ct))),
        ("established out 120", back(TALK.back(ACK, 0, 0))),
        ("established out 0", out(TALK.out(RST, 0, 0))),
        ("opened out 0", out(tcp(40000, 104).syn().seq(next.ct))),
        ("established out 120", back(next.back(SYN | ACK, BEFORE, 0))),
        ("established out 0", out(next.out(ACK, 0, 0))),
    ]);
}

#[test]
fn two_ends_that_both_lost_their_memory_begin_anew() {
    let next = Talk { ct: 0x9000_0000, pacs: 0x3000_0000 };
    let world = World::new();
    TALK.handshake(&world, &SCALE_7, &SCALE_7);
    world.sequence([
        ("tcp_state", back(next.back(SYN | ACK, BEFORE, 0))),
        ("established out 0", out(tcp(40000, 104).syn().seq(next.ct).options(SCALE_7))),
        ("tcp_state", back(next.back(SYN | ACK, BEFORE, 1))),
        ("established out 120", back(next.back(SYN | ACK, BEFORE, 0).options(SCALE_7))),
        ("established out 120", back(next.back(SYN | ACK, BEFORE, 0).options(SCALE_7))),
        ("tcp_state", back(next.back(ACK, 0, 0))),
        ("established out 0", out(next.out(ACK, 0, 0))),
        ("established out 120", back(next.back(ACK, 0, 0).window(3000))),
        ("established out 0", out(next.out(ACK, 300_000, 0) / bytes(100))),
        ("tcp_state", out(TALK.out(ACK, 0, 0))),
    ]);
    let world = TALK.established();
    let refusal = |number| back(tcp(104, 40000).rst().ack().seq(0).ack_number(number));
    world.sequence([
        ("tcp_state", refusal(next.ct + 1)),
        ("established out 0", out(tcp(40000, 104).syn().seq(next.ct))),
        ("tcp_state", refusal(next.ct + 2)),
        ("established out 120", refusal(next.ct + 1)),
        ("no_rule", refusal(next.ct + 1)),
    ]);
}

#[test]
fn a_syn_of_a_stranger_changes_nothing() {
    let world = TALK.established();
    let strange = Talk { ct: 0x9000_0000, pacs: 0x3000_0000 };
    world.sequence([
        ("established out 0", out(tcp(40000, 104).syn().seq(strange.ct))),
        ("established out 120", back(TALK.back(ACK, 0, 0))),
        ("established out 0", out(TALK.out(ACK, 0, 0) / bytes(100))),
        ("tcp_state", back(strange.back(SYN | ACK, BEFORE, 0))),
        ("established out 120", back(TALK.back(ACK, 0, 100))),
    ]);
    let world = World::new();
    world.sequence([
        ("opened out 0", out(tcp(40000, 104).syn().seq(TALK.ct))),
        ("established out 120", back(TALK.back(SYN | ACK, BEFORE, 0))),
        ("tcp_state", back(TALK.back(ACK, 0, 0))),
        ("established out 0", out(tcp(40000, 104).syn().seq(strange.ct))),
        ("established out 120", back(TALK.back(ACK, 0, 0))),
        ("established out 0", out(TALK.out(ACK, 0, 0))),
        ("tcp_state", back(strange.back(SYN | ACK, BEFORE, 0))),
    ]);
}
