//! What the program itself takes, frame by frame, on one CPU and without a network around it.

use std::os::fd::{AsFd, OwnedFd};

use firewall_common::abi::{NodeState, map};
use firewall_daemon::dataplane::sys::Mapping;
use serde_json::json;

use crate::Effort;
use crate::frames::{self, Ends, Family, Frame, Side};
use crate::gateway::{Cordon, Gateway};
use crate::kernel::{self, MapKind};
use crate::report::{Report, Row};
use crate::statistics::Samples;
use crate::traffic::{self, Sink, Timing};

const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const XDP_REDIRECT: u32 = 4;

const MANY: u16 = 1024;
/// New flows in one round: a port each, within the half-open table.
const NEW: u16 = 16384;

/// One kind of frame, and the program that gets it.
struct Case {
    what: &'static str,
    returns: u32,
    frame: Frame,
    ours: OwnedFd,
    empty: OwnedFd,
    /// An array of programs forgets them when nobody outside holds it any more.
    _arrays: Vec<OwnedFd>,
    repeat: u32,
    /// Another service every round, so that every flow is new again, and full quotas.
    renewed: Option<Mapping<NodeState>>,
    net: Samples,
    raw: Samples,
}

impl Case {
    fn round(&mut self, number: u16) {
        let mut bytes = self.frame.bytes;
        if let Some(nodes) = &self.renewed {
            nodes.iter().for_each(|node| node.quota.reset());
            bytes[36..38].copy_from_slice(&(frames::SERVICE + 1 + number).to_be_bytes());
        }
        let time = |program, expected| {
            let (took, returned) = kernel::run(program, &bytes, self.repeat);
            assert_eq!(returned, expected, "{}", self.what);
            took.as_secs_f64() * 1e9
        };
        let (ours, empty) = if number.is_multiple_of(2) {
            let ours = time(&self.ours, self.returns);
            (ours, time(&self.empty, XDP_PASS))
        } else {
            let empty = time(&self.empty, XDP_PASS);
            (time(&self.ours, self.returns), empty)
        };
        self.raw.push(ours);
        self.net.push(ours - empty);
    }
}

pub(crate) fn measure(effort: Effort, report: &mut Report) {
    let cordon = Cordon::new();
    // Nothing may answer for the far host.
    let _sink = Sink::new(cordon.lab().far().link(), Timing::None);
    for family in [Family::V4, Family::V6, Family::Tagged] {
        cordon.establish(family, if family == Family::V4 { MANY } else { 1 });
    }
    for (side, packet) in frames::tcp_handshake(cordon.ends(Family::V4)) {
        match side {
            Side::Near => cordon.lab().near().port().send(&packet),
            Side::Far => cordon.lab().far().port().send(&packet),
        }
    }
    let mut cases = cases(&cordon, effort.pick(200_000, 1_000_000));
    for number in 0..effort.pick(15, 90) {
        cases.iter_mut().for_each(|case| case.round(number));
    }
    let established = cases[0].net.clone();
    for Case { what, net, raw, .. } in &cases {
        report.row(Row {
            what: format!("program: {what}"),
            ours: format!("{} ns", net.show(1)),
            peer: format!("{} ns", established.show(1)),
            ratio: net.over(&established).show(2),
            target: None,
        });
        report.samples(format!("program {what}"), json!({ "net": net.json(), "raw": raw.json() }));
    }
    report.note(
        "program: ns a frame over an empty program (BPF_PROG_TEST_RUN, the daemon's own program and \
         maps); the peer is the established IPv4 frame",
    );
}

fn cases(cordon: &Cordon, repeat: u32) -> Vec<Case> {
    let plain: Ends = cordon.ends(Family::V4);
    let direct = |what, returns, frame| Case {
        what,
        returns,
        frame,
        ours: cordon.program(),
        empty: kernel::load(&traffic::empty()),
        _arrays: Vec::new(),
        repeat,
        renewed: None,
        net: Samples::default(),
        raw: Samples::default(),
    };
    let request = |family| frames::request(cordon.ends(family), family, 1);
    let stepping = |what, flows: u16, repeat, renewed| {
        let step = |program: &OwnedFd| {
            let (counter, programs) =
                (kernel::map(MapKind::PerCpuArray, 8, 1), kernel::map(MapKind::Programs, 4, 1));
            kernel::set_program(&programs, 0, program);
            let mask = i32::from(flows - 1);
            Stepping {
                program: kernel::load(&traffic::stepping(
                    &counter,
                    &programs,
                    frames::port_at(Family::V4),
                    mask,
                )),
                programs,
            }
        };
        let case = direct(what, XDP_REDIRECT, request(Family::V4));
        let (ours, empty) = (step(&case.ours), step(&case.empty));
        let arrays = vec![ours.programs, empty.programs];
        let nodes = || Mapping::new(cordon.map(map::NODES).as_fd()).unwrap();
        let renewed = bool::then(renewed, nodes);
        Case { ours: ours.program, empty: empty.program, _arrays: arrays, repeat, renewed, ..case }
    };
    vec![
        direct("established IPv4", XDP_REDIRECT, request(Family::V4)),
        direct("established IPv6", XDP_REDIRECT, request(Family::V6)),
        direct("established TCP", XDP_REDIRECT, frames::tcp_data(plain)),
        direct("established in a VLAN", XDP_REDIRECT, request(Family::Tagged)),
        stepping("established IPv4, 1024 flows in turn", MANY, repeat, false),
        stepping("first frame of a flow", NEW, NEW.into(), true),
        direct("unknown source", XDP_DROP, frames::unknown_source(plain, Side::Near)),
        direct("no rule", XDP_DROP, frames::no_rule(plain, Side::Near)),
        direct("foreign EtherType", XDP_DROP, frames::foreign(plain, Side::Near)),
    ]
}

struct Stepping {
    program: OwnedFd,
    programs: OwnedFd,
}
