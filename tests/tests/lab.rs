//! The lab itself: what it promises to the tests that stand on it.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use std::{
    fs,
    net::UdpSocket,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

use firewall_tests::{
    lab::{Lab, Link, Namespace, RawPort},
    packet::{
        Mac, Packet, arp_reply, arp_request, destination_options, echo_request, eth, hop_by_hop,
        ipv4, ipv6, neighbour_advertisement, neighbour_solicitation, payload, service_vlan, tcp,
        udp, vlan,
    },
    runner::{attach_xdp, load_xdp},
};

const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(5);
const A: Mac = Mac::local(0x0a);
const B: Mac = Mac::local(0x0b);

#[test]
fn a_frame_sent_on_one_end_of_a_pair_arrives_at_the_other_as_it_was() {
    let (near, far) = (Namespace::new("near"), Namespace::new("far"));
    let (a, b) = Link::pair((&near, "eth0", A), (&far, "eth0", B));
    let (a, b) = (RawPort::open(&a), RawPort::open(&b));
    for packet in frames() {
        a.send(&packet);
        b.expect(&packet);
    }
    a.expect_silence(SHORT);
    assert_eq!(b.drain(), Vec::<Vec<u8>>::new());
}

#[test]
fn every_end_of_a_lab_receives_what_the_end_across_it_sends() {
    let lab = Lab::new();
    let (near, far) = (lab.near().port(), lab.far().port());
    let (inside, outside) = (RawPort::open(lab.inside()), RawPort::open(lab.outside()));
    let packet = eth(A, B) / vlan(7) / ipv4("10.0.0.1", "10.0.0.2") / udp(1, 2);
    for (from, to) in [(&near, &inside), (&inside, &near), (&far, &outside), (&outside, &far)] {
        from.send(&packet);
        to.expect(&packet);
    }
}

#[test]
fn a_native_redirect_carries_frames_with_their_tags_through_the_gateway() {
    let lab = Lab::new();
    let _links = forward(&lab);
    let (near, far) = (lab.near().port(), lab.far().port());
    for packet in frames() {
        near.send(&packet);
        far.expect(&packet);
        far.send(&packet);
        near.expect(&packet);
    }
}

#[test]
fn a_redirect_survives_links_that_go_down_and_move() {
    let lab = Lab::new();
    let _links = forward(&lab);
    let near = lab.near().port();
    let packet = eth(A, B) / vlan(7) / ipv4("10.0.0.1", "10.0.0.2") / udp(1, 2);
    let (mut far, elsewhere) = (lab.far().link().clone(), lab.namespace("elsewhere"));
    far.down();
    far.up();
    let port = RawPort::open(&far);
    near.send(&packet);
    port.expect(&packet);
    far.move_to(&elsewhere);
    let port = RawPort::open(&far);
    near.send(&packet);
    port.expect(&packet);
}

#[test]
fn hosts_talk_tcp_through_a_native_redirect() {
    use std::{
        io::{Read, Write},
        net::{TcpListener, TcpStream},
    };

    let lab = Lab::new();
    let _links = forward(&lab);
    let (near, far) = (lab.near(), lab.far());
    for (near_address, far_address) in [("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")] {
        let length = if near_address.contains(':') { 64 } else { 24 };
        near.link().address(&format!("{near_address}/{length}"));
        far.link().address(&format!("{far_address}/{length}"));
        near.link().neighbour(far_address, far.mac());
        let listener = far.run(|| TcpListener::bind((far_address, 104)).unwrap());
        let mut client = near.run(|| TcpStream::connect((far_address, 104)).unwrap());
        let (mut server, peer) = listener.accept().unwrap();
        assert_eq!(peer.ip().to_string(), near_address);
        let image: Vec<u8> = (0..1_000_000u32).map(|byte| byte.to_le_bytes()[0]).collect();
        let sent = image.clone();
        let sender = thread::spawn(move || client.write_all(&sent).unwrap());
        let mut received = Vec::new();
        server.read_to_end(&mut received).unwrap();
        sender.join().unwrap();
        assert!(received == image, "{} bytes arrived", received.len());
    }
}

#[test]
fn several_hosts_share_a_side_through_a_switch() {
    let lab = Lab::with_hosts(2, 3);
    let _links = forward(&lab);
    let ports = [lab.near_host(0), lab.near_host(1), lab.far_host(0), lab.far_host(2)]
        .map(|host| host.port());
    let [first, second, far, last] = &ports;
    let call = eth(lab.near().mac(), Mac::BROADCAST) / vlan(7) / arp_call();
    first.send(&call);
    for port in [second, far, last] {
        port.expect(&call);
    }
    // The switch has learned where the caller is: an answer is nobody else's.
    let answer = eth(lab.far_host(2).mac(), lab.near().mac()) / vlan(7) / payload([1; 46]);
    last.send(&answer);
    first.expect(&answer);
    second.expect_silence(SHORT);
    assert_eq!((far.drain(), last.drain()), (Vec::new(), Vec::new()));
}

#[test]
fn a_lab_is_silent_until_it_is_told_to_speak() {
    let lab = Lab::with_hosts(2, 1);
    let ports = [lab.near().port(), lab.far().port(), RawPort::open(lab.inside())];
    thread::sleep(Duration::from_secs(3));
    for port in &ports {
        assert_eq!(port.drain(), Vec::<Vec<u8>>::new());
    }
}

#[test]
fn a_linux_host_accepts_what_the_builder_builds() {
    let (near, far) = (Namespace::new("near"), Namespace::new("far"));
    let (a, b) = Link::pair((&near, "eth0", A), (&far, "eth0", B));
    for (address, neighbour) in [("10.0.0.2/24", "10.0.0.1"), ("fd00::2/64", "fd00::1")] {
        b.address(address);
        b.neighbour(neighbour, A);
    }
    let port = RawPort::open(&a);
    let socket = far.run(|| UdpSocket::bind("[::]:2000").unwrap());
    socket.set_read_timeout(Some(LONG)).unwrap();
    let v4 = || eth(A, B) / ipv4("10.0.0.1", "10.0.0.2");
    let v6 = || eth(A, B) / ipv6("fd00::1", "fd00::2");
    let long: Vec<u8> = (0..=255).cycle().take(999).collect();
    let datagram = |data: &[u8]| udp(1000, 2000) / payload(data);

    let mut sent = vec![
        v4() / datagram(b"plain"),
        v6() / datagram(b"plain"),
        eth(A, B) / ipv4("10.0.0.1", "10.0.0.2").options([1, 1, 1]) / datagram(b"options"),
        v6() / hop_by_hop() / destination_options().option(0x1e, [0; 9]) / datagram(b"extended"),
        eth(A, B) / vlan(0) / ipv4("10.0.0.1", "10.0.0.2") / datagram(b"priority tag"),
    ];
    let expected = [&b"plain"[..], b"plain", b"options", b"extended", b"priority tag"];
    let mut expected: Vec<_> = expected.into_iter().map(<[u8]>::to_vec).collect();
    for whole in [v4() / datagram(&long), v6() / datagram(&long)] {
        sent.extend(whole.fragments(400, 7));
        expected.push(long.clone());
    }
    sent.iter().for_each(|packet| port.send(packet));
    for data in expected {
        let mut buffer = [0; 2000];
        let length = socket.recv(&mut buffer).unwrap();
        assert_eq!(buffer[..length], data);
    }

    port.drain();
    for (question, answer) in [
        (v4() / echo_request(7, 1), &[0, 0][..]),
        (v6() / echo_request(7, 1), &[129, 0]),
        (v4() / tcp(1, 2).syn(), &[0, 2]),
    ] {
        port.send(&question);
        let start = question.bytes().len() - if answer == [0, 2] { 20 } else { 8 };
        let reply = port.receive_where(LONG, |frame| frame.get(start..start + 2) == Some(answer));
        assert!(reply.is_some(), "no answer to {question:?}");
    }
    let solicitation = neighbour_solicitation("fd00::2").source_link(A);
    let to_all = ipv6("fd00::1", "ff02::1:ff00:2").hop_limit(255);
    port.send(&(eth(A, Mac([0x33, 0x33, 0xff, 0, 0, 2])) / to_all / solicitation));
    let advertisement = eth(B, A)
        / ipv6("fd00::2", "fd00::1").hop_limit(255)
        / neighbour_advertisement("fd00::2").target_link(B);
    let told = advertisement.bytes();
    assert!(port.receive_where(LONG, |frame| frame == told).is_some(), "{advertisement:?}");
    port.send(&(eth(A, Mac::BROADCAST) / arp_request(A, "10.0.0.1", "10.0.0.2")));
    let told = (eth(B, A) / arp_reply(B, "10.0.0.2", A, "10.0.0.1")).bytes();
    assert!(port.receive_where(LONG, |frame| frame == told).is_some());
}

#[test]
fn parallel_labs_do_not_collide() {
    let rounds = |number: u8| {
        move || {
            for round in 0..3 {
                let lab = Lab::new();
                let (port, inside) = (lab.near().port(), RawPort::open(lab.inside()));
                let packet = eth(A, B) / payload([number, round]);
                port.send(&packet);
                inside.expect(&packet);
                assert_eq!(inside.drain(), Vec::<Vec<u8>>::new());
            }
        }
    };
    let labs: Vec<_> = (0..6).map(|number| thread::spawn(rounds(number))).collect();
    labs.into_iter().for_each(|lab| lab.join().unwrap());
}

#[test]
fn a_dropped_lab_leaves_nothing_behind() {
    let lab = Lab::with_hosts(1, 2);
    let prefix = lab.prefix().to_owned();
    let (directory, bpffs) = (lab.directory().to_owned(), lab.bpffs().to_owned());
    let mut sleeper = lab.far().command("sleep");
    let mut forgotten = sleeper.arg("600").spawn().unwrap();
    let held = lab.near().link().clone();
    assert_eq!(namespaces(&prefix), 5);
    assert!(is_mounted(&bpffs));
    fs::create_dir(bpffs.join("pins")).unwrap();

    drop(lab);
    assert_eq!(namespaces(&prefix), 0);
    assert!(!is_mounted(&bpffs));
    assert!(!directory.exists());
    assert!(!forgotten.wait().unwrap().success(), "killed with its namespace");
    drop(held);
}

#[test]
fn a_lab_is_cleaned_up_when_its_test_panics() {
    let mut prefix = String::new();
    let mut process = 0;
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let lab = Lab::new();
        lab.prefix().clone_into(&mut prefix);
        let mut command = lab.gateway().command("sleep");
        command.arg("600");
        let sleeper = lab.process("sleeper", command);
        process = sleeper.id();
        panic!("as tests do");
    }));
    assert!(panicked.is_err());
    assert_eq!(namespaces(&prefix), 0);
    assert!(!Path::new("/proc").join(process.to_string()).exists());
}

#[test]
fn a_command_enters_the_network_namespace_and_sees_the_pins() {
    let lab = Lab::new();
    fs::create_dir(lab.bpffs().join("pins")).unwrap();
    let mut command = lab.gateway().command("sh");
    command.args(["-c", "ip -o link; ls $0; exec sleep 600"]).arg(lab.bpffs());
    let mut process = lab.process("listing", command);
    process.wait_for_log("pins", LONG);
    let said = process.log();
    assert!(said.contains(" inside@") && said.contains(" outside@"), "{said}");
    assert!(process.is_running());
    assert_eq!(process.stop(LONG).code(), None, "ended by a signal");
}

#[test]
fn tags_are_left_in_the_frames_and_a_test_may_have_them_stripped() {
    let lab = Lab::new();
    assert!(!lab.inside().has_feature("rx-vlan-offload"));
    assert!(!lab.near().link().has_feature("tx-vlan-offload"));
    assert!(lab.near().link().has_feature("generic-receive-offload"));
    lab.inside().feature("rxvlan", true);
    assert!(lab.inside().has_feature("rx-vlan-offload"));
}

#[test]
fn a_link_can_be_moved_renamed_taken_down_and_deleted() {
    let lab = Lab::new();
    let elsewhere = lab.namespace("elsewhere");
    let mut link = lab.near().link().clone();
    let mac = link.mac();
    assert_eq!(mac, lab.near().mac());
    link.move_to(&elsewhere);
    link.rename("eth9");
    assert_eq!((link.name(), link.mac()), ("eth9", mac));
    link.set_mac(A);
    link.mtu(9000);
    let (port, inside) = (RawPort::open(&link), RawPort::open(lab.inside()));
    let jumbo = eth(A, B) / payload([1; 9000]);
    let refused = port.try_send(&jumbo.bytes());
    assert_eq!(refused.unwrap_err().raw_os_error(), Some(105), "ENOBUFS: the other end's MTU");
    lab.inside().mtu(9000);
    port.send(&jumbo);
    inside.expect(&jumbo);
    link.down();
    assert!(port.try_send(&jumbo.bytes()).is_err());
    link.delete();
    let listed = lab.gateway().command("ip").args(["link", "show", "inside"]).output().unwrap();
    assert!(!listed.status.success(), "a pair goes together");
}

/// Frames in which a switch, an offload or a stack would be tempted to change something.
fn frames() -> Vec<Packet> {
    let v4 = || ipv4("10.0.0.1", "10.0.0.2");
    vec![
        eth(A, B) / v4() / tcp(1, 2).syn(),
        eth(A, B) / vlan(7) / v4() / udp(1, 2) / payload(b"tagged"),
        eth(A, B) / vlan(0).priority(7) / v4().ttl(0) / echo_request(1, 1),
        eth(A, B) / service_vlan(100) / vlan(7) / ipv6("fd00::1", "fd00::2") / udp(1, 2),
        eth(A, B) / vlan(1) / vlan(2) / vlan(3) / payload([0; 46]),
        eth(A, Mac::BROADCAST) / arp_request(A, "10.0.0.1", "10.0.0.2"),
        eth(A, Mac::PAE_GROUP).ethertype(0x888e) / payload([1, 1, 0, 0]),
        (eth(A, B) / v4() / tcp(1, 2).syn()).padded(),
        eth(A, B) / v4().checksum(1) / udp(1, 2).checksum(1) / payload([0; 1472]),
    ]
}

fn arp_call() -> Packet {
    arp_request(Mac::local(0x0101), "10.0.0.1", "10.0.0.2").into()
}

/// Programs on both ports of the gateway that redirect every frame to the other one.
fn forward(lab: &Lab) -> [std::os::fd::OwnedFd; 2] {
    let redirect = |to: u32| {
        // r1 = TO; r2 = 0; call bpf_redirect; exit
        let to = u64::from(to) << 32;
        load_xdp(&[to | 0x01b7, 0x02b7, (23 << 32) | 0x85, 0x95]).unwrap()
    };
    let (inside, outside) = (lab.inside().index(), lab.outside().index());
    let attach = |on: u32, to: u32| lab.gateway().run(|| attach_xdp(redirect(to), on).unwrap());
    [attach(inside, outside), attach(outside, inside)]
}

fn namespaces(prefix: &str) -> usize {
    let listed = Command::new("ip").args(["netns", "list"]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    listed.lines().filter(|line| line.starts_with(&format!("{prefix}-"))).count()
}

fn is_mounted(path: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    mounts.lines().any(|line| line.split(' ').nth(1) == path.to_str())
}
