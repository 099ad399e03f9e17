//! Stops, isolation, leases and new policies, while a router has connections open.

use super::*;

fn alarm() -> Arrival {
    trunk(ct() / ipv4(CT4, MONITOR4) / udp(40000, 5000))
}

fn heard() -> Arrival {
    trunk(monitor() / ipv4(MONITOR4, CT4) / udp(5000, 40000))
}

fn asks() -> Arrival {
    trunk(ct() / ipv4(CT4, PACS4) / udp(40000, 123))
}

fn answers() -> Arrival {
    outside(hospital() / ipv4(PACS4, CT4) / udp(123, 40000))
}

fn administers() -> Arrival {
    side(admin() / ipv4(ADMIN4, SIDE_GATE4) / echo_request(1, 1))
}

fn busy() -> World {
    let world = World::new();
    world.sequence([
        ("opened trunk.130 monitor", alarm()),
        ("established trunk.120 ct", heard()),
        ("opened outside.0 router", asks()),
        ("established trunk.120 ct", answers()),
        ("opened gateway", administers()),
    ]);
    world.ledger();
    world
}

#[test]
fn an_ordinary_stop_spares_what_is_essential() {
    let world = busy();
    world.memory.stop(Stop::Ordinary);
    world.sequence([
        ("stopped", asks()),
        ("stopped", answers()),
        ("stopped", administers()),
        ("established trunk.130 monitor", alarm()),
        ("established trunk.120 ct", heard()),
    ]);
    world.memory.stop(Stop::Hard);
    world.sequence([("stopped", alarm()), ("stopped", heard()), ("stopped", administers())]);
    world.memory.stop(Stop::None);
    world.sequence([
        ("established outside.0 router", asks()),
        ("established trunk.120 ct", answers()),
        ("established gateway", administers()),
    ]);
    assert_eq!(world.ledger(), "established 5, stopped 6");
}

#[test]
fn the_stop_of_a_subnetwork_holds_for_both_its_directions() {
    for name in ["radiology", "hospital"] {
        let world = busy();
        world.stop_subnetwork(name, Stop::Ordinary);
        world.sequence([
            ("stopped_subnetwork", asks()),
            ("stopped_subnetwork", answers()),
            ("established trunk.130 monitor", alarm()),
            ("established gateway", administers()),
        ]);
        world.stop_subnetwork(name, Stop::None);
        world.sequence([("established trunk.120 ct", answers())]);
    }
    let world = busy();
    world.stop_subnetwork("laboratory", Stop::Hard);
    world.sequence([("stopped_subnetwork", administers()), ("established trunk.120 ct", heard())]);
}

#[test]
fn isolation_cuts_both_directions() {
    for name in ["ct", "pacs"] {
        let world = busy();
        world.memory.isolate(world.node(name), true);
        world.sequence([("isolated", asks()), ("isolated", answers())]);
        world.memory.isolate(world.node(name), false);
        world.sequence([
            ("established trunk.120 ct", answers()),
            ("established outside.0 router", asks()),
        ]);
    }
}

#[test]
fn a_lease_opens_and_ends() {
    let world = World::new();
    let reads = || {
        let link = eth(WORKSTATION, TRUNK) / vlan(120);
        trunk(link / ipv4(WORKSTATION4, PACS4) / tcp(40000, 443).syn())
    };
    world.sequence([("no_lease", reads())]);
    world.memory.grant(world.node("workstation"), Ticks(world.now().0 + 5_000));
    world.sequence([("opened outside.0 router", reads())]);
    world.wait(5);
    world.sequence([("lease_expired", reads())]);
}

#[test]
fn a_connection_dies_when_its_rule_is_gone() {
    let mut world = busy();
    world.reload(&POLICY.replace(r#""dicom", "ping", "ntp""#, r#""dicom""#));
    world.sequence([
        ("revoked", answers()),
        ("no_rule", asks()),
        ("established trunk.130 monitor", alarm()),
    ]);
}

#[test]
fn a_subnetwork_that_moves_takes_its_connections_along() {
    let mut world = busy();
    world.reload(&POLICY.replace("vlan = 130", "vlan = 230"));
    world.sequence([
        ("binding_vlan", heard()),
        ("established trunk.230 monitor", alarm()),
        (
            "established trunk.120 ct",
            trunk(eth(MONITOR, TRUNK) / vlan(230) / ipv4(MONITOR4, CT4) / udp(5000, 40000)),
        ),
    ]);
    world.reload(&POLICY.replace("vlan = 130", ""));
    world.sequence([("established trunk.0 monitor", alarm()), ("vlan", heard())]);
}

#[test]
fn a_forged_frame_does_not_change_a_connection() {
    let world = busy();
    let forged = |link: Packet| link / ipv4(PACS4, CT4) / udp(123, 40000);
    world.sequence([
        ("binding_mac", outside(forged(eth(STRANGER, OUTSIDE).into()))),
        ("binding_port", side(forged(eth(ROUTER, SIDE).into()))),
        ("binding_port", trunk(forged(ct()))),
        ("vlan", outside(forged(eth(ROUTER, OUTSIDE) / vlan(120)))),
        ("established trunk.120 ct", answers()),
        ("established outside.0 router", asks()),
    ]);
    assert_eq!(world.ledger(), "binding_mac 1, binding_port 2, established 2, vlan 1");
}
