//! The kinds of frames.

use crate::frames::{self, Ends, Family, Frame, Side};
use crate::gateway::{Cordon, Gateway};
use crate::kernel;
use crate::part::ledger::Ledger;
use crate::statistics::Samples;
use crate::traffic::{self, Steps};
use crate::xdp_filter::{self, Allows};

use super::MANY;
use super::case::{Case, Runner};

pub(crate) const XDP_DROP: u32 = 1;
pub(crate) const XDP_PASS: u32 = 2;
pub(crate) const XDP_REDIRECT: u32 = 4;

/// New flows in one round: a port each, within the half-open table.
const NEW: u16 = 16384;
/// A service that no round gets to.
const UNUSED: u16 = 398;

/// The established IPv4 frame first.
pub(super) fn all(cordon: &Cordon, repeat: u32) -> Vec<Case> {
    let ends: Ends = cordon.ends(Family::V4);
    let make = Maker { cordon, repeat };
    let request = |family| frames::request(cordon.ends(family), family, 1);
    let steps = |flows: u16| Steps {
        flows: flows.into(),
        port_at: frames::port_at(Family::V4),
        address: None,
    };
    let passes = |what, frame| make.case(what, "established", frame, Side::Near);
    let refused = |what, counted, frame| make.case(what, counted, frame, Side::Near);
    let light = |case: Case| Case { target: Some(0.65), ..case };
    let no_dearer = |case: Case| Case { target: Some(1.0), ..case };
    vec![
        light(passes("established IPv4", request(Family::V4))),
        passes("established IPv6", request(Family::V6)),
        passes("established TCP", frames::tcp_data(ends)),
        passes("established in a VLAN", request(Family::Tagged)),
        make.case(
            "established IPv4, reply",
            "established",
            frames::established(ends, Family::V4, Side::Far),
            Side::Far,
        ),
        passes("established IPv4, 1024 flows in turn", request(Family::V4)).stepping(steps(MANY)),
        Case {
            filter: None,
            renewed: true,
            repeat: NEW.into(),
            ..make.case("first frame of a flow", "opened", request(Family::V4), Side::Near)
        }
        .stepping(steps(NEW)),
        Case { filter: None, ..refused("ARP request, allowed", "arp", frames::arp(ends)) },
        no_dearer(refused(
            "unknown source",
            "unknown_source",
            frames::unknown_source(ends, Side::Near),
        )),
        no_dearer(refused("no rule", "no_rule", frames::no_rule(ends, Side::Near))),
        refused("foreign EtherType", "ethertype", frames::foreign(ends, Side::Near)),
        refused("another's address", "binding_mac", frames::spoofed(ends)),
        refused("fragment", "fragment", frames::fragment(ends)),
        refused("IPv4 length beyond the frame", "ip_header", frames::overlong(ends)),
        refused("TCP without a connection", "tcp_state", frames::stray_segment(ends)),
        refused("ARP in another's name", "arp_spoof", frames::arp_spoofed(ends)),
    ]
}

struct Maker<'a> {
    cordon: &'a Cordon,
    repeat: u32,
}

impl Maker<'_> {
    /// Each passes or is refused by both filters.
    fn case(&self, what: &'static str, counted: &'static str, frame: Frame, from: Side) -> Case {
        let passes = ["established", "opened", "arp"].contains(&counted);
        let (ours, filter, allows) = if passes {
            (XDP_REDIRECT, XDP_PASS, Allows::Service)
        } else {
            (XDP_DROP, XDP_DROP, Allows::Nothing)
        };
        let pins = self.cordon.lab().bpffs().join(format!("xdp-filter-{allows:?}"));
        Case {
            what,
            counted,
            frame,
            ours: Runner::new(self.cordon.program(from), ours),
            empty: Runner::new(kernel::load(&traffic::empty()), XDP_PASS),
            filter: Some(Runner::new(xdp_filter::load(&pins, allows), filter)),
            repeat: self.repeat,
            renewed: false,
            target: None,
        }
    }
}

/// Every frame of a run is counted as what it stands for.
pub(crate) fn check<'a>(cordon: &Cordon, cases: impl IntoIterator<Item = &'a mut Case>) {
    for case in cases {
        let before = Ledger::read(cordon);
        let mut frame = case.frame.bytes;
        if case.renewed {
            Case::renew(&mut frame, UNUSED);
        }
        case.ours.run(case.what, &frame, case.repeat);
        case.ours.times = Samples::default();
        let counted = Ledger::read(cordon).of(case.counted) - before.of(case.counted);
        let all = u64::from(case.repeat);
        assert_eq!(counted, all, "{} is counted as {}", case.what, case.counted);
    }
}
