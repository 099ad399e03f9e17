//! Reading and writing of rtnetlink's messages (linux/netlink.h).

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};

/// `struct nlmsghdr`, in bytes.
pub(super) const HEADER: usize = 16;
/// `NLM_F_REQUEST`.
pub(super) const REQUEST: u16 = 1;
/// `NLMSG_ERROR`.
const ERROR: u16 = 2;

/// The payload of the first attribute of that type.
pub(super) fn attribute(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let (length, kind) = (usize::from(half(attributes, 0)?), half(attributes, 2)?);
        let payload = attributes.get(4..length)?;
        if kind == wanted {
            return Some(payload);
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}

/// A word in the kernel's byte order.
pub(super) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

/// Half a word in the kernel's byte order.
pub(super) fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_ne_bytes)
}

/// Puts an attribute together.
pub(super) fn attribute_of(kind: u16, payload: &[u8]) -> io::Result<Vec<u8>> {
    let length = u16::try_from(4 + payload.len()).map_err(io::Error::other)?;
    let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), payload].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    Ok(bytes)
}

/// Puts a message together.
pub(super) fn message(kind: u16, flags: u16, body: &[u8]) -> io::Result<Vec<u8>> {
    let length = u32::try_from(HEADER + body.len()).map_err(io::Error::other)?;
    let (kind, flags) = (kind.to_ne_bytes(), flags.to_ne_bytes());
    // The sequence and the sender's port: one question a socket needs neither.
    Ok([&length.to_ne_bytes()[..], &kind, &flags, &[0; 8], body].concat())
}

/// The messages of one read, each with its header; the last one may be cut short.
pub(super) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Result<&[u8], Cut>> {
    std::iter::from_fn(move || {
        let length = word(bytes, 0)? as usize;
        let Some(message) = bytes.get(..length).filter(|_| length >= HEADER) else {
            bytes = &[];
            return Some(Err(Cut));
        };
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Ok(message))
    })
}

/// A message that is not all there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut;

/// Asks the kernel; what it answers beside that it has done so.
pub(super) fn ask(question: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let route = SockProtocol::NetlinkRoute;
    let socket: OwnedFd = socket(AddressFamily::Netlink, SockType::Raw, flags, route)?;
    let kernel = NetlinkAddr::new(0, 0);
    sendto(socket.as_raw_fd(), question, &kernel, MsgFlags::empty())?;
    let mut bytes = [0; 8192];
    let length = recv(socket.as_raw_fd(), &mut bytes, MsgFlags::empty())?;
    answer(bytes.get(..length).unwrap_or_default())
}

fn answer(bytes: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let cut = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let message = messages(bytes).next().ok_or_else(cut)?.map_err(|Cut| cut())?;
    if half(message, 4) != Some(ERROR) {
        return Ok(Some(message.to_owned()));
    }
    match word(message, HEADER).map(u32::cast_signed) {
        Some(0) => Ok(None),
        Some(errno) => Err(Errno::from_raw(errno.wrapping_neg()).into()),
        None => Err(cut()),
    }
}

#[cfg(test)]
mod tests {
    use nix::libc;

    use super::*;

    /// `RTM_NEWTFILTER`.
    const FILTER: u16 = 44;

    #[test]
    fn an_answer_is_a_refusal_a_message_or_an_acknowledgement() {
        let error = |errno: i32| {
            let body = [&errno.to_ne_bytes()[..], &[0; HEADER]].concat();
            answer(&message(ERROR, 0, &body).unwrap())
        };
        assert!(error(0).unwrap().is_none());
        assert_eq!(error(-libc::EEXIST).unwrap_err().raw_os_error(), Some(libc::EEXIST));
        let told = message(FILTER, 0, &[1; 8]).unwrap();
        assert_eq!(answer(&told).unwrap(), Some(told.clone()));
        for length in 0..told.len() {
            assert!(answer(&told[..length]).is_err(), "{length}");
        }
    }
}
