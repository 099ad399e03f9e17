//! Stops without the daemon: latch and pinned map are found through its configuration.

use firewall_control::{Caller, StopLevel, StopReport, StopRequest};
use firewall_daemon::config::Config;
use firewall_daemon::dataplane::direct;
use firewall_daemon::dataplane::latch::{LatchedStop, Order};
use jiff::Timestamp;

use crate::failure::{Exit, Failure};

/// Latches on disk and in the kernel, as root.
pub(crate) fn stop(config: &Config, request: &StopRequest) -> Result<StopReport, Failure> {
    let StopRequest { subnetwork, hard, reason } = request;
    let by = caller();
    if by.uid != 0 {
        return Err(Failure::with_hint(
            Exit::Refused,
            "only root may stop without the daemon",
            Some("try sudo; members of the cordon group may stop through the daemon".to_owned()),
        ));
    }
    let level = if *hard { StopLevel::Hard } else { StopLevel::Ordinary };
    let order = Order { since: Timestamp::now().to_string(), by, reason: reason.clone() };
    let stop = LatchedStop { level, order };
    let (state, bpf) = (&config.state.directory, &config.bpf.directory);
    let (outcome, stopped) = direct::stop_all(state, bpf, subnetwork.as_deref(), &stop)
        .map_err(|error| Failure::with_hint(Exit::Refused, error.to_string(), error.hint()))?;
    let message = if stopped == *subnetwork {
        "a daemon that is started later keeps the stop; `cordon resume` lifts it then".to_owned()
    } else {
        "the latch was damaged and is set aside: since nobody knows what it held, everything is \
         stopped"
            .to_owned()
    };
    Ok(StopReport {
        subnetwork: stopped,
        latched: outcome.latched,
        effective: outcome.effective,
        since: outcome.since,
        took_microseconds: u64::try_from(outcome.took.as_micros()).unwrap_or(u64::MAX),
        message,
    })
}

fn caller() -> Caller {
    Caller {
        uid: nix::unistd::geteuid().as_raw(),
        gid: nix::unistd::getegid().as_raw(),
        pid: std::process::id(),
        user: Some("root".to_owned()).filter(|_| nix::unistd::geteuid().is_root()),
        process: Some("cordon".to_owned()),
    }
}
