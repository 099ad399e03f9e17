//! Where the program's room ends: ports without a way out, full tables, events without a reader
//! and the memory of a flow.

use std::io::ErrorKind;
use std::path::Path;

use firewall_common::abi::{ATTACHMENTS, Attachment, EventState, Stop, map};
use firewall_common::flow::table;
use firewall_common::{Port, SubnetworkSlot, Vlan};
use firewall_daemon::dataplane::sizes;
use firewall_policy::SequentialSlots;
use firewall_policy::explain::Sizes;
use firewall_tests::lab::Lab;

use crate::fixture::*;
use crate::gateway::{FLOWS, Loaded, config};

fn asks(port: u16) -> Arrival {
    inside(ct() / ipv4(CT4, PACS4) / udp(port, 123))
}

fn answers(port: u16) -> Arrival {
    outside(hospital() / ipv4(PACS4, CT4) / udp(123, port))
}

#[test]
fn a_permitted_frame_without_a_way_out_is_dropped_by_that_name() {
    let lab = Lab::new();
    let loaded = Loaded::new(&lab, FLOWS);
    let (_, image) = compiled(POLICY, &mut SequentialSlots::new());
    loaded.reset(&image);
    let told = |(side, packet): Arrival| loaded.run(Port(side as u16), &packet.bytes()).0.name();
    assert_eq!(told(asks(1)), "opened");
    loaded.trial.unplug(Port(1)).unwrap();
    assert_eq!(told(asks(1)), "redirect_failed");
    assert_eq!(told(asks(2)), "redirect_failed");
    assert_eq!(told(answers(1)), "established");
    loaded.settle();
}

#[test]
fn a_full_map_of_vlans_takes_wholly_other_ones_and_refuses_one_too_many() {
    let lab = Lab::new();
    let loaded = Loaded::new(&lab, FLOWS);
    let set = |from: u32, count: u32| {
        let vlan = |n: u32| {
            let [port, vlan] = [n / 4000, n % 4000].map(|part| u16::try_from(part).unwrap());
            Attachment::new(Port(port), Vlan(vlan))
        };
        loaded.trial.set_interfaces(&(from..from + count).map(|n| (1 + n, vlan(n))).collect())
    };
    set(0, ATTACHMENTS).unwrap();
    set(10_000, ATTACHMENTS).unwrap();
    let refused = set(10_000, ATTACHMENTS + 1).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ArgumentListTooLong, "{refused}");
    set(10_001, ATTACHMENTS).unwrap();
}

#[test]
fn every_drop_and_every_opening_tells_and_nothing_else_does() {
    let world = World::new();
    let before = world.memory.gateway.events();
    world.sequence([
        ("opened out 0", asks(1)),
        ("established out 120", answers(1)),
        ("no_rule", answers(2)),
        ("arp out 0", inside(ct() / arp_request(CT, CT4, PACS4))),
        ("unknown_source", inside(eth(STRANGER, ROUTER) / ipv4("198.51.100.1", PACS4) / udp(1, 2))),
        ("ethertype", inside(eth(CT, ROUTER).ethertype(0x88cc) / payload([0; 46]))),
        ("established out 0", asks(1)),
    ]);
    world.memory.stop(Stop::Hard);
    world.sequence([("stopped", asks(1)), ("stopped", answers(1))]);
    world.memory.stop(Stop::None);
    let after = world.memory.gateway.events();
    // A trial has no reader: nothing is written, so everything that would tell is suppressed.
    let EventState { emitted, suppressed, overflowed, .. } = after;
    let told = (emitted, suppressed - before.suppressed, overflowed);
    assert_eq!(told, (0, 6, 0));
}

#[test]
fn a_gateway_without_a_policy_drops_everything_by_that_name() {
    let lab = Lab::new();
    let loaded = Loaded::new(&lab, FLOWS);
    let (_, packet) = asks(1);
    for port in 0..4 {
        assert_eq!(loaded.run(Port(port), &packet.bytes()).0.name(), "not_armed");
    }
    loaded.trial.stop(Stop::Hard);
    assert_eq!(loaded.run(Port(0), &packet.bytes()).0.name(), "stopped");
    loaded.trial.stop_subnetwork(SubnetworkSlot(1), Stop::Hard);
    loaded.settle();
}

#[test]
fn a_full_table_takes_as_many_flows_as_it_was_made_for_and_keeps_them() {
    let world = World::under(POLICY, &Sizes { flows: 64, ..Sizes::default() });
    let mut kept = vec![];
    for port in 1..=64 {
        world.sequence([("opened out 0", asks(port)), ("established out 120", answers(port))]);
        kept.push(port);
    }
    // It has more slots than that; when both of a flow's buckets are full, it has none for it.
    for port in 65..=600 {
        match world.told(&asks(port)).as_str() {
            "opened out 0" => {
                world.sequence([("established out 120", answers(port))]);
                kept.push(port);
            }
            verdict => assert_eq!(verdict, "flow_table_full"),
        }
    }
    let slots = (table::WAYS * table::buckets_for(64)) as usize;
    assert!((64..=slots).contains(&kept.len()), "{} of {slots}", kept.len());
    for port in kept {
        world.sequence([("established out 0", asks(port)), ("established out 120", answers(port))]);
    }
}

#[test]
fn a_flood_of_questions_takes_no_more_room_than_there_is_and_nothing_from_the_answered() {
    let world = World::new();
    world.sequence([("opened out 0", asks(1)), ("established out 120", answers(1))]);
    for port in 2..=5000 {
        world.sequence([("opened out 0", asks(port))]);
    }
    let (half_open, established) = world.memory.flow_counts();
    assert!((500..=2048).contains(&half_open), "{half_open} of 1024");
    assert_eq!(established, 1);
    world.sequence([("established out 120", answers(1)), ("established out 0", asks(1))]);
}

#[test]
fn a_flow_takes_less_than_176_bytes() {
    let config = config(Path::new("/sys/fs/bpf/cordon"), 1 << 18);
    let shapes = sizes(&config).shapes();
    let shapes =
        shapes.iter().filter(|shape| [map::FLOWS, map::FLOW_BUCKETS].contains(&shape.name));
    let bytes: u32 = shapes.map(|shape| shape.value_size * shape.max_entries).sum();
    assert_eq!(bytes / (1 << 18), 175);
}
