//! Rows 1 to 3: tags, protocols beside IP, and link addresses.

use crate::row::*;

pub(crate) const FIXTURES: &[Fixture] = &[
    fixture(1, "what a row leaves alone passes", |w| all("opened", w.opening())),
    fixture(1, "VLAN 0 once", |w| told("vlan", w.bare() / vlan(0) / w.v4() / w.syn())),
    fixture(1, "VLAN 0 once, IPv6", |w| told("vlan", w.bare() / vlan(0) / w.v6() / w.syn())),
    fixture(1, "VLAN 0 stacked 2, 3, 5 and 10 deep", |w| {
        let stack = |depth| (0..depth).fold(Packet::from(w.bare()), |outer, _| outer / vlan(0));
        all("vlan", [2, 3, 5, 10].map(|depth| stack(depth) / w.v4() / w.syn()))
    }),
    fixture(1, "a tag around the right one, and one within it", |w| {
        let (outer, inner) = (w.bare() / vlan(42), w.tagged(w.bare()) / vlan(42));
        let inner = if w.from.vlan == 0 { inner / vlan(42) } else { inner };
        let outer = outer / vlan(if w.from.vlan == 0 { 43 } else { w.from.vlan });
        all("vlan", [outer / w.v4() / w.syn(), inner / w.v4() / w.syn()])
    }),
    fixture(1, "802.1ad with VID 0", |w| {
        told("vlan", w.bare() / service_vlan(0) / w.v4() / w.syn())
    }),
    fixture(1, "QinQ", |w| told("vlan", w.bare() / service_vlan(7) / vlan(120) / w.v4() / w.syn())),
    fixture(1, "the old service tag 0x9100", |w| {
        told("vlan", w.bare() / vlan(120).tpid(0x9100) / w.v4() / w.syn())
    }),
    fixture(1, "VLAN 42, which is nobody's", |w| {
        let verdict = if w.from.vlan == 0 { "vlan" } else { "binding_vlan" };
        told(verdict, w.bare() / vlan(42) / w.v4() / w.syn())
    }),
    fixture(1, "the reserved VLAN 4095", |w| {
        told("vlan", w.bare() / vlan(4095) / w.v4() / w.syn())
    }),
    fixture(1, "the tag of the other side", |w| {
        let frame = if w.from.vlan == 0 {
            w.bare() / vlan(w.to.vlan) / w.v4() / w.syn()
        } else {
            w.bare() / w.v4() / w.syn()
        };
        told(if w.from.vlan == 0 { "vlan" } else { "binding_vlan" }, frame)
    }),
    fixture(2, "LLC with SNAP around IPv4", |w| {
        told("ethertype", w.link() / snap() / w.v4() / w.syn())
    }),
    fixture(2, "an 802.3 length frame with LLC", |w| {
        told("ethertype", w.link() / llc(0x42, 0x42, 3) / payload([0; 40]))
    }),
    fixture(2, "VLAN 0 around SNAP", |w| {
        told("vlan", w.bare() / vlan(0) / snap() / w.v4() / w.syn())
    }),
    fixture(2, "an unknown EtherType", |w| told("ethertype", typed(w, w.bare(), 0x88b5))),
    fixture(2, "MACsec", |w| told("ethertype", typed(w, w.bare(), 0x88e5))),
    fixture(2, "PPPoE, discovery and session", |w| {
        all("ethertype", [typed(w, w.bare(), 0x8863), typed(w, w.bare(), 0x8864)])
    }),
    fixture(2, "MPLS, unicast and multicast", |w| {
        all("ethertype", [typed(w, w.bare(), 0x8847), typed(w, w.bare(), 0x8848)])
    }),
    fixture(2, "802.1X where no port names it", |w| {
        let to_group = eth(w.from.mac, Mac::PAE_GROUP);
        all("ethertype", [typed(w, w.bare(), 0x888e), typed(w, to_group, 0x888e)])
    }),
    fixture(2, "LLDP where no port names it", |w| {
        told("ethertype", eth(w.from.mac, "01:80:c2:00:00:0e").ethertype(0x88cc) / payload([0; 46]))
    }),
    fixture(2, "PAUSE", |w| {
        told("ethertype", eth(w.from.mac, "01:80:c2:00:00:01").ethertype(0x8808) / payload([0; 46]))
    }),
    fixture(2, "spanning tree", |w| {
        let link = eth(w.from.mac, "01:80:c2:00:00:00");
        told("ethertype", link / llc(0x42, 0x42, 3) / payload([0; 40]))
    }),
    fixture(3, "a broadcast source MAC", |w| told("mac_source", from(w, Mac::BROADCAST))),
    fixture(3, "a multicast source MAC", |w| {
        all("mac_source", [from(w, Mac([1, 0, 0x5e, 0, 0, 1])), from(w, Mac([3, 0, 0, 0, 1, 1]))])
    }),
    fixture(3, "a zero source MAC", |w| told("mac_source", from(w, Mac::ZERO))),
    fixture(3, "another's source MAC", |w| {
        all("binding_mac", [from(w, w.from.neighbour_mac), from(w, Mac::local(9))])
    }),
    fixture(3, "a broadcast destination MAC with a unicast address", |w| {
        let link = || w.tagged(eth(w.from.mac, Mac::BROADCAST));
        all("ip_destination", [link() / w.v4() / w.syn(), link() / w.v6() / w.syn()])
    }),
    fixture(3, "a multicast destination MAC with a unicast address", |w| {
        let link = || w.tagged(eth(w.from.mac, "01:00:5e:00:00:01"));
        all("ip_destination", [link() / w.v4() / w.syn(), link() / w.v6() / w.syn()])
    }),
    fixture(3, "another's destination MAC", |w| {
        let link = || w.tagged(eth(w.from.mac, w.to.neighbour_mac));
        all("binding_mac", [link() / w.v4() / w.syn(), link() / w.v6() / w.syn()])
    }),
];

/// A frame with that EtherType and nothing that anybody knows.
fn typed(way: &Way, link: Eth, ethertype: u16) -> Packet {
    if way.from.vlan == 0 {
        link.ethertype(ethertype) / payload([0; 46])
    } else {
        link / vlan(way.from.vlan).ethertype(ethertype) / payload([0; 46])
    }
}

fn from(way: &Way, mac: Mac) -> Packet {
    way.tagged(eth(mac, way.beside().mac)) / way.v4() / way.syn()
}
