//! Packets as they lie on the wire: RFC 2865, 3; RFC 2866, 3; RFC 2869, 5.14.

use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::{Digest as _, Md5};
use subtle::ConstantTimeEq as _;

use super::Secret;

/// The largest packet (RFC 2865, 3).
pub const LONGEST: usize = 4096;
/// Code, identifier, length and authenticator.
const HEADER: usize = 20;

/// Code (RFC 2866, 3).
pub const ACCOUNTING_REQUEST: u8 = 4;
/// Code (RFC 2866, 3).
pub const ACCOUNTING_RESPONSE: u8 = 5;

/// The kinds of attributes that are looked at.
pub mod kind {
    /// RFC 2865, 5.1.
    pub const USER_NAME: u8 = 1;
    /// RFC 2865, 5.4.
    pub const NAS_IP_ADDRESS: u8 = 4;
    /// RFC 2865, 5.5.
    pub const NAS_PORT: u8 = 5;
    /// RFC 2865, 5.25.
    pub const CLASS: u8 = 25;
    /// RFC 2865, 5.26.
    pub const VENDOR_SPECIFIC: u8 = 26;
    /// RFC 2865, 5.31.
    pub const CALLING_STATION_ID: u8 = 31;
    /// RFC 2865, 5.32.
    pub const NAS_IDENTIFIER: u8 = 32;
    /// RFC 2865, 5.33.
    pub const PROXY_STATE: u8 = 33;
    /// RFC 2866, 5.1.
    pub const ACCT_STATUS_TYPE: u8 = 40;
    /// RFC 2866, 5.2.
    pub const ACCT_DELAY_TIME: u8 = 41;
    /// RFC 2866, 5.5.
    pub const ACCT_SESSION_ID: u8 = 44;
    /// RFC 2866, 5.7.
    pub const ACCT_SESSION_TIME: u8 = 46;
    /// RFC 2866, 5.10.
    pub const ACCT_TERMINATE_CAUSE: u8 = 49;
    /// RFC 2869, 5.3.
    pub const EVENT_TIMESTAMP: u8 = 55;
    /// RFC 2869, 5.14.
    pub const MESSAGE_AUTHENTICATOR: u8 = 80;
    /// RFC 2869, 5.16.
    pub const ACCT_INTERIM_INTERVAL: u8 = 85;
    /// RFC 2869, 5.17.
    pub const NAS_PORT_ID: u8 = 87;
    /// RFC 3162, 2.1.
    pub const NAS_IPV6_ADDRESS: u8 = 95;
}

/// A packet's authenticator field.
pub type Authenticator = [u8; 16];

/// Why bytes are no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Fewer bytes than a header has, or than it says.
    #[error("the datagram is shorter than the packet")]
    Short,
    /// A length below 20 or above 4,096.
    #[error("the packet's length is not between 20 and 4096")]
    Length,
    /// An attribute that is no attribute, or goes beyond the packet.
    #[error("an attribute does not fit")]
    Attribute,
}

/// A packet whose attributes fit.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    bytes: &'a [u8],
    authenticator: &'a Authenticator,
}

/// An attribute's kind and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// One of [`kind`], or another.
    pub kind: u8,
    /// At least one byte.
    pub value: &'a [u8],
    /// Where in the packet the value begins.
    place: usize,
}

impl<'a> Packet<'a> {
    /// Reads a datagram. What follows the packet is padding (RFC 2865, 3).
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Malformed> {
        let [_, _, high, low, ..] = *datagram else { return Err(Malformed::Short) };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if !(HEADER..=LONGEST).contains(&length) {
            return Err(Malformed::Length);
        }
        let bytes = datagram.get(..length).ok_or(Malformed::Short)?;
        let authenticator = bytes[4..].first_chunk().ok_or(Malformed::Short)?;
        let packet = Self { bytes, authenticator };
        let mut read = HEADER;
        for attribute in packet.attributes() {
            // A vendor's number and at least one byte of theirs (RFC 2865, 5.26).
            if attribute.kind == kind::VENDOR_SPECIFIC && attribute.value.len() < 5 {
                return Err(Malformed::Attribute);
            }
            read = attribute.place + attribute.value.len();
        }
        if read == length { Ok(packet) } else { Err(Malformed::Attribute) }
    }

    /// What kind of packet it is.
    pub const fn code(&self) -> u8 {
        self.bytes[0]
    }

    /// What a response is matched by.
    pub const fn identifier(&self) -> u8 {
        self.bytes[1]
    }

    /// The authenticator field.
    pub const fn authenticator(&self) -> &'a Authenticator {
        self.authenticator
    }

    /// The attributes in their order, up to one that does not fit.
    pub fn attributes(&self) -> impl Iterator<Item = Attribute<'a>> + use<'a> {
        let bytes = self.bytes;
        let mut at = HEADER;
        std::iter::from_fn(move || {
            let [kind, length, ..] = *bytes.get(at..)? else { return None };
            let place = at + 2;
            at += usize::from(length);
            let value = bytes.get(place..at).filter(|value| !value.is_empty())?;
            Some(Attribute { kind, value, place })
        })
    }

    /// Whether the authenticator is that of a request from someone who knows the secret (RFC 2866, 3).
    pub fn is_signed(&self, secret: &Secret) -> bool {
        let expected = digest(self.bytes, &[0; 16], secret);
        expected.ct_eq(self.authenticator).into()
    }

    /// Whether a Message-Authenticator (RFC 2869, 5.14) is right, in its packet. As in CoA (RFC 5176,
    /// 2.3), the authenticator field, which is computed later, counts as zero: so sign FreeRADIUS and
    /// others.
    pub fn is_authentic(&self, attribute: &Attribute<'_>, secret: &Secret) -> bool {
        let Some(mut mac) = keyed(secret) else { return false };
        let end = attribute.place + attribute.value.len();
        mac.update(&self.bytes[..4]);
        mac.update(&[0; 16]);
        mac.update(&self.bytes[HEADER..attribute.place]);
        mac.update(&[0; 16]);
        mac.update(&self.bytes[end..]);
        mac.verify_slice(attribute.value).is_ok()
    }

    /// The Accounting-Response: it repeats Proxy-State (RFC 2865, 5.33) and holds nothing else.
    pub fn response(&self, secret: &Secret) -> Vec<u8> {
        let mut response = vec![ACCOUNTING_RESPONSE, self.identifier(), 0, 0];
        response.extend([0; 16]);
        for attribute in self.attributes().filter(|each| each.kind == kind::PROXY_STATE) {
            response.extend(&self.bytes[attribute.place - 2..][..2 + attribute.value.len()]);
        }
        // Shorter than the request, and so than 4,096.
        let length = u16::try_from(response.len()).unwrap_or(u16::MAX);
        response[2..4].copy_from_slice(&length.to_be_bytes());
        let signature = digest(&response, self.authenticator, secret);
        response[4..HEADER].copy_from_slice(&signature);
        response
    }
}

/// Makes an Accounting-Request of attributes, signed; with a Message-Authenticator before them if it
/// is to have one. For tests of those who read it.
pub fn request(
    identifier: u8,
    attributes: &[(u8, &[u8])],
    has_message_authenticator: bool,
    secret: &Secret,
) -> Vec<u8> {
    let mut bytes = vec![ACCOUNTING_REQUEST, identifier, 0, 0];
    bytes.extend([0; 16]);
    if has_message_authenticator {
        bytes.extend([kind::MESSAGE_AUTHENTICATOR, 18]);
        bytes.extend([0; 16]);
    }
    for (kind, value) in attributes {
        bytes.extend([*kind, u8::try_from(value.len() + 2).unwrap_or(u8::MAX)]);
        bytes.extend(*value);
    }
    sign(&mut bytes, secret);
    bytes
}

/// Signs an Accounting-Request again, after its bytes were changed: its length, its first attribute
/// if that is a Message-Authenticator, its authenticator.
pub fn sign(bytes: &mut [u8], secret: &Secret) {
    if bytes.len() < HEADER {
        return;
    }
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    bytes[4..HEADER].fill(0);
    let attribute = HEADER + 2..HEADER + 18;
    if bytes.get(HEADER..HEADER + 2) == Some(&[kind::MESSAGE_AUTHENTICATOR, 18])
        && bytes.len() >= attribute.end
        && let Some(mut mac) = keyed(secret)
    {
        bytes[attribute.clone()].fill(0);
        mac.update(bytes);
        bytes[attribute].copy_from_slice(&mac.finalize().into_bytes());
    }
    let signature = digest(bytes, &[0; 16], secret);
    bytes[4..HEADER].copy_from_slice(&signature);
}

/// MD5 over a packet with that authenticator, and the secret.
fn digest(bytes: &[u8], authenticator: &Authenticator, secret: &Secret) -> Authenticator {
    let digest = Md5::new()
        .chain_update(&bytes[..4])
        .chain_update(authenticator)
        .chain_update(&bytes[HEADER..])
        .chain_update(secret.bytes());
    digest.finalize().into()
}

/// HMAC takes keys of every length.
fn keyed(secret: &Secret) -> Option<Hmac<Md5>> {
    Hmac::new_from_slice(secret.bytes()).ok()
}
