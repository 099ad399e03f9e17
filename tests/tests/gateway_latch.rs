//! The disk is full, or the latch is not what was written: a stop never becomes less.

use std::{fs, time::Duration};

use firewall_control::StopLevel;
use firewall_tests::gateway::{
    Gateway, Stream, Tmpfs,
    policy::{FAR, images},
};

const SHORT: Duration = Duration::from_millis(300);

fn stream(gateway: &Gateway) -> Stream {
    Stream::open(gateway.lab().near(), gateway.lab().far(), FAR.v4, 104)
}

#[test]
fn with_a_full_disk_a_stop_takes_effect_and_says_that_it_is_not_latched() {
    let mut gateway = Gateway::prepare(&images());
    let disk = Tmpfs::over(&gateway.state());
    gateway.restart();
    let stream = stream(&gateway);
    disk.fill();
    let ended = gateway.cordon(&["stop-all", "--reason", "x"]);
    ended.refused(1, "not latched");
    stream.assert_stands(SHORT);
    assert!(!gateway.latch().exists());

    // Nobody resumes what could not be forgotten on disk.
    gateway.cordon(&["resume", "--reason", "x"]).refused(1, "still stopped");
    stream.assert_stands(SHORT);
    gateway.kill();
    gateway.restart();
    stream.assert_stands(SHORT);
    assert_eq!(gateway.status().stop.level, StopLevel::Ordinary);

    disk.free();
    gateway.cordon(&["stop-all", "--reason", "again"]).done();
    assert!(gateway.latch().exists());
    gateway.cordon(&["resume", "--reason", "x"]).done();
    stream.assert_flows();
}

#[test]
fn with_a_full_disk_a_node_is_cut_off_and_a_stop_without_the_daemon_stops() {
    let mut gateway = Gateway::prepare(&images());
    let disk = Tmpfs::over(&gateway.state());
    gateway.restart();
    let stream = stream(&gateway);
    disk.fill();
    gateway.cordon(&["isolate", "ct-1", "--reason", "x"]).refused(1, "latch");
    stream.assert_stands(SHORT);
    gateway.cordon(&["release", "ct-1", "--reason", "x"]).refused(1, "latch");
    stream.assert_stands(SHORT);
    disk.free();
    gateway.cordon(&["release", "ct-1", "--reason", "x"]).done();
    stream.assert_flows();

    disk.fill();
    gateway.kill();
    let ended = gateway.cordon(&["stop-all", "--direct", "--reason", "x"]);
    ended.refused(1, "not latched");
    stream.assert_stands(SHORT);
}

#[test]
fn a_damaged_latch_is_no_empty_latch() {
    let mut gateway = Gateway::start(&images());
    let stream = stream(&gateway);
    gateway.stop(Some("hospital"), false);
    gateway.resume(Some("hospital"));
    for stopped in [false, true] {
        if stopped {
            gateway.stop(None, false);
        }
        let assert_as_before = || {
            if stopped {
                stream.assert_stands(SHORT);
            } else {
                stream.assert_flows();
            }
        };
        gateway.kill();
        let good = fs::read(gateway.latch()).unwrap();
        let mut flipped = good.clone();
        flipped[good.len() / 3] ^= 1;
        for bad in [&flipped[..], &good[..good.len() - 1], b"", b"\xff\xfe"] {
            fs::write(gateway.latch(), bad).unwrap();
            let ended = gateway.daemon_fails();
            ended.refused(1, "is damaged");
            assert!(ended.errors.contains("stop-all --direct"), "{}", ended.errors);
            assert_as_before();
        }
        fs::write(gateway.latch(), good).unwrap();
        gateway.restart();
        assert_as_before();
    }
}

#[test]
fn a_damaged_latch_is_set_aside_by_stopping_everything_without_the_daemon() {
    let mut gateway = Gateway::start(&images());
    let stream = stream(&gateway);
    gateway.kill();
    fs::write(gateway.latch(), "neither this nor that").unwrap();
    gateway.daemon_fails().refused(1, "is damaged");
    let of = ["stop-all", "--direct", "--subnetwork", "radiology", "--reason", "x"];
    let said = gateway.cordon(&of).done();
    assert!(said.contains("everything"), "{said}");
    stream.assert_stands(SHORT);
    let aside = fs::read(gateway.latch().with_extension("damaged")).unwrap();
    assert_eq!(aside, b"neither this nor that");
    gateway.restart();
    assert_eq!(gateway.status().stop.level, StopLevel::Ordinary);
    stream.assert_stands(SHORT);
    gateway.resume(None);
    stream.assert_flows();
}

#[test]
fn a_latch_that_is_damaged_under_a_living_daemon_is_replaced_by_the_next_stop() {
    let mut gateway = Gateway::start(&images());
    let stream = stream(&gateway);
    gateway.stop(None, true);
    fs::write(gateway.latch(), "x").unwrap();
    assert_eq!(gateway.status().stop.level, StopLevel::Hard);
    stream.assert_stands(SHORT);
    gateway.stop(Some("radiology"), false);
    gateway.kill();
    gateway.restart();
    let status = gateway.status();
    assert_eq!(status.stop.level, StopLevel::Hard);
    stream.assert_stands(SHORT);
    gateway.resume(None);
    stream.assert_stands(SHORT);
    gateway.resume(Some("radiology"));
    stream.assert_flows();
}
