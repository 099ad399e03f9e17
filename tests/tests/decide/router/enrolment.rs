//! A node that gets its lease from the gateway may ask it for one, where a rule lets it, and reaches
//! nothing else before.

use super::*;

const ENROLMENT: u16 = 7447;

/// The workstation's lease comes from the gateway, and the rules let it go there.
fn world() -> World {
    let lease = POLICY.replace("\"802.1x\"\nidentity", "\"lease\"\nidentity");
    let rule = "[[allow]]\nname = \"enrolment\"\nfrom = [\"workstation\"]\nto = [\"gateway\"]\n\
        applications = [\"enrolment\", \"ping\"]\n[application.enrolment]\ntcp = [\"7447-7448\"]\n";
    let mut world = World::new();
    world.memory.enrol_at(ENROLMENT);
    world.reload(&format!("{lease}{rule}"));
    world
}

fn workstation() -> Packet {
    eth(WORKSTATION, TRUNK) / vlan(120)
}

fn asks(port: u16) -> Arrival {
    trunk(workstation() / ipv4(WORKSTATION4, RADIOLOGY_GATE4) / tcp(40000, port).syn())
}

fn answers() -> Arrival {
    let leaving = Leaving { origin: Origin::Gateway, port: Port(0), tag: Vlan(120) };
    let answer = tcp(ENROLMENT, 40000).ack_number(1).syn().ack();
    let packet = eth(TRUNK, WORKSTATION) / ipv4(RADIOLOGY_GATE4, WORKSTATION4) / answer;
    Arrival::Out(leaving, packet)
}

fn reads() -> Arrival {
    trunk(workstation() / ipv4(WORKSTATION4, PACS4) / tcp(40000, 443).syn())
}

fn finds() -> Arrival {
    let asks = arp_request(WORKSTATION, WORKSTATION4, RADIOLOGY_GATE4);
    trunk(eth(WORKSTATION, Mac::BROADCAST) / vlan(120) / asks)
}

#[test]
fn a_node_without_a_lease_reaches_the_gateway_for_one_and_nothing_else() {
    let world = world();
    let elsewhere =
        |port| trunk(workstation() / ipv4(WORKSTATION4, PACS4) / tcp(40000, port).syn());
    world.sequence([
        ("arp gateway", finds()),
        ("opened gateway", asks(ENROLMENT)),
        ("established trunk.120 kept", answers()),
        ("no_lease", asks(7448)),
        (
            "no_lease",
            trunk(workstation() / ipv4(WORKSTATION4, RADIOLOGY_GATE4) / echo_request(1, 1)),
        ),
        (
            "no_lease",
            trunk(workstation() / ipv4(WORKSTATION4, RADIOLOGY_GATE4) / udp(40000, ENROLMENT)),
        ),
        ("no_lease", elsewhere(ENROLMENT)),
        ("no_lease", reads()),
        // A connection that only comes from that port is none to it.
        (
            "no_lease",
            trunk(workstation() / ipv4(WORKSTATION4, RADIOLOGY_GATE4) / tcp(ENROLMENT, 443).syn()),
        ),
    ]);
    world.memory.bump();
    // Asked again, from either side, it is what it was.
    world.sequence([("established trunk.120 kept", answers())]);
    world.memory.grant(world.node("workstation"), Ticks(world.now().0 + 10_000));
    world.sequence([("opened outside.0 router", reads())]);
    world.wait(11);
    world.sequence([
        ("lease_expired", reads()),
        ("arp gateway", finds()),
        ("established trunk.120 kept", answers()),
    ]);
    world.memory.isolate(world.node("workstation"), true);
    world.sequence([("isolated", asks(ENROLMENT)), ("isolated", finds()), ("egress", answers())]);
}

#[test]
fn without_a_rule_or_the_right_mac_nobody_gets_there_and_no_node_whose_switch_proves_it() {
    let mut other = world();
    other.table([("binding_mac", {
        trunk(
            eth(STRANGER, TRUNK)
                / vlan(120)
                / ipv4(WORKSTATION4, RADIOLOGY_GATE4)
                / tcp(40000, ENROLMENT).syn(),
        )
    })]);
    let lease = POLICY.replace("\"802.1x\"\nidentity", "\"lease\"\nidentity");
    other.reload(&lease);
    other.table([("no_rule", asks(ENROLMENT))]);
    let world = World::new();
    let mut dot1x = world;
    dot1x.memory.enrol_at(ENROLMENT);
    dot1x.table([("no_lease", asks(ENROLMENT)), ("no_lease", finds())]);
    let mut nowhere = self::world();
    nowhere.memory.enrol_at(0);
    nowhere.table([("no_lease", asks(ENROLMENT)), ("no_lease", finds())]);
}
