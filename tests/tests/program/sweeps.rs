//! Established flows that are over give their room back, and no others do.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use firewall_common::flow::table::{self, FlowTable};
use firewall_common::flow::{Flow, FlowKey};
use firewall_daemon::dataplane::read::{self, Table};
use firewall_daemon::dataplane::sweep::{Slice, Sweep};

use crate::fixture::*;

/// In seconds.
const GRACE: u32 = 5;

fn asks(port: u16) -> Arrival {
    inside(ct() / ipv4(CT4, PACS4) / udp(port, 123))
}

fn answers(port: u16) -> Arrival {
    outside(hospital() / ipv4(PACS4, CT4) / udp(123, port))
}

/// Once over the table.
fn sweep_all(world: &World) -> Slice {
    let gateway = &world.memory.gateway;
    let mut sweep = Sweep::new(GRACE * gateway.hz());
    let mut walk = Slice::default();
    while !walk.is_last {
        let Slice { looked, forgotten, is_last } = sweep.slice(gateway.trial.maps(), gateway.now());
        walk.looked += looked;
        walk.forgotten += forgotten;
        walk.is_last = is_last;
    }
    walk
}

#[test]
fn a_flow_that_is_over_is_forgotten_after_a_grace_and_no_other_is() {
    let world = World::new();
    let open = |port| {
        world.sequence([("opened out 0", asks(port)), ("established out 120", answers(port))]);
    };
    open(1);
    open(2);
    // Flows like these live for 180 seconds.
    world.wait(170);
    world.sequence([("established out 0", asks(2))]);
    world.wait(12);
    open(3);
    assert_eq!(sweep_all(&world), Slice { looked: 3, forgotten: 0, is_last: true });
    world.wait(4);
    assert_eq!(sweep_all(&world), Slice { looked: 3, forgotten: 1, is_last: true });
    assert_eq!(world.memory.flow_counts(), (0, 2));
    world.sequence([
        ("established out 0", asks(2)),
        ("established out 120", answers(3)),
        ("no_rule", answers(1)),
        ("opened out 0", asks(1)),
    ]);
}

#[test]
fn a_table_is_swept_in_slices_from_its_beginning_to_its_end() {
    let world = World::new();
    for port in 1..=1000 {
        world.sequence([("opened out 0", asks(port)), ("established out 120", answers(port))]);
    }
    world.wait(200);
    let gateway = &world.memory.gateway;
    let mut sweep = Sweep::new(GRACE * gateway.hz());
    let mut next = || sweep.slice(gateway.trial.maps(), gateway.now());
    let first = next();
    assert!(!first.is_last && first.looked <= 512 && first.forgotten == first.looked, "{first:?}");
    let mut forgotten = first.forgotten;
    loop {
        let slice = next();
        forgotten += slice.forgotten;
        if slice.is_last {
            break;
        }
    }
    assert_eq!((forgotten, world.memory.flow_counts().1), (1000, 0));
    assert_eq!(sweep_all(&world), Slice { looked: 0, forgotten: 0, is_last: true });
}

#[test]
fn a_flow_that_takes_the_place_of_one_that_is_over_is_not_lost() {
    let world = World::new();
    world.sequence([("opened out 0", asks(1)), ("established out 120", answers(1))]);
    let gateway = &world.memory.gateway;
    let (maps, hz, now) = (gateway.trial.maps(), gateway.hz(), gateway.now());
    let (mut place, live, over) = (FlowKey::default(), Flow::default(), Flow::default());
    read::flows(maps, Table::Established, |key, flow| {
        place = *key;
        live.copy(flow);
        over.copy(flow);
    })
    .unwrap();
    over.age(200 * hz);
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut sweep = Sweep::new(GRACE * hz);
            while !is_done.load(SeqCst) {
                sweep.slice(maps, now);
            }
        });
        for _ in 0..20_000 {
            for flow in [&over, &live] {
                put(&**maps, &place, flow);
            }
        }
        is_done.store(true, SeqCst);
    });
    world.sequence([("established out 120", answers(1))]);
}

/// Forgets the flow of that key, and enters another one that is answered at once.
fn put(maps: &impl FlowTable, key: &FlowKey, flow: &Flow) {
    let slot = || table::find(maps, key).map(|found| found.slot);
    if let Some(slot) = slot() {
        table::remove(maps, key, slot);
    }
    table::open(maps, key, flow).unwrap();
    // One that is over may be forgotten by now.
    if let Some(slot) = slot() {
        let _ = table::establish(maps, key, slot);
    }
}
