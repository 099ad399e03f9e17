//! A router's flows remember their next hops. When the kernel's routes, addresses or neighbours
//! change, a new generation makes every flow ask again.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::Daemon;
use crate::config::Mode;
use crate::dataplane::neighbours::Neighbours;
use crate::dataplane::stop;
use crate::dataplane::watch::{NEIGHBOURS, ROUTES, Watch};

/// A route that is replaced is two messages.
const SETTLE: Duration = Duration::from_millis(3);
/// Between two generations: each costs every live flow a few hundred nanoseconds, once.
const PAUSE: Duration = Duration::from_millis(100);

/// What is listened to.
pub struct Surroundings {
    routes: Watch,
    neighbours: Watch,
}

impl Surroundings {
    /// Listens from now on; within a tokio runtime.
    pub fn open() -> io::Result<Self> {
        Ok(Self { routes: Watch::open(ROUTES)?, neighbours: Watch::open(NEIGHBOURS)? })
    }
}

impl Daemon {
    /// Follows the kernel's routes until the daemon ends; a bridge has none.
    pub async fn follow_routes(self: Arc<Self>, surroundings: Surroundings) {
        match self.config.gateway.mode() {
            Mode::Bridge => return,
            Mode::Router => {}
        }
        let Surroundings { routes, neighbours } = surroundings;
        let mut known = Neighbours::default();
        loop {
            let changed = tokio::select! {
                changed = routes.changed() => changed.map(|()| true),
                changed = next_hops(&neighbours, &mut known) => changed,
            };
            match changed {
                Ok(false) => continue,
                Ok(true) => {}
                Err(error) => {
                    tracing::error!(%error, "netlink is silent: routes are asked again and again");
                    sleep(Duration::from_secs(1)).await;
                }
            }
            sleep(SETTLE).await;
            let daemon = Arc::clone(&self);
            if let Err(error) = tokio::task::spawn_blocking(move || daemon.ask_again()).await {
                tracing::error!(%error, "the flows were not told of a change of routes");
            }
            sleep(PAUSE).await;
        }
    }

    fn ask_again(&self) {
        // What the program cannot be told, the guard finds and tells.
        let _ = self.plane().data.survey();
        stop::bump(&self.maps);
    }
}

async fn next_hops(watch: &Watch, known: &mut Neighbours) -> io::Result<bool> {
    let mut is_changed = false;
    watch
        .told(|message| {
            is_changed |= match message {
                Some(message) => known.observe(message),
                None => {
                    known.forget();
                    true
                }
            };
        })
        .await?;
    Ok(is_changed)
}
