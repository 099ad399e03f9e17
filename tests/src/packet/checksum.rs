//! The Internet checksum, RFC 1071, and the pseudo-headers it covers.

use super::{Address, u16_of};

/// The one's-complement checksum over `parts` laid end to end; every part but the last is of even
/// length.
pub fn internet_checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u32;
    for word in parts.iter().flat_map(|part| part.chunks(2)) {
        let low = word.get(1).copied().unwrap_or(0);
        sum += u32::from(u16::from_be_bytes([word[0], low]));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16_of(sum as usize)
}

/// The pseudo-header of RFC 793 (IPv4) or RFC 8200 section 8.1 (IPv6). A routing header is not
/// followed: the destination is the one the IP header names.
pub(super) fn pseudo_header(addresses: Address, protocol: u8, length: usize) -> Vec<u8> {
    match addresses {
        Address::V4(source, destination) => {
            let mut bytes = Vec::with_capacity(12);
            bytes.extend(source.octets());
            bytes.extend(destination.octets());
            bytes.extend([0, protocol]);
            bytes.extend(u16_of(length).to_be_bytes());
            bytes
        }
        Address::V6(source, destination) => {
            let mut bytes = Vec::with_capacity(40);
            bytes.extend(source.octets());
            bytes.extend(destination.octets());
            bytes.extend(u32::try_from(length).unwrap().to_be_bytes());
            bytes.extend([0, 0, 0, protocol]);
            bytes
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_1071_sums_up() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(internet_checksum(&[&bytes]), !0xddf2);
        assert_eq!(internet_checksum(&[&bytes[..4], &bytes[4..]]), !0xddf2);
    }

    #[test]
    fn an_odd_byte_is_the_high_half_of_its_word() {
        assert_eq!(internet_checksum(&[&[0x12]]), !0x1200);
    }
}
