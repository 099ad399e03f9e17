//! The way out of a port where the kernel has no tcx (before Linux 6.6): a filter of the clsact
//! qdisc, which stays when the daemon ends. By rtnetlink (linux/rtnetlink.h, linux/pkt_sched.h,
//! linux/pkt_cls.h).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::libc;

use super::netlink::{HEADER, REQUEST, ask, attribute, attribute_of, message, word};

const NEW_QDISC: u16 = 36;
const NEW_FILTER: u16 = 44;
const DELETE_FILTER: u16 = 45;
const GET_FILTER: u16 = 46;

const ACKNOWLEDGE: u16 = 1 << 2;
const REPLACE: u16 = 1 << 8;
const EXCLUSIVE: u16 = 1 << 9;
const CREATE: u16 = 1 << 10;

/// `TC_H_CLSACT`, and the handle of the qdisc below it.
const CLSACT: u32 = 0xffff_fff1;
const QDISC: u32 = 0xffff_0000;
/// `TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)`.
const EGRESS: u32 = 0xffff_fff3;
/// Ours alone: `tc` numbers from 1, and so do others.
const HANDLE: u32 = 0x636f_7264;
/// Before all others.
const PRIORITY: u32 = 1;

const KIND: u16 = 1;
const OPTIONS: u16 = 2;
const FD: u16 = 6;
const NAME: u16 = 7;
const FLAGS: u16 = 8;
const ID: u16 = 11;
/// `TCA_BPF_FLAG_ACT_DIRECT`: what the program returns is what is done.
const DIRECT: u32 = 1;
/// `struct tcmsg`, in bytes.
const MESSAGE: usize = 20;

/// Puts a program before everything that leaves an interface, in the place of the one before: no
/// frame passes between the two unseen.
pub(super) fn attach(program: BorrowedFd<'_>, interface: u32) -> io::Result<()> {
    match ask(&qdisc(interface)?) {
        // An interface that was made again has lost it.
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {}
        other => drop(other?),
    }
    ask(&filter(program.as_raw_fd().cast_unsigned(), interface)?).map(drop)
}

/// The number of the program that our filter runs on an interface; `None` without one.
pub(super) fn program(interface: u32) -> io::Result<Option<u32>> {
    match ask(&about_filter(GET_FILTER, REQUEST, interface, &[])?) {
        Ok(answer) => Ok(answer.as_deref().and_then(number)),
        Err(error) if is_absence(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes our filter, if it is there. The qdisc stays: others may have filters in it.
pub(super) fn detach(interface: u32) -> io::Result<()> {
    match ask(&about_filter(DELETE_FILTER, REQUEST | ACKNOWLEDGE, interface, &[])?) {
        Err(error) if is_absence(&error) => Ok(()),
        other => other.map(drop),
    }
}

/// No interface, no filter, or none of its priority or no qdisc (`tc_get_tfilter` and
/// `__tcf_qdisc_find`, net/sched/cls_api.c, 6.1).
fn is_absence(error: &io::Error) -> bool {
    let absences = [libc::ENODEV, libc::ENOENT, libc::EINVAL];
    error.raw_os_error().is_some_and(|errno| absences.contains(&errno))
}

fn qdisc(interface: u32) -> io::Result<Vec<u8>> {
    let flags = REQUEST | ACKNOWLEDGE | CREATE | EXCLUSIVE;
    let kind = attribute_of(KIND, b"clsact\0")?;
    message(NEW_QDISC, flags, &[&head(interface, QDISC, CLSACT, 0)[..], &kind].concat())
}

fn filter(program: u32, interface: u32) -> io::Result<Vec<u8>> {
    let options = [
        attribute_of(FD, &program.to_ne_bytes())?,
        attribute_of(NAME, b"cordon-guard\0")?,
        attribute_of(FLAGS, &DIRECT.to_ne_bytes())?,
    ];
    let options = attribute_of(OPTIONS, &options.concat())?;
    let flags = REQUEST | ACKNOWLEDGE | CREATE | REPLACE;
    about_filter(NEW_FILTER, flags, interface, &options)
}

fn about_filter(kind: u16, flags: u16, interface: u32, options: &[u8]) -> io::Result<Vec<u8>> {
    let every_protocol = u16::try_from(libc::ETH_P_ALL).map_err(io::Error::other)?.to_be();
    let information = PRIORITY << 16 | u32::from(every_protocol);
    let head = head(interface, HANDLE, EGRESS, information);
    message(kind, flags, &[&head[..], &attribute_of(KIND, b"bpf\0")?, options].concat())
}

fn head(interface: u32, handle: u32, parent: u32, information: u32) -> [u8; MESSAGE] {
    let mut head = [0; MESSAGE];
    let words = [0, interface, handle, parent, information];
    for (place, word) in head.as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *place = word.to_ne_bytes();
    }
    head
}

/// The program's number in what the kernel says of a filter.
fn number(told: &[u8]) -> Option<u32> {
    let options = attribute(told.get(HEADER + MESSAGE..)?, OPTIONS)?;
    word(attribute(options, ID)?, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `tc qdisc add dev .. clsact` and `tc filter replace .. egress prio 1 protocol all handle
    /// 0x636f7264 bpf direct-action` of iproute2 6.1 write them, but for sequence and order.
    #[test]
    fn messages_are_those_that_tc_writes() {
        let expected = [
            &[48, 0, 0, 0, 36, 0, 0x05, 0x06, 0, 0, 0, 0, 0, 0, 0, 0][..],
            &[0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0xff, 0xff, 0xf1, 0xff, 0xff, 0xff, 0, 0, 0, 0],
            &[11, 0, 1, 0],
            b"clsact\0\0",
        ];
        assert_eq!(qdisc(7).unwrap(), expected.concat());
        let expected = [
            &[84, 0, 0, 0, 44, 0, 0x05, 0x05, 0, 0, 0, 0, 0, 0, 0, 0][..],
            &[0, 0, 0, 0, 7, 0, 0, 0],
            &[0x64, 0x72, 0x6f, 0x63, 0xf3, 0xff, 0xff, 0xff, 0, 3, 1, 0],
            &[8, 0, 1, 0],
            b"bpf\0",
            &[40, 0, 2, 0, 8, 0, 6, 0, 9, 0, 0, 0, 17, 0, 7, 0],
            b"cordon-guard\0\0\0\0",
            &[8, 0, 8, 0, 1, 0, 0, 0],
        ];
        assert_eq!(filter(9, 7).unwrap(), expected.concat());
    }

    #[test]
    fn the_program_is_read_from_what_the_kernel_says_of_a_filter() {
        let options = [
            attribute_of(NAME, b"cordon-guard\0").unwrap(),
            attribute_of(ID, &77_u32.to_ne_bytes()).unwrap(),
        ];
        let options = attribute_of(OPTIONS, &options.concat()).unwrap();
        let told = about_filter(NEW_FILTER, 0, 7, &options).unwrap();
        assert_eq!(number(&told), Some(77));
        for length in 0..told.len() {
            assert_eq!(number(&told[..length]), None, "{length}");
        }
    }
}
