//! What operators and accidents do to the gateway. Each act ends with it in force again.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use firewall_tests::gateway::Gateway;

use crate::random::Random;
use crate::{not_before, policies};

/// Why legal frames are dropped meanwhile.
pub(crate) const REASONS: &[&str] = &["isolated", "stopped", "stopped_subnetwork"];

pub(crate) struct Acts {
    random: Random,
    counts: BTreeMap<&'static str, u64>,
}

impl Acts {
    pub(crate) fn new(random: Random) -> Self {
        Self { random, counts: BTreeMap::new() }
    }

    /// How often each was done.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.counts.iter().map(|(act, count)| (*act, *count))
    }

    pub(crate) fn one(&mut self, gateway: &mut Gateway) {
        let before = gateway.glance();
        let act = match self.random.below(8) {
            0 | 1 => {
                let [one, other] = policies();
                gateway.policy(if self.random.once_in(2) { &one } else { &other });
                gateway.reload();
                "reloads"
            }
            2 => {
                let hard = self.random.once_in(2);
                gateway.stop(None, hard);
                self.pause();
                gateway.resume(None);
                "stops of all"
            }
            3 => {
                let (name, hard) =
                    (*self.random.pick(&["radiology", "hospital"]), self.random.once_in(2));
                gateway.stop(Some(name), hard);
                self.pause();
                gateway.resume(Some(name));
                "stops of one"
            }
            4 => {
                let node = *self.random.pick(&["ct-1", "ct-2", "pacs"]);
                gateway.isolate(node);
                self.pause();
                gateway.release(node);
                "isolations"
            }
            5 => {
                gateway.kill();
                self.pause();
                gateway.restart();
                "SIGKILLs"
            }
            6 => {
                gateway.stop_daemon();
                self.pause();
                gateway.restart();
                "SIGTERMs"
            }
            _ => {
                gateway.kill();
                gateway.cordon(&["stop-all", "--direct", "--reason", "a soak"]).done();
                self.pause();
                gateway.restart();
                gateway.resume(None);
                "direct stops"
            }
        };
        not_before(gateway, &before);
        *self.counts.entry(act).or_default() += 1;
        self.pause();
    }

    fn pause(&mut self) {
        let milliseconds = self.random.below(700);
        sleep(Duration::from_millis(u64::try_from(milliseconds).unwrap()));
    }
}
