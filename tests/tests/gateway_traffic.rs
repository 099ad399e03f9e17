//! What crosses a gateway in force, and what does not; seen from real kernels and from the wire.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use firewall_control::XdpMode;
use firewall_tests::{
    gateway::{
        Datagrams, Gateway, Stream, eventually,
        policy::{FAR, IDLE, NEAR, NODES, Station, allow, images},
    },
    lab::{Host, Lab},
    packet::{Mac, Packet, echo_request, eth, ipv4, ipv6, payload, tcp, udp, vlan},
};

const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(10);

#[test]
fn real_hosts_talk_tcp_udp_and_ping_as_far_as_a_rule_allows() {
    let gateway = Gateway::start(&images());
    let (near, far) = (gateway.lab().near(), gateway.lab().far());
    let before = gateway.ledger();
    for (source, address) in [(NEAR.v4, FAR.v4), (NEAR.v6, FAR.v6)] {
        let stream = Stream::open(near, far, address, 104);
        stream.assert_flows();
        let datagrams = Datagrams::exchange(near, far, (source, address), 514);
        assert!(eventually(LONG, || datagrams.answered() > 20), "few datagrams are answered");
        stream.assert_flows();
        let (sent, answered) = datagrams.end();
        assert_eq!(sent, answered, "datagrams were lost");
        assert!(pings(near, address));
        let flows = gateway.flows();
        let to = flows.iter().filter(|flow| flow.to.address == address);
        let mut protocols: Vec<_> = to.map(|flow| &*flow.protocol).collect();
        protocols.sort_unstable();
        let echo = if address.contains(':') { "icmpv6" } else { "icmp" };
        assert_eq!(protocols, [echo, "tcp", "udp"]);
    }
    let change = gateway.since(&before);
    change.assert_drops(&[]);
    assert_eq!(change.passed_as("inside", "opened"), 6);
    assert_eq!(change.passed_as("outside", "opened"), 0);
}

#[test]
fn real_kernels_fill_and_close_their_windows_and_nothing_is_dropped() {
    let gateway = Gateway::start(&images());
    let (near, far) = (gateway.lab().near(), gateway.lab().far());
    let before = gateway.ledger();
    for address in [FAR.v4, FAR.v6] {
        let listener = far.run(|| TcpListener::bind((address, 104))).unwrap();
        let client = near.run(|| TcpStream::connect((address, 104))).unwrap();
        let (server, _) = listener.accept().unwrap();
        transfer(&client, &server);
        transfer(&server, &client);
    }
    gateway.since(&before).assert_drops(&[]);
}

/// More than the windows hold. The receiver only begins to read when the sender has probed them.
fn transfer(mut from: &TcpStream, mut to: &TcpStream) {
    const LENGTH: usize = 32 << 20;
    thread::scope(|scope| {
        let writer = scope.spawn(move || from.write_all(&vec![7; LENGTH]).unwrap());
        thread::sleep(Duration::from_secs(1));
        assert!(!writer.is_finished(), "the window does not close");
        let mut received = vec![0; LENGTH];
        to.read_exact(&mut received).unwrap();
        assert!(received.iter().all(|byte| *byte == 7));
    });
}

#[test]
fn real_hosts_talk_through_programs_outside_the_driver_too() {
    let mut gateway = Gateway::prepare(&images());
    let text = gateway.config_text();
    gateway.write_config(&text.replace("\ninterface", "\nxdp = \"generic\"\ninterface"));
    gateway.restart();
    let (near, far) = (gateway.lab().near(), gateway.lab().far());
    assert!(gateway.status().ports.iter().all(|port| port.xdp == XdpMode::Generic));
    let before = gateway.ledger();
    for (source, address) in [(NEAR.v4, FAR.v4), (NEAR.v6, FAR.v6)] {
        Stream::open(near, far, address, 104).assert_flows();
        let datagrams = Datagrams::exchange(near, far, (source, address), 514);
        assert!(eventually(LONG, || datagrams.answered() > 20), "few datagrams are answered");
        let (sent, answered) = datagrams.end();
        assert_eq!(sent, answered, "datagrams were lost");
        assert!(pings(near, address));
    }
    gateway.since(&before).assert_drops(&[]);
}

#[test]
fn what_no_rule_allows_is_dropped_by_name() {
    let gateway = Gateway::start(&images());
    let (near, far) = (gateway.lab().near().port(), gateway.lab().far().port());
    let before = gateway.ledger();
    let stranger = Station { v4: "10.20.0.99", v6: "fd00:20::99", ..NEAR };
    let forger = Station { mac: Mac::local(9), ..NEAR };
    for family in 0..2 {
        let out = |transport: Packet| &NEAR.to(&FAR)[family] / transport;
        let back = |transport: Packet| &FAR.to(&NEAR)[family] / transport;
        near.send(&out(tcp(40_000, 80).syn().into()));
        near.send(&out(udp(40_000, 123) / payload(b"time?")));
        near.send(&out(tcp(40_001, 104).ack().into()));
        near.send(&out(tcp(40_002, 104).syn().fin().into()));
        near.send(&(&stranger.to(&FAR)[family] / tcp(40_003, 104).syn()));
        near.send(&(&NEAR.to(&stranger)[family] / tcp(40_004, 104).syn()));
        near.send(&(&forger.to(&FAR)[family] / tcp(40_005, 104).syn()));
        far.send(&back(tcp(40_000, 104).syn().into()));
        far.send(&back(echo_request(1, 1).into()));
        far.send(&(&NEAR.to(&FAR)[family] / tcp(40_006, 104).syn()));
    }
    near.send(&(eth(NEAR.mac, FAR.mac) / vlan(7) / ipv4(NEAR.v4, FAR.v4) / tcp(1, 104).syn()));
    far.expect_silence(SHORT);
    near.expect_silence(Duration::ZERO);
    let change = gateway.since(&before);
    change.assert_drops(&[
        ("inside", "binding_mac", 2),
        ("inside", "no_rule", 4),
        ("inside", "tcp_flags", 2),
        ("inside", "tcp_state", 2),
        ("inside", "unknown_destination", 2),
        ("inside", "unknown_source", 2),
        ("inside", "vlan", 1),
        ("outside", "binding_port", 2),
        ("outside", "no_rule", 4),
    ]);
    assert_eq!(change.passed("inside") + change.passed("outside"), 0);
}

#[test]
fn a_frame_changes_its_tag_on_the_way_from_one_subnetwork_to_the_other() {
    let tagged = NODES.replacen("port = \"inside\"", "port = \"inside\"\nvlan = 120", 1);
    let policy = tagged + &allow("images", &["dicom", "log"], false);
    let mut gateway = Gateway::in_lab(Lab::new(), &policy);
    gateway.restart();
    let (near, far) = (gateway.lab().near().port(), gateway.lab().far().port());
    let before = gateway.ledger();
    let inside = |tag: u16, source: Mac, destination: Mac, rest: &Packet| {
        eth(source, destination) / vlan(tag) / rest.clone()
    };
    let (ours, theirs) = (NEAR.mac, FAR.mac);
    for (ask, answer) in [
        (
            ipv4(NEAR.v4, FAR.v4) / tcp(40_000, 104).syn(),
            ipv4(FAR.v4, NEAR.v4) / tcp(104, 40_000).syn().ack().ack_number(1),
        ),
        (
            ipv6(NEAR.v6, FAR.v6) / udp(40_000, 514) / payload(b"<13>a log"),
            ipv6(FAR.v6, NEAR.v6) / udp(514, 40_000) / payload(b"heard"),
        ),
    ] {
        near.send(&inside(120, ours, theirs, &ask));
        far.expect(&(eth(ours, theirs) / ask.clone()));
        far.send(&(eth(theirs, ours) / answer.clone()));
        near.expect(&inside(120, theirs, ours, &answer));
        near.send(&inside(121, ours, theirs, &ask));
        near.send(&(eth(ours, theirs) / ask.clone()));
        far.send(&inside(120, theirs, ours, &answer));
        far.expect_silence(SHORT);
        near.expect_silence(Duration::ZERO);
    }
    gateway.since(&before).assert_drops(&[("inside", "binding_vlan", 4), ("outside", "vlan", 2)]);
}

#[test]
fn real_kernels_find_each_other_only_where_a_rule_connects_them() {
    let mut gateway = Gateway::in_lab(Lab::with_hosts(2, 1), &images());
    let lab = gateway.lab();
    for (station, host) in [(NEAR, lab.near()), (IDLE, lab.near_host(1)), (FAR, lab.far())] {
        station.address(host.link());
    }
    gateway.restart();
    let (connected, idle) = (gateway.lab().near(), gateway.lab().near_host(1));
    for address in FAR.addresses() {
        let before = gateway.ledger();
        assert!(pings(connected, address), "{address}");
        let change = gateway.since(&before);
        change.assert_drops(&[]);
        let guard = if address.contains(':') { "nd" } else { "arp" };
        assert!(change.passed_as("inside", guard) > 0 && change.passed_as("outside", guard) > 0);
    }
    for address in FAR.addresses() {
        let before = gateway.ledger();
        assert!(!pings(idle, address), "{address}");
        let change = gateway.since(&before);
        // A kernel may ask once more after its ping has given up.
        change.assert_only(&["arp_target", "nd_spoof"]);
        let reason = if address.contains(':') { "nd_spoof" } else { "arp_target" };
        assert!(change.dropped("inside", reason) > 0, "{change:?}");
    }
}

/// One question, one second.
fn pings(host: &Host, address: &str) -> bool {
    let mut command = host.command("ping");
    command.args(["-n", "-q", "-c", "1", "-W", "1", address]);
    let output = command.output().unwrap();
    output.status.success()
}
