//! `[authentication.radius]`

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::values;
use crate::config::problem::Problem;
use crate::config::raw::{Failed, is_port_name};

/// Where accounting is sent to unless told otherwise (RFC 2866, 3).
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1813);
/// What RFC 2869, 2.1 recommends as the shortest interval.
const INTERIM: Duration = Duration::from_secs(60);

/// `[authentication.radius]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Radius {
    /// Where clients send to.
    pub listen: SocketAddr,
    /// Who is listened to.
    pub clients: Vec<RadiusClient>,
}

/// `[[authentication.radius.client]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RadiusClient {
    /// What events and logs call it.
    pub name: String,
    /// Where its packets come from.
    pub address: IpAddr,
    /// What it signs with, in a file of the daemon's own.
    pub secret_file: PathBuf,
    /// How often it speaks of a station.
    pub interim: Duration,
    /// Whether every packet must have a Message-Authenticator.
    pub require_message_authenticator: bool,
    /// Whether every packet must have an Event-Timestamp.
    pub require_event_timestamp: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    listen: Option<Spanned<SocketAddr>>,
    #[serde(default)]
    allow_remote: bool,
    client: Spanned<Vec<RawClient>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawClient {
    name: Spanned<String>,
    address: Spanned<IpAddr>,
    secret_file: Spanned<PathBuf>,
    interim: Option<Spanned<String>>,
    require_message_authenticator: Option<bool>,
    require_event_timestamp: Option<bool>,
}

pub(super) fn arrange(raw: Raw) -> Failed<Radius> {
    let Raw { listen, allow_remote, client } = raw;
    let listen = values::local(listen, LISTEN, allow_remote)?;
    let place = client.span();
    let (mut names, mut addresses, mut clients) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for client in client.into_inner() {
        let (place, name) = (client.name.span(), client.name.get_ref().clone());
        if !is_port_name(&name) {
            return Err((Problem::ClientName { name }, place));
        }
        if !names.insert(name.clone()) {
            return Err((Problem::ClientTwice { what: name }, place));
        }
        let (place, client) = (client.address.span(), self::client(client)?);
        if !addresses.insert(client.address) {
            return Err((Problem::ClientTwice { what: client.address.to_string() }, place));
        }
        clients.push(client);
    }
    if clients.is_empty() {
        Err((Problem::NoClients, place))
    } else {
        Ok(Radius { listen, clients })
    }
}

fn client(raw: RawClient) -> Failed<RadiusClient> {
    let RawClient {
        name,
        address,
        secret_file,
        interim,
        require_message_authenticator,
        require_event_timestamp,
    } = raw;
    let bounds = Duration::from_secs(10)..=Duration::from_secs(24 * 3600);
    Ok(RadiusClient {
        name: name.into_inner(),
        address: address.into_inner().to_canonical(),
        secret_file: values::path(secret_file)?,
        interim: values::duration("interim", interim, INTERIM, bounds)?,
        require_message_authenticator: require_message_authenticator.unwrap_or(true),
        require_event_timestamp: require_event_timestamp.unwrap_or(true),
    })
}
