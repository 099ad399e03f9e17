//! Rows 10, 11 and 15: TCP, UDP, what follows a packet, and services that no rule names.

use crate::row::*;

pub(crate) const FIXTURES: &[Fixture] = &[
    fixture(10, "TCP null", |w| told("tcp_flags", flags(w, 0))),
    fixture(10, "xmas", |w| all("tcp_flags", [flags(w, 0x29), flags(w, 0xff)])),
    fixture(10, "SYN and FIN", |w| all("tcp_flags", [flags(w, 0x03), flags(w, 0x13)])),
    fixture(10, "SYN and RST", |w| all("tcp_flags", [flags(w, 0x06), flags(w, 0x16)])),
    fixture(10, "FIN without ACK", |w| told("tcp_flags", flags(w, 0x01))),
    fixture(10, "SYN with data", |w| {
        let data = || w.syn() / payload(b"GET");
        all("tcp_flags", [w.link() / w.v4() / data(), w.link() / w.v6() / data()])
    }),
    fixture(10, "urgent data", |w| all("tcp_flags", [flags(w, 0x22), flags(w, 0x30)])),
    fixture(10, "port 0", |w| {
        let of = |header: Tcp| w.link() / w.v4() / header.syn();
        all("transport_header", [of(tcp(0, 104)), of(tcp(w.client(), 0))])
    }),
    fixture(10, "a header shorter or longer than its segment", |w| {
        let of = |words: u8| w.link() / w.v4() / w.syn().data_offset(words);
        all("transport_header", [of(4), of(0), of(6), of(15)])
    }),
    fixture(10, "an ACK from the middle of nothing", |w| {
        all("tcp_state", [flags(w, 0x10), flags(w, 0x18), flags(w, 0x11), flags(w, 0x04)])
    }),
    fixture(10, "a SYN+ACK that nobody asked for", |w| told("tcp_state", flags(w, 0x12))),
    fixture(10, "a split handshake", |w| {
        let [talk, _] = Talk::of(w);
        vec![
            talk.out("opened", SYN, 0, 0),
            talk.back("tcp_state", SYN, 0, 0),
            talk.out("tcp_state", SYN | ACK, 0, 1),
            talk.back("established", SYN | ACK, 0, 1),
            talk.out("established", ACK, 1, 1),
        ]
    }),
    fixture(10, "a segment out of window", |w| {
        let steps = |talk: Talk| {
            let mut steps = talk.handshake();
            for distance in [BEYOND, 1 << 20, 1 << 31] {
                steps.extend([
                    talk.out("tcp_state", ACK, 1 + distance, 1),
                    talk.back("tcp_state", ACK, 1 + distance, 1),
                    talk.out("tcp_state", ACK, 0_u32.wrapping_sub(distance), 1),
                    talk.back("tcp_state", ACK, 0_u32.wrapping_sub(distance), 1),
                    talk.out("tcp_state", ACK, 1, 1 + distance),
                    talk.back("tcp_state", ACK, 1, 1 + distance),
                ]);
            }
            steps.extend([talk.out("established", ACK, 1, 1), talk.back("established", ACK, 1, 1)]);
            steps
        };
        Talk::of(w).into_iter().flat_map(steps).collect()
    }),
    fixture(10, "a reset out of window", |w| {
        let steps = |talk: Talk| {
            let mut steps = talk.handshake();
            for (flags, distance) in [(RST, BEYOND), (RST | ACK, BEYOND), (RST, 1 << 31)] {
                steps.extend([
                    talk.out("tcp_state", flags, 1 + distance, 1),
                    talk.back("tcp_state", flags, 1 + distance, 1),
                    talk.out("tcp_state", flags, 0_u32.wrapping_sub(distance), 1),
                    talk.back("tcp_state", flags, 0_u32.wrapping_sub(distance), 1),
                ]);
            }
            steps.extend([
                talk.back("tcp_state", RST | ACK, 1, 2),
                // It goes on, until a reset stands where its sender does.
                talk.out("established", ACK, 1, 1),
                talk.back("established", ACK, 1, 1),
                talk.out("established", RST, 1, 1),
                talk.out("tcp_state", ACK, 1, 1),
            ]);
            steps
        };
        Talk::of(w).into_iter().flat_map(steps).collect()
    }),
    fixture(11, "UDP port 0", |w| {
        let of = |header: Udp| w.link() / w.v4() / header / payload([7; 8]);
        all("transport_header", [of(udp(0, 123)), of(udp(w.client(), 0))])
    }),
    fixture(11, "a UDP length that lies", |w| {
        let of =
            |length: u16| w.link() / w.v4() / udp(w.client(), 123).length(length) / payload([7; 8]);
        all("transport_header", [0, 7, 15, 17, 65535].map(of))
    }),
    fixture(11, "half a UDP or ICMP header", |w| {
        let of = |protocol: u8| w.link() / w.v4().protocol(protocol) / payload([8, 0, 0, 0]);
        all("transport_header", [of(17), of(1)])
    }),
    fixture(11, "bytes behind the IP length", |w| {
        let [v4, v6] = w.opening();
        all("transport_header", [v4.padded_to(65), v6.trailing(b"covert")])
    }),
    fixture(11, "padding to 60 bytes passes", |w| {
        told("opened", (w.link() / w.v4() / udp(w.client(), 123)).padded())
    }),
    fixture(15, "a DHCP server's answer", |w| {
        let to_all = w.tagged(eth(w.from.mac, Mac::BROADCAST));
        let v4 = w.link() / w.v4() / udp(67, 68) / payload([2; 240]);
        let v6 = w.link() / w.v6() / udp(547, 546) / payload([7; 40]);
        let broadcast =
            to_all / ipv4(w.from.v4, "255.255.255.255") / udp(67, 68) / payload([2; 240]);
        all("no_rule", [v4, v6, broadcast])
    }),
    fixture(15, "IGMP", |w| {
        let link = w.tagged(eth(w.from.mac, "01:00:5e:00:00:16"));
        told("no_rule", link / ipv4(w.from.v4, "224.0.0.22").protocol(2) / payload([0; 8]))
    }),
    fixture(15, "MLD, with its router alert and without", |w| {
        let link = || w.tagged(eth(w.from.mac, "33:33:00:00:00:16"));
        let v6 = || ipv6(w.from.v6, "ff02::16").hop_limit(1);
        let alert = link() / v6() / hop_by_hop() / icmpv6(143, 0);
        vec![forth("extension_header", alert), forth("no_rule", link() / v6() / icmpv6(143, 0))]
    }),
    fixture(15, "mDNS", |w| {
        let v4 = w.tagged(eth(w.from.mac, "01:00:5e:00:00:fb")) / ipv4(w.from.v4, "224.0.0.251");
        let v6 = w.tagged(eth(w.from.mac, "33:33:00:00:00:fb")) / ipv6(w.from.v6, "ff02::fb");
        all("no_rule", [v4, v6].map(|headers| headers / udp(5353, 5353) / payload([0; 12])))
    }),
    fixture(15, "NBNS, to one and to all", |w| {
        let all = w.tagged(eth(w.from.mac, Mac::BROADCAST)) / ipv4(w.from.v4, w.from.broadcast);
        vec![
            forth("no_rule", w.link() / w.v4() / udp(137, 137) / payload([0; 12])),
            forth("ip_destination", all / udp(137, 137) / payload([0; 12])),
        ]
    }),
];

const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// Just behind the largest window that is not scaled.
const BEYOND: u32 = 0x1_0000;

/// A connection of one family, as both ends' headers.
struct Talk {
    out: Packet,
    back: Packet,
    client: u16,
}

impl Talk {
    fn of(way: &Way) -> [Self; 2] {
        let (turned, client) = (way.turned(), way.client());
        [
            Self { out: way.link() / way.v4(), back: turned.link() / turned.v4(), client },
            Self { out: way.link() / way.v6(), back: turned.link() / turned.v6(), client },
        ]
    }

    /// A segment of who asks; numbers count from the SYNs.
    fn out(&self, verdict: &'static str, flags: u8, at: u32, acknowledged: u32) -> Step {
        let header = tcp(self.client, 104).flags(flags).seq(at).ack_number(acknowledged);
        forth(verdict, &self.out / header)
    }

    /// A segment of who answers.
    fn back(&self, verdict: &'static str, flags: u8, at: u32, acknowledged: u32) -> Step {
        let header = tcp(104, self.client).flags(flags).seq(at).ack_number(acknowledged);
        back(verdict, &self.back / header)
    }

    fn handshake(&self) -> Vec<Step> {
        vec![
            self.out("opened", SYN, 0, 0),
            self.back("established", SYN | ACK, 0, 1),
            self.out("established", ACK, 1, 1),
        ]
    }
}

fn flags(way: &Way, flags: u8) -> Packet {
    way.link() / way.v4() / tcp(way.client(), 104).flags(flags)
}
