//! Ports go and are made again: nothing passes that may not, and what may passes again.

use std::time::{Duration, Instant};

use firewall_tests::{
    gateway::{
        Flood, Gateway, Watch, eventually, measured,
        policy::{FAR, NEAR, images},
        repeat,
    },
    packet::{Packet, payload, udp},
    runner::{action, attach_xdp, returning},
};

const LONG: Duration = Duration::from_secs(10);
const PERMITTED: &[u8] = b"a log that a rule permits";
const FORBIDDEN: &[u8] = b"what no rule permits";

fn permitted() -> Vec<Packet> {
    NEAR.to(&FAR).iter().map(|to| to / udp(40_000, 514) / payload(PERMITTED)).collect()
}

fn forbidden() -> Vec<Packet> {
    NEAR.to(&FAR).iter().map(|to| to / udp(40_000, 123) / payload(FORBIDDEN)).collect()
}

#[test]
fn a_port_that_is_made_again_under_a_flood_lets_nothing_through_but_what_it_did_before() {
    let gateway = Gateway::start(&images());
    let before = gateway.ledger();
    let (near, far) = (gateway.lab().near(), gateway.lab().far());
    let (seen, leaked) = (Watch::start(far, PERMITTED), Watch::start(far, FORBIDDEN));
    let floods = [Flood::start(near, &permitted()), Flood::start(near, &forbidden())];
    assert!(eventually(LONG, || seen.seen() > 20), "the permitted does not flow");
    let (times, mut slowest, mut gap) = (repeat(5), Duration::ZERO, 0);
    for turn in 0..times {
        let armed = gateway.link("inside").unwrap();
        if turn % 2 == 0 {
            gateway.lab().replug("inside");
        } else {
            gap += unguarded(&gateway, &seen, &floods);
        }
        let begun = Instant::now();
        assert!(eventually(LONG, || gateway.runs("inside", &armed)), "it is not armed again");
        slowest = slowest.max(begun.elapsed());
        let passed = || gateway.glance().passed("inside");
        let count = passed();
        assert!(eventually(LONG, || passed() > count + 20), "the permitted does not flow again");
    }
    let [permitted, forbidden] = floods.map(Flood::end);
    let change = gateway.since(&before);
    assert_eq!(leaked.end(), 0, "of {forbidden} forbidden frames");
    assert_eq!(change.passed("inside"), seen.end(), "of {permitted} permitted frames");
    change.assert_only(&["no_rule", "redirect_failed"]);
    assert!(change.dropped("inside", "no_rule") > 0, "{change:?}");
    assert_eq!(gateway.told("rearmed", "inside was made again"), times as usize);
    assert_eq!(gateway.told("tamper", ""), 0);
    measured(format_args!(
        "{times} times made again: 0 of {forbidden} forbidden frames passed, {} of {permitted} \
         permitted ones; of {gap} frames 0 before it was armed, which took {slowest:?} at most",
        change.passed("inside")
    ));
}

/// Makes a port again while the daemon cannot do anything about it. How many frames it was sent.
fn unguarded(gateway: &Gateway, seen: &Watch, floods: &[Flood; 2]) -> u64 {
    let sent = || floods.iter().map(Flood::sent).sum::<u64>();
    gateway.freeze();
    gateway.lab().replug("inside");
    // What came before has arrived by then.
    let begun = sent();
    assert!(eventually(LONG, || sent() > begun + 100));
    let (count, now) = (seen.seen(), sent());
    assert!(eventually(LONG, || sent() > now + 200));
    assert_eq!(seen.seen(), count, "frames passed a port that nobody guards");
    gateway.unfreeze();
    sent() - begun
}

#[test]
fn a_daemon_that_is_killed_while_ports_are_made_again_guards_them_when_it_is_back() {
    let mut gateway = Gateway::start(&images());
    let (near, far) = (gateway.lab().near(), gateway.lab().far());
    let (seen, leaked) = (Watch::start(far, PERMITTED), Watch::start(far, FORBIDDEN));
    let floods = [Flood::start(near, &permitted()), Flood::start(near, &forbidden())];
    let times = repeat(5);
    for turn in 0..times {
        if turn % 2 == 0 {
            gateway.kill();
            gateway.lab().replug("inside");
        } else {
            gateway.lab().replug("inside");
            gateway.kill();
        }
        gateway.restart();
        let count = seen.seen();
        assert!(eventually(LONG, || seen.seen() > count + 20), "the permitted does not flow again");
        let healthy = || gateway.check("port inside").0 != "fail";
        assert!(eventually(LONG, healthy), "{:?}", gateway.status().health);
    }
    let [_, forbidden] = floods.map(Flood::end);
    assert_eq!(leaked.end(), 0, "of {forbidden} forbidden frames");
    measured(format_args!(
        "{times} times SIGKILL, made again and started: 0 of {forbidden} forbidden frames passed"
    ));
}

#[test]
fn a_missing_interface_fails_the_check_until_it_is_back() {
    let gateway = Gateway::start(&images());
    let well = gateway.cordon(&["status", "--check"]).done();
    assert_eq!(well, "ok\n");
    gateway.lab().inside().delete();
    let missing = || gateway.cordon(&["status", "--check"]).code == Some(1);
    assert!(eventually(LONG, missing), "nobody misses it");
    assert!(eventually(LONG, || gateway.check("port inside").1.contains("no interface inside")));
    gateway.cordon(&["status", "--check"]).refused(1, "port inside");
    let json = gateway.cordon(&["--json", "status", "--check"]);
    let answer: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((json.code, &answer["health"][0]["state"]), (Some(1), &"fail".into()));
    gateway.lab().make_again("inside");
    let back = || gateway.cordon(&["status", "--check"]).code == Some(0);
    assert!(eventually(LONG, back), "{:?}", gateway.status().health);
    let warned = gateway.cordon(&["status", "--check"]).done();
    assert!(warned.contains("warn") && warned.contains("inside was made again"), "{warned}");
    assert_eq!(gateway.told("health", "there is no interface inside"), 1);
    assert_eq!(gateway.told("rearmed", ""), 1);
}

#[test]
fn a_port_that_is_switched_off_stays_off_and_fails_the_check() {
    let gateway = Gateway::start(&images());
    gateway.lab().inside().down();
    let is_down = || gateway.check("port inside").1.contains("inside is down");
    assert!(eventually(LONG, is_down));
    assert_eq!(gateway.cordon(&["status", "--check"]).code, Some(1));
    gateway.lab().inside().up();
    assert!(eventually(LONG, || gateway.check("port inside").0 == "ok"));
    assert_eq!(gateway.told("tamper", ""), 0);
}

#[test]
fn a_port_that_has_another_name_goes_on_and_fails_the_check() {
    let gateway = Gateway::start(&images());
    let (near, far) = (gateway.lab().near(), gateway.lab().far());
    let seen = Watch::start(far, PERMITTED);
    let _flood = Flood::start(near, &permitted());
    let mut inside = gateway.lab().inside().clone();
    inside.rename("other");
    let is_told = || gateway.check("port inside").1.contains("inside has another name now");
    assert!(eventually(LONG, is_told), "{:?}", gateway.status().health);
    assert_eq!(gateway.cordon(&["status", "--check"]).code, Some(1));
    let count = seen.seen();
    assert!(eventually(LONG, || seen.seen() > count + 20), "it does not go on");
    inside.rename("inside");
    assert!(eventually(LONG, || gateway.check("port inside").0 == "ok"));
    assert_eq!(gateway.told("tamper", ""), 0);
}

#[test]
fn a_foreign_program_on_a_port_that_was_made_again_is_an_alarm_and_no_way_through() {
    let gateway = Gateway::start(&images());
    let (near, far) = (gateway.lab().near(), gateway.lab().far());
    let (seen, leaked) = (Watch::start(far, PERMITTED), Watch::start(far, FORBIDDEN));
    let armed = gateway.link("inside").unwrap();
    let mut other = gateway.lab().replug("other");
    let index = other.index();
    let program = returning(action::PASS).unwrap();
    let held = gateway.lab().gateway().run(|| attach_xdp(&program, index)).unwrap();
    other.rename("inside");
    let is_told = || gateway.check("port inside").1.contains("another XDP program");
    assert!(eventually(LONG, is_told), "{:?}", gateway.status().health);
    gateway.cordon(&["status", "--check"]).refused(1, "port inside");
    let floods = [Flood::start(near, &permitted()), Flood::start(near, &forbidden())];
    assert!(eventually(LONG, || floods.iter().all(|flood| flood.sent() > 200)));
    assert_eq!(seen.seen(), 0);
    drop(held);
    assert!(eventually(LONG, || gateway.runs("inside", &armed)), "it is not armed again");
    assert!(eventually(LONG, || seen.seen() > 20), "the permitted does not flow again");
    assert_eq!(leaked.end(), 0);
    assert_eq!(gateway.cordon(&["status", "--check"]).code, Some(0));
}

#[test]
fn enforcement_is_not_taken_away_while_a_daemon_would_put_it_back() {
    let mut gateway = Gateway::start(&images());
    gateway.detach_all().refused(1, "cordond runs");
    assert!(gateway.link_pin("inside").exists());
    gateway.stop_daemon();
    gateway.detach_all().done();
    assert!(!gateway.pins().exists());
}
