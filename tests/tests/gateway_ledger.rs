//! The sums: what was received is what was passed and what was dropped, to the frame.

use std::{thread, time::Instant};

use firewall_tests::{
    gateway::{
        Gateway, measured,
        policy::{FAR, NEAR, Station, images},
        setting,
    },
    lab::{Host, Lab},
    packet::{
        Mac, Packet, arp_request, echo_request, eth, ipv4, ipv6, payload, service_vlan, tcp, udp,
        vlan,
    },
};

#[test]
fn every_frame_of_a_mixture_from_both_sides_at_once_is_accounted_for() {
    let mut gateway = Gateway::in_lab(Lab::new(), &images());
    gateway.restart();
    let frames = u64::from(setting("CORDON_FRAMES").unwrap_or(100_000)) / 2;
    let before = gateway.ledger();
    let begun = Instant::now();
    let (near, far) = (gateway.lab().near(), gateway.lab().far());
    let sent = thread::scope(|scope| {
        let near = scope.spawn(|| blast(near, &mixture(&NEAR, &FAR), frames));
        let far = scope.spawn(|| blast(far, &mixture(&FAR, &NEAR), frames));
        [near.join().unwrap(), far.join().unwrap()]
    });
    let took = begun.elapsed();
    let change = gateway.since(&before);
    assert_eq!([change.received("inside"), change.received("outside")], sent);
    measured(format_args!("{} frames in {took:?}, every one accounted for", sent[0] + sent[1]));
    // Each of the kinds that must be there is there, and passes really happened.
    assert!(change.passed("inside") > frames / 20, "{change:#?}");
    for reason in ["vlan", "ethertype", "mac_source", "no_rule", "ip_source", "fragment"] {
        assert!(change.dropped("inside", reason) > 0, "{reason}: {change:#?}");
    }
}

/// Sends the frames in turn until `count` are on the wire. Returns how many the kernel took.
fn blast(host: &Host, frames: &[Vec<u8>], count: u64) -> u64 {
    let port = host.port();
    let mut sent = 0;
    for frame in frames.iter().cycle() {
        if sent == count {
            break;
        }
        // A full ring refuses; nothing was sent then.
        if port.try_send(frame).is_ok() {
            sent += 1;
        }
    }
    sent
}

fn mixture(from: &Station, to: &Station) -> Vec<Vec<u8>> {
    let link = || eth(from.mac, to.mac);
    let mut packets: Vec<Packet> = Vec::new();
    for port in 0..40 {
        for headers in from.to(to) {
            packets.extend([
                &headers / tcp(40_000 + port, 104).syn(),
                &headers / tcp(40_000 + port, 104).seq(1).ack().ack_number(1),
                &headers / tcp(104, 40_000 + port).syn().ack().ack_number(1),
                &headers / udp(40_000 + port, 514) / payload([7; 200]),
                &headers / udp(514, 40_000 + port) / payload([7; 999]),
                &headers / udp(40_000 + port, 123),
                &headers / echo_request(port, 1),
                &headers / tcp(1, 104).syn().fin(),
            ]);
        }
    }
    packets.extend([
        link() / vlan(0) / ipv4(from.v4, to.v4) / udp(1, 2),
        link() / vlan(1) / vlan(2) / ipv4(from.v4, to.v4) / udp(1, 2),
        link() / service_vlan(3) / ipv6(from.v6, to.v6) / udp(1, 2),
        eth(Mac::BROADCAST, to.mac) / ipv4(from.v4, to.v4) / udp(1, 2),
        eth(Mac([0; 6]), to.mac) / ipv6(from.v6, to.v6) / udp(1, 2),
        link() / ipv4("127.0.0.1", to.v4) / udp(1, 2),
        link() / ipv6("::1", to.v6) / udp(1, 2),
        link() / ipv4(from.v4, to.v4).options([1, 1, 1, 0]) / udp(1, 2),
        link() / ipv4(from.v4, to.v4).ttl(0) / udp(1, 2),
        eth(from.mac, Mac::BROADCAST) / arp_request(from.mac, from.v4, to.v4),
        eth(from.mac, Mac::BROADCAST) / arp_request(from.mac, to.v4, from.v4),
        link().ethertype(0x88cc) / payload([0; 60]),
        link() / payload([0; 46]),
        (link() / ipv4(from.v4, to.v4) / udp(1, 2)).truncated(30),
        (link() / ipv6(from.v6, to.v6) / tcp(1, 104).syn()).truncated(60),
    ]);
    packets.extend((link() / ipv4(from.v4, to.v4) / udp(1, 2) / payload([1; 64])).fragments(8, 3));
    packets.iter().map(Packet::bytes).collect()
}
