//! Network interfaces: what XDP needs them to be.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use firewall_common::Mac;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// An interface by name; its index and features are asked anew each time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    name: String,
}

/// Whether a card takes VLAN tags off received frames before the program sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VlanStripping {
    /// It does not: the program sees every tag.
    Off,
    /// It does.
    On,
    /// The driver has no such feature.
    Absent,
}

/// How an interface is switched (`ip link`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switches {
    /// It is up.
    pub up: bool,
    /// It takes frames for every MAC.
    pub promiscuous: bool,
}

/// The features that hide tags: 802.1Q and 802.1ad (`ethtool -k`, net/ethtool/common.c).
const STRIPPING: [&str; 2] = ["rx-vlan-hw-parse", "rx-vlan-stag-hw-parse"];

const ETHTOOL_GDRVINFO: u32 = 0x03;
const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GSSET_INFO: u32 = 0x37;
const ETHTOOL_GFEATURES: u32 = 0x3a;
const ETHTOOL_SFEATURES: u32 = 0x3b;
const ETH_SS_FEATURES: u32 = 4;
const ETH_GSTRING_LEN: usize = 32;

impl Interface {
    /// The interface of that name, which need not exist.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned() }
    }

    /// Its index, `None` while there is no such interface.
    pub fn index(&self) -> Option<u32> {
        nix::net::if_::if_nametoindex(self.name.as_str()).ok()
    }

    /// Its driver's name.
    pub fn driver(&self) -> Option<String> {
        // struct ethtool_drvinfo: cmd, then driver[32], and 160 bytes that do not matter here.
        let mut words = [0_u32; 49];
        words[0] = ETHTOOL_GDRVINFO;
        self.ethtool(&mut words).ok()?;
        let bytes: Vec<u8> = words[1..9].iter().flat_map(|word| word.to_ne_bytes()).collect();
        let name = bytes.split(|byte| *byte == 0).next()?;
        String::from_utf8(name.to_vec()).ok().filter(|name| !name.is_empty())
    }

    /// Its MAC.
    pub fn mac(&self) -> io::Result<Mac> {
        let mut request = self.request()?;
        // SAFETY: SIOCGIFHWADDR takes an ifreq and fills in its hwaddr.
        let bytes = unsafe {
            ioctl(libc::SIOCGIFHWADDR, &mut request)?;
            request.ifr_ifru.ifru_hwaddr.sa_data
        };
        let [a, b, c, d, e, f, ..] = bytes.map(i8::cast_unsigned);
        Ok(Mac([a, b, c, d, e, f]))
    }

    /// The longest packet that it sends, in bytes.
    pub fn mtu(&self) -> io::Result<u32> {
        let mut request = self.request()?;
        // SAFETY: SIOCGIFMTU takes an ifreq and fills in its mtu.
        let mtu = unsafe {
            ioctl(libc::SIOCGIFMTU, &mut request)?;
            request.ifr_ifru.ifru_mtu
        };
        u32::try_from(mtu).map_err(io::Error::other)
    }

    /// Brings it up.
    pub fn prepare_for_router(&self) -> io::Result<()> {
        self.raise(libc::IFF_UP)
    }

    /// Lets the kernel forward what comes in on it. For IPv6 that takes `net.ipv6.conf.all.forwarding`
    /// as well, or a kernel that has `force_forwarding` (Linux 6.17).
    pub fn forward(&self) -> io::Result<()> {
        for setting in ["ipv4/conf", "ipv6/conf"] {
            self.set(setting, "forwarding", "1")?;
        }
        self.set("ipv6/conf", "force_forwarding", "1")
    }

    /// Keeps the kernel from forwarding what comes in on it. Where IPv6 is forwarded everywhere, only
    /// taking it down does.
    pub fn stop_forwarding(&self) -> io::Result<()> {
        for setting in ["ipv4/conf", "ipv6/conf"] {
            self.set(setting, "forwarding", "0")?;
        }
        self.set("ipv6/conf", "force_forwarding", "0")?;
        let everywhere = fs::read_to_string("/proc/sys/net/ipv6/conf/all/forwarding");
        if everywhere.is_ok_and(|value| value.trim() != "0") && self.index().is_some() {
            self.lower()?;
        }
        Ok(())
    }

    /// A setting that this kernel does not have needs none.
    fn set(&self, family: &str, name: &str, value: &str) -> io::Result<()> {
        let setting = format!("/proc/sys/net/{family}/{}/{name}", self.name);
        match fs::write(setting, value) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Brings it up and makes it take frames for every MAC, as a bridge must. The kernel's own IPv6
    /// is turned off on it: a bridge port has no address.
    pub fn prepare_for_bridge(&self) -> io::Result<()> {
        self.set("ipv6/conf", "disable_ipv6", "1")?;
        self.raise(libc::IFF_UP | libc::IFF_PROMISC)
    }

    fn raise(&self, wanted: libc::c_int) -> io::Result<()> {
        let wanted = i16::try_from(wanted).map_err(io::Error::other)?;
        self.switch(|flags| flags | wanted)
    }

    fn lower(&self) -> io::Result<()> {
        let up = i16::try_from(libc::IFF_UP).map_err(io::Error::other)?;
        self.switch(|flags| flags & !up)
    }

    fn switch(&self, change: impl FnOnce(i16) -> i16) -> io::Result<()> {
        let mut request = self.request()?;
        // SAFETY: SIOCGIFFLAGS and SIOCSIFFLAGS take an ifreq and use its flags.
        unsafe {
            ioctl(libc::SIOCGIFFLAGS, &mut request)?;
            request.ifr_ifru.ifru_flags = change(request.ifr_ifru.ifru_flags);
            ioctl(libc::SIOCSIFFLAGS, &mut request)
        }
    }

    /// How it is switched.
    pub fn switches(&self) -> io::Result<Switches> {
        let mut request = self.request()?;
        // SAFETY: SIOCGIFFLAGS takes an ifreq and sets its flags.
        let flags = unsafe {
            ioctl(libc::SIOCGIFFLAGS, &mut request)?;
            libc::c_int::from(request.ifr_ifru.ifru_flags)
        };
        let (up, promiscuous) = (flags & libc::IFF_UP != 0, flags & libc::IFF_PROMISC != 0);
        Ok(Switches { up, promiscuous })
    }

    /// Whether the card hides tags.
    pub fn vlan_stripping(&self) -> io::Result<VlanStripping> {
        let bits = self.stripping_bits()?;
        if bits.is_empty() {
            return Ok(VlanStripping::Absent);
        }
        let active = self.active_features()?;
        let on =
            bits.iter().any(|&bit| active.get(bit / 32).is_some_and(|w| w >> (bit % 32) & 1 == 1));
        Ok(if on { VlanStripping::On } else { VlanStripping::Off })
    }

    /// Asks the card to leave the tags in, and reads back whether it does.
    pub fn stop_vlan_stripping(&self) -> io::Result<VlanStripping> {
        if self.vlan_stripping()? == VlanStripping::On {
            let bits = self.stripping_bits()?;
            let blocks = self.feature_count()?.div_ceil(32);
            // struct ethtool_sfeatures: cmd, size, then { valid, requested } a block.
            let mut words = vec![0_u32; 2 + 2 * blocks];
            words[0] = ETHTOOL_SFEATURES;
            words[1] = u32::try_from(blocks).map_err(io::Error::other)?;
            for bit in bits {
                words[2 + 2 * (bit / 32)] |= 1 << (bit % 32);
            }
            self.ethtool(&mut words)?;
        }
        self.vlan_stripping()
    }

    fn stripping_bits(&self) -> io::Result<Vec<usize>> {
        let count = self.feature_count()?;
        // struct ethtool_gstrings: cmd, string_set, len, then the strings.
        let mut words = vec![0_u32; 3 + count * ETH_GSTRING_LEN / 4];
        words[0] = ETHTOOL_GSTRINGS;
        words[1] = ETH_SS_FEATURES;
        words[2] = u32::try_from(count).map_err(io::Error::other)?;
        self.ethtool(&mut words)?;
        let bytes: Vec<u8> = words[3..].iter().flat_map(|word| word.to_ne_bytes()).collect();
        let names = bytes.chunks(ETH_GSTRING_LEN).map(|name| {
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            std::str::from_utf8(name).unwrap_or_default()
        });
        let bits = names.enumerate().filter(|(_, name)| STRIPPING.contains(name));
        Ok(bits.map(|(bit, _)| bit).collect())
    }

    fn feature_count(&self) -> io::Result<usize> {
        // struct ethtool_sset_info: cmd, reserved, sset_mask (64 bits), data[1].
        let mut words = [ETHTOOL_GSSET_INFO, 0, 1 << ETH_SS_FEATURES, 0, 0];
        self.ethtool(&mut words)?;
        Ok(words[4] as usize)
    }

    fn active_features(&self) -> io::Result<Vec<u32>> {
        let blocks = self.feature_count()?.div_ceil(32);
        // struct ethtool_gfeatures: cmd, size, then { available, requested, active, never_changed }.
        let mut words = vec![0_u32; 2 + 4 * blocks];
        words[0] = ETHTOOL_GFEATURES;
        words[1] = u32::try_from(blocks).map_err(io::Error::other)?;
        self.ethtool(&mut words)?;
        Ok(words[2..].chunks(4).map(|block| block.get(2).copied().unwrap_or(0)).collect())
    }

    fn ethtool(&self, command: &mut [u32]) -> io::Result<()> {
        let mut request = self.request()?;
        request.ifr_ifru.ifru_data = command.as_mut_ptr().cast();
        // SAFETY: SIOCETHTOOL takes an ifreq whose data points to the command's structure; every
        // caller's is as long as its header says.
        unsafe { ioctl(libc::SIOCETHTOOL, &mut request) }
    }

    fn request(&self) -> io::Result<libc::ifreq> {
        // SAFETY: an ifreq is plain data, for which zero is a value.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        let name = self.name.as_bytes();
        if name.len() >= libc::IFNAMSIZ {
            return Err(Errno::ENAMETOOLONG.into());
        }
        for (place, &byte) in request.ifr_name.iter_mut().zip(name) {
            *place = byte.cast_signed();
        }
        Ok(request)
    }
}

/// # Safety
/// The request takes an ifreq.
unsafe fn ioctl(request: libc::c_ulong, argument: &mut libc::ifreq) -> io::Result<()> {
    let socket: OwnedFd =
        socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    let argument = std::ptr::from_mut(argument);
    // SAFETY: the caller's promise.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), request, argument) };
    Errno::result(result).map(drop).map_err(Into::into)
}
