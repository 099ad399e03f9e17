//! How hard the kernel's verifier finds the programs. `cargo xtask vmtest` collects what this prints
//! on every kernel that it boots, in `tests/verifier.md`.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use std::{
    fs,
    os::fd::{AsFd, OwnedFd},
};

use firewall_common::Port;
use firewall_common::tables::Way;
use firewall_daemon::{
    config::Config,
    dataplane::{
        load::{self, Constants},
        measure_clock, sizes,
    },
};
use firewall_tests::{
    lab::Lab,
    verifier::{LIMIT, Record},
};

#[test]
fn the_verifier_has_room_to_spare() {
    for (name, program) in programs() {
        let Record { instructions, stack } = Record::of(program.as_fd()).unwrap();
        println!("verifier: {name} instructions {instructions} stack {}", stack.unwrap_or(0));
        assert!((1..LIMIT / 4).contains(&instructions), "{name}: {instructions} of {LIMIT}");
        assert!(stack.is_none_or(|bytes| bytes <= 512), "{name}: {stack:?} bytes of stack");
    }
}

/// Every program of the object, as a bridge and as a router load it.
fn programs() -> Vec<(&'static str, OwnedFd)> {
    let lab = Lab::new();
    let directory = lab.bpffs().join("maps");
    fs::create_dir(&directory).unwrap();
    let text = "[gateway]\nmode = \"bridge\"\npairs = [[\"inside\", \"outside\"]]\n\
        [port.inside]\ninterface = \"inside\"\n[port.outside]\ninterface = \"outside\"\n";
    let text = format!("[bpf]\ndirectory = {:?}\n{text}", lab.bpffs().join("cordon"));
    let config: Config = text.parse().unwrap();
    let sizes = sizes(&config);
    let clock = measure_clock(&config).unwrap();
    let (timeouts, limits) = (load::timeouts(clock), load::limits(&config, clock));
    let load = |way, jumbo| {
        let constants = Constants {
            port: Port(0),
            way,
            jumbo,
            routes: true,
            authenticates: true,
            enrolment: 7447,
            timeouts,
            limits,
            events_per_tick: 16,
        };
        load::program(&directory, &sizes, &constants).unwrap()
    };
    let peer = Way::Bridge { peer: Port(1) };
    let (bridge, router) = (load(peer, false), load(Way::Router, false));
    let (jumbo_bridge, jumbo_router) = (load(peer, true), load(Way::Router, true));
    vec![
        ("cordon-bridge", bridge.cordon),
        ("cordon-router", router.cordon),
        ("cordon-jumbo-bridge", jumbo_bridge.cordon),
        ("cordon-jumbo-router", jumbo_router.cordon),
        ("guard-bridge", bridge.guard),
        ("guard-router", router.guard),
        ("clock", load::clock(&directory, &sizes).unwrap()),
    ]
}
