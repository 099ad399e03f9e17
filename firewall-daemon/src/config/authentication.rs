//! `[authentication]`

mod hostapd;
mod mtls;
mod radius;
mod values;

use std::ops::RangeInclusive;
use std::time::Duration;

use firewall_common::Port;
use serde::Deserialize;
use toml::Spanned;

pub use self::hostapd::Hostapd;
pub use self::mtls::Mtls;
pub use self::radius::{Radius, RadiusClient};
use super::Gateway;
use super::raw::Failed;

/// `[authentication]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authentication {
    /// `lease`: how long a proof holds, of planned, time-critical and real-time subnetworks.
    pub length: [Duration; 3],
    /// `grace`: how long leases go on once their source cannot be asked any more.
    pub grace: [Duration; 3],
    /// Every hostapd that is listened to.
    pub hostapd: Vec<Hostapd>,
    /// RADIUS accounting, if there is a table for it.
    pub radius: Option<Radius>,
    /// Leases by mutual TLS, if there is a table for them.
    pub mtls: Option<Mtls>,
}

impl Authentication {
    /// Whether a hostapd authenticates nodes on that port.
    pub fn listens_on(&self, port: Port) -> bool {
        self.hostapd.iter().any(|hostapd| hostapd.port == port)
    }

    /// The TCP port at which leases are granted by mutual TLS; 0 if there are none.
    pub fn enrolment(&self) -> u16 {
        self.mtls.as_ref().map_or(0, |mtls| mtls.listen.port())
    }
}

const MINUTE: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// Three intervals of RADIUS accounting, which RFC 2869 (2.1) wants to be at least ten minutes.
const LENGTHS: [Duration; 3] =
    [MINUTE.saturating_mul(30), MINUTE.saturating_mul(60), MINUTE.saturating_mul(120)];

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    #[serde(default)]
    lease: RawLevels,
    #[serde(default)]
    grace: RawLevels,
    #[serde(default)]
    hostapd: Vec<hostapd::Raw>,
    radius: Option<radius::Raw>,
    mtls: Option<mtls::Raw>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawLevels {
    planned: Option<Spanned<String>>,
    time_critical: Option<Spanned<String>>,
    real_time: Option<Spanned<String>>,
}

pub(super) fn arrange(raw: Raw, gateway: &Gateway) -> Failed<Authentication> {
    let Raw { lease, grace, hostapd, radius, mtls } = raw;
    Ok(Authentication {
        length: lease.durations(LENGTHS, Duration::from_secs(5)..=LONGEST)?,
        grace: grace.durations([Duration::ZERO; 3], Duration::ZERO..=LONGEST)?,
        hostapd: hostapd::arrange(hostapd, gateway)?,
        radius: radius.map(radius::arrange).transpose()?,
        mtls: mtls.map(mtls::arrange).transpose()?,
    })
}

impl RawLevels {
    fn durations(
        self,
        [a, b, c]: [Duration; 3],
        bounds: RangeInclusive<Duration>,
    ) -> Failed<[Duration; 3]> {
        let Self { planned, time_critical, real_time } = self;
        Ok([
            values::duration("planned", planned, a, bounds.clone())?,
            values::duration("time-critical", time_critical, b, bounds.clone())?,
            values::duration("real-time", real_time, c, bounds)?,
        ])
    }
}
