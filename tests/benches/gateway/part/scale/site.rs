//! A gateway with a policy of some size and some established flows.

use firewall_tests::lab::Lab;

use super::policy::{self, Size};
use crate::frames::{Frame, Side};
use crate::gateway::{Cordon, Gateway as _, Room};
use crate::kernel;
use crate::part::program::case::{Case, Runner};
use crate::part::program::cases::{self, XDP_DROP, XDP_PASS, XDP_REDIRECT};
use crate::statistics::Samples;
use crate::traffic::{self, Sink, Steps, Timing};

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Established,
    First,
    NoRule,
    UnknownSource,
}

impl Kind {
    pub(super) const ALL: [Self; 4] =
        [Self::Established, Self::First, Self::NoRule, Self::UnknownSource];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Established => "established",
            Self::First => "first frame of a flow",
            Self::NoRule => "no rule",
            Self::UnknownSource => "unknown source",
        }
    }
}

/// Frames of one run.
const REPEAT: u32 = 32_768;
/// New flows of one run.
const NEW: u32 = 16_384;
/// Flows that are opened before they are answered: fewer than the half-open table holds.
const BATCH: u32 = 8_192;

/// See the [module](self).
pub(super) struct Site {
    size: Size,
    cases: Vec<(Kind, Case)>,
    crowds: Vec<(u32, Case)>,
    cordon: Cordon,
    _sink: Sink,
}

impl Site {
    pub(super) fn new(size: Size, flows: u32, kinds: &[Kind]) -> Self {
        let lab = Lab::new();
        let policy = policy::files(&lab, size);
        let room = Room {
            nodes: policy::addresses(size).max(1 << 10),
            rules: (2 * size.rules).max(1 << 10),
            flows: (2 * flows).max(1 << 18),
        };
        let cordon = Cordon::with_room(lab, policy, room);
        let sink = Sink::new(cordon.lab().far().link(), Timing::None);
        let mut site = Self { size, cases: Vec::new(), crowds: Vec::new(), cordon, _sink: sink };
        site.establish(flows);
        site.cases = kinds.iter().map(|&kind| (kind, site.case(kind, flows))).collect();
        cases::check(&site.cordon, site.cases.iter_mut().map(|(_, case)| case));
        site
    }

    /// Opens and answers that many flows, a power of two.
    fn establish(&self, flows: u32) {
        let lab = self.cordon.lab();
        let runner =
            |side, steps| Runner::new(self.cordon.program(side), XDP_REDIRECT).stepping(steps);
        let mut requests = runner(Side::Near, policy::requests(self.size, flows));
        let mut replies = runner(Side::Far, policy::replies(self.size, flows));
        let batch = flows.min(BATCH);
        // Each CPU counts the flows for itself.
        traffic::on_cpu(0, || {
            for _ in 0..flows / batch {
                requests.run("request", &policy::request(lab).bytes, batch);
                replies.run("reply", &policy::reply(lab).bytes, batch);
            }
        });
        let established = self.cordon.ask(&["status"])["flows"]["count"].as_u64();
        assert_eq!(established, Some(flows.into()), "every flow is established");
    }

    fn case(&self, kind: Kind, flows: u32) -> Case {
        let lab = self.cordon.lab();
        let (requests, one) = (
            |flows| policy::requests(self.size, flows),
            policy::requests(self.size, 1 << self.size.speakers),
        );
        match kind {
            Kind::Established => {
                self.made("established", policy::request(lab), REPEAT, requests(flows))
            }
            Kind::First => Case {
                renewed: true,
                ..self.made("opened", policy::request(lab), NEW, requests(NEW))
            },
            Kind::NoRule => self.made("no_rule", policy::no_rule(lab), REPEAT, one),
            Kind::UnknownSource => {
                let frame = policy::unknown_source(lab);
                self.made("unknown_source", frame, REPEAT, Steps { address: None, ..one })
            }
        }
    }

    fn made(&self, counted: &'static str, frame: Frame, repeat: u32, steps: Steps) -> Case {
        let returns = match counted {
            "established" | "opened" => XDP_REDIRECT,
            _ => XDP_DROP,
        };
        let case = Case {
            what: counted,
            counted,
            frame,
            ours: Runner::new(self.cordon.program(Side::Near), returns),
            empty: Runner::new(kernel::load(&traffic::empty()), XDP_PASS),
            filter: None,
            repeat,
            renewed: false,
            target: None,
        };
        case.stepping(steps)
    }

    /// So many of the established flows take turns, too.
    pub(super) fn take_turns(&mut self, flows: u32) {
        let case = self.case(Kind::Established, flows);
        // Of a million flows a run sees some only.
        self.crowds.push((flows, Case { repeat: 2 * REPEAT, ..case }));
    }

    pub(super) fn round(&mut self, number: u16) {
        let all = self.cases.iter_mut().map(|(_, case)| case);
        all.chain(self.crowds.iter_mut().map(|(_, case)| case)).for_each(|case| case.round(number));
    }

    pub(super) fn net(&self, kind: Kind) -> Samples {
        let case = self.cases.iter().find(|(other, _)| *other == kind);
        case.map(|(_, case)| case.net()).expect("the site measures it")
    }

    pub(super) fn established(&self) -> impl Iterator<Item = (u32, Samples)> {
        self.crowds.iter().map(|(flows, case)| (*flows, case.net()))
    }
}
