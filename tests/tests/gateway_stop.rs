//! Stop-all: what it cuts, what it spares, and that nothing but a resume lifts it.

use std::time::Duration;

use firewall_control::StopLevel;
use firewall_tests::gateway::{
    Gateway, Ledger, Stream, measured,
    policy::{FAR, images},
    remove_pins,
};

const SHORT: Duration = Duration::from_millis(300);

/// A gateway with a transfer that no rule calls essential, and one that a rule does.
fn gateway() -> (Gateway, Stream, Stream) {
    let gateway = Gateway::start(&images());
    let (near, far) = (gateway.lab().near(), gateway.lab().far());
    let images = Stream::open(near, far, FAR.v4, 104);
    let alarms = Stream::open(near, far, FAR.v6, 2575);
    (gateway, images, alarms)
}

/// Nothing crosses but essential flows, and a new one of them may be opened.
fn assert_stopped(gateway: &Gateway, images: &Stream, alarms: &Stream) {
    images.assert_stands(SHORT);
    alarms.assert_flows();
    let (near, far) = (gateway.lab().near(), gateway.lab().far());
    assert!(Stream::try_open(near, far, FAR.v6, 11112).is_err(), "a new flow was opened");
    Stream::open(near, far, FAR.v4, 2575).assert_flows();
}

#[test]
fn an_ordinary_stop_cuts_transfers_spares_the_essential_and_a_resume_continues_them() {
    let (gateway, images, alarms) = gateway();
    let before = gateway.glance();
    let said = gateway.cordon(&["stop-all", "--reason", "ransomware"]).done();
    assert!(said.contains("took"), "{said}");
    assert_stopped(&gateway, &images, &alarms);
    let status = gateway.status();
    assert_eq!(status.stop.level, StopLevel::Ordinary);
    assert_eq!(status.stop.reason.as_deref(), Some("ransomware"));
    assert_eq!(status.stop.by.map(|by| by.uid), Some(0));
    assert!(status.subnetworks.iter().all(|one| one.effective == StopLevel::Ordinary));

    gateway.cordon(&["resume", "--reason", "over"]).done();
    let took = images.assert_flows();
    alarms.assert_flows();
    drop((images, alarms));
    // All in all it adds up.
    gateway.since(&Ledger::default());
    let drops = gateway.drops_since(&before);
    // Closing a connection that the other end has closed already is a matter of its state.
    let reasons = ["stopped", "tcp_state"];
    assert!(drops.iter().all(|(_, reason, _)| reasons.contains(&&**reason)), "{drops:?}");
    assert!(drops.iter().any(|(port, reason, _)| (&**port, &**reason) == ("inside", "stopped")));
    measured(format_args!("after a resume the same connection went on within {took:?}"));
}

#[test]
fn a_hard_stop_spares_nothing() {
    let (gateway, images, alarms) = gateway();
    let report = gateway.stop(None, true);
    assert_eq!((report.latched, report.effective), (StopLevel::Hard, StopLevel::Hard));
    images.assert_stands(SHORT);
    alarms.assert_stands(SHORT);
    let stopped = gateway.ledger();
    let near = gateway.lab().near().port();
    near.send_bytes(&[0xff; 14]);
    // Not even the link layer is looked at.
    let change = gateway.since(&stopped);
    change.assert_only(&["stopped"]);
    assert!(change.dropped("inside", "stopped") > 0);
    measured(format_args!("a stop took {} us", report.took_microseconds));
    gateway.resume(None);
    images.assert_flows();
    alarms.assert_flows();
}

#[test]
fn one_subnetwork_is_stopped_by_its_name() {
    let (gateway, images, alarms) = gateway();
    let unknown = gateway.cordon(&["stop-all", "--subnetwork", "radiolgy", "--reason", "x"]);
    unknown.refused(1, "radiolgy");
    for (subnetwork, hard) in [("radiology", false), ("hospital", true)] {
        let before = gateway.glance();
        let report = gateway.stop(Some(subnetwork), hard);
        assert_eq!(report.subnetwork.as_deref(), Some(subnetwork));
        images.assert_stands(SHORT);
        if hard {
            alarms.assert_stands(SHORT);
        } else {
            alarms.assert_flows();
        }
        let status = gateway.status();
        assert_eq!(status.stop.level, StopLevel::None);
        for one in status.subnetworks {
            assert_eq!(one.effective != StopLevel::None, one.name == subnetwork, "{one:?}");
        }
        gateway.resume(Some(subnetwork));
        images.assert_flows();
        alarms.assert_flows();
        let drops = gateway.drops_since(&before);
        assert!(drops.iter().all(|(_, reason, _)| reason == "stopped_subnetwork"), "{drops:?}");
    }
}

#[test]
fn a_stop_outlives_the_daemon_however_it_ends() {
    let (mut gateway, images, alarms) = gateway();
    gateway.stop(None, false);
    gateway.kill();
    assert_stopped(&gateway, &images, &alarms);
    gateway.restart();
    assert_stopped(&gateway, &images, &alarms);
    gateway.stop_daemon();
    assert_stopped(&gateway, &images, &alarms);
    gateway.restart();
    assert_stopped(&gateway, &images, &alarms);
    assert_eq!(gateway.status().stop.reason.as_deref(), Some("a test"));
    gateway.resume(None);
    images.assert_flows();
    alarms.assert_flows();
    gateway.kill();
    gateway.restart();
    assert_eq!(gateway.status().stop.level, StopLevel::None);
    images.assert_flows();
}

#[test]
fn a_stop_outlives_a_reboot() {
    let (mut gateway, images, alarms) = gateway();
    drop((images, alarms));
    gateway.stop(None, false);
    gateway.stop(Some("hospital"), true);
    for detach in [true, false] {
        gateway.kill();
        if detach {
            gateway.detach_all().done();
        } else {
            remove_pins(&gateway.pins());
        }
        gateway.restart();
        let (near, far) = (gateway.lab().near(), gateway.lab().far());
        for port in [104, 2575] {
            assert!(Stream::try_open(near, far, FAR.v4, port).is_err(), "port {port} is open");
        }
        let status = gateway.status();
        assert_eq!(status.stop.level, StopLevel::Ordinary);
        let levels = status.subnetworks.iter().map(|one| (&*one.name, one.stop.level));
        let levels: Vec<_> = levels.collect();
        assert_eq!(levels, [("hospital", StopLevel::Hard), ("radiology", StopLevel::None)]);
    }
    gateway.resume(None);
    gateway.resume(Some("hospital"));
    let (near, far) = (gateway.lab().near(), gateway.lab().far());
    Stream::open(near, far, FAR.v4, 104).assert_flows();
}

#[test]
fn a_stop_without_the_daemon_is_kept_by_the_next_one() {
    let (mut gateway, images, alarms) = gateway();
    gateway.kill();
    let said = gateway.cordon(&["stop-all", "--direct", "--reason", "nobody answers"]).done();
    assert!(said.contains("took"), "{said}");
    assert_stopped(&gateway, &images, &alarms);
    gateway.cordon(&["resume", "--reason", "x"]).refused(3, "enforcement");
    gateway.restart();
    assert_stopped(&gateway, &images, &alarms);
    assert_eq!(gateway.status().stop.reason.as_deref(), Some("nobody answers"));
    gateway.resume(None);
    images.assert_flows();

    let of = ["stop-all", "--direct", "--subnetwork", "radiology", "--reason", "again"];
    gateway.kill();
    gateway.cordon(&of).done();
    images.assert_stands(SHORT);
    alarms.assert_flows();
    gateway.restart();
    images.assert_stands(SHORT);
    gateway.resume(Some("radiology"));
    images.assert_flows();
}

#[test]
fn a_stop_past_a_living_daemon_is_seen_and_lifted_by_it() {
    let (mut gateway, images, alarms) = gateway();
    gateway.cordon(&["stop-all", "--direct", "--hard", "--reason", "past it"]).done();
    images.assert_stands(SHORT);
    alarms.assert_stands(SHORT);
    let status = gateway.status();
    assert_eq!(status.stop.level, StopLevel::Hard);
    assert_eq!(status.stop.reason.as_deref(), Some("past it"));
    gateway.reload();
    images.assert_stands(SHORT);
    gateway.kill();
    gateway.restart();
    images.assert_stands(SHORT);
    gateway.resume(None);
    images.assert_flows();
    alarms.assert_flows();
}

#[test]
fn an_isolated_node_is_silent_in_both_directions_until_it_is_released() {
    let (mut gateway, images, alarms) = gateway();
    gateway.cordon(&["isolate", "ct-9", "--reason", "x"]).refused(1, "ct-9");
    for node in ["ct-1", "pacs"] {
        let before = gateway.glance();
        let report = gateway.isolate(node);
        assert_eq!(report.state.name(), "isolated");
        assert!(report.cut_flows >= 2, "{report:?}");
        // No rule is essential for somebody who was cut off.
        images.assert_stands(SHORT);
        alarms.assert_stands(SHORT);
        let (near, far) = (gateway.lab().near(), gateway.lab().far());
        assert!(Stream::try_open(near, far, FAR.v6, 11112).is_err(), "{node} opened a flow");
        gateway.kill();
        gateway.restart();
        images.assert_stands(SHORT);
        alarms.assert_stands(SHORT);
        let drops = gateway.drops_since(&before);
        assert!(drops.iter().all(|(_, reason, _)| reason == "isolated"), "{drops:?}");
        for port in ["inside", "outside"] {
            assert!(drops.iter().any(|(at, _, _)| at == port), "{port}: {drops:?}");
        }
        gateway.cordon(&["release", node, "--reason", "clean again"]).done();
        images.assert_flows();
        alarms.assert_flows();
    }
    // It outlives a reboot, too.
    gateway.isolate("ct-1");
    gateway.kill();
    gateway.detach_all().done();
    gateway.restart();
    let (near, far) = (gateway.lab().near(), gateway.lab().far());
    assert!(Stream::try_open(near, far, FAR.v4, 11112).is_err());
    gateway.release("ct-1");
    Stream::open(near, far, FAR.v4, 11112).assert_flows();
}
