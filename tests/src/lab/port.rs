//! Raw frames on an interface.

use std::{
    io,
    mem::{size_of, zeroed},
    os::fd::{AsRawFd, OwnedFd},
    time::{Duration, Instant},
};

use nix::{
    libc::{self, c_int, c_void},
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
};

use super::Link;
use crate::packet::{Packet, hex};

/// `linux/if_packet.h`.
const PACKET_AUXDATA: c_int = 8;
const PACKET_IGNORE_OUTGOING: c_int = 23;
const TP_STATUS_VLAN_VALID: u32 = 1 << 4;
const TP_STATUS_VLAN_TPID_VALID: u32 = 1 << 6;

/// The longest frame that is received, in bytes: a GSO super-frame is longer than any MTU.
const LONGEST: usize = 128 * 1024;

/// A packet socket on one interface. It sends frames as they are and receives every frame that the
/// interface receives, whatever its destination, but none that it sends.
///
/// The kernel takes the outermost tag out of every received frame before anybody sees it; here it
/// is back in its place.
#[derive(Debug)]
pub struct RawPort {
    socket: OwnedFd,
    name: String,
}

impl RawPort {
    /// Opens `link`. Frames that it received before are lost.
    pub fn open(link: &Link) -> Self {
        Self::try_open(link).unwrap_or_else(|error| panic!("open {}: {error}", link.name()))
    }

    /// Opens `link`, or says why the kernel would not: `ENODEV` where it is gone.
    pub fn try_open(link: &Link) -> io::Result<Self> {
        let index = link.try_index().ok_or(io::Error::from_raw_os_error(libc::ENODEV))?;
        let index = i32::try_from(index).unwrap();
        let socket = link.namespace().run(|| {
            // No protocol yet: nothing is received, from any interface, before the bind below.
            socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)
        })?;
        let port = Self { socket, name: link.name().to_owned() };
        port.set(libc::SOL_PACKET, PACKET_AUXDATA, 1)?;
        port.set(libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)?;
        port.set(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, 64 << 20)?;
        port.bind(index)?;
        port.promiscuous(index)?;
        Ok(port)
    }

    /// Sends `packet`.
    pub fn send(&self, packet: &Packet) {
        self.send_bytes(&packet.bytes());
    }

    /// Sends a frame of at least 14 bytes.
    pub fn send_bytes(&self, frame: &[u8]) {
        self.try_send(frame).unwrap_or_else(|error| {
            panic!("{} bytes on {}: {error}", frame.len(), self.name);
        });
    }

    /// Sends a frame, or says why the kernel would not: `EMSGSIZE` above the MTU, `EINVAL` under
    /// 14 bytes, `ENETDOWN` where the interface is down, `ENOBUFS` where the other end of a veth
    /// pair has a smaller MTU, is down, or has its ring full.
    pub fn try_send(&self, frame: &[u8]) -> io::Result<()> {
        // SAFETY: the pointer and the length are those of `frame`.
        let sent = unsafe {
            libc::send(self.socket.as_raw_fd(), frame.as_ptr().cast::<c_void>(), frame.len(), 0)
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Sends frames of at least 14 bytes with one call; how many of them, from the first on. Why the
    /// kernel would not send the first: see [`RawPort::try_send`].
    pub fn try_send_all(&self, frames: &[&[u8]]) -> io::Result<usize> {
        let part = |frame: &&[u8]| libc::iovec {
            iov_base: frame.as_ptr().cast_mut().cast(),
            iov_len: frame.len(),
        };
        let mut parts: Vec<_> = frames.iter().map(part).collect();
        let messages = parts.iter_mut().map(|part| {
            // SAFETY: mmsghdr is a plain C struct, for which all zeros are valid.
            let mut message: libc::mmsghdr = unsafe { zeroed() };
            message.msg_hdr.msg_iov = part;
            message.msg_hdr.msg_iovlen = 1;
            message
        });
        let mut messages: Vec<_> = messages.collect();
        let count = libc::c_uint::try_from(messages.len()).unwrap();
        // SAFETY: as many messages as said, each with one part that lies in `frames`; the kernel
        // only reads there.
        let sent =
            unsafe { libc::sendmmsg(self.socket.as_raw_fd(), messages.as_mut_ptr(), count, 0) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }

    /// The next frame; None if there is none within `timeout`.
    pub fn receive(&self, timeout: Duration) -> Option<Vec<u8>> {
        let end = Instant::now() + timeout;
        while self.wait(end.saturating_duration_since(Instant::now())) {
            match self.take() {
                Ok(frame) => return Some(frame),
                // Another holder of the socket was faster, or the interface went down.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.raw_os_error() == Some(libc::ENETDOWN) => {}
                Err(error) => panic!("receive on {}: {error}", self.name),
            }
        }
        None
    }

    /// The next frame that `wanted` accepts; those before it are gone.
    pub fn receive_where(
        &self,
        timeout: Duration,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Option<Vec<u8>> {
        let end = Instant::now() + timeout;
        loop {
            let frame = self.receive(end.saturating_duration_since(Instant::now()))?;
            if wanted(&frame) {
                return Some(frame);
            }
        }
    }

    /// Panics unless exactly `packet` is the next frame, within a second.
    pub fn expect(&self, packet: &Packet) {
        match self.receive(Duration::from_secs(1)) {
            Some(frame) if frame == packet.bytes() => {}
            Some(frame) => panic!("{} received {}, not {packet:?}", self.name, hex(&frame)),
            None => panic!("{} received nothing, not {packet:?}", self.name),
        }
    }

    /// Panics if a frame comes within `time`.
    pub fn expect_silence(&self, time: Duration) {
        if let Some(frame) = self.receive(time) {
            panic!("{} received {}, not silence", self.name, hex(&frame));
        }
    }

    /// All frames that are there already.
    pub fn drain(&self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.receive(Duration::ZERO)).collect()
    }

    fn wait(&self, timeout: Duration) -> bool {
        let mut poll =
            libc::pollfd { fd: self.socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let timeout = libc::timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap(),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        // SAFETY: one descriptor and one timeout are passed, and no signal mask.
        unsafe { libc::ppoll(&raw mut poll, 1, &raw const timeout, std::ptr::null()) > 0 }
    }

    fn take(&self) -> io::Result<Vec<u8>> {
        let mut frame = vec![0; LONGEST];
        let mut control = [0u64; 16];
        let mut part = libc::iovec { iov_base: frame.as_mut_ptr().cast(), iov_len: frame.len() };
        // SAFETY: msghdr is a plain C struct, for which all zeros are valid.
        let mut message: libc::msghdr = unsafe { zeroed() };
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control);
        // SAFETY: `message` points at buffers of the lengths that it names, alive until the end.
        let received =
            unsafe { libc::recvmsg(self.socket.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT) };
        let Ok(received) = usize::try_from(received) else {
            return Err(io::Error::last_os_error());
        };
        frame.truncate(received);
        if let Some(tag) = auxiliary(&message).and_then(AuxiliaryData::tag) {
            frame.splice(12..12, tag);
        }
        Ok(frame)
    }

    fn bind(&self, index: c_int) -> io::Result<()> {
        // SAFETY: sockaddr_ll is a plain C struct, for which all zeros are valid.
        let mut address: libc::sockaddr_ll = unsafe { zeroed() };
        address.sll_family = libc::AF_PACKET.try_into().unwrap();
        address.sll_protocol = u16::try_from(libc::ETH_P_ALL).unwrap().to_be();
        address.sll_ifindex = index;
        let length = libc::socklen_t::try_from(size_of_val(&address)).unwrap();
        let address = (&raw const address).cast();
        // SAFETY: the pointer and the length are those of `address`.
        let bound = unsafe { libc::bind(self.socket.as_raw_fd(), address, length) };
        if bound == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// A veth end takes every frame anyhow; a bridge port or a real interface would not.
    fn promiscuous(&self, index: c_int) -> io::Result<()> {
        let request = libc::packet_mreq {
            mr_ifindex: index,
            mr_type: libc::PACKET_MR_PROMISC.try_into().unwrap(),
            mr_alen: 0,
            mr_address: [0; 8],
        };
        self.set(libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, request)
    }

    fn set<T>(&self, level: c_int, option: c_int, value: T) -> io::Result<()> {
        let length = libc::socklen_t::try_from(size_of::<T>()).unwrap();
        let value = (&raw const value).cast();
        // SAFETY: the pointer and the length are those of `value`, which the callers choose by the
        // option's type.
        let set =
            unsafe { libc::setsockopt(self.socket.as_raw_fd(), level, option, value, length) };
        if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

/// `struct tpacket_auxdata`.
#[derive(Clone, Copy)]
#[repr(C)]
struct AuxiliaryData {
    status: u32,
    length: u32,
    captured: u32,
    link_header: u16,
    network_header: u16,
    tag_control: u16,
    tag_protocol: u16,
}

impl AuxiliaryData {
    /// The tag that the kernel took out of the frame.
    fn tag(self) -> Option<[u8; 4]> {
        if self.status & TP_STATUS_VLAN_VALID == 0 {
            return None;
        }
        let told = self.status & TP_STATUS_VLAN_TPID_VALID != 0;
        let [a, b] = if told { self.tag_protocol } else { 0x8100 }.to_be_bytes();
        let [c, d] = self.tag_control.to_be_bytes();
        Some([a, b, c, d])
    }
}

fn auxiliary(message: &libc::msghdr) -> Option<AuxiliaryData> {
    // SAFETY: the kernel has filled `message` and its control buffer, which is still alive and
    // aligned for a header; CMSG_FIRSTHDR checks the lengths.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(message).as_ref()?;
        let is_auxiliary =
            header.cmsg_level == libc::SOL_PACKET && header.cmsg_type == PACKET_AUXDATA;
        is_auxiliary.then(|| libc::CMSG_DATA(header).cast::<AuxiliaryData>().read_unaligned())
    }
}
