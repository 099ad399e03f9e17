//! Once a second, and when the kernel says that an interface has changed: is everything as it was
//! made? What is not is mended, told, and remembered for a while.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use firewall_control::EventSeverity;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::Daemon;
use super::health::News;
use crate::dataplane::guard::Look;
use crate::dataplane::watch::Watch;

/// How often everything is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// An interface that is made changes several times; all of that is one look.
const SETTLE: Duration = Duration::from_millis(3);

impl Daemon {
    /// Looks again and again, until the daemon ends.
    pub async fn guard(self: Arc<Self>, watch: Watch) {
        let mut seconds = interval(LOOK);
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watch = Some(watch);
        loop {
            let look = tokio::select! {
                _ = seconds.tick() => Look::Everything,
                changed = changed(watch.as_ref()) => {
                    if let Err(error) = changed {
                        tracing::error!(%error, "netlink is silent; ports are looked at once a second");
                        watch = None;
                    }
                    sleep(SETTLE).await;
                    Look::Ports
                }
            };
            let daemon = Arc::clone(&self);
            if let Err(error) = tokio::task::spawn_blocking(move || daemon.look(look)).await {
                tracing::error!(%error, "the guard did not come to an end");
            }
        }
    }

    /// Waits until the guard has looked at everything once: until then nobody knows how it stands.
    pub async fn looked(&self) {
        // The sender lives as long as we do.
        let _ = self.looked.subscribe().wait_for(|looked| *looked).await;
    }

    fn look(&self, look: Look) {
        let outcomes = {
            let mut plane = self.plane();
            // Under the lock, so that the names are those of the image.
            let active = self.active();
            plane.data.guard(look, &active.names, &self.stopper)
        };
        let news = self.findings().observe(look, outcomes, Instant::now());
        for News { kind, port, sentence, mended } in news {
            if mended {
                tracing::warn!(%kind, port, "{sentence}");
            } else {
                tracing::error!(%kind, port, "{sentence}");
            }
            self.events.record(kind, |event| {
                if !mended {
                    event.severity = EventSeverity::High;
                }
                event.port = port;
                event.message = Some(sentence);
            });
        }
        match look {
            Look::Ports => {}
            Look::Everything => {
                self.looked.send_replace(true);
            }
        }
    }

    pub(super) fn findings(&self) -> std::sync::MutexGuard<'_, super::health::Findings> {
        // Nothing in there can be half done in a way that matters.
        self.findings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn changed(watch: Option<&Watch>) -> std::io::Result<()> {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}
