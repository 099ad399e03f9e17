//! hostapd on a port of the gateway's, and `wpa_supplicant` behind it.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use firewall_tests::dot1x::{Hostapd, Site, logoff};
use firewall_tests::gateway::policy::NEAR;
use nix::time::{ClockId, clock_gettime};

use super::traffic::{Traffic, milliseconds, now};
use super::{BEGIN, END, row};
use crate::Effort;
use crate::gateway;
use crate::report::Report;
use crate::statistics::Samples;

const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn measure(effort: Effort, report: &mut Report) {
    let rounds = effort.pick(3, 20);
    let site = Site::new();
    let _supplicant = site.proves();
    let hostapd = site.hostapd();
    let listener =
        Listener::attach(&hostapd.socket(), &site.gateway.lab().directory().join("hear"));
    let near = site.gateway.lab().near().port();
    let [mut first, mut logoffs, mut commands] = [const { Samples(Vec::new()) }; 3];
    let traffic = Traffic::start(site.gateway.lab());
    for _ in 0..rounds {
        first.push(listener.lets_in(hostapd, &traffic));
        let begun = now();
        near.send(&logoff(NEAR.mac));
        logoffs.push(traffic.ends(begun));

        first.push(listener.lets_in(hostapd, &traffic));
        let begun = now();
        hostapd.disconnect(NEAR.mac);
        commands.push(traffic.ends(begun));
    }
    listener.lets_in(hostapd, &traffic);
    drop(traffic);
    row(report, "802.1X, success told to first frame", &first, BEGIN);
    row(report, "802.1X, logoff sent to last frame", &logoffs, END);
    let what = "802.1X, radclient disconnect started to last frame";
    row(report, what, &commands, END);
    row(report, "802.1X, carrier lost to lease ended", &carrier(&site, &listener, rounds), END);
}

/// Frames end with the carrier anyway; what counts is that none is let through when it is back.
fn carrier(site: &Site, listener: &Listener, rounds: usize) -> Samples {
    let mut samples = Samples::default();
    let cable = site.gateway.lab().near().link();
    for round in 0..rounds {
        // Of what happens to a link within a second of the event before, the kernel tells late.
        thread::sleep(Duration::from_secs(1));
        let begun = Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME).unwrap());
        cable.down();
        gateway::wait_until("the lease has ended", || site.gateway.ended_as("carrier") > round);
        let events = site.gateway.events();
        let ended = events.iter().rfind(|event| event.reason.as_deref() == Some("carrier"));
        let ended = Duration::from_nanos(ended.expect("the end of a lease").boot_nanoseconds);
        samples.push(milliseconds(ended.saturating_sub(begun)));
        cable.up();
        listener.invite(site.hostapd());
        gateway::wait_until("the node is let in again", || site.gateway.crosses());
    }
    samples
}

/// Hears what hostapd says when the daemon hears it.
struct Listener(UnixDatagram);

impl Listener {
    fn attach(hostapd: &Path, own: &Path) -> Self {
        let socket = UnixDatagram::bind(own).unwrap();
        socket.connect(hostapd).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.send(b"ATTACH").unwrap();
        Self(socket)
    }

    /// Lets the node prove itself anew; from the success to the first frame, in ms.
    fn lets_in(&self, hostapd: &Hostapd, traffic: &Traffic) -> f64 {
        let succeeded = self.invite(hostapd);
        traffic.begins(succeeded)
    }

    /// Lets the node prove itself anew; when that has succeeded.
    fn invite(&self, hostapd: &Hostapd) -> Duration {
        hostapd.forget();
        self.forget();
        hostapd.invite(NEAR.mac);
        let (end, mut buffer) = (Instant::now() + PATIENCE, [0; 4096]);
        loop {
            let length = self.0.recv(&mut buffer).expect("hostapd says something");
            let told = now();
            let text = String::from_utf8_lossy(&buffer[..length]);
            if text.contains("CTRL-EVENT-EAP-SUCCESS") {
                return told;
            }
            assert!(Instant::now() < end, "the node is not let in");
        }
    }

    /// What was said before does not count.
    fn forget(&self) {
        self.0.set_nonblocking(true).unwrap();
        while self.0.recv(&mut [0; 4096]).is_ok() {}
        self.0.set_nonblocking(false).unwrap();
    }
}
