//! Stops, isolation, leases and new policies, while connections are open.

use firewall_common::Ticks;
use firewall_common::abi::Stop;

use crate::fixture::*;

fn out() -> Packet {
    ct() / ipv4(CT4, PACS4)
}

fn back() -> Packet {
    hospital() / ipv4(PACS4, CT4)
}

fn images() -> Arrival {
    inside(out() / tcp(40000, 104).seq(1).ack().ack_number(1) / payload(b"pixels"))
}

fn received() -> Arrival {
    outside(back() / tcp(104, 40000).seq(1).ack().ack_number(7))
}

fn alarm() -> Arrival {
    inside(ct() / ipv4(CT4, MONITOR4) / udp(40000, 5000))
}

fn alarm_heard() -> Arrival {
    outside(hospital() / ipv4(MONITOR4, CT4) / udp(5000, 40000))
}

/// An association to the archive and an alarm to the monitor.
fn busy() -> World {
    let world = World::new();
    world.sequence([
        ("opened out 0", inside(out() / tcp(40000, 104).syn())),
        ("established out 120", outside(back() / tcp(104, 40000).syn().ack().ack_number(1))),
        ("established out 0", inside(out() / tcp(40000, 104).seq(1).ack().ack_number(1))),
        ("established out 0", images()),
        ("opened out 0", alarm()),
        ("established out 120", alarm_heard()),
    ]);
    world.ledger();
    world
}

fn reading() -> Packet {
    eth(WORKSTATION, ROUTER) / vlan(120) / ipv4(WORKSTATION4, PACS4)
}

fn read() -> Packet {
    eth(ROUTER, WORKSTATION) / ipv4(PACS4, WORKSTATION4)
}

#[test]
fn an_ordinary_stop_spares_what_is_essential_and_lets_the_rest_go_on_afterwards() {
    let world = busy();
    world.memory.stop(Stop::Ordinary);
    world.sequence([
        ("stopped", images()),
        ("stopped", received()),
        ("stopped", inside(out() / tcp(40001, 104).syn())),
        ("stopped", inside(out() / echo_request(1, 1))),
        ("established out 0", alarm()),
        ("established out 120", alarm_heard()),
        ("opened out 0", inside(ct() / ipv4(CT4, MONITOR4) / tcp(40000, 5001).syn())),
        ("arp out 0", inside(ct() / arp_request(CT, CT4, MONITOR4))),
        ("stopped", inside(ct() / arp_request(CT, CT4, PACS4))),
        ("arp out 120", outside(hospital() / arp_reply(ROUTER, MONITOR4, CT, CT4))),
        ("no_rule", inside(out() / tcp(40001, 22).syn())),
    ]);
    world.memory.stop(Stop::None);
    world.sequence([
        ("established out 0", images()),
        ("established out 120", received()),
        ("established out 0", alarm()),
    ]);
    assert_eq!(world.ledger(), "arp 2, established 5, no_rule 1, opened 1, stopped 5");
}

#[test]
fn a_hard_stop_spares_nothing() {
    let world = busy();
    world.memory.stop(Stop::Hard);
    world.sequence([
        ("stopped", images()),
        ("stopped", alarm()),
        ("stopped", alarm_heard()),
        ("stopped", inside(ct() / arp_request(CT, CT4, MONITOR4))),
        ("stopped", inside(payload([0; 20]))),
    ]);
    assert_eq!(world.ledger(), "stopped 5");
    world.memory.stop(Stop::None);
    world.sequence([("established out 0", images()), ("established out 120", alarm_heard())]);
}

#[test]
fn the_stop_of_a_subnetwork_holds_for_it_alone() {
    let pipette = || left(eth(PIPETTE, STRANGER) / ipv4(PIPETTE4, ANALYSER4) / echo_request(1, 1));
    for name in ["radiology", "hospital"] {
        let world = busy();
        world.stop_subnetwork(name, Stop::Ordinary);
        world.sequence([
            ("stopped_subnetwork", images()),
            ("stopped_subnetwork", received()),
            ("established out 0", alarm()),
            ("stopped_subnetwork", inside(ct() / arp_request(CT, CT4, PACS4))),
            ("opened out 0", pipette()),
        ]);
        world.stop_subnetwork(name, Stop::Hard);
        world.sequence([
            ("stopped_subnetwork", images()),
            ("stopped_subnetwork", alarm()),
            ("stopped_subnetwork", alarm_heard()),
            ("established out 0", pipette()),
        ]);
        world.stop_subnetwork(name, Stop::None);
        world.sequence([
            ("established out 120", received()),
            ("established out 0", images()),
            ("established out 120", alarm_heard()),
        ]);
        assert_eq!(world.ledger(), "established 5, opened 1, stopped_subnetwork 6");
    }
}

#[test]
fn isolation_cuts_both_directions_and_open_connections() {
    for name in ["ct", "pacs"] {
        let world = busy();
        world.memory.isolate(world.node(name), true);
        world.sequence([
            ("isolated", images()),
            ("isolated", received()),
            ("isolated", inside(out() / tcp(40001, 104).syn())),
            ("isolated", outside(back() / echo_request(1, 1))),
            ("isolated", inside(ct() / arp_request(CT, CT4, PACS4))),
        ]);
        world.memory.isolate(world.node(name), false);
        world.sequence([("established out 120", received()), ("established out 0", images())]);
        assert_eq!(world.ledger(), "established 2, isolated 5");
    }
}

#[test]
fn a_lease_opens_ends_and_is_renewed() {
    let world = World::new();
    let (node, end) =
        (world.node("workstation"), |world: &World, s: u64| Ticks(world.now().0 + 1000 * s));
    let (syn, ack) = (
        || inside(reading() / tcp(40000, 443).syn()),
        || inside(reading() / tcp(40000, 443).seq(1).ack().ack_number(1)),
    );
    let answer = || outside(read() / tcp(443, 40000).syn().ack().ack_number(1));
    world.sequence([("no_lease", syn())]);
    world.memory.grant(node, end(&world, 60));
    world.sequence([
        ("opened out 0", syn()),
        ("established out 120", answer()),
        ("established out 0", ack()),
    ]);
    world.wait(59);
    world.sequence([("established out 0", ack())]);
    world.wait(1);
    world.sequence([("lease_expired", ack()), ("lease_expired", answer())]);
    world.memory.grant(node, end(&world, 60));
    world.sequence([("established out 0", ack())]);
    world.wait(59);
    world.memory.grant(node, end(&world, 60));
    world.wait(2);
    world.sequence([("established out 120", answer()), ("established out 0", ack())]);
    world.memory.revoke(node);
    world.sequence([("no_lease", ack()), ("no_lease", answer()), ("no_lease", syn())]);
    assert_eq!(world.ledger(), "established 6, lease_expired 2, no_lease 4, opened 1");
}

#[test]
fn a_lease_for_ever_does_not_wrap_around() {
    let world = World::new();
    world.memory.grant(world.node("workstation"), Ticks(u64::MAX >> 1));
    let ping = || inside(reading() / tcp(40000, 443).syn());
    world.sequence([("opened out 0", ping())]);
    world.wait(20);
    world.sequence([("established out 0", ping())]);
}

#[test]
fn a_new_policy_that_still_allows_it_leaves_a_connection_alone() {
    let mut world = busy();
    world.memory.bump();
    world.sequence([("established out 120", received()), ("established out 0", images())]);
    world.reload(&POLICY.replace(r#"name = "alarms""#, r#"name = "vital signs""#));
    world.sequence([("established out 0", images()), ("established out 120", received())]);
    let flows = world.memory.flow_counts();
    assert_eq!((flows, &*world.ledger()), ((0, 2), "established 4"));
}

#[test]
fn a_connection_dies_on_its_next_frame_when_its_rule_is_gone() {
    for first in [images, received] {
        let mut world = busy();
        world.reload(
            &POLICY.replace(
                r#"applications = ["dicom", "ping", "ntp"]"#,
                r#"applications = ["ping"]"#,
            ),
        );
        world.sequence([
            ("revoked", first()),
            ("no_rule", images()),
            ("no_rule", received()),
            ("established out 0", alarm()),
        ]);
        world.reload(POLICY);
        world.sequence([("tcp_state", images()), ("no_rule", received())]);
    }
}

#[test]
fn a_new_mac_in_the_policy_moves_the_connection_to_the_new_device() {
    let mut world = busy();
    let new = Mac::local(0x77);
    world.reload(&POLICY.replace("02:00:00:20:00:11", &new.to_string()));
    let moved = || inside(eth(new, ROUTER) / vlan(120) / ipv4(CT4, PACS4) / tcp(40000, 104).ack());
    world.sequence([
        ("binding_mac", images()),
        ("binding_mac", received()),
        ("established out 0", moved()),
        (
            "established out 120",
            outside(eth(ROUTER, new) / ipv4(PACS4, CT4) / tcp(104, 40000).ack()),
        ),
        ("binding_mac", images()),
    ]);
}

#[test]
fn a_new_tag_in_the_policy_takes_effect_on_open_connections() {
    let mut world = busy();
    world.reload(&POLICY.replace("vlan = 120", "vlan = 220"));
    let moved = || inside(eth(CT, ROUTER) / vlan(220) / ipv4(CT4, PACS4) / tcp(40000, 104).ack());
    world.sequence([
        ("binding_vlan", images()),
        ("established out 220", received()),
        ("established out 0", moved()),
        ("established out 220", received()),
    ]);
}

#[test]
fn a_spoofed_frame_does_not_end_a_connection() {
    let world = busy();
    let rst = || tcp(40000, 104).rst();
    world.sequence([
        ("binding_mac", inside(eth(MR, ROUTER) / vlan(120) / ipv4(CT4, PACS4) / rst())),
        ("binding_vlan", inside(eth(CT, ROUTER) / vlan(121) / ipv4(CT4, PACS4) / rst())),
        ("binding_vlan", inside(eth(CT, ROUTER) / ipv4(CT4, PACS4) / rst())),
        ("binding_port", outside(eth(ROUTER, CT) / ipv4(CT4, PACS4) / rst())),
        ("binding_mac", inside(eth(CT, STRANGER) / vlan(120) / ipv4(CT4, PACS4) / rst())),
        ("binding_mac", outside(eth(STRANGER, CT) / ipv4(PACS4, CT4) / tcp(104, 40000).rst())),
    ]);
    world.memory.bump();
    world.sequence([
        ("binding_mac", inside(eth(MR, ROUTER) / vlan(120) / ipv4(CT4, PACS4) / rst())),
        ("binding_mac", outside(eth(STRANGER, CT) / ipv4(PACS4, CT4) / tcp(104, 40000).rst())),
        ("established out 0", images()),
        ("established out 120", received()),
    ]);
    assert_eq!(world.memory.flow_counts(), (0, 2));
}

#[test]
fn another_router_may_take_over() {
    let world = busy();
    world.sequence([
        (
            "established out 120",
            outside(eth(OTHER_ROUTER, CT) / ipv4(PACS4, CT4) / tcp(104, 40000).ack()),
        ),
        (
            "established out 0",
            inside(eth(CT, OTHER_ROUTER) / vlan(120) / ipv4(CT4, PACS4) / tcp(40000, 104).ack()),
        ),
        ("established out 0", images()),
    ]);
}
