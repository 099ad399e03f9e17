//! Values that more than one table has.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use toml::Spanned;

use crate::config::problem::Problem;
use crate::config::raw::Failed;

/// As `60s`, `5m` or `1h 30m`.
pub(super) fn duration(
    what: &'static str,
    text: Option<Spanned<String>>,
    default: Duration,
    bounds: RangeInclusive<Duration>,
) -> Failed<Duration> {
    let Some(text) = text else { return Ok(default) };
    let place = text.span();
    let parsed = text.get_ref().parse::<SignedDuration>().ok();
    match parsed.and_then(|parsed| Duration::try_from(parsed).ok()) {
        Some(duration) if bounds.contains(&duration) => Ok(duration),
        Some(_) | None => {
            let (minimum, maximum) = bounds.into_inner();
            let text = text.into_inner();
            Err((Problem::Duration { what, text, minimum, maximum }, place))
        }
    }
}

/// Where is listened: without further words not where everybody can reach it.
pub(super) fn local(
    address: Option<Spanned<SocketAddr>>,
    default: SocketAddr,
    allow_remote: bool,
) -> Failed<SocketAddr> {
    let Some(address) = address else { return Ok(default) };
    let place = address.span();
    let address = address.into_inner();
    if address.ip().to_canonical().is_loopback() || allow_remote {
        Ok(address)
    } else {
        Err((Problem::RemoteListen { address }, place))
    }
}

/// A path that does not depend on where the daemon was started.
pub(super) fn path(path: Spanned<PathBuf>) -> Failed<PathBuf> {
    if path.get_ref().is_absolute() {
        return Ok(path.into_inner());
    }
    let place = path.span();
    Err((Problem::RelativePath { path: path.into_inner() }, place))
}
