//! What stands between an IPv6 header and the transport header.

use super::{Network, Options, is_extension_header, next};
use crate::image::Tolerance;
use crate::{DropReason, Frame};

/// Walks the extension headers, in the only order there is (RFC 8200, 4.1): hop-by-hop options,
/// destination options, the transport header. Afterwards the payload is that one's.
#[inline(always)]
pub fn chain<F: Frame + ?Sized>(
    frame: &F,
    network: &mut Network,
    tolerance: Tolerance,
) -> Result<(), DropReason> {
    if network.protocol == next::HOP_BY_HOP {
        skip(frame, network, tolerance.holds(Tolerance::HOP_BY_HOP))?;
    }
    if network.protocol == next::DESTINATION_OPTIONS {
        skip(frame, network, tolerance.holds(Tolerance::DESTINATION_OPTIONS))?;
    }
    if is_extension_header(network.protocol) || network.protocol == next::FRAGMENT {
        return Err(DropReason::ExtensionHeader);
    }
    Ok(())
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
