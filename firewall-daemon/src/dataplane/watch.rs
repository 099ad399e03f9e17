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

/// `RTMGRP_LINK`: interfaces come, go and change.
pub const LINKS: u32 = 1;

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
            if let Ok(heard) = ready.try_io(|socket| drain(socket.get_ref())) {
                return heard;
            }
        }
    }
}

/// Takes what is there. `WouldBlock` if that is nothing.
fn drain(socket: &OwnedFd) -> io::Result<()> {
    // Longer messages are cut, which does not matter to who does not read them.
    let mut message = [0; 64];
    for taken in 0..BATCH {
        match recv(socket.as_raw_fd(), &mut message, MsgFlags::MSG_DONTWAIT) {
            // ENOBUFS: the kernel had more to say than the socket could hold.
            Ok(_) | Err(Errno::ENOBUFS | Errno::EINTR) => {}
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
        drain(&listener).unwrap();
        assert_eq!(drain(&listener).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[tokio::test]
    async fn a_quiet_network_changes_nothing() {
        let watch = Watch::open(0).unwrap();
        let changed = tokio::time::timeout(std::time::Duration::from_millis(20), watch.changed());
        assert!(changed.await.is_err());
    }
}
