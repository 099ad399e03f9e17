//! Rows 4 to 9: addresses, IP headers, fragments, extension headers, tunnels.

use crate::row::*;

pub(crate) const FIXTURES: &[Fixture] = &[
    fixture(4, "a loopback source", |w| told("ip_source", v4_from(w, "127.0.0.1"))),
    fixture(4, "the unspecified source", |w| {
        all("ip_source", [v4_from(w, "0.0.0.0"), v4_from(w, "0.1.2.3")])
    }),
    fixture(4, "the broadcast source", |w| told("ip_source", v4_from(w, "255.255.255.255"))),
    fixture(4, "a multicast source", |w| {
        all("ip_source", [v4_from(w, "224.0.0.1"), v4_from(w, "239.255.255.250")])
    }),
    fixture(4, "a reserved source", |w| {
        all("ip_source", [v4_from(w, "240.0.0.1"), v4_from(w, "254.1.1.1")])
    }),
    fixture(4, "a source off the network", |w| {
        all("unknown_source", [v4_from(w, "198.51.100.1"), v4_from(w, "169.254.0.1")])
    }),
    fixture(4, "the subnetwork's own broadcast as source", |w| {
        told("unknown_source", v4_from(w, w.from.broadcast))
    }),
    fixture(4, "a source that is the destination", |w| {
        all("ip_source", [v4_from(w, w.to.v4), v6_from(w, w.to.v6)])
    }),
    fixture(4, "a source that lives behind the other port", |w| {
        all("binding_port", [v4_from(w, w.to.neighbour4), v6_from(w, w.to.neighbour6)])
    }),
    fixture(4, "the source of a neighbour", |w| {
        all("binding_mac", [v4_from(w, w.from.neighbour4), v6_from(w, w.from.neighbour6)])
    }),
    fixture(5, "the IPv6 loopback source", |w| told("ip_source", v6_from(w, "::1"))),
    fixture(5, "the unspecified IPv6 source", |w| told("ip_source", v6_from(w, "::"))),
    fixture(5, "an IPv6 multicast source", |w| told("ip_source", v6_from(w, "ff02::1"))),
    fixture(5, "a v4-mapped source", |w| {
        told("ip_source", v6_from(w, &format!("::ffff:{}", w.from.v4)))
    }),
    fixture(5, "a v4-compatible source", |w| {
        told("ip_source", v6_from(w, &format!("::{}", w.from.v4)))
    }),
    fixture(5, "6to4 that embeds a node's address", |w| {
        told("ip_source", v6_from(w, "2002:a14:b::1"))
    }),
    fixture(5, "a link-local source that nobody declared", |w| {
        told("unknown_source", v6_from(w, "fe80::11"))
    }),
    fixture(6, "loose source routing", |w| {
        told("ip_options", v4_with(w, &[131, 7, 4, 10, 0, 5, 20]))
    }),
    fixture(6, "strict source routing", |w| {
        told("ip_options", v4_with(w, &[137, 7, 4, 10, 0, 5, 20]))
    }),
    fixture(6, "record route", |w| told("ip_options", v4_with(w, &[7, 7, 4, 0, 0, 0, 0]))),
    fixture(6, "any option, even none at all", |w| {
        all(
            "ip_options",
            [v4_with(w, &[1, 1, 1, 1]), v4_with(w, &[0]), v4_with(w, &[148, 4, 0, 0])],
        )
    }),
    fixture(6, "the reserved flag", |w| told("ip_header", w.link() / w.v4().flags(4) / w.syn())),
    fixture(6, "TTL 0 and hop limit 0", |w| {
        let (v4, v6) = (w.v4().ttl(0), w.v6().hop_limit(0));
        all("ip_header", [w.link() / v4 / w.syn(), w.link() / v6 / w.syn()])
    }),
    fixture(6, "a length beyond the frame", |w| {
        let lengths =
            [41, 1500, 65535].map(|length| w.link() / w.v4().total_length(length) / w.syn());
        all(
            "ip_header",
            lengths.into_iter().chain([w.link() / w.v6().payload_length(21) / w.syn()]),
        )
    }),
    fixture(6, "a length that cuts its own header", |w| {
        let short = [w.v4().total_length(19), w.v4().header_words(4)];
        all("ip_header", short.map(|header| w.link() / header / w.syn()))
    }),
    fixture(6, "a version that is not the EtherType's", |w| {
        let v4 = [0, 5, 6].map(|version| w.link() / w.v4().version(version) / w.syn());
        let v6 = [0, 4, 7].map(|version| w.link() / w.v6().version(version) / w.syn());
        all("ip_header", v4.into_iter().chain(v6))
    }),
    fixture(7, "fragments of 8 bytes, as teardrop and tiny-fragment attacks send them", |w| {
        let whole = w.link() / w.v4() / udp(w.client(), 123) / payload([7; 64]);
        all("fragment", whole.fragments(8, 1))
    }),
    fixture(7, "fragments of IPv6", |w| {
        let whole = w.link() / w.v6() / udp(w.client(), 123) / payload([7; 64]);
        all("fragment", whole.fragments(32, 1))
    }),
    fixture(7, "fragments that overlap", |w| {
        let whole = w.link() / w.v4() / udp(w.client(), 123) / payload([7; 64]);
        let again = w.link() / w.v4().fragment_offset(1) / payload([9; 32]);
        all("fragment", whole.fragments(16, 2).into_iter().chain([again]))
    }),
    fixture(7, "TCP at offset 1", |w| {
        told("fragment", w.link() / w.v4().fragment_offset(1) / w.syn())
    }),
    fixture(7, "a first fragment that is never completed", |w| {
        let v6 = w.link() / w.v6() / fragment(0, true, 3) / w.syn();
        all("fragment", [w.link() / w.v4().more_fragments() / w.syn(), v6])
    }),
    fixture(7, "nested fragment headers", |w| {
        let headers = w.v6() / fragment(0, true, 1) / fragment(0, true, 2);
        told("fragment", w.link() / headers / w.syn())
    }),
    fixture(7, "a first fragment without the whole header chain (RFC 7112)", |w| {
        let headers = w.v6() / fragment(0, true, 4) / destination_options();
        told("fragment", w.link() / headers)
    }),
    fixture(7, "fragmented neighbour discovery (RFC 6980)", |w| {
        let headers = w.v6().hop_limit(255) / fragment(0, false, 5);
        told("fragment", w.link() / headers / neighbour_solicitation(w.to.v6))
    }),
    fixture(8, "hop-by-hop options", |w| told("extension_header", six(w, hop_by_hop()))),
    fixture(8, "destination options, 1, 8 and 40 of them", |w| {
        let many = |count: usize| {
            (0..count).fold(w.link() / w.v6(), |outer, _| outer / destination_options()) / w.syn()
        };
        all("extension_header", [1, 8, 40].map(many))
    }),
    fixture(8, "routing header 0, with segments left and without", |w| {
        let via = ["fd00:20::12".parse().unwrap()];
        let headers = [routing_header(0, 0, &[]), routing_header(0, 1, &via)];
        all("extension_header", headers.map(|header| six(w, header)))
    }),
    fixture(8, "routing header 4", |w| {
        let via = ["fd00:20::12".parse().unwrap()];
        told("extension_header", six(w, routing_header(4, 0, &via)))
    }),
    fixture(8, "an atomic fragment", |w| told("fragment", six(w, fragment(0, false, 1)))),
    fixture(8, "ESP and AH", |w| all("extension_header", [six(w, esp(1, 1)), six(w, ah(1, 1))])),
    fixture(8, "headers in the wrong order", |w| {
        let headers = w.v6() / destination_options() / hop_by_hop();
        told("extension_header", w.link() / headers / w.syn())
    }),
    fixture(8, "an unknown next header", |w| {
        let of = |next: u8| w.link() / w.v6().next_header(next) / payload([0; 40]);
        all("no_rule", [of(200), of(253), of(59)])
    }),
    fixture(9, "IPIP", |w| told("no_rule", w.link() / w.v4() / w.v4() / w.syn())),
    fixture(9, "6in4", |w| told("no_rule", w.link() / w.v4() / w.v6() / w.syn())),
    fixture(9, "4in6 and 6in6", |w| {
        let outer = || w.link() / w.v6();
        all("no_rule", [outer() / w.v4() / w.syn(), outer() / w.v6() / w.syn()])
    }),
    fixture(9, "GRE", |w| {
        let outer = [w.link() / w.v4() / gre(), w.link() / w.v6() / gre()];
        all("no_rule", outer.map(|outer| outer / w.v4() / w.syn()))
    }),
    fixture(9, "ESP and AH over IPv4", |w| {
        let esp = w.link() / w.v4() / esp(1, 1) / payload([0; 20]);
        all("no_rule", [esp, w.link() / w.v4() / ah(1, 1) / w.syn()])
    }),
    fixture(9, "SCTP, and the protocols for experiments", |w| {
        let of = |protocol: u8| w.link() / w.v4().protocol(protocol) / payload([0; 20]);
        all("no_rule", [of(132), of(253), of(254), of(0)])
    }),
];

fn v4_from(way: &Way, source: &str) -> Packet {
    way.link() / ipv4(source, way.to.v4) / way.syn()
}

fn v6_from(way: &Way, source: &str) -> Packet {
    way.link() / ipv6(source, way.to.v6) / way.syn()
}

fn v4_with(way: &Way, options: &[u8]) -> Packet {
    way.link() / way.v4().options(options) / way.syn()
}

fn six(way: &Way, extension: Extension) -> Packet {
    way.link() / way.v6() / extension / way.syn()
}
