//! What the kernel tells of its network, as one bit: something has changed. What it is, everybody
//! looks up himself, so an overrun loses nothing, and a message that says something else than the
//! truth says nothing.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};
use tokio::io::unix::AsyncFd;

/// `RTMGRP_LINK` and `RTMGRP_TC`: interfaces come, go and change, and so do the filters that hold the
/// egress guard before Linux 6.6.
pub const PORTS: u32 = 1 | 1 << 3;

/// `RTMGRP_NEIGH`: next hops are learnt, change and are lost. Their messages are read.
pub const NEIGHBOURS: u32 = 1 << 2;
/// Addresses, routes and the rules that choose among routes: `RTMGRP_IPV4_IFADDR`, `_IPV4_ROUTE`,
/// `_IPV4_RULE`, `_IPV6_IFADDR`, `_IPV6_ROUTE`, and the groups `RTNLGRP_IPV6_RULE` and
/// `RTNLGRP_NEXTHOP`.
pub const ROUTES: u32 = 1 << 4 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 18 | 1 << 31;

/// Messages taken before whoever waits gets his turn.
const BATCH: usize = 256;

/// A netlink socket that belongs to groups of `NETLINK_ROUTE`.
pub struct Watch {
    socket: AsyncFd<OwnedFd>,
}

impl Watch {
    /// Joins the groups (a mask of `RTMGRP_*`) of the calling thread's network namespace; within a
    /// tokio runtime.
    pub fn open(groups: u32) -> io::Result<Self> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let route = SockProtocol::NetlinkRoute;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, route)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        // SAFETY: an owned descriptor is the same socket for as long as it lives.
        let socket = unsafe { AsyncFd::register(socket) };
        Ok(Self { socket: socket? })
    }

    /// Waits until something has changed; whatever was told meanwhile is one change.
    pub async fn changed(&self) -> io::Result<()> {
        loop {
            let mut ready = self.socket.readable().await?;
            // Nothing was there after all: wait on.
            if let Ok(heard) = ready.try_io(|socket| drain(socket.get_ref(), |_| {})) {
                return heard;
            }
        }
    }

    /// Waits until something is told, and hands it on, datagram by datagram; `None` is that there was
    /// more than the socket could hold.
    pub async fn told(&self, mut hear: impl FnMut(Option<&[u8]>)) -> io::Result<()> {
        loop {
            let mut ready = self.socket.readable().await?;
            if let Ok(heard) = ready.try_io(|socket| drain(socket.get_ref(), &mut hear)) {
                return heard;
            }
        }
    }
}

/// Takes what is there. `WouldBlock` if that is nothing.
fn drain(socket: &OwnedFd, mut hear: impl FnMut(Option<&[u8]>)) -> io::Result<()> {
    // The kernel fills at most a page; a message that is cut is told from a whole one.
    let mut message = [0; 8192];
    for taken in 0..BATCH {
        match recv(socket.as_raw_fd(), &mut message, MsgFlags::MSG_DONTWAIT) {
            Ok(length) => hear(message.get(..length)),
            // The kernel had more to say than the socket could hold.
            Err(Errno::ENOBUFS) => hear(None),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) if taken > 0 => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    #[test]
    fn all_that_was_told_is_one_change() {
        let (teller, listener) = UnixDatagram::pair().unwrap();
        for _ in 0..10 {
            teller.send(b"longer than what is read of it").unwrap();
        }
        let listener = OwnedFd::from(listener);
        let mut count = 0;
        drain(&listener, |_| count += 1).unwrap();
        assert_eq!(count, 10);
        assert_eq!(drain(&listener, |_| {}).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[tokio::test]
    async fn a_quiet_network_changes_nothing() {
        let watch = Watch::open(0).unwrap();
        let changed = tokio::time::timeout(std::time::Duration::from_millis(20), watch.changed());
        assert!(changed.await.is_err());
    }
}
