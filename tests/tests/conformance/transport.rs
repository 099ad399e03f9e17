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
        let answer =
            |flags: u8| w.turned().link() / w.turned().v4() / tcp(104, w.client()).flags(flags);
        vec![
            forth("opened", w.link() / w.v4() / w.syn()),
            back("tcp_state", answer(0x02)),
            forth("tcp_state", flags(w, 0x12)),
            back("established", answer(0x12)),
            forth("established", flags(w, 0x10)),
        ]
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

fn flags(way: &Way, flags: u8) -> Packet {
    way.link() / way.v4() / tcp(way.client(), 104).flags(flags)
}
