//! hostapd on a port of the gateway's, and `wpa_supplicant` behind it.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use firewall_tests::dot1x::{Site, Supplicant, logoff};
use firewall_tests::gateway::policy::NEAR;
use nix::time::{ClockId, clock_gettime};

use super::traffic::{Traffic, milliseconds, now};
use super::{BEGIN, END, row};
use crate::Effort;
use crate::gateway;
use crate::report::Report;
use crate::statistics::Samples;

/// How long hostapd may be silent while a node proves itself.
const SILENT: Duration = Duration::from_secs(1);
/// How often a node is asked.
const PATIENCE: u32 = 20;

pub(super) fn measure(effort: Effort, report: &mut Report) {
    let rounds = effort.pick(3, 20);
    let mut door = Door::new();
    let near = door.site.gateway.lab().near().port();
    let [mut first, mut logoffs, mut commands] = [const { Samples(Vec::new()) }; 3];
    let traffic = Traffic::start(door.site.gateway.lab());
    for _ in 0..rounds {
        first.push(traffic.begins(door.lets_in()));
        let begun = now();
        near.send(&logoff(NEAR.mac));
        logoffs.push(traffic.ends(begun));

        first.push(traffic.begins(door.lets_in()));
        let begun = now();
        door.site.hostapd().disconnect(NEAR.mac);
        commands.push(traffic.ends(begun));
    }
    drop(traffic);
    row(report, "802.1X, success told to first frame", &first, BEGIN);
    row(report, "802.1X, logoff sent to last frame", &logoffs, END);
    let what = "802.1X, radclient disconnect started to last frame";
    row(report, what, &commands, END);
    row(report, "802.1X, carrier lost to lease ended", &carrier(&mut door, rounds), END);
}

/// Frames end with the carrier anyway; what counts is that none is let through when it is back.
fn carrier(door: &mut Door, rounds: usize) -> Samples {
    let mut samples = Samples::default();
    for round in 0..rounds {
        door.lets_in();
        let gateway = &door.site.gateway;
        let cable = gateway.lab().near().link();
        gateway::wait_until("the node is let in", || gateway.crosses());
        let begun = Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME).unwrap());
        cable.down();
        gateway::wait_until("the lease has ended", || gateway.ended_as("carrier") > round);
        let events = gateway.events();
        let ended = events.iter().rfind(|event| event.reason.as_deref() == Some("carrier"));
        let ended = Duration::from_nanos(ended.expect("the end of a lease").boot_nanoseconds);
        samples.push(milliseconds(ended.saturating_sub(begun)));
        cable.up();
    }
    samples
}

/// A node that proves itself as often as it is asked.
struct Door {
    site: Site,
    supplicant: Option<Supplicant>,
    /// Hears what hostapd says when the daemon hears it.
    listener: UnixDatagram,
}

impl Door {
    fn new() -> Self {
        let site = Site::new();
        let supplicant = Some(site.proves());
        let listener = UnixDatagram::bind(site.gateway.lab().directory().join("heard")).unwrap();
        listener.connect(site.hostapd().socket()).unwrap();
        listener.set_read_timeout(Some(SILENT)).unwrap();
        listener.send(b"ATTACH").unwrap();
        Self { site, supplicant, listener }
    }

    /// Lets the node prove itself anew; when hostapd has told of its success.
    fn lets_in(&mut self) -> Duration {
        for _ in 0..PATIENCE {
            let hostapd = self.site.hostapd();
            hostapd.forget();
            self.forget();
            // Does nothing if the supplicant has begun by itself.
            hostapd.invite(NEAR.mac);
            if let Some(succeeded) = self.success() {
                return succeeded;
            }
            // In the midst of a method it is deaf to who asks for its identity (RFC 4137, 4.4).
            self.supplicant = None;
            self.supplicant = Some(self.site.proves());
        }
        panic!("the node is not let in:\n{}", self.site.hostapd().log());
    }

    fn success(&self) -> Option<Duration> {
        let mut buffer = [0; 4096];
        while let Ok(length) = self.listener.recv(&mut buffer) {
            let told = now();
            if String::from_utf8_lossy(&buffer[..length]).contains("CTRL-EVENT-EAP-SUCCESS") {
                return Some(told);
            }
        }
        None
    }

    /// What was said before does not count.
    fn forget(&self) {
        self.listener.set_nonblocking(true).unwrap();
        while self.listener.recv(&mut [0; 4096]).is_ok() {}
        self.listener.set_nonblocking(false).unwrap();
    }
}
