//! TCP, UDP, GRE and bare data.

use super::{Around, Family, Header, filled, setters, u8_of, u16_of};

/// A TCP header without flags: sequence and acknowledgement 0, window 65535.
pub fn tcp(source: u16, destination: u16) -> Tcp {
    Tcp {
        source,
        destination,
        seq: 0,
        ack_number: 0,
        data_offset: None,
        reserved: 0,
        flags: 0,
        window: 0xffff,
        checksum: None,
        urgent: 0,
        options: Vec::new(),
    }
}

/// A UDP header.
pub fn udp(source: u16, destination: u16) -> Udp {
    Udp { source, destination, length: None, checksum: None }
}

/// A GRE header (RFC 2784) without checksum; what follows names the protocol.
pub fn gre() -> Gre {
    Gre { flags: 0, protocol: None }
}

/// Data behind the last header.
pub fn payload(data: impl AsRef<[u8]>) -> Payload {
    Payload(data.as_ref().to_vec())
}

/// See [`tcp`].
#[derive(Clone, Debug)]
pub struct Tcp {
    source: u16,
    destination: u16,
    seq: u32,
    ack_number: u32,
    data_offset: Option<u8>,
    reserved: u8,
    flags: u8,
    window: u16,
    checksum: Option<u16>,
    urgent: u16,
    options: Vec<u8>,
}

impl Tcp {
    setters! {
        /// The sequence number.
        seq: u32;
        /// The acknowledgement number; the ACK flag is set by [`Tcp::ack`].
        ack_number: u32;
        /// The header length in 32-bit words, 0 to 15; the header itself stays as long as it is.
        data_offset: u8;
        /// The four bits between data offset and flags.
        reserved: u8;
        /// All eight flags at once: CWR, ECE, URG, ACK, PSH, RST, SYN, FIN from the high bit down.
        flags: u8;
        /// The receive window, unscaled.
        window: u16;
        /// The checksum.
        checksum: u16;
        /// The urgent pointer; the URG flag is set by [`Tcp::urg`].
        urgent: u16;
    }

    /// Sets FIN.
    #[must_use]
    pub fn fin(self) -> Self {
        self.flag(0x01)
    }

    /// Sets SYN.
    #[must_use]
    pub fn syn(self) -> Self {
        self.flag(0x02)
    }

    /// Sets RST.
    #[must_use]
    pub fn rst(self) -> Self {
        self.flag(0x04)
    }

    /// Sets PSH.
    #[must_use]
    pub fn psh(self) -> Self {
        self.flag(0x08)
    }

    /// Sets ACK.
    #[must_use]
    pub fn ack(self) -> Self {
        self.flag(0x10)
    }

    /// Sets URG.
    #[must_use]
    pub fn urg(self) -> Self {
        self.flag(0x20)
    }

    /// Sets ECE.
    #[must_use]
    pub fn ece(self) -> Self {
        self.flag(0x40)
    }

    /// Sets CWR.
    #[must_use]
    pub fn cwr(self) -> Self {
        self.flag(0x80)
    }

    /// Adds an option with its right length.
    #[must_use]
    pub fn option(mut self, kind: u8, data: impl AsRef<[u8]>) -> Self {
        let data = data.as_ref();
        self.options.extend([kind, u8_of(data.len() + 2)]);
        self.options.extend(data);
        self
    }

    /// The options as they lie on the wire; they are filled with end-of-options to four bytes.
    #[must_use]
    pub fn options(self, options: impl AsRef<[u8]>) -> Self {
        Self { options: options.as_ref().to_vec(), ..self }
    }

    fn flag(self, flag: u8) -> Self {
        let flags = self.flags | flag;
        self.flags(flags)
    }
}

impl Header for Tcp {
    fn write(&self, around: &Around<'_>, rest: &[u8]) -> Vec<u8> {
        let options = filled(&self.options, 4);
        let offset = self.data_offset.unwrap_or_else(|| u8_of((20 + options.len()) / 4));
        let mut bytes = Vec::with_capacity(20 + options.len() + rest.len());
        bytes.extend(self.source.to_be_bytes());
        bytes.extend(self.destination.to_be_bytes());
        bytes.extend(self.seq.to_be_bytes());
        bytes.extend(self.ack_number.to_be_bytes());
        bytes.extend([(offset << 4) | (self.reserved & 0xf), self.flags]);
        bytes.extend(self.window.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(self.urgent.to_be_bytes());
        bytes.extend(options);
        let checksum =
            self.checksum.unwrap_or_else(|| around.transport_checksum(6, &[&bytes, rest]));
        bytes[16..18].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }

    fn named_by_protocol(&self, _family: Family) -> Option<u8> {
        Some(6)
    }
}

/// See [`udp`].
#[derive(Clone, Debug)]
pub struct Udp {
    source: u16,
    destination: u16,
    length: Option<u16>,
    checksum: Option<u16>,
}

impl Udp {
    setters! {
        /// The length of header and data in bytes.
        length: u16;
        /// The checksum; 0 says there is none.
        checksum: u16;
    }
}

impl Header for Udp {
    fn write(&self, around: &Around<'_>, rest: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + rest.len());
        bytes.extend(self.source.to_be_bytes());
        bytes.extend(self.destination.to_be_bytes());
        bytes.extend(self.length.unwrap_or_else(|| u16_of(8 + rest.len())).to_be_bytes());
        bytes.extend([0, 0]);
        let checksum = self.checksum.unwrap_or_else(|| {
            // Zero says "none" (RFC 768), so a computed zero is sent as its other form.
            match around.transport_checksum(17, &[&bytes, rest]) {
                0 => 0xffff,
                checksum => checksum,
            }
        });
        bytes[6..8].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }

    fn named_by_protocol(&self, _family: Family) -> Option<u8> {
        Some(17)
    }
}

/// See [`gre`].
#[derive(Clone, Debug)]
pub struct Gre {
    flags: u16,
    protocol: Option<u16>,
}

impl Gre {
    setters! {
        /// Flags and version.
        flags: u16;
        /// The EtherType of what follows.
        protocol: u16;
    }
}

impl Header for Gre {
    fn write(&self, around: &Around<'_>, rest: &[u8]) -> Vec<u8> {
        let protocol = self.protocol.unwrap_or_else(|| around.ethertype(rest.len()));
        [self.flags.to_be_bytes(), protocol.to_be_bytes()].concat()
    }

    fn named_by_protocol(&self, _family: Family) -> Option<u8> {
        Some(47)
    }
}

/// See [`payload`].
#[derive(Clone, Debug)]
pub struct Payload(Vec<u8>);

impl Header for Payload {
    fn write(&self, _around: &Around<'_>, _rest: &[u8]) -> Vec<u8> {
        self.0.clone()
    }
}
