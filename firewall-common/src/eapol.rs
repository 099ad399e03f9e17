//! EAP over LANs (IEEE 802.1X-2020): it passes between a node and the authenticator of the port that the
//! node is attached to, and never any further. It is how a node without a lease comes by one, so no
//! lease is asked for.

use crate::decide::{Exit, Passage};
use crate::frame::wire;
use crate::parse::ethertype;
use crate::{
    DropReason, Frame, Mac, Note, PassReason, Port, RuleSlot, SubnetworkSlot, Tables, Vlan,
};

/// Where a node finds its authenticator: the PAE group address, which no bridge forwards (IEEE
/// 802.1X-2020, 11.1.1).
pub const GROUP: Mac = Mac([0x01, 0x80, 0xc2, 0, 0, 0x03]);

/// Decides over a frame that is neither IP nor ARP, that comes in on that port or that the gateway's
/// kernel sends out of it. The note has its link layer.
#[inline(always)]
pub fn decide<F, T>(
    frame: &F,
    tables: &T,
    note: &mut Note,
    port: Port,
) -> Result<Passage, DropReason>
where
    F: Frame + ?Sized,
    T: Tables + ?Sized,
{
    core::hint::cold_path();
    frame.eapol(tables, note, port)?;
    Ok(note.passage)
}

/// Whether it is what a node says to its authenticator, or what that says to a node: untagged, whole,
/// of a version and a type that are known, from and for whom it has to be. The passage is left in the
/// note.
#[inline(always)]
pub fn judge<F, T>(frame: &F, tables: &T, note: &mut Note, port: Port) -> Result<(), DropReason>
where
    F: Frame + ?Sized,
    T: Tables + ?Sized,
{
    if note.ethertype() != ethertype::EAPOL || !tables.authenticates(port) {
        return Err(DropReason::Ethertype);
    }
    let Some(state) = tables.port_state(port) else {
        return Err(DropReason::Ethertype);
    };
    let (own, signature) = (state.mac.load(), note.signature);
    let (source, destination) = (signature.source_word(), signature.hop().word());
    let is_to_group = destination == GROUP.word();
    let is_between = if signature.port() == Port::GATEWAY {
        source == own && (is_to_group || !signature.is_to_group())
    } else {
        source != own && (is_to_group || destination == own)
    };
    // While a port's MAC is not known it has no authenticator.
    if own == 0 || !is_between || signature.vlan() != Vlan::UNTAGGED {
        return Err(DropReason::Ethertype);
    }
    let Some(wire::Eapol { version, kind, length }) = frame.load::<wire::Eapol>(HEADER) else {
        return Err(DropReason::Ethertype);
    };
    let (end, length) = (HEADER + 4 + u16::from_be(length) as u32, frame.length());
    // Virtual links do not pad what is shorter; what is longer has no room for anything else.
    let is_whole = end == length || end < length && length <= SHORTEST;
    if !matches!(version, 1..=3) || kind > 4 || !is_whole {
        return Err(DropReason::Ethertype);
    }
    note.passage = Passage {
        reason: PassReason::Eapol,
        exit: Exit::GATEWAY,
        rule: RuleSlot(0),
        from: SubnetworkSlot(0),
        to: SubnetworkSlot(0),
    };
    Ok(())
}

/// Where the header begins.
const HEADER: u32 = 14;
/// Bytes of a frame that a card pads up to (IEEE 802.3-2018, 4A.2.3.2.4).
const SHORTEST: u32 = 60;
