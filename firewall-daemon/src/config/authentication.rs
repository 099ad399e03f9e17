//! `[authentication]`

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::Gateway;
use super::problem::Problem;
use super::raw::{Failed, absolute};
use firewall_common::Port;

/// `[authentication]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authentication {
    /// `lease`: how long a proof holds, of planned, time-critical and real-time subnetworks.
    pub length: [Duration; 3],
    /// `grace`: how long leases go on once their source cannot be asked any more.
    pub grace: [Duration; 3],
    /// Every hostapd that is listened to.
    pub hostapd: Vec<Hostapd>,
}

/// `[[authentication.hostapd]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hostapd {
    /// The port it authenticates nodes on.
    pub port: Port,
    /// Its control socket.
    pub socket: PathBuf,
}

impl Authentication {
    /// Whether a hostapd authenticates nodes on that port.
    pub fn listens_on(&self, port: Port) -> bool {
        self.hostapd.iter().any(|hostapd| hostapd.port == port)
    }
}

const MINUTE: u64 = 60;
/// Three intervals of RADIUS accounting, which RFC 2869 (2.1) wants to be at least ten minutes.
const LENGTHS: [u64; 3] = [30 * MINUTE, 60 * MINUTE, 120 * MINUTE];
const LONGEST: u64 = 24 * 60 * MINUTE;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAuthentication {
    #[serde(default)]
    lease: RawLevels,
    #[serde(default)]
    grace: RawLevels,
    #[serde(default)]
    hostapd: Vec<RawHostapd>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawLevels {
    planned: Option<Spanned<String>>,
    time_critical: Option<Spanned<String>>,
    real_time: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHostapd {
    port: Spanned<String>,
    socket: Spanned<PathBuf>,
}

impl RawAuthentication {
    pub(super) fn check(self, gateway: &Gateway) -> Failed<Authentication> {
        let Self { lease, grace, hostapd: listed } = self;
        let mut hostapd: Vec<Hostapd> = Vec::new();
        for RawHostapd { port, socket } in listed {
            let (place, name) = (port.span(), port.into_inner());
            let Some(port) = gateway.port(&name) else {
                return Err((Problem::HostapdPort { name }, place));
            };
            if hostapd.iter().any(|other| other.port == port) {
                return Err((Problem::HostapdTwice { name }, place));
            }
            hostapd.push(Hostapd { port, socket: absolute(Some(socket), "")? });
        }
        Ok(Authentication {
            length: lease.durations(LENGTHS, 5..=LONGEST)?,
            grace: grace.durations([0; 3], 0..=LONGEST)?,
            hostapd,
        })
    }
}

impl RawLevels {
    fn durations(self, [a, b, c]: [u64; 3], bounds: RangeInclusive<u64>) -> Failed<[Duration; 3]> {
        let Self { planned, time_critical, real_time } = self;
        Ok([
            duration(planned, a, &bounds)?,
            duration(time_critical, b, &bounds)?,
            duration(real_time, c, &bounds)?,
        ])
    }
}

fn duration(
    text: Option<Spanned<String>>,
    default: u64,
    bounds: &RangeInclusive<u64>,
) -> Failed<Duration> {
    let Some(text) = text else { return Ok(Duration::from_secs(default)) };
    match seconds(text.get_ref()).filter(|seconds| bounds.contains(seconds)) {
        Some(seconds) => Ok(Duration::from_secs(seconds)),
        None => {
            let (place, minimum) = (text.span(), *bounds.start());
            Err((Problem::Duration { text: text.into_inner(), minimum }, place))
        }
    }
}

/// `30s`, `10m` or `2h`.
fn seconds(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1,
        "m" => MINUTE,
        "h" => 60 * MINUTE,
        _ => return None,
    };
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit());
    number.parse::<u64>().ok().filter(|_| is_plain)?.checked_mul(unit)
}
