//! What a router's program must know of the kernel it stands beside: the gateway's own addresses,
//! the ports' MACs and MTUs, and which interface stands for which port and tag.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::hash::Hash;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use firewall_common::abi::{Attachment, PortState};
use firewall_common::{Addr, Port, Vlan};
use nix::ifaddrs::getifaddrs;
use nix::libc;
use nix::sys::socket::SockaddrStorage;

use super::GuardedPort;
use super::interface::Interface;
use super::maps::Maps;
use super::sys::{self, Cursor};

/// What came of a survey.
#[derive(Debug, Default)]
pub struct Survey {
    /// Something was another than before.
    pub is_changed: bool,
    /// What the program could not be told.
    pub left_out: Vec<LeftOut>,
}

/// There is more of something than the program's map of it holds. It knows nothing of the rest, and
/// lets nothing pass that takes knowing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the gateway has {count} {}, and the program can be told of {room}: nothing goes by way of the \
     others", what.name()
)]
pub struct LeftOut {
    /// Of what.
    pub what: Known,
    /// How many there are.
    pub count: usize,
    /// How many the map holds.
    pub room: usize,
}

impl LeftOut {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self.what {
            Known::Addresses => {
                "`ip address` lists them, those of all interfaces; take away what the gateway does \
                 not need"
            }
            Known::Interfaces | Known::Vlans => {
                "/proc/net/vlan/config lists them; take away the VLAN devices that the gateway does \
                 not need"
            }
        }
    }
}

/// What a router's program knows of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Its own addresses.
    Addresses,
    /// The interfaces of its ports and of their VLANs.
    Interfaces,
    /// The VLANs of its ports.
    Vlans,
}

impl Known {
    const fn name(self) -> &'static str {
        match self {
            Self::Addresses => "addresses",
            Self::Interfaces => "interfaces of ports and VLANs",
            Self::Vlans => "VLANs on its ports",
        }
    }
}

/// Compares what is there with what the program knows, and tells it the difference.
pub fn survey(maps: &Maps, ports: &[GuardedPort]) -> io::Result<Survey> {
    let vlans = vlan_devices()?;
    let mut attachments = HashMap::new();
    let mut is_changed = false;
    for (index, port) in (0..).map(Port).zip(ports) {
        let interface = Interface::new(&port.interface);
        // One that is away keeps what is known of it, and carries nothing.
        let (Some(number), Ok(mac), Ok(mtu)) =
            (interface.index(), interface.mac(), interface.mtu())
        else {
            continue;
        };
        attachments.insert(Attachment::new(index, Vlan::UNTAGGED), number);
        let mut shortest = mtu;
        for VlanDevice { name, vlan, .. } in
            vlans.iter().filter(|device| device.beneath == port.interface)
        {
            let device = Interface::new(name);
            let (Some(number), Ok(mtu)) = (device.index(), device.mtu()) else { continue };
            attachments.insert(Attachment::new(index, *vlan), number);
            shortest = shortest.min(mtu);
        }
        if let Some(state) = maps.port_states.get(usize::from(index.0)) {
            is_changed |= tell(state, mac.word(), u64::from(shortest));
        }
    }
    let interfaces = attachments.iter().map(|(attachment, number)| (*number, *attachment));
    let interfaces: HashMap<u32, Attachment> = interfaces.collect();
    let local = addresses()?.into_iter().map(|address| (address, 1_u32));
    let local: HashMap<Addr, u32> = local.collect();
    // SAFETY: keys and values are those that `Sizes::shapes` gives the maps.
    let reconciled = unsafe {
        [
            (Known::Addresses, local.len(), reconcile(maps.local.as_fd(), &local)?),
            (Known::Interfaces, interfaces.len(), reconcile(maps.interfaces.as_fd(), &interfaces)?),
            (Known::Vlans, attachments.len(), reconcile(maps.attachments.as_fd(), &attachments)?),
        ]
    };
    let mut left_out = Vec::new();
    for (what, count, Reconciled { is_changed: this, left_out: others }) in reconciled {
        is_changed |= this;
        if others > 0 {
            left_out.push(LeftOut { what, count, room: count - others });
        }
    }
    Ok(Survey { is_changed, left_out })
}

/// Tells a bridge's program the MACs of its ports. It needs them where 802.1X is spoken; no flow depends
/// on them.
pub fn introduce(maps: &Maps, ports: &[GuardedPort]) -> Survey {
    for (port, state) in ports.iter().zip(&*maps.port_states) {
        let interface = Interface::new(&port.interface);
        if let (Ok(mac), Ok(mtu)) = (interface.mac(), interface.mtu()) {
            tell(state, mac.word(), u64::from(mtu));
        }
    }
    Survey::default()
}

/// Lets the kernel forward what comes in on guarded ports and their VLAN devices: what the program
/// leaves to it. Not before: until a port is guarded, a kernel that forwards would let everything by.
pub fn forward(ports: &[GuardedPort]) -> io::Result<()> {
    let vlans = vlan_devices()?;
    for GuardedPort { interface, .. } in ports.iter().filter(|port| port.armed.is_some()) {
        Interface::new(interface).forward()?;
        for device in vlans.iter().filter(|device| device.beneath == *interface) {
            Interface::new(&device.name).forward()?;
        }
    }
    Ok(())
}

/// Whether the kernel forwards IPv6 between the ports, as it must for what the program leaves to it:
/// either everywhere, or on each (Linux 6.17).
pub fn forwards_ipv6<'a>(mut interfaces: impl Iterator<Item = &'a str>) -> bool {
    let is_set = |interface: &str, setting: &str| {
        let path = format!("/proc/sys/net/ipv6/conf/{interface}/{setting}");
        fs::read_to_string(path).is_ok_and(|text| text.trim() != "0")
    };
    !Path::new("/proc/sys/net/ipv6").exists()
        || is_set("all", "forwarding")
        || interfaces.all(|interface| is_set(interface, "force_forwarding"))
}

/// The gateway's own addresses, as the program knows them.
pub fn local(maps: &Maps) -> io::Result<HashSet<Addr>> {
    // SAFETY: as `Sizes::shapes` makes the map.
    let known: HashMap<Addr, u32> = unsafe { contents(maps.local.as_fd()) }?;
    Ok(known.into_keys().collect())
}

fn tell(state: &PortState, mac: u64, mtu: u64) -> bool {
    let is_changed = state.mac.load() != mac || state.mtu.load() != mtu;
    if is_changed {
        state.mac.store(mac);
        state.mtu.store(mtu);
    }
    is_changed
}

/// Every address of every interface: the kernel answers for all of them on each.
fn addresses() -> io::Result<HashSet<Addr>> {
    let addresses = getifaddrs()?.filter_map(|entry| entry.address);
    Ok(addresses.filter_map(|address| addr(&address)).collect())
}

fn addr(address: &SockaddrStorage) -> Option<Addr> {
    if let Some(four) = address.as_sockaddr_in() {
        return Some(four.ip().into());
    }
    address.as_sockaddr_in6().map(|six| six.ip().into())
}

/// An 802.1Q device.
#[derive(Debug, PartialEq, Eq)]
struct VlanDevice {
    name: String,
    vlan: Vlan,
    beneath: String,
}

/// `/proc/net/vlan/config` of the 8021q module; without the module there is none.
fn vlan_devices() -> io::Result<Vec<VlanDevice>> {
    match fs::read_to_string("/proc/net/vlan/config") {
        Ok(text) => Ok(text.lines().filter_map(vlan_device).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// `eth1.120       | 120  | eth1`; the two lines above these do not look like it.
fn vlan_device(line: &str) -> Option<VlanDevice> {
    let mut fields = line.split('|').map(str::trim);
    let (name, vlan, beneath) = (fields.next()?, fields.next()?, fields.next()?);
    let vlan = Vlan(vlan.parse().ok()?);
    Some(VlanDevice { name: name.to_owned(), vlan, beneath: beneath.to_owned() })
}

/// What came of making a map hold what is wanted.
#[must_use]
pub(super) struct Reconciled {
    /// It held something else before.
    pub(super) is_changed: bool,
    /// How many entries it has no room for.
    pub(super) left_out: usize,
}

/// Makes a map hold what is wanted, as far as there is room. What is new comes in before what is gone
/// goes out, unless it only fits then.
///
/// # Safety
/// `K` and `V` are as large as the map's key and value.
pub(super) unsafe fn reconcile<K, V>(
    map: BorrowedFd<'_>,
    wanted: &HashMap<K, V>,
) -> io::Result<Reconciled>
where
    K: Copy + Default + Eq + Hash,
    V: Copy + Default + PartialEq,
{
    // SAFETY: the caller's promise.
    let known: HashMap<K, V> = unsafe { contents(map) }?;
    let is_new = |key: &K| !known.contains_key(key);
    let mut waiting: Vec<_> =
        wanted.iter().filter(|(key, value)| known.get(key) != Some(value)).collect();
    // The last ones go first: what has another value now takes no room.
    waiting.sort_by_key(|(key, _)| !is_new(key));
    // SAFETY: the caller's promise.
    let mut is_changed = unsafe { fill(map, &mut waiting) }?;
    for key in known.keys().filter(|key| !wanted.contains_key(key)) {
        // SAFETY: the caller's promise.
        is_changed |= unsafe { sys::map_delete(map, key) }?;
    }
    // SAFETY: the caller's promise.
    is_changed |= unsafe { fill(map, &mut waiting) }?;
    Ok(Reconciled { is_changed, left_out: waiting.len() })
}

/// Takes entries into a map until it is full; whether it took any.
///
/// # Safety
/// `K` and `V` are as large as the map's key and value.
unsafe fn fill<K, V>(map: BorrowedFd<'_>, waiting: &mut Vec<(&K, &V)>) -> io::Result<bool> {
    let mut is_changed = false;
    while let Some((key, value)) = waiting.last() {
        // SAFETY: the caller's promise.
        match unsafe { sys::map_update(map, *key, *value) } {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::E2BIG) => break,
            Err(error) => return Err(error),
        }
        waiting.pop();
        is_changed = true;
    }
    Ok(is_changed)
}

/// # Safety
/// `K` and `V` are as large as the map's key and value.
unsafe fn contents<K, V>(map: BorrowedFd<'_>) -> io::Result<HashMap<K, V>>
where
    K: Copy + Default + Eq + Hash,
    V: Copy + Default,
{
    let mut contents = HashMap::new();
    let (mut keys, mut values) = (vec![K::default(); BATCH], vec![V::default(); BATCH]);
    let mut cursor = Some(Cursor::default());
    while let Some(from) = cursor {
        // SAFETY: the caller's promise.
        let (count, next) = unsafe { sys::map_lookup_batch(map, from, &mut keys, &mut values) }?;
        contents.extend(keys.iter().copied().zip(values.iter().copied()).take(count));
        cursor = next;
    }
    Ok(contents)
}

/// As many as the maps hold at most.
const BATCH: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vlan_device_is_read_from_the_kernels_table() {
        let text = "VLAN Dev name\t | VLAN ID\nName-Type: VLAN_NAME_TYPE_RAW_PLUS_VID_NO_PAD\n\
                    eth1.120       | 120  | eth1\n";
        let devices: Vec<_> = text.lines().filter_map(vlan_device).collect();
        let (name, beneath) = ("eth1.120".to_owned(), "eth1".to_owned());
        assert_eq!(devices, [VlanDevice { name, vlan: Vlan(120), beneath }]);
    }
}
