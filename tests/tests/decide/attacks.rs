//! What an attacker would try against the policy language and the tables.

use firewall_policy::explain::Sizes;

use crate::fixture::*;

const WORLD_WIDE: &str = r#"
version = 1
[subnetwork.ward]
port = "inside"
networks = ["10.20.0.0/24", "fd00:20::/64"]
[subnetwork.world]
port = "outside"
networks = ["2000::/3"]
[node.server]
subnetwork = "ward"
addresses = ["10.20.0.11", "fd00:20::11"]
mac = "02:00:00:20:00:11"
[application.web]
tcp = ["443"]
[[allow]]
name = "the world"
from = ["world/any"]
to = ["server"]
applications = ["web"]
"#;

fn syn() -> Tcp {
    tcp(40000, 443).syn()
}

#[test]
fn an_ipv4_address_is_in_no_ipv6_network_however_wide() {
    let world = World::under(WORLD_WIDE, &Sizes::default());
    let link = || eth(STRANGER, CT);
    world.table([
        ("opened out 0", outside(link() / ipv6("2001:db8::1", CT6) / syn())),
        ("unknown_source", outside(link() / ipv4("198.51.100.1", CT4) / syn())),
        ("unknown_source", outside(link() / arp_request(STRANGER, "198.51.100.1", CT4))),
        ("ip_source", outside(link() / ipv6("::ffff:198.51.100.1", CT6) / syn())),
        ("ip_source", outside(link() / ipv6("::1", CT6) / syn())),
        ("ip_source", outside(link() / ipv6("2002:c633:6401::1", CT6) / syn())),
        ("binding_port", outside(link() / ipv6(CT6, "2001:db8::1") / syn())),
    ]);
}

#[test]
fn everybody_of_ipv4_is_still_nobody_special() {
    let text = WORLD_WIDE.replace("2000::/3", "0.0.0.0/0");
    let world = World::under(&text, &Sizes::default());
    let from = |source: &str| outside(eth(STRANGER, CT) / ipv4(source, CT4) / syn());
    world.table([
        ("opened out 0", from("198.51.100.1")),
        ("ip_source", from("0.0.0.0")),
        ("ip_source", from("127.0.0.1")),
        ("ip_source", from("255.255.255.255")),
        ("ip_source", from("239.0.0.1")),
        ("ip_source", from(CT4)),
        ("unknown_source", outside(eth(STRANGER, CT) / ipv6("2001:db8::1", CT6) / syn())),
        ("arp out 0", outside(eth(STRANGER, CT) / arp_request(STRANGER, "198.51.100.1", CT4))),
    ]);
}

#[test]
fn nobody_on_the_wrong_side_ends_a_connection_by_a_frame_from_there() {
    let world = World::new();
    world.sequence([
        ("opened out 0", inside(ct() / ipv4(CT4, PACS4) / tcp(40000, 104).syn())),
        ("binding_port", inside(hospital() / ipv4(PACS4, CT4) / tcp(104, 40000).rst())),
        ("binding_port", inside(ct() / ipv4(PACS4, CT4) / tcp(104, 40000).rst().ack())),
        ("binding_port", outside(hospital() / ipv4(CT4, PACS4) / tcp(40000, 104).rst())),
        ("binding_port", right(hospital() / ipv4(PACS4, CT4) / tcp(104, 40000).rst())),
        (
            "established out 120",
            outside(hospital() / ipv4(PACS4, CT4) / tcp(104, 40000).syn().ack().ack_number(1)),
        ),
    ]);
}

#[test]
fn a_node_does_not_speak_past_the_router_to_a_neighbour_of_its_own() {
    let world = World::new();
    world.table([
        ("no_rule", inside(ct() / ipv4(CT4, MR4) / tcp(40000, 104).syn())),
        ("no_rule", inside(eth(CT, MR) / vlan(120) / ipv4(CT4, MR4) / tcp(40000, 104).syn())),
        ("binding_mac", inside(eth(CT, MR) / vlan(120) / ipv4(CT4, PACS4) / tcp(4, 104).syn())),
        ("binding_mac", outside(eth(ROUTER, MR) / ipv4(PACS4, CT4) / tcp(104, 4).ack())),
    ]);
}

#[test]
fn a_flow_of_one_protocol_does_not_open_another() {
    let world = World::new();
    let back = || hospital() / ipv4(PACS4, CT4);
    world.sequence([
        ("opened out 0", inside(ct() / ipv4(CT4, PACS4) / tcp(123, 104).syn())),
        ("no_rule", outside(back() / udp(104, 123))),
        ("opened out 0", inside(ct() / ipv4(CT4, PACS4) / udp(104, 123))),
        ("no_rule", outside(back() / tcp(123, 104).syn().ack())),
        ("arp out 0", inside(ct() / arp_request(CT, CT4, PACS4))),
        // Protocol 0 is what names the memory of that question.
        ("no_rule", outside(hospital() / ipv4(PACS4, CT4).protocol(0) / payload([0; 8]))),
    ]);
}
