//! Numbers, durations and texts as people read them.

/// 1234567 as 1,234,567.
pub(crate) fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// 1536 as 1.5 KiB.
pub(crate) fn bytes(value: u64) -> String {
    let mut unit = "B";
    let (mut whole, mut rest) = (value, 0);
    for larger in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
        if whole < 1024 {
            break;
        }
        (whole, rest, unit) = (whole / 1024, whole % 1024, larger);
    }
    if unit == "B" || whole >= 100 {
        format!("{whole} {unit}")
    } else {
        format!("{whole}.{} {unit}", rest * 10 / 1024)
    }
}

/// 93784 as 1 d 2 h: the two largest units.
pub(crate) fn seconds(value: u64) -> String {
    let (days, hours, minutes) = (value / 86_400, value / 3600 % 24, value / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{value} s"),
        (0, 0, _) => format!("{minutes} min {} s", value % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        (_, _, _) => format!("{days} d {hours} h"),
    }
}

/// 1250 as 1.2 ms.
pub(crate) fn microseconds(value: u64) -> String {
    match value {
        0..1000 => format!("{value} µs"),
        1000..1_000_000 => format!("{}.{} ms", value / 1000, value / 100 % 10),
        _ => format!("{}.{} s", value / 1_000_000, value / 100_000 % 10),
    }
}

/// One, or several of them.
pub(crate) fn count(value: u64, one: &str, several: &str) -> String {
    format!("{} {}", number(value), if value == 1 { one } else { several })
}

/// Without anything that a terminal would obey.
pub(crate) fn clean(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut text, character| {
        if character.is_control() {
            text.extend(character.escape_default());
        } else {
            text.push(character);
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_groups_of_three() {
        let rows = [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")];
        for (value, text) in rows {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn sizes_have_two_or_three_digits() {
        let rows = [
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (200 << 20, "200 MiB"),
            (u64::MAX, "15.9 EiB"),
        ];
        for (value, text) in rows {
            assert_eq!(bytes(value), text);
        }
    }

    #[test]
    fn durations_have_two_units() {
        let rows = [(0, "0 s"), (61, "1 min 1 s"), (7260, "2 h 1 min"), (93_784, "1 d 2 h")];
        for (value, text) in rows {
            assert_eq!(seconds(value), text);
        }
        let rows = [(812, "812 µs"), (1250, "1.2 ms"), (2_340_000, "2.3 s")];
        for (value, text) in rows {
            assert_eq!(microseconds(value), text);
        }
    }

    #[test]
    fn escape_sequences_are_shown_and_not_obeyed() {
        assert_eq!(clean("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
    }
}
