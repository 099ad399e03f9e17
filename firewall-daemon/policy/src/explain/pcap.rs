//! Classic capture files (draft-ietf-opsawg-pcap), as tcpdump writes them.

use std::time::Duration;

/// One captured frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'f> {
    /// When, since the epoch.
    pub time: Duration,
    /// What was kept of it.
    pub frame: &'f [u8],
    /// Bytes on the wire; more than were kept if the capture cut it.
    pub length: u32,
}

impl Record<'_> {
    /// Whether the capture cut the frame.
    pub fn is_cut(&self) -> bool {
        (self.length as usize) > self.frame.len()
    }
}

/// Why a file is no capture of Ethernet frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PcapError {
    /// Neither byte order of either magic number.
    #[error("this is no pcap file")]
    Magic,
    /// The next generation format.
    #[error("this is a pcapng file; `tcpdump -r FILE -w FILE.pcap` makes a pcap file of it")]
    NextGeneration,
    /// Something else than Ethernet.
    #[error("the capture holds frames of link type {0}, not Ethernet (1)")]
    LinkType(u32),
    /// The file ends within a header or a frame.
    #[error("the file ends within frame {0}")]
    Truncated(usize),
}

/// The frames of a capture, in order.
///
/// # Errors
/// When it is no pcap file, holds no Ethernet frames, or ends too early.
pub fn read(file: &[u8]) -> Result<Vec<Record<'_>>, PcapError> {
    let magic: [u8; 4] = *file.first_chunk().ok_or(PcapError::Magic)?;
    let (order, unit): (fn([u8; 4]) -> u32, _) = match magic {
        [0xd4, 0xc3, 0xb2, 0xa1] => (u32::from_le_bytes, Duration::from_micros(1)),
        [0xa1, 0xb2, 0xc3, 0xd4] => (u32::from_be_bytes, Duration::from_micros(1)),
        [0x4d, 0x3c, 0xb2, 0xa1] => (u32::from_le_bytes, Duration::from_nanos(1)),
        [0xa1, 0xb2, 0x3c, 0x4d] => (u32::from_be_bytes, Duration::from_nanos(1)),
        [0x0a, 0x0d, 0x0d, 0x0a] => return Err(PcapError::NextGeneration),
        _ => return Err(PcapError::Magic),
    };
    let header: &[u8; 24] = file.first_chunk().ok_or(PcapError::Magic)?;
    let [.., a, b, c, d] = *header;
    // The upper bits say whether, and how long, the check sequence is.
    let link_type = order([a, b, c, d]) & 0xffff;
    if link_type != 1 {
        return Err(PcapError::LinkType(link_type));
    }
    let mut rest = file.get(24..).unwrap_or_default();
    let mut records = Vec::new();
    while !rest.is_empty() {
        let truncated = PcapError::Truncated(records.len() + 1);
        let (header, data) = rest.split_first_chunk::<16>().ok_or(truncated)?;
        let mut words = header
            .chunks_exact(4)
            .map(|word| order(word.first_chunk().copied().unwrap_or_default()));
        let mut word = || words.next().unwrap_or_default();
        let (seconds, fraction, kept, length) = (word(), word(), word(), word());
        let (frame, next) = data.split_at_checked(kept as usize).ok_or(truncated)?;
        let time = Duration::from_secs(u64::from(seconds)) + unit * fraction;
        records.push(Record { time, frame, length });
        rest = next;
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture(order: fn(u32) -> [u8; 4], magic: u32, kept: &[u8], length: u32) -> Vec<u8> {
        let mut file = order(magic).to_vec();
        file.extend([0; 12]);
        file.extend(order(65535));
        file.extend(order(1));
        for word in [7, 500, u32::try_from(kept.len()).unwrap(), length] {
            file.extend(order(word));
        }
        file.extend(kept);
        file
    }

    #[test]
    fn both_byte_orders_and_both_resolutions_are_read() {
        let micro = Duration::from_secs(7) + Duration::from_micros(500);
        let nano = Duration::from_secs(7) + Duration::from_nanos(500);
        for (order, magic, time) in [
            (u32::to_le_bytes as fn(u32) -> [u8; 4], 0xa1b2_c3d4, micro),
            (u32::to_be_bytes, 0xa1b2_c3d4, micro),
            (u32::to_le_bytes, 0xa1b2_3c4d, nano),
            (u32::to_be_bytes, 0xa1b2_3c4d, nano),
        ] {
            let file = capture(order, magic, b"frame", 5);
            let record = Record { time, frame: b"frame", length: 5 };
            assert_eq!(read(&file), Ok(vec![record]));
            assert!(!record.is_cut());
        }
    }

    #[test]
    fn a_frame_that_the_capture_cut_is_told_apart() {
        let file = capture(u32::to_le_bytes, 0xa1b2_c3d4, b"frame", 60);
        assert!(read(&file).unwrap()[0].is_cut());
    }

    #[test]
    fn what_is_no_capture_is_refused() {
        let file = capture(u32::to_le_bytes, 0xa1b2_c3d4, b"frame", 5);
        for end in 25..file.len() {
            assert_eq!(read(&file[..end]), Err(PcapError::Truncated(1)), "{end}");
        }
        assert_eq!(read(&file[..24]), Ok(vec![]));
        assert_eq!(read(&file[..23]), Err(PcapError::Magic));
        assert_eq!(read(b""), Err(PcapError::Magic));
        assert_eq!(read(b"\x0a\x0d\x0d\x0a rest"), Err(PcapError::NextGeneration));
        let mut file = file;
        file[20] = 113;
        assert_eq!(read(&file), Err(PcapError::LinkType(113)));
    }
}
