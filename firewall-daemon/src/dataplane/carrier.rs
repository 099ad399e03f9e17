//! Whether a port's cable was touched: the kernel counts how often its carrier came and went, so that
//! nobody misses what was over before he could look.

use std::io;

use super::netlink::{HEADER, REQUEST, ask, attribute, attribute_of, message, word};

/// `RTM_GETLINK` (linux/rtnetlink.h).
const GET_LINK: u16 = 18;
/// `struct ifinfomsg`, in bytes.
const MESSAGE: usize = 16;
/// `IFLA_IFNAME`, `IFLA_EXT_MASK` and `IFLA_CARRIER_CHANGES` (linux/if_link.h).
const NAME: u16 = 3;
const MASK: u16 = 29;
const CHANGES: u16 = 35;
/// `IFF_LOWER_UP` (linux/if.h).
const LOWER_UP: u32 = 1 << 16;
/// `RTEXT_FILTER_SKIP_STATS`.
const NO_STATISTICS: u32 = 1 << 3;

/// The carrier of an interface. One that differs is another carrier, or another interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carrier {
    index: u32,
    changes: u32,
    /// Whether there is one.
    pub is_up: bool,
}

impl Carrier {
    /// That of the interface of that name, in the calling thread's network namespace.
    ///
    /// # Errors
    /// What the kernel says, `ENODEV` if there is no such interface.
    pub fn of(interface: &str) -> io::Result<Self> {
        let cut = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let told = ask(&question(interface)?)?.ok_or_else(cut)?;
        Self::read(&told).ok_or_else(cut)
    }

    fn read(told: &[u8]) -> Option<Self> {
        let attributes = told.get(HEADER + MESSAGE..)?;
        let changes = word(attribute(attributes, CHANGES)?, 0)?;
        let is_up = word(told, HEADER + 8)? & LOWER_UP != 0;
        Some(Self { index: word(told, HEADER + 4)?, changes, is_up })
    }
}

fn question(interface: &str) -> io::Result<Vec<u8>> {
    let name = [interface.as_bytes(), &[0]].concat();
    let attributes =
        [attribute_of(NAME, &name)?, attribute_of(MASK, &NO_STATISTICS.to_ne_bytes())?];
    message(GET_LINK, REQUEST, &[&[0; MESSAGE][..], &attributes.concat()].concat())
}

#[cfg(test)]
mod tests {
    use nix::libc;

    use super::*;

    #[test]
    fn the_carrier_of_loopback_stays_and_nobody_else_s_is_it() {
        let carrier = Carrier::of("lo").unwrap();
        assert!(carrier.is_up);
        assert_eq!(Carrier::of("lo").unwrap(), carrier);
        let error = Carrier::of("no-such-port").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    }

    #[test]
    fn an_answer_that_is_cut_short_tells_of_no_carrier() {
        let head = [0_u32, 7, LOWER_UP, 0].map(u32::to_ne_bytes).concat();
        let changes = attribute_of(CHANGES, &5_u32.to_ne_bytes()).unwrap();
        let told = message(16, 0, &[head, changes].concat()).unwrap();
        assert_eq!(Carrier::read(&told), Some(Carrier { index: 7, changes: 5, is_up: true }));
        for length in 0..told.len() {
            assert_eq!(Carrier::read(&told[..length]), None, "{length}");
        }
    }
}
