//! Until when a revocation list is good. webpki refuses what rests on one that is not, and does not say
//! since when.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// ASN.1's tags (X.690), as far as they are met on the way.
const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;

/// `nextUpdate` of a list in DER (RFC 5280, 5.1), in time since 1970.
pub(super) fn next_update(list: &[u8]) -> Option<Duration> {
    let list = Value::of(list, SEQUENCE)?.content;
    let mut rest = Value::of(list, SEQUENCE)?.content;
    let version = Value::first(rest)?;
    if version.tag == INTEGER {
        rest = version.rest;
    }
    // The signature's algorithm, the issuer, and when the list was made.
    for _ in 0..3 {
        rest = Value::first(rest)?.rest;
    }
    let time = Value::first(rest)?;
    let digits = std::str::from_utf8(time.content).ok()?;
    let digits = match time.tag {
        // RFC 5280, 4.1.2.5.1.
        UTC_TIME if digits.get(..2)? >= "50" => format!("19{digits}"),
        UTC_TIME => format!("20{digits}"),
        GENERALIZED_TIME => digits.to_owned(),
        _ => return None,
    };
    let civil = DateTime::strptime("%Y%m%d%H%M%SZ", digits).ok()?;
    let time = Offset::UTC.to_timestamp(civil).ok()?;
    Duration::try_from(time.duration_since(Timestamp::UNIX_EPOCH)).ok()
}

/// A value and what comes after it.
struct Value<'a> {
    tag: u8,
    content: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Value<'a> {
    fn first(bytes: &'a [u8]) -> Option<Self> {
        let [tag, length, rest @ ..] = bytes else { return None };
        let (length, rest) = match *length {
            short @ 0..=0x7f => (usize::from(short), rest),
            // Of the length, so many bytes; nobody has room for more than four.
            long @ 0x81..=0x84 => {
                let (length, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
                let length =
                    length.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
                (length, rest)
            }
            0x80 | 0x85.. => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        Some(Self { tag: *tag, content, rest })
    }

    fn of(bytes: &'a [u8], tag: u8) -> Option<Self> {
        Self::first(bytes).filter(|value| value.tag == tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82][..], &length, content].concat()
    }

    fn list(version: &[u8], next: &[u8]) -> Vec<u8> {
        let this = value(UTC_TIME, b"260101000000Z");
        let named = [version, &[SEQUENCE, 0, SEQUENCE, 0], &this, next].concat();
        value(SEQUENCE, &value(SEQUENCE, &named))
    }

    #[test]
    fn the_end_of_a_list_is_read_in_both_notations() {
        let version = [INTEGER, 1, 1];
        for (tag, digits, seconds) in [
            (UTC_TIME, &b"700101000001Z"[..], 1),
            (UTC_TIME, b"260131120000Z", 1_769_860_800),
            (GENERALIZED_TIME, b"20260131120000Z", 1_769_860_800),
            (GENERALIZED_TIME, b"20500101000000Z", 2_524_608_000),
        ] {
            let next = value(tag, digits);
            for version in [&version[..], &[]] {
                let read = next_update(&list(version, &next));
                assert_eq!(read, Some(Duration::from_secs(seconds)), "{digits:?}");
            }
        }
    }

    #[test]
    fn a_list_without_an_end_or_cut_short_has_none() {
        let whole = list(&[INTEGER, 1, 1], &value(UTC_TIME, b"260131120000Z"));
        for length in 0..whole.len() {
            assert_eq!(next_update(&whole[..length]), None, "{length}");
        }
        assert_eq!(next_update(&list(&[], &[])), None);
        assert_eq!(next_update(&list(&[], &value(UTC_TIME, b"2601311200Z"))), None);
        assert_eq!(next_update(&list(&[], &value(SEQUENCE, b"260131120000Z"))), None);
    }
}
