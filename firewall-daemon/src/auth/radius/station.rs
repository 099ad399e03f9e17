//! Calling-Station-Id: a MAC in the notation of whoever wrote the client.

use firewall_common::Mac;

/// The station that is meant. All notations in use are taken: six groups of two digits (`-`, `:` or
/// `.` between them; RFC 3580, 3.21), three of four, two of six, or all twelve digits together.
pub(super) fn parse(text: &str) -> Option<Mac> {
    let text = text.as_bytes();
    let group = match text.len() {
        12 => 12,
        13 => 6,
        14 => 4,
        17 => 2,
        _ => return None,
    };
    let separator = *text.get(group).unwrap_or(&b'-');
    if !b"-:.".contains(&separator) {
        return None;
    }
    let (mut address, mut digits) = (0_u64, 0);
    for (index, byte) in text.iter().enumerate() {
        if index % (group + 1) == group {
            if *byte != separator {
                return None;
            }
            continue;
        }
        let digit = char::from(*byte).to_digit(16)?;
        address = address << 4 | u64::from(digit);
        digits += 1;
    }
    let [_, _, bytes @ ..] = address.to_be_bytes();
    let mac = Mac(bytes);
    (digits == 12 && !mac.is_group() && !mac.is_zero()).then_some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notation_in_use_is_read() {
        let mac = Mac([0x02, 0x10, 0xa4, 0x23, 0x19, 0xc0]);
        for text in [
            "02-10-A4-23-19-C0",
            "02:10:a4:23:19:c0",
            "02.10.a4.23.19.c0",
            "0210.a423.19c0",
            "0210-A423-19C0",
            "0210:a423:19c0",
            "0210a4-2319c0",
            "0210a42319c0",
        ] {
            assert_eq!(parse(text), Some(mac), "{text}");
        }
    }

    #[test]
    fn what_is_no_station_is_not_taken_for_one() {
        for text in [
            "",
            "10.20.0.17",
            "02-10-A4-23-19",
            "02-10-A4-23-19-C0-",
            "02-10:A4-23-19-C0",
            "02-10-A4-23-19-G0",
            "0210a42319c",
            "0210-a42319c0",
            "02 10 a4 23 19 c0",
            "ff-ff-ff-ff-ff-ff",
            "01-00-5e-00-00-01",
            "00-00-00-00-00-00",
            "02-10-A4-23-19-C0:guests",
            "+2-10-A4-23-19-C0",
            "0210a4231\u{e9}c",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
