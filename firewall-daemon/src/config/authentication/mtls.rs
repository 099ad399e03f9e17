//! `[authentication.mtls]`

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::values;
use crate::config::raw::Failed;

/// How long a proof holds unless told otherwise.
const LEASE: Duration = Duration::from_secs(60);

/// `[authentication.mtls]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mtls {
    /// Where nodes prove themselves.
    pub listen: SocketAddr,
    /// Whose certificates count, as PEM.
    pub ca: PathBuf,
    /// Which of them do not any more, as PEM: one list of every authority in the chain.
    pub crl: PathBuf,
    /// What the gateway shows nodes, as PEM.
    pub certificate: PathBuf,
    /// Its key, in a file of the daemon's own.
    pub key: PathBuf,
    /// How long a proof holds.
    pub lease: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    listen: SocketAddr,
    ca: Spanned<PathBuf>,
    crl: Spanned<PathBuf>,
    certificate: Spanned<PathBuf>,
    key: Spanned<PathBuf>,
    lease: Option<Spanned<String>>,
}

pub(super) fn arrange(raw: Raw) -> Failed<Mtls> {
    let Raw { listen, ca, crl, certificate, key, lease } = raw;
    let bounds = Duration::from_secs(10)..=Duration::from_secs(24 * 3600);
    Ok(Mtls {
        listen,
        ca: values::path(ca)?,
        crl: values::path(crl)?,
        certificate: values::path(certificate)?,
        key: values::path(key)?,
        lease: values::duration("lease", lease, LEASE, bounds)?,
    })
}
