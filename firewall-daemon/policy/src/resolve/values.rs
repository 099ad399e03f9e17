//! Single values: what their text means, or what is wrong with it.

use std::net::{IpAddr, Ipv4Addr};

use firewall_common::image::Tolerance;
use firewall_common::{Mac, Vlan};
use ipnet::{IpNet, Ipv6Net};

use crate::diagnostic::quote;
use crate::model::PortRange;

/// The longest name, in bytes: metrics labels and log lines carry names.
const LONGEST_NAME: usize = 63;

/// What is wrong with a value, and what to do about it.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl Problem {
    fn new(message: String) -> Self {
        Self { message, help: None }
    }

    fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// Names of nodes, subnetworks, applications and roles stand in selectors and URLs.
pub(super) fn name(text: &str) -> Result<(), Problem> {
    title(text)?;
    if text.contains('/') {
        let problem = Problem::new(format!("{} has a slash in its name", quote(text)));
        return Err(problem.help("the slash separates a subnetwork from a role"));
    }
    Ok(())
}

/// Names of rules are sentences.
pub(super) fn title(text: &str) -> Result<(), Problem> {
    if text.is_empty() {
        return Err(Problem::new("a name must not be empty".to_owned()));
    }
    if text.len() > LONGEST_NAME {
        let problem = Problem::new(format!("the name {} is too long", quote(text)));
        return Err(problem.help(format!("names have at most {LONGEST_NAME} bytes")));
    }
    if text.chars().any(char::is_control) {
        return Err(Problem::new(format!("{} has a control character in its name", quote(text))));
    }
    Ok(())
}

/// User-Name has at most 253 bytes (RFC 2865, 5.1).
const LONGEST_IDENTITY: usize = 253;

/// What a source of leases says of whom it has seen: it is compared byte by byte.
pub(super) fn identity(text: &str) -> Result<(), Problem> {
    let problem = |what: &str| Problem::new(format!("the identity {} {what}", quote(text)));
    if text.is_empty() {
        return Err(Problem::new("an identity must not be empty".to_owned()));
    }
    if text.len() > LONGEST_IDENTITY {
        let help = format!("identities have at most {LONGEST_IDENTITY} bytes");
        return Err(problem("is too long").help(help));
    }
    if text.chars().any(char::is_control) {
        return Err(problem("has a control character"));
    }
    if text.trim() != text {
        return Err(problem("begins or ends with a space").help("it is compared byte by byte"));
    }
    Ok(())
}

pub(super) fn network(text: &str) -> Result<IpNet, Problem> {
    let invalid = || Problem::new(format!("{} is not a network", quote(text)));
    let Ok(network) = text.parse::<IpNet>() else {
        let help = match text.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => format!("a single address is written {text}/32"),
            Ok(IpAddr::V6(_)) => format!("a single address is written {text}/128"),
            Err(_) => "write it like 10.20.0.0/24 or fd00:20::/64".to_owned(),
        };
        return Err(invalid().help(help));
    };
    if network.trunc() != network {
        let problem = Problem::new(format!("{} has bits behind its prefix", quote(text)));
        return Err(problem.help(format!("the network is {}", network.trunc())));
    }
    match network {
        IpNet::V4(_) => {}
        IpNet::V6(network) => {
            // Addresses are compared in 16 bytes, IPv4 v4-mapped: such a network would hold
            // IPv4 addresses too.
            let mapped = Ipv6Net::new_assert(Ipv4Addr::UNSPECIFIED.to_ipv6_mapped(), 96);
            if network.contains(&mapped) || mapped.contains(&network) {
                let message = format!("{} holds v4-mapped addresses", quote(text));
                return Err(Problem::new(message)
                    .help("all of the IPv6 internet is 2000::/3; IPv4 has networks of its own"));
            }
        }
    }
    // A prefix that only starts in there, 0.0.0.0/0 above all, also holds addresses of hosts.
    if network.prefix_len() > 0
        && let Some(kind) = unusable(network.network())
        && unusable(network.broadcast()) == Some(kind)
    {
        return Err(Problem::new(format!("{} holds {kind} addresses only", quote(text))));
    }
    Ok(network)
}

pub(super) fn address(text: &str) -> Result<IpAddr, Problem> {
    let Ok(address) = text.parse::<IpAddr>() else {
        let problem = Problem::new(format!("{} is not an IP address", quote(text)));
        return Err(if text.contains('/') {
            problem.help("a node has single addresses; networks belong to its subnetwork")
        } else {
            problem.help("write it like 10.20.0.11 or fd00:20::11")
        });
    };
    match unusable(address) {
        None => Ok(address),
        Some(kind) => {
            let problem = Problem::new(format!("no node can have the {kind} address {address}"));
            Err(match address {
                IpAddr::V6(mapped) if let Some(address) = mapped.to_ipv4_mapped() => {
                    problem.help(format!("write {address}"))
                }
                IpAddr::V4(_) | IpAddr::V6(_) => problem,
            })
        }
    }
}

/// Why no host may have that address (RFC 6890).
fn unusable(address: IpAddr) -> Option<&'static str> {
    let is_v4 = |is: fn(&Ipv4Addr) -> bool| match &address {
        IpAddr::V4(address) => is(address),
        IpAddr::V6(_) => false,
    };
    if address.is_unspecified() {
        Some("unspecified")
    } else if address.is_loopback() {
        Some("loopback")
    } else if address.is_multicast() {
        Some("multicast")
    } else if matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some()) {
        Some("v4-mapped")
    } else if is_v4(Ipv4Addr::is_broadcast) {
        Some("broadcast")
    } else if is_v4(|address| address.octets()[0] == 0 || address.octets()[0] >= 240) {
        Some("reserved")
    } else {
        None
    }
}

/// Whether this is the first or last address of its IPv4 network, which no host may have
/// (RFC 1122, 3.2.1.3); networks of two or one have none to spare (RFC 3021).
pub(super) fn border(address: IpAddr, network: IpNet) -> Option<&'static str> {
    match (address, network) {
        (IpAddr::V4(address), IpNet::V4(network)) if network.prefix_len() <= 30 => {
            if address == network.network() {
                Some("network")
            } else if address == network.broadcast() {
                Some("broadcast")
            } else {
                None
            }
        }
        (IpAddr::V4(_) | IpAddr::V6(_), IpNet::V4(_) | IpNet::V6(_)) => None,
    }
}

pub(super) fn mac(text: &str) -> Result<Mac, Problem> {
    let invalid = || {
        let problem = Problem::new(format!("{} is not a MAC address", quote(text)));
        problem.help("write it like 02:00:5e:10:00:fe or 02-00-5e-10-00-fe")
    };
    let separator = if text.contains('-') { '-' } else { ':' };
    let mut bytes = [0; 6];
    let mut parts = text.split(separator);
    for byte in &mut bytes {
        let part = parts.next().ok_or_else(invalid)?;
        if part.len() != 2 || !part.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(invalid());
        }
        *byte = u8::from_str_radix(part, 16).map_err(|_| invalid())?;
    }
    if parts.next().is_some() {
        return Err(invalid());
    }
    let mac = Mac(bytes);
    if mac.is_zero() {
        return Err(Problem::new(format!("{mac} is nobody's MAC address")));
    }
    if mac.is_group() {
        let problem = Problem::new(format!("{mac} is a group address, not a device's"));
        return Err(problem.help("the lowest bit of a device's first byte is 0"));
    }
    Ok(mac)
}

pub(super) fn vlan(number: i64) -> Result<Vlan, Problem> {
    match u16::try_from(number) {
        Ok(number @ 1..=4094) => Ok(Vlan(number)),
        Ok(0) => Err(Problem::new("0 is not a VLAN".to_owned())
            .help("leave `vlan` out if its frames are untagged")),
        Ok(_) | Err(_) => {
            Err(Problem::new(format!("{number} is not a VLAN")).help("VLANs are 1 to 4094"))
        }
    }
}

pub(super) fn ports(text: &str) -> Result<PortRange, Problem> {
    let invalid = || {
        let problem = Problem::new(format!("{} is not a port or a range of ports", quote(text)));
        problem.help("write it like \"104\" or \"2762-2765\"; ports are 1 to 65535")
    };
    let port = |text: &str| match text.parse::<u16>() {
        Ok(port @ 1..) if text.bytes().all(|digit| digit.is_ascii_digit()) => Ok(port),
        Ok(_) | Err(_) => Err(invalid()),
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port(first)?, port(last)?);
    if first > last {
        let problem = Problem::new(format!("{} ends before it begins", quote(text)));
        return Err(problem.help(format!("write \"{last}-{first}\"")));
    }
    Ok(PortRange { first, last })
}

/// An IPv6 extension header that a subnetwork may let by. The others are ways around what is decided
/// (routing), or hide it (ESP, AH) or change it (mobility).
pub(super) fn extension_header(text: &str) -> Result<Tolerance, Problem> {
    match text {
        "hop-by-hop" => Ok(Tolerance::HOP_BY_HOP),
        "destination-options" => Ok(Tolerance::DESTINATION_OPTIONS),
        _ => {
            let message = format!("{} is no extension header that can pass", quote(text));
            Err(Problem::new(message).help(
                "it is one of `hop-by-hop`, `destination-options`; routing headers, AH, ESP and \
                 mobility never pass",
            ))
        }
    }
}

/// One of a few words.
pub(super) fn word<T: Copy>(
    key: &str,
    text: &str,
    words: &[(&'static str, T)],
) -> Result<T, Problem> {
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let words: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
    Err(Problem::new(format!("{} is no {key}", quote(text)))
        .help(format!("it is one of {}", words.join(", "))))
}

/// Sorted, and ranges that touch made one.
pub(super) fn merge(mut ranges: Vec<PortRange>) -> Vec<PortRange> {
    ranges.sort_unstable();
    let mut merged: Vec<PortRange> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.first <= last.last.saturating_add(1) => {
                last.last = last.last.max(range.last);
            }
            Some(_) | None => merged.push(range),
        }
    }
    merged
}
