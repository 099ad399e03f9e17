//! The kinds of frames.

use crate::frames::{self, Ends, Family, Frame, Side};
use crate::gateway::{Cordon, Gateway};
use crate::part::ledger::Ledger;
use crate::program::Program;
use crate::statistics::Samples;
use crate::traffic::{Order, Steps};
use crate::xdp_filter::{self, Allows};

use super::MANY;
use super::case::{Case, Runner};

pub(crate) const XDP_DROP: u32 = 1;
pub(crate) const XDP_PASS: u32 = 2;
pub(crate) const XDP_REDIRECT: u32 = 4;

/// New flows in one round, within the half-open table.
const NEW: u32 = 16384;
/// A service that no round gets to.
const UNUSED: u16 = 398;

/// The established IPv4 frame first.
pub(super) fn all(cordon: &Cordon, repeat: u32) -> Vec<Case> {
    let ends: Ends = cordon.ends(Family::V4);
    let plain = Programs::plain(cordon);
    let in_turn = Steps {
        flows: MANY.into(),
        order: Order::Scattered,
        port_at: frames::port_at(Family::V4),
        address: None,
    };
    let new = Steps { flows: NEW, address: Some(frames::CROWD), ..in_turn };
    let (in_turn, new) = (plain.stepping(in_turn), plain.stepping(new));
    let request = |family| frames::request(cordon.ends(family), family, 1);
    let v4 = request(Family::V4);
    let passes = |what, frame| plain.case(what, "established", frame, repeat);
    let refused = |what, counted, frame| plain.case(what, counted, frame, repeat);
    let at_most = |target, case: Case| Case { target: Some(target), ..case };
    let reply = frames::established(ends, Family::V4, Side::Far);
    let outside = Programs { ours: cordon.program(Side::Far), ..plain.clone() };
    vec![
        at_most(0.65, passes("established IPv4", v4)),
        passes("established IPv6", request(Family::V6)),
        passes("established TCP", frames::tcp_data(ends)),
        passes("established in a VLAN", request(Family::Tagged)),
        outside.case("established IPv4, reply", "established", reply, repeat),
        in_turn.case("established IPv4, 1024 flows in turn", "established", v4, repeat),
        Case {
            filter: None,
            renewed: true,
            ..new.case("first frame of a flow", "opened", request(Family::Crowd), NEW)
        },
        Case { filter: None, ..refused("ARP request, allowed", "arp", frames::arp(ends)) },
        at_most(
            1.0,
            refused("unknown source", "unknown_source", frames::unknown_source(ends, Side::Near)),
        ),
        at_most(1.0, refused("no rule", "no_rule", frames::no_rule(ends, Side::Near))),
        refused("foreign EtherType", "ethertype", frames::foreign(ends, Side::Near)),
        refused("another's address", "binding_mac", frames::spoofed(ends)),
        refused("fragment", "fragment", frames::fragment(ends)),
        refused("IPv4 length beyond the frame", "ip_header", frames::overlong(ends)),
        refused("TCP without a connection", "tcp_state", frames::stray_segment(ends)),
        refused("ARP in another's name", "arp_spoof", frames::arp_spoofed(ends)),
    ]
}

/// What every frame is given to.
#[derive(Clone)]
struct Programs {
    ours: Program,
    empty: Program,
    allowing: Program,
    denying: Program,
}

impl Programs {
    fn plain(cordon: &Cordon) -> Self {
        let filter = |allows| {
            xdp_filter::load(&cordon.lab().bpffs().join(format!("xdp-filter-{allows:?}")), allows)
        };
        Self {
            ours: cordon.program(Side::Near),
            empty: Program::empty(),
            allowing: filter(Allows::Service),
            denying: filter(Allows::Nothing),
        }
    }

    fn stepping(&self, steps: Steps) -> Self {
        let Self { ours, empty, allowing, denying } = self;
        let [ours, empty, allowing] =
            [ours, empty, allowing].map(|program| program.stepping(steps));
        Self { ours, empty, allowing, denying: denying.clone() }
    }

    /// Each passes or is refused by both filters.
    fn case(&self, what: &'static str, counted: &'static str, frame: Frame, repeat: u32) -> Case {
        let passes = ["established", "opened", "arp"].contains(&counted);
        let (ours, filter) = if passes {
            (XDP_REDIRECT, Runner::new(&self.allowing, XDP_PASS))
        } else {
            (XDP_DROP, Runner::new(&self.denying, XDP_DROP))
        };
        Case {
            what,
            counted,
            frame,
            ours: Runner::new(&self.ours, ours),
            empty: Runner::new(&self.empty, XDP_PASS),
            filter: Some(filter),
            repeat,
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
