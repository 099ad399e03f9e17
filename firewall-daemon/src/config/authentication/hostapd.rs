//! `[[authentication.hostapd]]`

use std::path::PathBuf;
use std::time::Duration;

use firewall_common::Port;
use serde::Deserialize;
use toml::Spanned;

use super::values;
use crate::config::Gateway;
use crate::config::problem::Problem;
use crate::config::raw::Failed;

/// How long after a proof the next one is asked for unless told otherwise.
const REAUTHENTICATE: Duration = Duration::from_secs(30);

/// `[[authentication.hostapd]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hostapd {
    /// The port it authenticates nodes on.
    pub port: Port,
    /// Its control socket.
    pub socket: PathBuf,
    /// How long after each proof a node is asked for the next one.
    pub reauthenticate: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    port: Spanned<String>,
    socket: Spanned<PathBuf>,
    reauthenticate: Option<Spanned<String>>,
}

pub(super) fn arrange(listed: Vec<Raw>, gateway: &Gateway) -> Failed<Vec<Hostapd>> {
    let mut hostapd: Vec<Hostapd> = Vec::new();
    // An exchange may take 10 s, and costs both ends a signature.
    let bounds = Duration::from_secs(10)..=Duration::from_secs(3600);
    for Raw { port, socket, reauthenticate } in listed {
        let (place, name) = (port.span(), port.into_inner());
        let Some(port) = gateway.port(&name) else {
            return Err((Problem::HostapdPort { name }, place));
        };
        if hostapd.iter().any(|other| other.port == port) {
            return Err((Problem::HostapdTwice { name }, place));
        }
        hostapd.push(Hostapd {
            port,
            socket: values::path(socket)?,
            reauthenticate: values::duration(
                "reauthenticate",
                reauthenticate,
                REAUTHENTICATE,
                bounds.clone(),
            )?,
        });
    }
    Ok(hostapd)
}
