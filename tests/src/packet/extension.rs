//! IPv6 extension headers (RFC 8200 section 4), AH (RFC 4302) and ESP (RFC 4303).

use std::net::Ipv6Addr;

use super::{Around, Family, Header, filled, setters, u8_of};

/// Hop-by-hop options, empty: six bytes of padding.
pub fn hop_by_hop() -> Extension {
    Extension::new(0, Shape::Options)
}

/// Destination options, empty: six bytes of padding.
pub fn destination_options() -> Extension {
    Extension::new(60, Shape::Options)
}

/// A routing header of type `kind` (0 is the RH0 that RFC 5095 forbids, 2 Mobile IPv6, 4 segment
/// routing) with `addresses` behind it.
pub fn routing_header(kind: u8, segments_left: u8, addresses: &[Ipv6Addr]) -> Extension {
    let mut body = vec![kind, segments_left, 0, 0, 0, 0];
    body.extend(addresses.iter().flat_map(Ipv6Addr::octets));
    Extension { body, ..Extension::new(43, Shape::Routing) }
}

/// A fragment header: `offset` in units of eight bytes.
pub fn fragment(offset: u16, more: bool, identification: u32) -> Extension {
    let mut body = ((offset << 3) | u16::from(more)).to_be_bytes().to_vec();
    body.extend(identification.to_be_bytes());
    Extension { body, ..Extension::new(44, Shape::Fragment) }
}

/// An authentication header with a 12-byte check value of zeros. It serves IPv4 too.
pub fn ah(index: u32, sequence: u32) -> Extension {
    let mut body = vec![0, 0];
    body.extend(index.to_be_bytes());
    body.extend(sequence.to_be_bytes());
    body.extend([0; 12]);
    Extension { body, ..Extension::new(51, Shape::Authentication) }
}

/// An ESP header; what follows stands for the ciphertext. It serves IPv4 too.
pub fn esp(index: u32, sequence: u32) -> Extension {
    let body = [index.to_be_bytes(), sequence.to_be_bytes()].concat();
    Extension { body, ..Extension::new(50, Shape::Encapsulation) }
}

/// An extension header: next header, length and a body, except for ESP, which shows neither.
#[derive(Clone, Debug)]
pub struct Extension {
    protocol: u8,
    shape: Shape,
    next_header: Option<u8>,
    length: Option<u8>,
    body: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Shape {
    Options,
    Routing,
    Fragment,
    Authentication,
    Encapsulation,
}

impl Extension {
    fn new(protocol: u8, shape: Shape) -> Self {
        Self { protocol, shape, next_header: None, length: None, body: Vec::new() }
    }

    setters! {
        /// The protocol number that announces this header in the one in front of it.
        protocol: u8;
        /// The protocol number of what follows.
        next_header: u8;
        /// The second byte: the length in units of eight bytes without the first (AH: four bytes
        /// without the first two; fragment: reserved).
        length: u8;
    }

    /// Adds an option to hop-by-hop or destination options, with its right length.
    #[must_use]
    pub fn option(mut self, kind: u8, data: impl AsRef<[u8]>) -> Self {
        let data = data.as_ref();
        self.body.extend([kind, u8_of(data.len())]);
        self.body.extend(data);
        self
    }

    /// The header behind its first two bytes, as it lies on the wire; it is filled to the unit
    /// that its length counts in.
    #[must_use]
    pub fn body(self, body: impl AsRef<[u8]>) -> Self {
        Self { body: body.as_ref().to_vec(), ..self }
    }
}

impl Header for Extension {
    fn write(&self, around: &Around<'_>, _rest: &[u8]) -> Vec<u8> {
        let next = self.next_header.unwrap_or_else(|| around.protocol(Family::V6));
        let mut bytes = vec![next, 0];
        bytes.extend(&self.body);
        let length = match self.shape {
            Shape::Options => {
                pad_options(&mut bytes);
                bytes.len() / 8 - 1
            }
            Shape::Routing => {
                bytes = filled(&bytes, 8);
                bytes.len() / 8 - 1
            }
            Shape::Fragment => 0,
            Shape::Authentication => {
                bytes = filled(&bytes, 4);
                (bytes.len() / 4).saturating_sub(2)
            }
            Shape::Encapsulation => return self.body.clone(),
        };
        bytes[1] = self.length.unwrap_or_else(|| u8_of(length));
        bytes
    }

    fn named_by_protocol(&self, _family: Family) -> Option<u8> {
        Some(self.protocol)
    }
}

/// Pad1 and PadN, RFC 8200 section 4.2.
fn pad_options(bytes: &mut Vec<u8>) {
    match bytes.len().next_multiple_of(8) - bytes.len() {
        0 => {}
        1 => bytes.push(0),
        missing => {
            bytes.extend([1, u8_of(missing - 2)]);
            bytes.resize(bytes.len() + missing - 2, 0);
        }
    }
}
