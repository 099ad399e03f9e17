//! A gateway that routes: what it forwards and how, what reaches it, and what leaves it.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use std::{
    net::UdpSocket,
    time::{Duration, Instant},
};

use firewall_daemon::dataplane::interface::Interface;
use firewall_tests::{
    gateway::{
        Datagrams, Gateway, Stream, eventually,
        policy::NEAR,
        router::{INSIDE, OUTSIDE, PACS, images, rule},
    },
    lab::{Handle, Link, RawPort},
    packet::{Mac, Packet, arp_reply, arp_request, eth, ipv4, ipv6, payload, tcp, udp},
};

const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(10);

#[test]
fn real_hosts_talk_through_a_router_as_far_as_a_rule_allows() {
    let gateway = Gateway::route(&images());
    let (near, far) = (gateway.lab().near(), gateway.lab().far());
    let before = gateway.ledger();
    for (source, address) in [(NEAR.v4, PACS.v4), (NEAR.v6, PACS.v6)] {
        let stream = Stream::open(near, far, address, 104);
        stream.assert_flows();
        let datagrams = Datagrams::exchange(near, far, (source, address), 514);
        assert!(eventually(LONG, || datagrams.answered() > 20), "few datagrams are answered");
        stream.assert_flows();
        let (sent, answered) = datagrams.end();
        assert_eq!(sent, answered, "datagrams were lost");
        assert!(pings(near.namespace(), address));
    }
    let change = gateway.since(&before);
    // The gateway's kernel reports the groups that it joins.
    change.assert_only(&["egress"]);
    assert_eq!(change.passed_as("inside", "opened"), 6);
    assert!(change.passed_as("inside", "established") > 20, "{change:?}");
    let slow = change.passed_as("inside", "kernel") + change.passed_as("outside", "kernel");
    assert!(slow < 40, "{slow} frames were left to the kernel");
    assert!(Stream::try_open(near, far, PACS.v4, 2575).is_err(), "no rule allows it");
}

#[test]
fn a_routers_expectations_are_tried_before_its_policy_comes_into_force() {
    let expected = |from, to, verdict| {
        format!(
            "[[expect]]\nfrom = \"{from}\"\nto = \"{to}\"\napplication = \"dicom\"\n\
             verdict = \"{verdict}\"\n"
        )
    };
    let expectations = [expected("ct-1", "pacs", "pass"), expected("pacs", "ct-1", "drop")];
    let gateway = Gateway::route(&format!("{}{}", images(), expectations.concat()));
    let stream = Stream::open(gateway.lab().near(), gateway.lab().far(), PACS.v4, 104);
    stream.assert_flows();
}

#[test]
fn a_forwarded_frame_has_new_macs_one_hop_less_and_a_right_checksum() {
    let gateway = Gateway::route(&images());
    let (near, far) = (gateway.lab().near(), gateway.lab().far());
    // So that every next hop is known.
    assert!(pings(near.namespace(), PACS.v4) && pings(near.namespace(), PACS.v6));
    // Nobody but us answers on these ports, so the hosts' kernels say that they are unreachable.
    let (near, far) = (near.port(), far.port());
    let ask = || udp(40_000, 514) / payload(b"<13>a log");
    let answer = || udp(514, 40_000) / payload(b"heard");
    let there = |hops: u8| {
        let v4 = ipv4(NEAR.v4, PACS.v4).ttl(hops) / ask();
        [v4, ipv6(NEAR.v6, PACS.v6).hop_limit(hops) / ask()]
    };
    let back = |hops: u8| {
        let v4 = ipv4(PACS.v4, NEAR.v4).ttl(hops) / answer();
        [v4, ipv6(PACS.v6, NEAR.v6).hop_limit(hops) / answer()]
    };
    for family in 0..2 {
        for _ in 0..2 {
            near.send(&(eth(NEAR.mac, INSIDE.mac) / there(64)[family].clone()));
            arrives(&far, &(eth(OUTSIDE.mac, PACS.mac) / there(63)[family].clone()));
            far.send(&(eth(PACS.mac, OUTSIDE.mac) / back(2)[family].clone()));
            arrives(&near, &(eth(INSIDE.mac, NEAR.mac) / back(1)[family].clone()));
        }
    }
}

fn arrives(port: &RawPort, packet: &Packet) {
    let wanted = packet.bytes();
    let frame = port.receive_where(Duration::from_secs(1), |frame| frame == wanted);
    assert!(frame.is_some(), "{packet:?} does not arrive");
}

#[test]
fn the_gateway_itself_speaks_and_is_spoken_to_only_by_rule() {
    let policy = format!(
        "{}{}{}",
        images(),
        rule("administration", "ct-1", "gateway", &["ping"]),
        rule("time", "gateway", "pacs", &["time"])
    );
    let gateway = Gateway::route(&policy);
    let (near, far) = (gateway.lab().near(), gateway.lab().far());
    let itself = gateway.lab().gateway();
    for gate in [INSIDE, OUTSIDE] {
        assert!(pings(near.namespace(), gate.v4) && pings(near.namespace(), gate.v6));
        assert!(!pings(far.namespace(), gate.v4) && !pings(far.namespace(), gate.v6));
    }
    assert!(!pings(itself, NEAR.v4) && !pings(itself, PACS.v6));
    for (own, peer) in [(OUTSIDE.v4, PACS.v4), (OUTSIDE.v6, PACS.v6)] {
        let server = far.run(|| UdpSocket::bind((peer, 123))).unwrap();
        let client = itself.run(|| UdpSocket::bind((own, 0))).unwrap();
        answers(&client, &server, (peer, 123));
        let stranger = far.run(|| UdpSocket::bind((peer, 514))).unwrap();
        let before = gateway.ledger();
        let _refused = client.send_to(b"a log", (peer, 514));
        assert!(!hears(&stranger));
        assert!(gateway.since(&before).dropped("outside", "egress") >= 1);
    }
}

#[test]
fn nothing_enters_a_subnetwork_around_the_program() {
    let gateway = Gateway::route(&images());
    let lab = gateway.lab();
    let itself = lab.gateway();
    // A container, a tunnel, a maintenance port: an interface that is no port of the gateway's.
    let rogue = lab.namespace("rogue");
    let macs = [Mac([2, 0, 0, 0, 9, 1]), Mac([2, 0, 0, 0, 9, 2])];
    let (back_door, intruder) =
        Link::pair((itself, "backdoor", macs[0]), (&rogue, "eth0", macs[1]));
    back_door.address("10.99.0.1/24");
    back_door.address("fd00:99::1/64");
    itself.run(|| Interface::new("backdoor").forward()).unwrap();
    intruder.address("10.99.0.66/24");
    let stream = Stream::open(lab.near(), lab.far(), PACS.v4, 104);
    stream.assert_flows();
    let port = RawPort::open(&intruder);
    let (near, far) = (lab.near().port(), lab.far().port());
    let before = gateway.glance();
    let to = |source: &str, target: &str| -> Packet {
        let link = eth(macs[1], macs[0]);
        if source.contains(':') { link / ipv6(source, target) } else { link / ipv4(source, target) }
    };
    let marked = || payload(b"what nobody allowed");
    for (source, target) in [
        ("10.99.0.66", NEAR.v4),
        (PACS.v4, NEAR.v4),
        (NEAR.v4, PACS.v4),
        ("fd00:99::66", NEAR.v6),
        (PACS.v6, NEAR.v6),
        (NEAR.v6, PACS.v6),
    ] {
        port.send(&(to(source, target) / udp(40_000, 514) / marked()));
        port.send(&(to(source, target) / udp(514, 40_000) / marked()));
        port.send(&(to(source, target) / tcp(40_001, 104).ack() / marked()));
    }
    // A process on the gateway that forges frames on the port itself.
    let forger = RawPort::open(lab.inside());
    for source in [INSIDE.mac, PACS.mac] {
        let link = || eth(source, NEAR.mac);
        for packet in [
            link() / ipv4(PACS.v4, NEAR.v4) / udp(514, 40_000) / marked(),
            link() / ipv4(INSIDE.v4, NEAR.v4) / udp(1, 514) / marked(),
        ] {
            let refused = forger.try_send(&packet.bytes()).unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(nix::libc::ENOBUFS), "{refused}");
        }
    }
    for side in [&near, &far] {
        let end = Instant::now() + SHORT;
        while let Some(frame) = side.receive(end.saturating_duration_since(Instant::now())) {
            let is_marked = frame.windows(19).any(|bytes| bytes == b"what nobody allowed");
            assert!(!is_marked, "{frame:02x?}");
        }
    }
    stream.assert_flows();
    let drops = gateway.drops_since(&before);
    assert!(drops.iter().all(|(_, reason, _)| reason == "egress"), "{drops:?}");
    let dropped: u64 = drops.iter().map(|(_, _, count)| count).sum();
    assert!(dropped >= 18, "{drops:?}");
}

#[test]
fn what_is_too_big_or_has_come_too_far_is_told_to_its_sender() {
    let gateway = Gateway::prepare_router(&images());
    gateway.lab().outside().mtu(1400);
    gateway.lab().far().link().mtu(1400);
    let mut gateway = gateway;
    gateway.restart();
    let (near, far) = (gateway.lab().near(), gateway.lab().far());
    for address in [PACS.v4, PACS.v6] {
        assert!(pings(near.namespace(), address));
        // The first is answered with what fits; the kernel remembers it.
        let probe = |size: &str| {
            let mut command = near.command("ping");
            command.args(["-n", "-c", "1", "-W", "1", "-M", "do", "-s", size, address]);
            let output = command.output().unwrap();
            let said = [output.stdout, output.stderr].concat();
            (output.status.success(), String::from_utf8_lossy(&said).into_owned())
        };
        let (_, said) = probe("1440");
        let is_told =
            said.contains("mtu = 1400") || said.contains("mtu=1400") || said.contains("too big");
        assert!(is_told, "{address}: {said}");
        assert!(probe("1300").0, "{address}");
        // A stream finds its way under the smaller MTU.
        let stream = Stream::open(near, far, address, 104);
        stream.assert_flows();
        let mut far_probe = near.command("ping");
        far_probe.args(["-n", "-c", "1", "-W", "1", "-t", "1", address]);
        let said = String::from_utf8_lossy(&far_probe.output().unwrap().stdout).into_owned();
        assert!(said.contains("Time to live exceeded") || said.contains("Hop limit"), "{said}");
    }
}

#[test]
fn a_stop_closes_what_leaves_too() {
    let policy = format!("{}{}", images(), rule("care", "gateway", "ct-1", &["ping"]));
    let gateway = Gateway::route(&policy);
    let itself = gateway.lab().gateway();
    let near = gateway.lab().near();
    for hard in [false, true] {
        assert!(pings(itself, NEAR.v4) && pings(near.namespace(), PACS.v6));
        gateway.stop(None, hard);
        let before = gateway.ledger();
        assert!(!pings(itself, NEAR.v4) && !pings(near.namespace(), PACS.v6));
        let change = gateway.since(&before);
        assert!(change.dropped("inside", "stopped") >= 2, "{change:?}");
        gateway.resume(None);
    }
}

#[test]
fn neighbours_that_forge_learn_nothing_and_teach_nothing() {
    let gateway = Gateway::route(&images());
    let near = gateway.lab().near();
    assert!(pings(near.namespace(), PACS.v4));
    let port = near.port();
    let before = gateway.ledger();
    // In the gateway's name, in another node's, for another's address, unasked.
    port.send(&(eth(NEAR.mac, Mac::BROADCAST) / arp_request(NEAR.mac, INSIDE.v4, NEAR.v4)));
    port.send(&(eth(NEAR.mac, Mac::BROADCAST) / arp_request(NEAR.mac, PACS.v4, INSIDE.v4)));
    port.send(&(eth(NEAR.mac, Mac::BROADCAST) / arp_request(NEAR.mac, "10.20.0.99", INSIDE.v4)));
    port.send(&(eth(NEAR.mac, Mac::BROADCAST) / arp_request(NEAR.mac, NEAR.v4, "10.20.0.12")));
    port.send(&(eth(NEAR.mac, INSIDE.mac) / arp_reply(NEAR.mac, NEAR.v4, INSIDE.mac, "10.20.0.1")));
    let change = gateway.since(&before);
    change.assert_drops(&[
        ("inside", "arp_spoof", 3),
        ("inside", "arp_target", 1),
        ("inside", "unknown_source", 1),
    ]);
}

#[test]
fn flows_follow_the_routes_and_the_neighbours_of_the_kernel() {
    let policy = format!(
        "{}{}",
        images().replace(
            "\"fd00:30::/64\"]",
            "\"fd00:30::/64\", \"10.50.0.0/16\"]\nrouters = [\"02:00:00:00:02:11\", \
             \"02:00:00:00:02:12\", \"02:00:00:00:02:13\"]",
        ),
        "[node.archive]\nsubnetwork = \"hospital\"\naddresses = [\"10.50.0.20\"]\n",
    ) + &rule("copies", "ct-1", "archive", &["log"]);
    let gateway = Gateway::route(&policy);
    let (near, far) = (gateway.lab().near().port(), gateway.lab().far().port());
    let outside = gateway.lab().outside();
    let routers =
        [Mac([2, 0, 0, 0, 2, 0x11]), Mac([2, 0, 0, 0, 2, 0x12]), Mac([2, 0, 0, 0, 2, 0x13])];
    outside.neighbour("10.30.0.2", routers[0]);
    outside.neighbour("10.30.0.3", routers[1]);
    outside.route("10.50.0.0/16", "10.30.0.2");
    let packet =
        |hops: u8| ipv4(NEAR.v4, "10.50.0.20").ttl(hops) / udp(40_000, 514) / payload(b"<13>a log");
    let leads_to = |router: Mac| {
        let wanted = (eth(OUTSIDE.mac, router) / packet(63)).bytes();
        eventually(LONG, || {
            near.send(&(eth(NEAR.mac, INSIDE.mac) / packet(64)));
            far.receive_where(SHORT, |frame| frame == wanted).is_some()
        })
    };
    assert!(leads_to(routers[0]));
    let answer = ipv4("10.50.0.20", NEAR.v4).ttl(9) / udp(514, 40_000) / payload(b"heard");
    far.send(&(eth(routers[0], OUTSIDE.mac) / answer));
    assert!(leads_to(routers[0]), "the flow is established");
    outside.route("10.50.0.0/16", "10.30.0.3");
    assert!(leads_to(routers[1]), "the route has changed");
    outside.neighbour("10.30.0.3", routers[2]);
    assert!(leads_to(routers[2]), "the router has another MAC");
    // The policy has the archive behind the outside, whatever the routes say.
    let before = gateway.ledger();
    gateway.lab().inside().neighbour("10.20.0.11", NEAR.mac);
    gateway.lab().inside().route("10.50.0.0/16", "10.20.0.11");
    assert!(eventually(LONG, || {
        near.send(&(eth(NEAR.mac, INSIDE.mac) / packet(64)));
        gateway.since(&before).dropped("inside", "no_route") > 0
    }));
}

/// One question, one second.
fn pings(from: &Handle, address: &str) -> bool {
    let mut command = from.command("ping");
    command.args(["-n", "-q", "-c", "1", "-W", "1", address]);
    command.output().unwrap().status.success()
}

fn hears(socket: &UdpSocket) -> bool {
    socket.set_read_timeout(Some(SHORT)).unwrap();
    socket.recv_from(&mut [0; 64]).is_ok()
}

/// Asks until the answer comes: the first may wait for the neighbour.
fn answers(client: &UdpSocket, server: &UdpSocket, place: (&str, u16)) {
    client.set_read_timeout(Some(SHORT)).unwrap();
    server.set_read_timeout(Some(SHORT)).unwrap();
    let is_answered = eventually(LONG, || {
        client.send_to(b"time?", place).unwrap();
        let mut buffer = [0; 64];
        let Ok((_, from)) = server.recv_from(&mut buffer) else { return false };
        server.send_to(b"now", from).unwrap();
        client.recv_from(&mut buffer).is_ok()
    });
    assert!(is_answered, "{place:?}");
}
