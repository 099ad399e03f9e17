//! TCP sequence windows: what a connection may carry, and what is out of place in it. How it begins
//! and ends is in `handshakes.rs`.

use crate::fixture::*;

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const ACK: u8 = 16;

/// The largest window that is not scaled.
pub(crate) const WINDOW: u32 = 0xffff;
/// A window scale of 7, aligned.
pub(crate) const SCALE_7: [u8; 4] = [1, 3, 3, 7];

/// The CT and the archive, and the sequence numbers of their SYNs.
#[derive(Clone, Copy)]
pub(crate) struct Talk {
    pub(crate) ct: u32,
    pub(crate) pacs: u32,
}

pub(crate) const TALK: Talk = Talk { ct: 1_000_000, pacs: 2_000_000 };

/// A connection whose numbers wrap around with the first byte.
pub(crate) const WRAPPING: Talk = Talk { ct: u32::MAX, pacs: u32::MAX - 2 };

impl Talk {
    /// A segment of the CT; numbers count from behind the SYNs.
    pub(crate) fn out(self, flags: u8, at: u32, acknowledged: u32) -> Tcp {
        tcp(40000, 104)
            .flags(flags)
            .seq(self.ct.wrapping_add(1).wrapping_add(at))
            .ack_number(self.pacs.wrapping_add(1).wrapping_add(acknowledged))
    }

    /// A segment of the archive.
    pub(crate) fn back(self, flags: u8, at: u32, acknowledged: u32) -> Tcp {
        tcp(104, 40000)
            .flags(flags)
            .seq(self.pacs.wrapping_add(1).wrapping_add(at))
            .ack_number(self.ct.wrapping_add(1).wrapping_add(acknowledged))
    }

    pub(crate) fn handshake(self, world: &World, asked: &[u8], answered: &[u8]) {
        world.sequence([
            ("opened out 0", out(tcp(40000, 104).syn().seq(self.ct).options(asked))),
            ("established out 120", back(self.back(SYN | ACK, BEFORE, 0).options(answered))),
            ("established out 0", out(self.out(ACK, 0, 0))),
        ]);
        world.ledger();
    }

    pub(crate) fn established(self) -> World {
        let world = World::new();
        self.handshake(&world, &[], &[]);
        world
    }
}

/// One before the first byte: the SYN.
pub(crate) const BEFORE: u32 = u32::MAX;

pub(crate) fn out(segment: impl Into<Packet>) -> Arrival {
    inside(ct() / ipv4(CT4, PACS4) / segment.into())
}

pub(crate) fn back(segment: impl Into<Packet>) -> Arrival {
    outside(hospital() / ipv4(PACS4, CT4) / segment.into())
}

pub(crate) fn bytes(count: usize) -> Payload {
    payload(vec![7; count])
}

#[test]
fn data_in_the_window_passes_both_ways_and_beyond_it_does_not() {
    for talk in [TALK, WRAPPING] {
        let world = talk.established();
        world.sequence([
            ("established out 0", out(talk.out(ACK, 0, 0) / bytes(1000))),
            ("established out 120", back(talk.back(ACK, 0, 1000) / bytes(500))),
            ("established out 0", out(talk.out(ACK, 1000, 500))),
            ("tcp_state", out(talk.out(ACK, 1000 + WINDOW - 99, 500) / bytes(100))),
            ("established out 0", out(talk.out(ACK, 1000 + WINDOW - 100, 500) / bytes(100))),
            ("established out 0", out(talk.out(ACK, 1000 + WINDOW, 500))),
            ("tcp_state", out(talk.out(ACK, 1001 + WINDOW, 500))),
            ("tcp_state", out(talk.out(ACK, 1 << 31, 500) / bytes(1))),
            ("established out 120", back(talk.back(ACK, 500 + WINDOW - 9, 1000) / bytes(9))),
            ("tcp_state", back(talk.back(ACK, 500 + WINDOW + 1, 1000) / bytes(9))),
        ]);
        assert_eq!(world.ledger(), "established 6, tcp_state 4");
    }
}

#[test]
fn data_from_long_ago_does_not_pass() {
    let world = TALK.established();
    world.sequence([
        ("established out 0", out(TALK.out(ACK, 50_000, 0) / bytes(1000))),
        ("established out 120", back(TALK.back(ACK, 0, 51_000))),
        ("established out 0", out(TALK.out(ACK, 100_000, 0) / bytes(1000))),
        ("established out 0", out(TALK.out(ACK, 101_000 - WINDOW, 0) / bytes(10))),
        ("tcp_state", out(TALK.out(ACK, 101_000 - WINDOW - 1, 0) / bytes(10))),
        ("tcp_state", out(TALK.out(ACK, 0, 0) / bytes(10))),
    ]);
}

#[test]
fn nobody_acknowledges_what_was_never_sent_or_long_ago() {
    let world = TALK.established();
    world.sequence([
        ("established out 0", out(TALK.out(ACK, 0, 0) / bytes(1000))),
        ("tcp_state", back(TALK.back(ACK, 0, 1001))),
        ("tcp_state", back(TALK.back(ACK, 0, 1 << 31))),
        ("established out 120", back(TALK.back(ACK, 0, 1000))),
        ("established out 120", back(TALK.back(ACK, 0, 0))),
        ("established out 120", back(TALK.back(ACK, 0, 1000_u32.wrapping_sub(66_000)))),
        ("tcp_state", back(TALK.back(ACK, 0, 999_u32.wrapping_sub(66_000)))),
        ("tcp_state", back(TALK.back(FIN | ACK, 0, 1001))),
        ("tcp_state", back(TALK.back(RST | ACK, 0, 1001))),
    ]);
}

#[test]
fn windows_are_scaled_if_both_ends_offer_it() {
    let beyond = 300_000;
    for (asked, answered, told) in [
        (&SCALE_7[..], &SCALE_7[..], "established out 0"),
        (
            &[2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 3, 9],
            &SCALE_7,
            "established out 0",
        ),
        (&[3, 3, 7, 0], &[3, 3, 7, 0], "established out 0"),
        (&SCALE_7, &[3, 3, 200, 0], "established out 0"),
        (&SCALE_7, &[], "tcp_state"),
        (&[], &SCALE_7, "tcp_state"),
        (&SCALE_7, &[1, 3, 3, 0], "tcp_state"),
        // Behind the end of the list (RFC 9293, 3.1).
        (&SCALE_7, &[0, 3, 3, 7], "tcp_state"),
        // Within another option.
        (&SCALE_7, &[254, 5, 3, 3, 7, 0, 0, 0], "tcp_state"),
    ] {
        let world = World::new();
        TALK.handshake(&world, asked, answered);
        world.sequence([
            // The window of a SYN+ACK is not scaled.
            ("tcp_state", out(TALK.out(ACK, beyond, 0) / bytes(100))),
            ("established out 120", back(TALK.back(ACK, 0, 0).window(3000))),
            (told, out(TALK.out(ACK, beyond, 0) / bytes(100))),
        ]);
    }
}

#[test]
fn options_that_lie_about_their_length_are_dropped() {
    let world = World::new();
    let syn = |options: &[u8]| out(tcp(40000, 104).syn().options(options));
    let mut full = [1; 40];
    full[37..].copy_from_slice(&[3, 3, 7]);
    world.table([
        ("opened out 0", syn(&[])),
        ("opened out 0", syn(&[0, 0, 0, 0])),
        ("opened out 0", syn(&[1, 1, 1, 1])),
        ("opened out 0", syn(&full)),
        ("opened out 0", syn(&[254, 4])),
        ("opened out 0", syn(&[254, 2, 254, 2, 254, 2, 254, 2, 254, 2, 254, 2, 254, 2, 254, 2])),
        ("opened out 0", syn(&[0, 3, 99, 7])),
        ("transport_header", syn(&[254, 0, 0, 0])),
        ("transport_header", syn(&[254, 1, 0, 0])),
        ("transport_header", syn(&[1, 1, 1, 254])),
        ("transport_header", syn(&[254, 5, 0, 0])),
        ("transport_header", syn(&[254, 255, 0, 0])),
        ("transport_header", syn(&[1, 1, 3, 3])),
        ("transport_header", syn(&[1, 1, 3, 2])),
        ("transport_header", syn(&[3, 4, 7, 7])),
        ("transport_header", out(tcp(40000, 104).syn().ack().options([254, 0, 0, 0]))),
        ("tcp_state", out(tcp(40000, 104).ack().options([254, 0, 0, 0]))),
    ]);
}

#[test]
fn a_closed_window_is_probed_and_opens_again() {
    let world = TALK.established();
    world.sequence([
        ("established out 0", out(TALK.out(ACK, 0, 0) / bytes(1000))),
        ("established out 120", back(TALK.back(ACK, 0, 1000).window(0))),
    ]);
    let world = World::new();
    world.sequence([
        ("opened out 0", out(tcp(40000, 104).syn().seq(TALK.ct))),
        ("established out 120", back(TALK.back(SYN | ACK, BEFORE, 0).window(1000))),
        ("established out 0", out(TALK.out(ACK, 0, 0))),
        ("established out 0", out(TALK.out(ACK, 0, 0) / bytes(1000))),
        ("established out 120", back(TALK.back(ACK, 0, 1000).window(0))),
        ("established out 0", out(TALK.out(ACK, 999, 0))),
        ("tcp_state", out(TALK.out(ACK, 1001, 0) / bytes(1))),
        ("established out 0", out(TALK.out(ACK, 1000, 0) / bytes(1))),
        ("established out 120", back(TALK.back(ACK, 0, 1000).window(0))),
        ("established out 120", back(TALK.back(ACK, 0, 1000).window(2000))),
        ("established out 0", out(TALK.out(ACK, 2000, 0) / bytes(1000))),
        ("tcp_state", out(TALK.out(ACK, 3001, 0) / bytes(1))),
    ]);
}

#[test]
fn a_connection_is_kept_alive_from_both_sides() {
    let world = TALK.established();
    world.sequence([
        ("established out 0", out(TALK.out(ACK, 0, 0) / bytes(1000))),
        ("established out 120", back(TALK.back(ACK, 0, 1000))),
        ("established out 0", out(TALK.out(ACK, 999, 0))),
        ("established out 120", back(TALK.back(ACK, 0, 1000))),
        ("established out 0", out(TALK.out(ACK, 999, 0) / bytes(1))),
        ("established out 120", back(TALK.back(ACK, BEFORE, 1000))),
        ("established out 0", out(TALK.out(ACK, 1000, 0))),
        ("established out 120", back(TALK.back(ACK, BEFORE, 1000) / bytes(1))),
    ]);
}

#[test]
fn segments_overtake_each_other_and_are_sent_again() {
    for talk in [TALK, WRAPPING] {
        let world = talk.established();
        let data = |number: u32| out(talk.out(ACK, 1000 * number, 0) / bytes(1000));
        for number in [0, 2, 1, 5, 3, 4, 9, 8, 7, 6] {
            world.sequence([("established out 0", data(number))]);
        }
        world.sequence([
            ("established out 120", back(talk.back(ACK, 0, 10_000))),
            ("established out 120", back(talk.back(ACK, 0, 3000))),
        ]);
        for number in 0..10 {
            world.sequence([("established out 0", data(number))]);
        }
        assert_eq!(world.ledger(), "established 22");
    }
}

#[test]
fn either_end_closes_while_the_other_goes_on() {
    let world = TALK.established();
    world.sequence([
        ("established out 0", out(TALK.out(FIN | ACK, 0, 0))),
        ("established out 120", back(TALK.back(ACK, 0, 1))),
        ("established out 120", back(TALK.back(ACK, 0, 1) / bytes(1000))),
        ("established out 0", out(TALK.out(FIN | ACK, 0, 0))),
        ("established out 0", out(TALK.out(ACK, 1, 1000))),
        ("tcp_state", out(TALK.out(ACK, 1, 1001))),
        ("established out 120", back(TALK.back(FIN | ACK, 1000, 1) / bytes(500))),
        // It was lost behind the gateway.
        ("established out 120", back(TALK.back(FIN | ACK, 1000, 1) / bytes(500))),
        ("tcp_state", back(TALK.back(ACK, 1501, 1) / bytes(1))),
        ("tcp_state", back(TALK.back(FIN | ACK, 1501, 1))),
        ("tcp_state", out(TALK.out(ACK, 1, 1501) / bytes(1))),
        ("established out 0", out(TALK.out(ACK, 1, 1501))),
        ("tcp_state", out(TALK.out(ACK, 1, 1502))),
    ]);
}

#[test]
fn windows_outlive_a_reload() {
    let mut world = TALK.established();
    world.sequence([
        ("established out 0", out(TALK.out(ACK, 0, 0) / bytes(1000))),
        ("established out 120", back(TALK.back(ACK, 0, 1000))),
    ]);
    world.reload(&POLICY.replace(r#"name = "alarms""#, r#"name = "vital signs""#));
    world.sequence([
        ("tcp_state", out(TALK.out(ACK, 1001 + WINDOW, 0) / bytes(10))),
        ("tcp_state", back(TALK.back(ACK, 0, 1001))),
        ("established out 0", out(TALK.out(ACK, 1000, 0) / bytes(10))),
        ("established out 120", back(TALK.back(ACK, 0, 1010))),
    ]);
}

#[test]
fn numbers_may_wrap_around_again_and_again() {
    const STEP: u32 = 1 << 29;
    const SCALE_14: [u8; 4] = [1, 3, 3, 14];
    let world = World::new();
    WRAPPING.handshake(&world, &SCALE_14, &SCALE_14);
    world.sequence([("established out 120", back(WRAPPING.back(ACK, 0, 0)))]);
    for turn in 1..40_u32 {
        let at = turn.wrapping_mul(STEP);
        let next = at.wrapping_add(WINDOW << 14);
        world.sequence([
            ("established out 0", out(WRAPPING.out(ACK, at.wrapping_sub(1), 0) / bytes(1))),
            ("tcp_state", back(WRAPPING.back(ACK, 0, at.wrapping_add(1)))),
            ("established out 120", back(WRAPPING.back(ACK, 0, at))),
            ("tcp_state", out(WRAPPING.out(ACK, next, 0) / bytes(1))),
        ]);
    }
}
