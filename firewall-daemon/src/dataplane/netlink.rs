//! Reading and writing of rtnetlink's messages (linux/netlink.h).

use std::io;

/// `struct nlmsghdr`, in bytes.
pub(super) const HEADER: usize = 16;

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
