//! What stands between a network header and the transport header: IPv6 extension headers, and what
//! says that the packet is a fragment.

use super::{Network, Options, ipv4_header, ipv4_packet, is_extension_header, next};
use crate::frame::wire;
use crate::image::Tolerance;
use crate::{DropReason, Frame};

/// Which part of a datagram a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// Its first fragment.
    First,
    /// Another fragment.
    Next,
}

impl Part {
    /// As a number, across a call of the kernel's.
    #[inline(always)]
    pub const fn encode(self) -> u64 {
        self as u64
    }

    /// From [`Part::encode`].
    #[inline(always)]
    pub const fn decode(number: u64) -> Self {
        match number {
            0 => Self::Whole,
            1 => Self::First,
            _ => Self::Next,
        }
    }
}

/// Where a fragment lies in its datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// Which datagram.
    pub identification: u32,
    /// Where its data begins there, in bytes.
    pub offset: u32,
    /// Where its data begins in the frame.
    pub data: u32,
    /// More fragments follow.
    pub more: bool,
    /// What the datagram's data begins with.
    pub next: u8,
}

impl Piece {
    #[inline(always)]
    const fn part(&self) -> Part {
        if self.offset == 0 { Part::First } else { Part::Next }
    }
}

/// Reads the IPv4 header of a fragment (RFC 791).
#[inline(always)]
pub fn ipv4_fragment<F: Frame + ?Sized>(
    frame: &F,
    start: u32,
) -> Result<(Network, Piece), DropReason> {
    let header = ipv4_header(frame, start)?;
    let network = ipv4_packet(header, start)?;
    let wire::Ipv4 { fragment, identification, .. } = header;
    let fragment = u16::from_be(fragment) as u32;
    let piece = Piece {
        identification: u16::from_be(identification) as u32,
        offset: (fragment & 0x1fff) * 8,
        data: network.payload,
        more: fragment & 0x2000 != 0,
        next: network.protocol,
    };
    Ok((network, piece))
}

/// Walks the extension headers, in the only order there is (RFC 8200, 4.1): hop-by-hop options, the
/// fragment header, destination options, the transport header. Afterwards the payload is that one's.
#[inline(always)]
pub fn chain<F: Frame + ?Sized>(
    frame: &F,
    network: &mut Network,
    piece: &mut Piece,
    tolerance: Tolerance,
) -> Result<Part, DropReason> {
    if network.source.is_v4() {
        return if tolerance.holds(Tolerance::FRAGMENTS) {
            Ok(piece.part())
        } else {
            Err(DropReason::Fragment)
        };
    }
    let mut part = Part::Whole;
    if network.protocol == next::HOP_BY_HOP {
        skip(frame, network, tolerance.holds(Tolerance::HOP_BY_HOP))?;
    }
    if network.protocol == next::FRAGMENT {
        if !tolerance.holds(Tolerance::FRAGMENTS) {
            return Err(DropReason::Fragment);
        }
        part = fragment(frame, network, piece)?;
    }
    if part == Part::Next {
        return Ok(part);
    }
    if network.protocol == next::DESTINATION_OPTIONS {
        skip(frame, network, tolerance.holds(Tolerance::DESTINATION_OPTIONS))?;
    }
    if is_extension_header(network.protocol) || network.protocol == next::FRAGMENT {
        return Err(DropReason::ExtensionHeader);
    }
    Ok(part)
}

#[inline(always)]
fn fragment<F: Frame + ?Sized>(
    frame: &F,
    network: &mut Network,
    piece: &mut Piece,
) -> Result<Part, DropReason> {
    let Some(header) = frame.load::<wire::Fragment>(network.payload) else {
        return Err(DropReason::Fragment);
    };
    let wire::Fragment { next, reserved, fragment, identification } = header;
    let fragment = u16::from_be(fragment) as u32;
    let data = network.payload + 8;
    // Bits that nobody looks at are a covert channel; a fragment that is the whole datagram is of
    // no use (RFC 6946, RFC 8021).
    if data > network.end || reserved != 0 || fragment & 6 != 0 || fragment & !6 == 0 {
        return Err(DropReason::Fragment);
    }
    *piece = Piece {
        identification: u32::from_be(identification),
        offset: fragment & 0xfff8,
        data,
        more: fragment & 1 != 0,
        next,
    };
    network.protocol = next;
    network.payload = data;
    Ok(piece.part())
}

#[inline(always)]
fn skip<F: Frame + ?Sized>(
    frame: &F,
    network: &mut Network,
    is_named: bool,
) -> Result<(), DropReason> {
    if !is_named {
        return Err(DropReason::ExtensionHeader);
    }
    let Options { next, length } = frame.extension(network.payload, network.end)?;
    network.protocol = next;
    network.payload += length;
    Ok(())
}
