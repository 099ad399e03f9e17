//! A router whose daemon comes and goes: the kernel beneath it could forward by itself, and does not.

use std::time::Duration;

use firewall_tests::{
    gateway::{
        Flood, Gateway, Ledger, Stream, Watch, eventually, measured,
        policy::NEAR,
        repeat,
        router::{INSIDE, PACS, images, through},
    },
    lab::Lab,
    packet::{Packet, payload, udp},
};

const LONG: Duration = Duration::from_secs(10);
const PERMITTED: &[u8] = b"a log that a rule permits";
const FORBIDDEN: &[u8] = b"what no rule permits";

fn to(port: u16, data: &[u8]) -> Vec<Packet> {
    through(&NEAR, &INSIDE, &PACS).iter().map(|to| to / udp(40_000, port) / payload(data)).collect()
}

#[test]
fn a_router_that_starts_forwards_nothing_before_it_is_armed_and_the_forbidden_never() {
    let mut gateway = Gateway::prepare_router(&images());
    let (times, mut sent, mut slowest) = (repeat(3), 0, u64::MAX);
    for _ in 0..times {
        let (near, far) = (gateway.lab().near(), gateway.lab().far());
        let (seen, leaked) = (Watch::start(far, PERMITTED), Watch::start(far, FORBIDDEN));
        let permitted = Flood::start(near, &to(514, PERMITTED));
        let forbidden = Flood::at(Flood::FAST, near, &to(123, FORBIDDEN));
        gateway.restart();
        let begun = seen.seen();
        assert!(eventually(LONG, || seen.seen() > begun + 20), "the permitted does not flow");
        slowest = slowest.min(forbidden.rate());
        let forbidden = forbidden.end();
        permitted.end();
        let change = gateway.since(&Ledger::default());
        assert_eq!(leaked.end(), 0, "of {forbidden} forbidden frames");
        // Each that arrived was let through by the program, none by the kernel alone.
        let arrived = seen.end();
        assert!(arrived <= change.passed("inside"), "{arrived} arrived: {change:?}");
        assert!(change.dropped("inside", "not_armed") > 0, "{change:?}");
        sent += forbidden;
        gateway.stop_daemon();
        gateway.detach_all().done();
    }
    measured(format_args!(
        "{times} cold starts of a router: 0 of {sent} forbidden frames passed, at {slowest} a \
         second or more"
    ));
}

#[test]
fn a_router_that_is_not_guarded_any_more_does_not_forward() {
    let mut gateway = Gateway::route(&images());
    let (near, far) = (gateway.lab().near(), gateway.lab().far());
    Stream::open(near, far, PACS.v4, 104).assert_flows();
    Stream::open(near, far, PACS.v6, 104).assert_flows();
    gateway.stop_daemon();
    gateway.detach_all().done();
    let (near, far) = (gateway.lab().near(), gateway.lab().far());
    for address in PACS.addresses() {
        assert!(Stream::try_open(near, far, address, 104).is_err(), "{address}");
    }
}

#[test]
fn a_router_whose_daemon_is_killed_goes_on_and_stays_closed() {
    let mut gateway = Gateway::route(&images());
    let (near, far) = (gateway.lab().near(), gateway.lab().far());
    let streams = PACS.addresses().map(|address| Stream::open(near, far, address, 104));
    let leaked = Watch::start(far, FORBIDDEN);
    let flood = Flood::start(near, &to(123, FORBIDDEN));
    let times = repeat(5);
    for _ in 0..times {
        gateway.kill();
        for stream in &streams {
            stream.assert_flows();
        }
        gateway.restart();
        for stream in &streams {
            stream.assert_flows();
        }
    }
    let sent = flood.end();
    assert_eq!(leaked.end(), 0, "of {sent} forbidden frames");
    measured(format_args!("{times} times SIGKILL and start: 0 of {sent} forbidden frames passed"));
}

#[test]
fn a_routers_port_that_is_made_again_under_a_flood_lets_nothing_through_but_what_it_did_before() {
    let mut gateway = Gateway::prepare_router_in(Lab::with_hosts(1, 2), &images());
    gateway.restart();
    let (near, far) = (gateway.lab().near(), gateway.lab().far());
    let (seen, leaked) = (Watch::start(far, PERMITTED), Watch::start(far, FORBIDDEN));
    let permitted = Flood::start(near, &to(514, PERMITTED));
    let forbidden = Flood::at(Flood::FAST, near, &to(123, FORBIDDEN));
    assert!(eventually(LONG, || seen.seen() > 20), "the permitted does not flow");
    let times = repeat(4);
    for turn in 0..times {
        let (port, rewire): (_, fn(&Gateway)) = match turn % 4 {
            0 | 1 => ("inside", Gateway::rewire_near),
            _ => ("outside", Gateway::rewire_far),
        };
        let armed = gateway.link(port).unwrap();
        if turn % 2 == 0 {
            rewire(&gateway);
        } else {
            gateway.freeze();
            rewire(&gateway);
            let count = seen.seen();
            let sent = forbidden.sent();
            assert!(eventually(LONG, || forbidden.sent() > sent + 2000));
            if port == "inside" {
                assert_eq!(seen.seen(), count, "frames passed a port that nobody guards");
            }
            gateway.unfreeze();
        }
        assert!(eventually(LONG, || gateway.runs(port, &armed)), "{port} is not armed again");
        let count = seen.seen();
        assert!(eventually(LONG, || seen.seen() > count + 20), "the permitted does not flow again");
    }
    let rate = forbidden.rate();
    let (forbidden, permitted) = (forbidden.end(), permitted.end());
    let arrived = seen.end();
    assert_eq!(leaked.end(), 0, "of {forbidden} forbidden frames");
    assert!(arrived <= gateway.ledger().passed("inside"), "{arrived} arrived");
    assert_eq!(gateway.told("tamper", ""), 0);
    measured(format_args!(
        "{times} times a router's port made again: 0 of {forbidden} forbidden frames passed, at \
         {rate} a second; {arrived} of {permitted} permitted ones"
    ));
}
