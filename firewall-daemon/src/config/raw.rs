//! From the file's text to a configuration that makes sense.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

use super::authentication;
use super::problem::{INTERFACE_NAME, PORTS, Problem};
use super::{
    Bpf, Capacity, Config, Control, Gateway, Limits, Metrics, Mode, Policy, Port, State, Xdp,
};

/// A problem and where in the text it is.
pub(super) type Failed<T> = Result<T, (Problem, Range<usize>)>;

pub(super) fn parse(text: &str) -> Failed<Config> {
    let raw: Raw = toml::from_str(text).map_err(|error| {
        let message = error.message().trim().replace('\n', "; ");
        (Problem::Syntax { message }, error.span().unwrap_or_default())
    })?;
    let Raw {
        state,
        control,
        metrics,
        policy,
        bpf,
        capacity,
        limits,
        authentication,
        gateway,
        port,
    } = raw;
    let gateway = arrange(gateway, port)?;
    Ok(Config {
        state: State { directory: absolute(state.directory, "/var/lib/cordon")? },
        control: Control {
            socket: absolute(control.socket, "/run/cordon/control.sock")?,
            group: group(control.group)?,
        },
        metrics: Metrics { listen: metrics.listen.unwrap_or(DEFAULT_LISTEN) },
        policy: Policy { directory: absolute(policy.directory, "/etc/cordon/policies")? },
        bpf: Bpf { directory: absolute(bpf.directory, "/sys/fs/bpf/cordon")? },
        capacity: Capacity {
            nodes: bounded("nodes", capacity.nodes, 1 << 16, 1..=1 << 20)?,
            rules: bounded("rules", capacity.rules, 1 << 16, 1..=1 << 20)?,
            flows: bounded("flows", capacity.flows, 1 << 18, 1..=1 << 24)?,
        },
        limits: Limits {
            half_open: limited("half_open", limits.half_open, 1024)?,
            new_flows: limited("new_flows", limits.new_flows, 4096)?,
        },
        authentication: authentication::arrange(authentication, &gateway)?,
        gateway,
    })
}

const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9618);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    state: RawDirectory,
    #[serde(default)]
    control: RawControl,
    #[serde(default)]
    metrics: RawMetrics,
    #[serde(default)]
    policy: RawDirectory,
    #[serde(default)]
    bpf: RawDirectory,
    #[serde(default)]
    capacity: RawCapacity,
    #[serde(default)]
    limits: RawLimits,
    #[serde(default)]
    authentication: authentication::Raw,
    gateway: Spanned<RawGateway>,
    #[serde(default)]
    port: BTreeMap<Spanned<String>, RawPort>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDirectory {
    directory: Option<Spanned<PathBuf>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawControl {
    socket: Option<Spanned<PathBuf>>,
    group: Option<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMetrics {
    listen: Option<SocketAddr>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCapacity {
    nodes: Option<Spanned<u32>>,
    rules: Option<Spanned<u32>>,
    flows: Option<Spanned<u32>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLimits {
    half_open: Option<Spanned<u32>>,
    new_flows: Option<Spanned<u32>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGateway {
    mode: Option<Spanned<RawMode>>,
    #[serde(default)]
    pairs: Vec<[Spanned<String>; 2]>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawMode {
    Bridge,
    Router,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPort {
    interface: Spanned<String>,
    #[serde(default)]
    xdp: Xdp,
    #[serde(default)]
    jumbo: bool,
}

fn arrange(
    gateway: Spanned<RawGateway>,
    mut declared: BTreeMap<Spanned<String>, RawPort>,
) -> Failed<Gateway> {
    let place = gateway.span();
    let RawGateway { mode, pairs } = gateway.into_inner();
    let paired: Vec<Spanned<String>> = pairs.into_iter().flatten().collect();
    let (mode, named) = match mode.as_ref().map(Spanned::get_ref) {
        None | Some(RawMode::Bridge) if paired.is_empty() => return Err((Problem::NoPairs, place)),
        None | Some(RawMode::Bridge) => (Mode::Bridge, paired),
        Some(RawMode::Router) => match paired.first() {
            Some(first) => return Err((Problem::PairsOfRouter, first.span())),
            None if declared.is_empty() => return Err((Problem::NoPorts, place)),
            None => (Mode::Router, declared.keys().cloned().collect()),
        },
    };
    let count = named.len();
    if count > PORTS {
        return Err((Problem::TooManyPorts { count }, place));
    }
    let (mut ports, mut names, mut interfaces) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for named in named {
        let (place, name) = (named.span(), named.get_ref().clone());
        if !names.insert(name.clone()) {
            return Err((Problem::PortTwice { name }, place));
        }
        let Some(RawPort { interface, xdp, jumbo }) = declared.remove(&named) else {
            return Err((Problem::UnknownPort { name }, place));
        };
        if !is_port_name(&name) {
            return Err((Problem::PortName { name }, place));
        }
        let (place, interface) = (interface.span(), interface.into_inner());
        if !is_interface_name(&interface) {
            return Err((Problem::InterfaceName { name: interface }, place));
        }
        if !interfaces.insert(interface.clone()) {
            return Err((Problem::InterfaceTwice { name: interface }, place));
        }
        ports.push(Port { name, interface, xdp, jumbo });
    }
    match declared.into_keys().min_by_key(|name| name.span().start) {
        Some(name) => {
            let place = name.span();
            Err((Problem::PortAlone { name: name.into_inner() }, place))
        }
        None => Ok(Gateway { mode, ports }),
    }
}

pub(super) fn is_port_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=63).contains(&name.len()) && name.bytes().all(is_plain)
}

/// As `dev_valid_name` of the kernel (net/core/dev.c), and ASCII.
fn is_interface_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"/:".contains(&byte);
    (1..=INTERFACE_NAME).contains(&name.len())
        && name != "."
        && name != ".."
        && name.bytes().all(is_plain)
}

pub(super) fn absolute(path: Option<Spanned<PathBuf>>, default: &str) -> Failed<PathBuf> {
    match path {
        None => Ok(PathBuf::from(default)),
        Some(path) if path.get_ref().is_absolute() => Ok(path.into_inner()),
        Some(path) => {
            let place = path.span();
            Err((Problem::RelativePath { path: path.into_inner() }, place))
        }
    }
}

fn group(name: Option<Spanned<String>>) -> Failed<String> {
    match name {
        None => Ok("cordon".to_owned()),
        Some(name) if name.get_ref().trim().is_empty() => Err((Problem::NoGroup, name.span())),
        Some(name) => Ok(name.into_inner()),
    }
}

fn limited(what: &'static str, value: Option<Spanned<u32>>, default: u32) -> Failed<u32> {
    let maximum = firewall_common::quota::Limits::HIGHEST;
    let Some(value) = value else { return Ok(default) };
    match *value.get_ref() {
        limit if (1..=maximum).contains(&limit) => Ok(limit),
        other => Err((Problem::Limit { what, value: other, maximum }, value.span())),
    }
}

fn bounded(
    what: &'static str,
    value: Option<Spanned<u32>>,
    default: u32,
    bounds: RangeInclusive<u32>,
) -> Failed<u32> {
    let Some(value) = value else { return Ok(default) };
    let (minimum, maximum) = bounds.clone().into_inner();
    if bounds.contains(value.get_ref()) {
        Ok(value.into_inner())
    } else {
        let place = value.span();
        Err((Problem::Capacity { what, value: value.into_inner(), minimum, maximum }, place))
    }
}
