//! ICMP errors, which quote the packet that they are about.

use super::{Family, Icmp, Packet};

/// The destination of `quoted` cannot be reached: its port, for either family. `code` says
/// otherwise.
pub fn icmp_unreachable(quoted: &Packet) -> Icmp {
    match quoted_family(quoted) {
        Family::V4 => icmp_quoting(quoted, 3, 3),
        Family::V6 => icmp_quoting(quoted, 1, 4),
    }
}

/// `quoted` does not fit into `mtu` bytes: "fragmentation needed" of RFC 1191, "packet too big" of
/// RFC 4443.
pub fn icmp_packet_too_big(quoted: &Packet, mtu: u16) -> Icmp {
    let [high, low] = mtu.to_be_bytes();
    let error = match quoted_family(quoted) {
        Family::V4 => icmp_quoting(quoted, 3, 4),
        Family::V6 => icmp_quoting(quoted, 2, 0),
    };
    error.rest([0, 0, high, low])
}

/// `quoted` ran out of hops.
pub fn icmp_time_exceeded(quoted: &Packet) -> Icmp {
    match quoted_family(quoted) {
        Family::V4 => icmp_quoting(quoted, 11, 0),
        Family::V6 => icmp_quoting(quoted, 3, 0),
    }
}

/// An error of any type, in the family of `quoted`. It quotes from the outermost IP header on: with
/// IPv4 that header and eight bytes (RFC 792), with IPv6 as much as fits the minimum MTU (RFC 4443).
pub fn icmp_quoting(quoted: &Packet, kind: u8, code: u8) -> Icmp {
    let (index, family) = quoted.network().expect("only IP packets are quoted");
    let inner = quoted.bytes_from(index).len();
    let start = quoted.bytes_from(0).len() - inner;
    let mut bytes = quoted.bytes();
    let bytes = bytes.drain(start.min(bytes.len())..).take(inner).collect::<Vec<_>>();
    let error = Icmp::new(Some(family), (kind, kind), code);
    match family {
        Family::V4 => {
            let header = inner - quoted.bytes_from(index + 1).len();
            error.body(bytes).quote_length(header + 8)
        }
        Family::V6 => error.body(bytes).quote_length(1280 - 40 - 8),
    }
}

fn quoted_family(quoted: &Packet) -> Family {
    let (_, family) = quoted.network().expect("only IP packets are quoted");
    family
}
