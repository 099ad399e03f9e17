//! ICMP (RFC 792) and ICMPv6 (RFC 4443): one header, two numberings.

use super::{Around, Family, Header, filled, internet_checksum, setters, u8_of};

/// An ICMP message; what it holds behind the first eight bytes is its body or its payload.
pub fn icmp(kind: u8, code: u8) -> Icmp {
    Icmp::new(Some(Family::V4), (kind, kind), code)
}

/// An ICMPv6 message.
pub fn icmpv6(kind: u8, code: u8) -> Icmp {
    Icmp::new(Some(Family::V6), (kind, kind), code)
}

/// An echo request of the family of the IP header in front of it.
pub fn echo_request(identifier: u16, sequence: u16) -> Icmp {
    Icmp::new(None, (8, 128), 0).rest(echo(identifier, sequence))
}

/// An echo reply of the family of the IP header in front of it.
pub fn echo_reply(identifier: u16, sequence: u16) -> Icmp {
    Icmp::new(None, (0, 129), 0).rest(echo(identifier, sequence))
}

fn echo(identifier: u16, sequence: u16) -> [u8; 4] {
    let [a, b] = identifier.to_be_bytes();
    let [c, d] = sequence.to_be_bytes();
    [a, b, c, d]
}

/// See [`icmp`].
#[derive(Clone, Debug)]
pub struct Icmp {
    /// None follows the IP header in front.
    family: Option<Family>,
    /// The type's number in either family.
    kind: (u8, u8),
    code: u8,
    checksum: Option<u16>,
    rest: [u8; 4],
    body: Vec<u8>,
    quote_length: Option<usize>,
}

impl Icmp {
    pub(super) fn new(family: Option<Family>, kind: (u8, u8), code: u8) -> Self {
        let rest = [0; 4];
        let (checksum, quote_length) = (None, None);
        Self { family, kind, code, checksum, rest, body: Vec::new(), quote_length }
    }

    setters! {
        /// The code.
        code: u8;
        /// The checksum.
        checksum: u16;
        /// The second four bytes, which each type reads in its own way.
        rest: [u8; 4];
        /// Cuts what an error quotes to so many bytes, counted from the quoted IP header.
        quote_length: usize;
    }

    /// The type.
    #[must_use]
    pub fn kind(self, kind: u8) -> Self {
        Self { kind: (kind, kind), ..self }
    }

    /// What follows the first eight bytes.
    #[must_use]
    pub fn body(self, body: impl AsRef<[u8]>) -> Self {
        Self { body: body.as_ref().to_vec(), ..self }
    }

    /// Adds a neighbour discovery option, filled to eight bytes, with its right length: RFC 4861
    /// section 4.6.
    #[must_use]
    pub fn option(self, kind: u8, data: impl AsRef<[u8]>) -> Self {
        let units = (data.as_ref().len() + 2).div_ceil(8);
        self.option_of_length(kind, u8_of(units), data)
    }

    /// Adds a neighbour discovery option, filled to eight bytes, that says it is `units` times
    /// eight bytes long.
    #[must_use]
    pub fn option_of_length(mut self, kind: u8, units: u8, data: impl AsRef<[u8]>) -> Self {
        let option = [&[kind, units], data.as_ref()].concat();
        self.body.extend(filled(&option, 8));
        self
    }
}

impl Header for Icmp {
    fn write(&self, around: &Around<'_>, rest: &[u8]) -> Vec<u8> {
        let family = self.family.or_else(|| around.family()).unwrap_or(Family::V4);
        let kind = match family {
            Family::V4 => self.kind.0,
            Family::V6 => self.kind.1,
        };
        let mut bytes = vec![kind, self.code, 0, 0];
        bytes.extend(self.rest);
        let quoted = self.quote_length.unwrap_or(self.body.len());
        bytes.extend(self.body.iter().take(quoted));
        let checksum = self.checksum.unwrap_or_else(|| {
            let message = [&bytes, rest].concat();
            match family {
                Family::V4 => internet_checksum(&[&message]),
                Family::V6 => around.transport_checksum(58, &[&message]),
            }
        });
        bytes[2..4].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }

    fn named_by_protocol(&self, family: Family) -> Option<u8> {
        Some(match self.family.unwrap_or(family) {
            Family::V4 => 1,
            Family::V6 => 58,
        })
    }
}
