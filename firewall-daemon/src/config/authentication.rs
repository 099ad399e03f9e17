//! `[authentication]`: who is believed that a node is what it says.

mod mtls;
mod radius;
mod values;

use serde::Deserialize;

pub use self::mtls::Mtls;
pub use self::radius::{Radius, RadiusClient};
use super::raw::Failed;

/// `[authentication]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authentication {
    /// RADIUS accounting, if there is a table for it.
    pub radius: Option<Radius>,
    /// Leases by mutual TLS, if there is a table for them.
    pub mtls: Option<Mtls>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    radius: Option<radius::Raw>,
    mtls: Option<mtls::Raw>,
}

pub(super) fn arrange(raw: Raw) -> Failed<Authentication> {
    let Raw { radius, mtls } = raw;
    Ok(Authentication {
        radius: radius.map(radius::arrange).transpose()?,
        mtls: mtls.map(mtls::arrange).transpose()?,
    })
}
