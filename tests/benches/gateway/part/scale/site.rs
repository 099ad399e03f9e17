//! A gateway with a policy of some size and some established flows.

use firewall_tests::lab::Lab;

use super::policy::{self, Size};
use crate::frames::Side;
use crate::gateway::{Cordon, Gateway as _, Room};
use crate::part::program::case::{Case, Runner};
use crate::part::program::cases::{self, XDP_DROP, XDP_PASS, XDP_REDIRECT};
use crate::program::Program;
use crate::statistics::Samples;
use crate::traffic::{self, Order};

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
/// New flows of one run: a hundred times as many are within the quotas of four nodes.
const NEW: u32 = 2048;
/// Flows that are opened before they are answered: fewer than the half-open table holds.
const BATCH: u32 = 8_192;

/// Programs that find one of the established flows, or a new one, in every frame.
#[derive(Clone)]
pub(super) struct Stepping {
    established: Program,
    new: Program,
}

impl Stepping {
    pub(super) fn new(program: &Program, size: Size, flows: u32) -> Self {
        let [established, new] = [flows, NEW]
            .map(|flows| program.stepping(policy::requests(size, flows, Order::Scattered)));
        Self { established, new }
    }
}

/// See the [module](self).
pub(super) struct Site {
    size: Size,
    ours: Stepping,
    empty: Stepping,
    cases: Vec<(Kind, Case)>,
    crowds: Vec<(u32, Case)>,
    cordon: Cordon,
}

impl Site {
    /// All sites of as many speakers and flows may share the empty programs.
    pub(super) fn new(size: Size, flows: u32, empty: &Stepping, kinds: &[Kind]) -> Self {
        let lab = Lab::new();
        let policy = policy::files(&lab, size);
        let room = Room {
            nodes: policy::addresses(size).max(1 << 10),
            rules: (2 * size.rules).max(1 << 10),
            flows: (2 * flows).max(1 << 18),
        };
        let cordon = Cordon::with_room(lab, policy, room);
        let ours = Stepping::new(&cordon.program(Side::Near), size, flows);
        let (cases, crowds) = (Vec::new(), Vec::new());
        let mut site = Self { size, ours, empty: empty.clone(), cases, crowds, cordon };
        site.establish(flows);
        site.cases = kinds.iter().map(|&kind| (kind, site.case(kind))).collect();
        let Self { cordon, cases, .. } = &mut site;
        traffic::on_cpu(0, || cases::check(cordon, cases.iter_mut().map(|(_, case)| case)));
        site
    }

    /// Opens and answers that many flows, a power of two.
    fn establish(&self, flows: u32) {
        let lab = self.cordon.lab();
        let requests = policy::requests(self.size, flows, Order::Counted);
        let requests = self.cordon.program(Side::Near).stepping(requests);
        let replies = policy::replies(self.size, flows, Order::Counted);
        let replies = self.cordon.program(Side::Far).stepping(replies);
        let batch = flows.min(BATCH);
        // Each CPU counts the flows for itself.
        traffic::on_cpu(0, || {
            for _ in 0..flows / batch {
                requests.run(&policy::request(lab).bytes, batch);
                replies.run(&policy::reply(lab).bytes, batch);
            }
        });
        let established = self.cordon.ask(&["status"])["flows"]["count"].as_u64();
        assert_eq!(established, Some(flows.into()), "every flow is established");
    }

    fn case(&self, kind: Kind) -> Case {
        let lab = self.cordon.lab();
        let (counted, returns, frame) = match kind {
            Kind::Established => ("established", XDP_REDIRECT, policy::request(lab)),
            Kind::First => ("opened", XDP_REDIRECT, policy::request(lab)),
            Kind::NoRule => ("no_rule", XDP_DROP, policy::no_rule(lab)),
            Kind::UnknownSource => ("unknown_source", XDP_DROP, policy::unknown_source(lab)),
        };
        let is_new = kind == Kind::First;
        let pick = |stepping: &Stepping| {
            if is_new { stepping.new.clone() } else { stepping.established.clone() }
        };
        Case {
            what: kind.name(),
            counted,
            frame,
            ours: Runner::new(&pick(&self.ours), returns),
            empty: Runner::new(&pick(&self.empty), XDP_PASS),
            filter: None,
            repeat: if is_new { NEW } else { REPEAT },
            renewed: is_new,
            target: None,
        }
    }

    /// So many of the established flows take turns, too.
    pub(super) fn take_turns(&mut self, flows: u32) {
        let steps = policy::requests(self.size, flows, Order::Scattered);
        let [ours, empty] = [self.cordon.program(Side::Near), Program::empty()]
            .map(|program| program.stepping(steps));
        let case = Case {
            ours: Runner::new(&ours, XDP_REDIRECT),
            empty: Runner::new(&empty, XDP_PASS),
            // Of a million flows a run sees some only.
            repeat: 2 * REPEAT,
            ..self.case(Kind::Established)
        };
        self.crowds.push((flows, case));
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
