//! Rows 12 to 14: ARP, neighbour discovery, ICMP errors.

use std::net::Ipv6Addr;

use crate::row::*;

pub(crate) const FIXTURES: &[Fixture] = &[
    // Before anybody has asked: a question is remembered for half a minute.
    fixture(12, "an answer that nobody asked for", |w| told("arp_spoof", answers(w))),
    fixture(12, "a question and its answer pass", |w| {
        vec![forth("arp", asks(w)), back("arp", answers(&w.turned()))]
    }),
    fixture(12, "a sender MAC that is not the frame's", |w| {
        let of = |mac: Mac| to_all(w) / request(w).sender(mac);
        all("arp_spoof", [of(w.from.neighbour_mac), of(Mac::ZERO), of(Mac::BROADCAST)])
    }),
    fixture(12, "gratuitous, for another's address", |w| {
        let (mac, theirs) = (w.from.mac, w.beside().v4);
        let own = arp_request(mac, w.from.neighbour4, w.from.neighbour4);
        let reply = arp_reply(mac, theirs, Mac::BROADCAST, theirs);
        all(
            "arp_spoof",
            [own.into(), reply.into(), arp_request(mac, theirs, theirs).into()]
                .map(|message: Packet| to_all(w) / message),
        )
    }),
    fixture(12, "an answer to all", |w| {
        let reply = arp_reply(w.from.mac, w.from.v4, Mac::BROADCAST, w.beside().v4);
        told("arp_spoof", to_all(w) / reply)
    }),
    fixture(12, "an answer for another (proxy)", |w| {
        let turned = w.turned();
        let Beside { mac, v4, .. } = turned.beside();
        let proxy = arp_reply(turned.from.mac, turned.from.neighbour4, mac, v4);
        vec![forth("arp", asks(w)), back("arp_spoof", turned.link() / proxy)]
    }),
    fixture(12, "a question in another's name", |w| {
        let of = |source: &'static str| to_all(w) / arp_request(w.from.mac, source, w.beside().v4);
        all("arp_spoof", [of(w.from.neighbour4), of(w.to.neighbour4)])
    }),
    fixture(12, "wrong hardware, protocol, lengths, operation", |w| {
        let wrong = [
            request(w).hardware(6),
            request(w).protocol(0x86dd),
            request(w).hardware_length(8),
            request(w).protocol_length(16),
            request(w).operation(0),
            request(w).operation(3),
        ];
        all("arp_spoof", wrong.map(|message| to_all(w) / message))
    }),
    fixture(12, "bytes behind the message", |w| told("arp_spoof", asks(w).padded_to(65))),
    fixture(12, "a question about somebody whom no rule connects", |w| {
        let of = |target: &'static str| to_all(w) / arp_request(w.from.mac, w.from.v4, target);
        all("arp_target", [of(w.to.neighbour4), of(w.from.neighbour4), of("10.9.9.9")])
    }),
    fixture(13, "an advertisement that nobody asked for", |w| {
        told("nd_spoof", advertises(w, w.from.v6))
    }),
    fixture(13, "a question and its answer pass", |w| {
        vec![forth("nd", solicits(w, None)), back("nd", advertises(&w.turned(), w.to.v6))]
    }),
    fixture(13, "an advertisement of another's address", |w| {
        let of = |address: &'static str| advertises(w, address);
        all("nd_spoof", [of(w.from.neighbour6), of(w.beside().v6)])
    }),
    fixture(13, "another's MAC in the option", |w| {
        told("nd_spoof", solicits(w, Some(w.from.neighbour_mac)))
    }),
    fixture(13, "a solicitation in another's name", |w| {
        let target = w.beside().v6;
        let (mac, group) = solicited(target);
        let message = neighbour_solicitation(target).source_link(w.from.mac);
        let header = ipv6(w.from.neighbour6, group).hop_limit(255);
        told("nd_spoof", w.tagged(eth(w.from.mac, mac)) / header / message)
    }),
    fixture(13, "a router solicitation", |w| told("nd_spoof", direct(w, router_solicitation()))),
    fixture(13, "a router advertisement", |w| {
        let to_all = w.tagged(eth(w.from.mac, "33:33:00:00:00:01"));
        let group = to_all / ipv6(w.from.v6, "ff02::1").hop_limit(255) / router_advertisement();
        all("nd_spoof", [direct(w, router_advertisement().prefix("fd00:66::", 64)), group])
    }),
    fixture(13, "a redirect", |w| {
        told("nd_spoof", direct(w, redirect(w.from.v6, w.from.neighbour6)))
    }),
    fixture(13, "a hop limit that a router has touched", |w| {
        let target = w.beside().v6;
        let header = |hops: u8| ipv6(w.from.v6, target).hop_limit(hops);
        let of = |hops: u8| w.link() / header(hops) / neighbour_solicitation(target);
        all("nd_spoof", [254, 64, 1].map(of))
    }),
    fixture(13, "an option of length 0", |w| {
        let option =
            neighbour_solicitation(w.beside().v6).option_of_length(1, 0, w.from.mac.octets());
        told("nd_spoof", direct(w, option))
    }),
    fixture(13, "options beyond the link-layer address", |w| {
        let ask = || neighbour_solicitation(w.beside().v6);
        let two = ask().source_link(w.from.mac).source_link(w.from.mac);
        all("nd_spoof", [direct(w, ask().option(14, [0; 6])), direct(w, two)])
    }),
    fixture(14, "an error about no live flow", |w| {
        let [v4, v6] = w.turned().opening();
        all(
            "no_rule",
            [
                w.link() / w.v4() / icmp_unreachable(&v4),
                w.link() / w.v4() / icmp_time_exceeded(&v4),
                w.link() / w.v6() / icmp_packet_too_big(&v6, 1280),
            ],
        )
    }),
    fixture(14, "an error that quotes what its receiver has not sent (CVE-2019-5598)", |w| {
        let turned = w.turned();
        let own = turned.link() / turned.v4() / tcp(104, w.client()).ack();
        let other = w.link() / ipv4(w.from.neighbour4, w.to.v4) / w.syn();
        vec![
            forth("opened", w.link() / w.v4() / w.syn()),
            back("no_rule", turned.link() / turned.v4() / icmp_unreachable(&own)),
            back("no_rule", turned.link() / turned.v4() / icmp_unreachable(&other)),
        ]
    }),
    fixture(14, "too big and fragmentation needed about a live flow pass", |w| {
        let (turned, [v4, v6]) = (w.turned(), w.opening());
        vec![
            forth("opened", v4.clone()),
            forth("opened", v6.clone()),
            back("related", turned.link() / turned.v4() / icmp_packet_too_big(&v4, 1400)),
            back("related", turned.link() / turned.v6() / icmp_packet_too_big(&v6, 1280)),
        ]
    }),
    fixture(14, "an ICMP redirect and a source quench", |w| {
        let [v4, _] = w.opening();
        let turned = w.turned();
        vec![
            forth("opened", v4.clone()),
            back("no_rule", turned.link() / turned.v4() / icmp_quoting(&v4, 5, 1)),
            back("no_rule", turned.link() / turned.v4() / icmp_quoting(&v4, 4, 0)),
        ]
    }),
];

/// What there is to say of a router only.
pub(crate) const OF_A_ROUTER: &[Fixture] = &[
    fixture(4, "the gateway's own source", |w| {
        let frames = [w.from.gate, w.to.gate].map(|Beside { v4, v6, .. }| {
            let four = w.link() / ipv4(v4, w.to.v4) / w.syn();
            [four, w.link() / ipv6(v6, w.to.v6) / w.syn()]
        });
        all("binding_port", frames.into_iter().flatten())
    }),
    fixture(12, "a question for the other side", |w| {
        told("arp_target", to_all(w) / arp_request(w.from.mac, w.from.v4, w.to.v4))
    }),
    fixture(12, "a message in the gateway's name", |w| {
        let asks = arp_request(w.from.mac, w.from.gate.v4, w.from.v4);
        let answers = arp_reply(w.from.mac, w.from.gate.v4, w.beside().mac, w.to.gate.v4);
        all("arp_spoof", [to_all(w) / asks, w.link() / answers])
    }),
    fixture(13, "a question for the other side", |w| {
        let (mac, group) = solicited(w.to.v6);
        let message = neighbour_solicitation(w.to.v6).source_link(w.from.mac);
        let link = w.tagged(eth(w.from.mac, mac));
        told("nd_spoof", link / ipv6(w.from.v6, group).hop_limit(255) / message)
    }),
    fixture(14, "an error in the gateway's name", |w| {
        let (turned, [v4, v6]) = (w.turned(), w.opening());
        let Beside { v4: own4, v6: own6, .. } = turned.from.gate;
        let answer = tcp(104, w.client()).syn().ack().ack_number(1);
        vec![
            forth("opened", v4.clone()),
            forth("opened", v6.clone()),
            back("established", turned.link() / turned.v4() / answer.clone()),
            back("established", turned.link() / turned.v6() / answer),
            back("binding_port", turned.link() / ipv4(own4, w.from.v4) / icmp_unreachable(&v4)),
            back("binding_port", turned.link() / ipv6(own6, w.from.v6) / icmp_unreachable(&v6)),
        ]
    }),
];

fn to_all(way: &Way) -> Packet {
    way.tagged(eth(way.from.mac, Mac::BROADCAST))
}

fn request(way: &Way) -> Arp {
    arp_request(way.from.mac, way.from.v4, way.beside().v4)
}

fn asks(way: &Way) -> Packet {
    to_all(way) / request(way)
}

fn answers(way: &Way) -> Packet {
    let Beside { mac, v4, .. } = way.beside();
    way.link() / arp_reply(way.from.mac, way.from.v4, mac, v4)
}

/// The group of an address, and its MAC.
fn solicited(target: &str) -> (Mac, Ipv6Addr) {
    let [.., a, b, c] = target.parse::<Ipv6Addr>().unwrap().octets();
    let low = u16::from_be_bytes([b, c]);
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), low);
    (Mac::multicast(group), group)
}

fn solicits(way: &Way, option: Option<Mac>) -> Packet {
    let target = way.beside().v6;
    let (mac, group) = solicited(target);
    let message = neighbour_solicitation(target).source_link(option.unwrap_or(way.from.mac));
    way.tagged(eth(way.from.mac, mac)) / ipv6(way.from.v6, group).hop_limit(255) / message
}

fn advertises(way: &Way, address: &str) -> Packet {
    direct(way, neighbour_advertisement(address).target_link(way.from.mac))
}

fn direct(way: &Way, message: Icmp) -> Packet {
    way.link() / ipv6(way.from.v6, way.beside().v6).hop_limit(255) / message
}
