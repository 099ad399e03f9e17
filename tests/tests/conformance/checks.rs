//! Checks 1.1 to 1.4 and 1.6 to 1.10, of a bridge and of a router: start, attributes, default drops,
//! order of rules.

use std::time::Duration;

use firewall_tests::gateway::policy::{FAR, NEAR, images};
use firewall_tests::gateway::{Flood, Gateway, Ledger, Watch, eventually, router};

use crate::row::{HOSPITAL, WARD};
use crate::world::*;

const LONG: Duration = Duration::from_secs(10);

in_both_modes! {
    b_1_1_while_it_starts_neither_what_is_denied_nor_what_is_permitted_passes,
    b_1_2_a_rule_permits_its_protocol_and_port_and_no_other,
    b_1_3_every_icmp_type_and_code_but_the_echo_that_a_rule_permits_is_dropped,
    b_1_4_every_ip_protocol_without_a_rule_is_dropped,
    b_1_6_what_must_never_pass_is_dropped_under_a_policy_that_allows_everything,
    b_1_7_a_source_that_is_the_destination_or_lives_behind_another_port_is_dropped,
    b_1_8_the_order_of_equal_and_of_wider_rules_changes_nothing,
    b_1_9_what_no_rule_names_is_dropped_whatever_attribute_differs,
    b_1_9_the_log_names_the_rule_that_permits_and_the_reason_of_each_drop,
    b_1_10_a_flood_of_half_open_connections_from_random_sources_costs_the_established_nothing,
}

fn b_1_1_while_it_starts_neither_what_is_denied_nor_what_is_permitted_passes(mode: Mode) {
    let mut gateway = prepared(mode);
    let (near, far) = (gateway.lab().near(), gateway.lab().far());
    let (permitted, denied) = (b"a stream that is permitted", b"a stream that is denied");
    let stream =
        |port, what: &[u8]| out(mode).map(|headers| headers / udp(1, port) / payload(what));
    let (seen, leaked) = (Watch::start(far, permitted), Watch::start(far, denied));
    let floods =
        [Flood::start(near, &stream(514, permitted)), Flood::start(near, &stream(123, denied))];
    assert!(eventually(LONG, || floods.iter().all(|flood| flood.sent() > 50)));
    assert_eq!(seen.seen(), 0, "before anything was started");
    gateway.restart();
    assert!(eventually(LONG, || seen.seen() > 20), "the permitted does not flow");
    for flood in floods {
        flood.end();
    }
    let change = gateway.since(&Ledger::default());
    assert_eq!(leaked.end(), 0);
    assert_eq!(change.passed("inside"), seen.end());
    change.assert_only(match mode {
        Mode::Bridge => &["not_armed", "no_rule"],
        // Its kernel joins groups, and no rule lets it report that.
        Mode::Router => &["not_armed", "no_rule", "egress"],
    });
}

/// Nothing is started, and nobody has to ask where the others are.
fn prepared(mode: Mode) -> Gateway {
    match mode {
        Mode::Bridge => Gateway::prepare(&images()),
        Mode::Router => {
            let gateway = Gateway::prepare_router(&router::images());
            let lab = gateway.lab();
            for (link, station) in [(lab.inside(), NEAR), (lab.outside(), router::PACS)] {
                link.neighbour(station.v4, station.mac);
                link.neighbour(station.v6, station.mac);
            }
            gateway
        }
    }
}

/// The headers of packets of the near end to the far one, of either family.
fn out(mode: Mode) -> [Packet; 2] {
    match mode {
        Mode::Bridge => NEAR.to(&FAR),
        Mode::Router => router::through(&NEAR, &router::INSIDE, &router::PACS),
    }
}

/// Two nodes, and one rule with the given application.
fn ward(mode: Mode, application: &str) -> World {
    let text = format!(
        "version = 1\n\
         [subnetwork.ward]\nport = \"inside\"\nnetworks = [\"10.20.0.0/24\", \"fd00:20::/64\"]\n\
         [subnetwork.house]\nport = \"outside\"\nnetworks = [\"10.0.5.0/24\", \"fd00:1::/64\"]\n\
         [node.ct]\nsubnetwork = \"ward\"\naddresses = [\"10.20.0.11\", \"fd00:20::11\"]\n\
         mac = \"02:00:00:20:00:11\"\n\
         [node.pacs]\nsubnetwork = \"house\"\naddresses = [\"10.0.5.20\", \"fd00:1::20\"]\n\
         mac = \"02:00:5e:00:00:fe\"\n\
         [application.only]\n{application}\n\
         [[allow]]\nname = \"only\"\nfrom = [\"ct\"]\nto = [\"pacs\"]\napplications = [\"only\"]\n"
    );
    World::under(mode, &text)
}

fn both(transport: impl Into<Packet>) -> [Packet; 2] {
    let (transport, link) = (transport.into(), || eth(CT, ROUTER));
    [link() / ipv4(CT4, PACS4) / transport.clone(), link() / ipv6(CT6, PACS6) / transport]
}

fn b_1_2_a_rule_permits_its_protocol_and_port_and_no_other(mode: Mode) {
    for (application, is_tcp) in [("tcp = [\"104\"]", true), ("udp = [\"104\"]", false)] {
        let world = ward(mode, application);
        for port in [1, 103, 104, 105, 65535] {
            let [tcp, udp] = [both(tcp(40000, port).syn()), both(udp(40000, port))];
            for (frames, is_named) in [(tcp, is_tcp), (udp, !is_tcp)] {
                let passes = is_named && port == 104;
                let expected = if passes { "opened out 0" } else { "no_rule" };
                world.table(frames.map(|frame| (expected, inside(frame))));
            }
        }
    }
}

fn b_1_3_every_icmp_type_and_code_but_the_echo_that_a_rule_permits_is_dropped(mode: Mode) {
    let world = ward(mode, "icmp = [\"echo\"]");
    for kind in 0..=255 {
        for code in [0, 1, 255] {
            let v4 = inside(eth(CT, ROUTER) / ipv4(CT4, PACS4) / icmp(kind, code));
            let v6 = inside(eth(CT, ROUTER) / ipv6(CT6, PACS6).hop_limit(255) / icmpv6(kind, code));
            for (arrival, request) in [(v4, 8), (v6, 128)] {
                world.forget_flows();
                let told = world.told(&arrival);
                let passes = (kind, code) == (request, 0);
                assert_eq!(told == "opened out 0", passes, "type {kind} code {code}: {told}");
                let reasons = ["opened out 0", "no_rule", "nd_spoof", "truncated"];
                assert!(reasons.contains(&&*told), "type {kind} code {code}: {told}");
            }
        }
    }
}

fn b_1_4_every_ip_protocol_without_a_rule_is_dropped(mode: Mode) {
    let world = ward(mode, "tcp = [\"104\"]");
    for protocol in 0..=255_u8 {
        let rest = || payload([0; 40]);
        let v4 = inside(eth(CT, ROUTER) / ipv4(CT4, PACS4).protocol(protocol) / rest());
        let v6 = inside(eth(CT, ROUTER) / ipv6(CT6, PACS6).next_header(protocol) / rest());
        for arrival in [v4, v6] {
            let told = world.told(&arrival);
            let reasons = ["no_rule", "transport_header", "extension_header", "fragment"];
            assert!(reasons.contains(&&*told), "protocol {protocol}: {told}");
        }
    }
}

/// As open as a policy can be.
const EVERYTHING: &str = r#"
version = 1
[subnetwork.ward]
port = "inside"
networks = ["0.0.0.0/0", "2000::/3", "fd00::/8"]
[subnetwork.house]
port = "outside"
networks = ["10.0.5.0/24", "fd00:1::/64"]
[application.all]
tcp = ["1-65535"]
udp = ["1-65535"]
icmp = ["echo"]
[[allow]]
name = "everything"
from = ["ward/any"]
to = ["house/any"]
applications = ["all"]
"#;

fn b_1_6_what_must_never_pass_is_dropped_under_a_policy_that_allows_everything(mode: Mode) {
    let world = World::under(mode, EVERYTHING);
    let link = || eth(CT, ROUTER);
    let from = |source: &str| inside(link() / ipv4(source, PACS4) / udp(1, 2));
    let from6 = |source: &str| inside(link() / ipv6(source, PACS6) / udp(1, 2));
    let with = |options: &[u8]| inside(link() / ipv4(CT4, PACS4).options(options) / udp(1, 2));
    world.table([
        ("opened out 0", from("198.51.100.1")),
        ("opened out 0", from6("2001:db8::1")),
        ("fragment", inside(link() / ipv4(CT4, PACS4).fragment_offset(0x1fff) / udp(1, 2))),
        ("fragment", inside(link() / ipv4(CT4, PACS4).more_fragments() / udp(1, 2))),
        ("fragment", inside(link() / ipv6(CT6, PACS6) / fragment(0, true, 1) / udp(1, 2))),
        ("ip_source", from("255.255.255.255")),
        ("ip_source", from("224.0.0.1")),
        ("ip_source", from("127.0.0.1")),
        ("ip_source", from("0.0.0.0")),
        ("ip_source", from("240.0.0.1")),
        ("ip_source", from6("ff02::1")),
        ("ip_source", from6("::1")),
        ("ip_source", from6("::")),
        ("mac_source", inside(eth(Mac::BROADCAST, ROUTER) / ipv4(CT4, PACS4) / udp(1, 2))),
        ("ip_destination", inside(link() / ipv4(CT4, "0.0.0.0") / udp(1, 2))),
        ("ip_destination", inside(link() / ipv4(CT4, "240.0.0.1") / udp(1, 2))),
        ("ip_destination", inside(link() / ipv4(CT4, "127.0.0.1") / udp(1, 2))),
        ("ip_destination", inside(link() / ipv6(CT6, "::") / udp(1, 2))),
        ("ip_options", with(&[131, 7, 4, 10, 0, 5, 20])),
        ("ip_options", with(&[137, 7, 4, 10, 0, 5, 20])),
        ("ip_options", with(&[7, 7, 4, 0, 0, 0, 0])),
    ]);
    assert_eq!(
        world.ledger(),
        "fragment 3, ip_destination 4, ip_options 3, ip_source 8, mac_source 1, opened 2"
    );
}

fn b_1_7_a_source_that_is_the_destination_or_lives_behind_another_port_is_dropped(mode: Mode) {
    let world = World::new(mode);
    let syn = || tcp(40000, 104).syn();
    world.table([
        ("ip_source", inside(ct() / ipv4(PACS4, PACS4) / syn())),
        ("ip_source", inside(ct() / ipv6(PACS6, PACS6) / syn())),
        ("binding_port", inside(ct() / ipv4(MONITOR4, PACS4) / syn())),
        ("binding_port", outside(hospital() / ipv4(CT4, PACS4) / syn())),
        ("binding_port", outside(hospital() / ipv6(CT6, PACS6) / syn())),
        ("unknown_source", inside(ct() / ipv4("169.254.1.1", PACS4) / syn())),
        ("unknown_source", inside(ct() / ipv6("fe80::11", PACS6) / syn())),
    ]);
    // A router has addresses of its own; to a bridge they are a stranger's.
    let own = mode.either("unknown_source", "binding_port");
    world.table([
        (own, inside(ct() / ipv4(WARD.gate.v4, PACS4) / syn())),
        (own, inside(ct() / ipv6(WARD.gate.v6, PACS6) / syn())),
        (own, outside(hospital() / ipv4(HOSPITAL.gate.v4, CT4) / syn())),
    ]);
}

fn b_1_8_the_order_of_equal_and_of_wider_rules_changes_nothing(mode: Mode) {
    let rules = [
        ("one", "ct", "pacs", "dicom"),
        ("equal", "ct", "pacs", "dicom"),
        ("wider", "radiology/*", "hospital/*", "dicom"),
    ];
    let written = |order: [usize; 3]| {
        let head = POLICY.split("[[allow]]").next().unwrap();
        order.iter().fold(head.to_owned(), |text, place| {
            let (name, from, to, application) = rules[*place];
            text + &format!(
                "[[allow]]\nname = \"{name}\"\nfrom = [\"{from}\"]\nto = [\"{to}\"]\n\
                 applications = [\"{application}\"]\n"
            )
        })
    };
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let world = World::under(mode, &written(order));
        let mr = || eth(MR, ROUTER) / vlan(120);
        world.table([
            ("opened out 0", inside(ct() / ipv4(CT4, PACS4) / tcp(1, 104).syn())),
            ("opened out 0", inside(mr() / ipv4(MR4, MONITOR4) / tcp(1, 104).syn())),
            ("no_rule", inside(ct() / ipv4(CT4, PACS4) / tcp(1, 443).syn())),
            ("no_rule", outside(hospital() / ipv4(PACS4, CT4) / tcp(1, 104).syn())),
        ]);
    }
}

fn b_1_9_what_no_rule_names_is_dropped_whatever_attribute_differs(mode: Mode) {
    let world = World::new(mode);
    let syn = || tcp(40000, 104).syn();
    world.table([
        ("opened out 0", inside(ct() / ipv4(CT4, PACS4) / syn())),
        ("unknown_source", inside(ct() / ipv4("10.20.0.99", PACS4) / syn())),
        ("unknown_destination", inside(ct() / ipv4(CT4, "10.0.5.99") / syn())),
        ("no_rule", inside(ct() / ipv4(CT4, MONITOR4) / syn())),
        ("no_rule", inside(ct() / ipv4(CT4, PACS4) / tcp(40000, 105).syn())),
        ("no_rule", inside(ct() / ipv4(CT4, PACS4) / udp(40000, 104))),
        ("no_rule", outside(hospital() / ipv4(PACS4, CT4) / syn())),
        ("binding_port", outside(ct() / ipv4(CT4, PACS4) / syn())),
        ("binding_vlan", inside(eth(CT, ROUTER) / ipv4(CT4, PACS4) / syn())),
        ("binding_mac", inside(eth(MR, ROUTER) / vlan(120) / ipv4(CT4, PACS4) / syn())),
        (
            "no_lease",
            inside(eth(WORKSTATION, ROUTER) / vlan(120) / ipv4(WORKSTATION4, PACS4) / syn()),
        ),
    ]);
}

fn b_1_9_the_log_names_the_rule_that_permits_and_the_reason_of_each_drop(mode: Mode) {
    let mut gateway = prepared(mode);
    gateway.restart();
    let (near, far) = (gateway.lab().near().port(), gateway.lab().far().port());
    let [v4, _] = out(mode);
    let syn = || tcp(40_000, 104).syn();
    near.send(&(&v4 / syn()));
    far.expect(&match mode {
        Mode::Bridge => &v4 / syn(),
        Mode::Router => {
            let (gate, pacs) = (router::OUTSIDE, router::PACS);
            eth(gate.mac, pacs.mac) / ipv4(NEAR.v4, pacs.v4).ttl(63) / syn()
        }
    });
    near.send(&(&v4 / tcp(40_000, 80).syn()));
    let told = || {
        let events = gateway.events();
        let opened = events.iter().any(|event| event.rule.as_deref() == Some("images"));
        opened && events.iter().any(|event| event.reason.as_deref() == Some("no_rule"))
    };
    assert!(eventually(LONG, told), "{:?}", gateway.events());
}

fn b_1_10_a_flood_of_half_open_connections_from_random_sources_costs_the_established_nothing(
    mode: Mode,
) {
    let world = World::new(mode);
    let visitor = || eth(STRANGER, PORTAL) / vlan(30);
    let there = || visitor() / ipv4(VISITOR4, PORTAL4);
    let here = || eth(PORTAL, STRANGER) / vlan(120) / ipv4(PORTAL4, VISITOR4);
    let client = || tcp(40000, 443).ack().seq(1).ack_number(1);
    world.sequence([
        ("opened out 120", outside(there() / tcp(40000, 443).syn())),
        ("established out 30", inside(here() / tcp(443, 40000).syn().ack().ack_number(1))),
        ("established out 120", outside(there() / client())),
    ]);
    for number in 0..4000_u16 {
        let source = format!("172.16.0.{}", 10 + number % 200);
        let syn = tcp(1024 + number, 443).syn();
        world.sequence([("opened out 120", outside(visitor() / ipv4(&*source, PORTAL4) / syn))]);
    }
    let (half_open, established) = world.flow_counts();
    assert!(half_open <= 2048, "{half_open}");
    assert_eq!(established, 1);
    world.sequence([
        ("established out 120", outside(there() / client())),
        ("established out 30", inside(here() / tcp(443, 40000).ack().seq(1).ack_number(1))),
    ]);
}
