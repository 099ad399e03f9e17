//! `[[authentication.hostapd]]`

use std::path::PathBuf;

use firewall_common::Port;
use serde::Deserialize;
use toml::Spanned;

use super::values;
use crate::config::Gateway;
use crate::config::problem::Problem;
use crate::config::raw::Failed;

/// `[[authentication.hostapd]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hostapd {
    /// The port it authenticates nodes on.
    pub port: Port,
    /// Its control socket.
    pub socket: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    port: Spanned<String>,
    socket: Spanned<PathBuf>,
}

pub(super) fn arrange(listed: Vec<Raw>, gateway: &Gateway) -> Failed<Vec<Hostapd>> {
    let mut hostapd: Vec<Hostapd> = Vec::new();
    for Raw { port, socket } in listed {
        let (place, name) = (port.span(), port.into_inner());
        let Some(port) = gateway.port(&name) else {
            return Err((Problem::HostapdPort { name }, place));
        };
        if hostapd.iter().any(|other| other.port == port) {
            return Err((Problem::HostapdTwice { name }, place));
        }
        hostapd.push(Hostapd { port, socket: values::path(socket)? });
    }
    Ok(hostapd)
}
