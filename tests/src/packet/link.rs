//! Ethernet, its tags, and the 802.3 frames that carry a length where others carry a type.

use super::{Around, Header, Mac, setters, u16_of};

/// An Ethernet header from `source` to `destination`, in this order, although the wire has them
/// the other way round: it reads like the IP header that follows.
pub fn eth(source: impl Into<Mac>, destination: impl Into<Mac>) -> Eth {
    Eth { source: source.into(), destination: destination.into(), ethertype: None }
}

/// An 802.1Q tag: VLAN `id`, priority 0, announced by 0x8100.
pub fn vlan(id: u16) -> Vlan {
    Vlan { id, priority: 0, drop_eligible: false, tpid: 0x8100, ethertype: None }
}

/// An 802.1ad service tag: VLAN `id`, announced by 0x88a8.
pub fn service_vlan(id: u16) -> Vlan {
    vlan(id).tpid(0x88a8)
}

/// An LLC header; the type field in front of it becomes the length of the 802.3 frame.
pub fn llc(destination: u8, source: u8, control: u8) -> Llc {
    Llc { destination, source, control, subnetwork: None }
}

/// LLC with a SNAP header (RFC 1042): AA AA 03, organisation 00-00-00, then an EtherType.
pub fn snap() -> Llc {
    let snap = Snap { organisation: [0; 3], ethertype: None };
    Llc { subnetwork: Some(snap), ..llc(0xaa, 0xaa, 3) }
}

/// See [`eth`].
#[derive(Clone, Debug)]
pub struct Eth {
    source: Mac,
    destination: Mac,
    ethertype: Option<u16>,
}

impl Eth {
    setters! {
        /// Says what follows; values up to 1500 make it the length of an 802.3 frame.
        ethertype: u16;
    }
}

impl Header for Eth {
    fn write(&self, around: &Around<'_>, rest: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(14 + rest.len());
        bytes.extend(self.destination.octets());
        bytes.extend(self.source.octets());
        let ethertype = self.ethertype.unwrap_or_else(|| around.ethertype(rest.len()));
        bytes.extend(ethertype.to_be_bytes());
        bytes
    }

    /// GRE names a bridged frame so.
    fn named_by_ethertype(&self, _length: usize) -> Option<u16> {
        Some(0x6558)
    }
}

/// See [`vlan`].
#[derive(Clone, Debug)]
pub struct Vlan {
    id: u16,
    priority: u8,
    drop_eligible: bool,
    tpid: u16,
    ethertype: Option<u16>,
}

impl Vlan {
    setters! {
        /// The priority code point, 0 to 7.
        priority: u8;
        /// The drop eligible indicator (802.1Q), once the canonical format indicator.
        drop_eligible: bool;
        /// The type that announces this tag in the header in front of it.
        tpid: u16;
        /// Says what follows the tag.
        ethertype: u16;
    }
}

impl Header for Vlan {
    fn write(&self, around: &Around<'_>, rest: &[u8]) -> Vec<u8> {
        let control = (u16::from(self.priority) << 13)
            | (u16::from(self.drop_eligible) << 12)
            | (self.id & 0xfff);
        let ethertype = self.ethertype.unwrap_or_else(|| around.ethertype(rest.len()));
        [control.to_be_bytes(), ethertype.to_be_bytes()].concat()
    }

    fn named_by_ethertype(&self, _length: usize) -> Option<u16> {
        Some(self.tpid)
    }
}

/// See [`llc`] and [`snap`].
#[derive(Clone, Debug)]
pub struct Llc {
    destination: u8,
    source: u8,
    control: u8,
    subnetwork: Option<Snap>,
}

#[derive(Clone, Debug)]
struct Snap {
    organisation: [u8; 3],
    ethertype: Option<u16>,
}

impl Llc {
    /// The organisation and the type of the SNAP header, which this adds if there is none.
    #[must_use]
    pub fn organisation(self, organisation: [u8; 3], ethertype: u16) -> Self {
        Self { subnetwork: Some(Snap { organisation, ethertype: Some(ethertype) }), ..self }
    }
}

impl Header for Llc {
    fn write(&self, around: &Around<'_>, rest: &[u8]) -> Vec<u8> {
        let mut bytes = vec![self.destination, self.source, self.control];
        if let Some(Snap { organisation, ethertype }) = &self.subnetwork {
            bytes.extend(organisation);
            let ethertype = ethertype.unwrap_or_else(|| around.ethertype(rest.len()));
            bytes.extend(ethertype.to_be_bytes());
        }
        bytes
    }

    /// Not a type but a length, of this header too.
    fn named_by_ethertype(&self, length: usize) -> Option<u16> {
        Some(u16_of(length))
    }
}
