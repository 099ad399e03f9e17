//! Hardware addresses.

use std::{fmt, str::FromStr};

/// A 48-bit hardware address, in the order of the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// `ff:ff:ff:ff:ff:ff`.
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// `00:00:00:00:00:00`, what an ARP request puts where it does not know.
    pub const ZERO: Self = Self([0; 6]);
    /// 01:80:c2:00:00:03, the PAE group address of IEEE 802.1X.
    pub const PAE_GROUP: Self = Self([0x01, 0x80, 0xc2, 0, 0, 3]);

    /// The locally administered address `02:00:00:00:HI:LO`.
    pub const fn local(number: u16) -> Self {
        let [high, low] = number.to_be_bytes();
        Self([2, 0, 0, 0, high, low])
    }

    /// The group address that `destination` is sent to: RFC 2464 section 7.
    pub fn multicast(destination: std::net::Ipv6Addr) -> Self {
        let [.., a, b, c, d] = destination.octets();
        Self([0x33, 0x33, a, b, c, d])
    }

    /// The six bytes, in the order of the wire.
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// The text is not six two-digit hexadecimal bytes between colons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidMac;

impl fmt::Display for InvalidMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a hardware address is six two-digit hexadecimal bytes between colons")
    }
}

impl std::error::Error for InvalidMac {}

impl FromStr for Mac {
    type Err = InvalidMac;

    fn from_str(text: &str) -> Result<Self, InvalidMac> {
        let mut parts = text.split(':');
        let mut bytes = [0; 6];
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2).ok_or(InvalidMac)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| InvalidMac)?;
        }
        if parts.next().is_some() { Err(InvalidMac) } else { Ok(Self(bytes)) }
    }
}

impl From<[u8; 6]> for Mac {
    fn from(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }
}

impl From<&str> for Mac {
    /// Panics unless `text` is a hardware address.
    fn from(text: &str) -> Self {
        text.parse().unwrap_or_else(|error| panic!("{text:?}: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hardware_address_survives_being_written_and_read() {
        let mac = Mac([2, 0, 0x5e, 0, 0, 0xfe]);
        assert_eq!(mac.to_string(), "02:00:5e:00:00:fe");
        assert_eq!("02:00:5e:00:00:fe".parse(), Ok(mac));
    }

    #[test]
    fn a_text_that_is_no_hardware_address_is_refused() {
        for text in ["", "02:00:5e:00:00", "02:00:5e:00:00:fe:01", "2:0:5e:0:0:fe", "0g:0:0:0:0:0"]
        {
            assert_eq!(text.parse::<Mac>(), Err(InvalidMac), "{text}");
        }
    }
}
