//! A gateway under a flood of what it permits and of what it forbids, and what goes wrong with it.

use std::time::{Duration, Instant};

use firewall_tests::{
    gateway::{
        Act, Flood, Gateway, Watch, eventually, measured,
        policy::{self, FAR, NEAR, expect},
        repeat,
        router::{self, INSIDE, PACS, through},
    },
    packet::{Packet, payload, udp},
};

/// A start takes a second or two, and many times that where others want the processor, too.
pub(crate) const LONG: Duration = Duration::from_secs(60);
const PERMITTED: &[u8] = b"a log that a rule permits";
const FORBIDDEN: &[u8] = b"what no rule permits";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Bridge,
    Router,
}

/// Whether everything is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    No,
    Yes,
}

pub(crate) struct World {
    pub(crate) mode: Mode,
    pub(crate) gateway: Gateway,
    pub(crate) seen: Watch,
    leaked: Watch,
    permitted: Flood,
    forbidden: Flood,
    begun: Instant,
    pub(crate) cases: u32,
}

impl World {
    pub(crate) fn new(mode: Mode) -> Self {
        let expected = expect("log", "pass");
        let (gateway, to) = match mode {
            Mode::Bridge => {
                let policy = format!("{}{expected}", policy::images());
                (Gateway::prepare(&policy), NEAR.to(&FAR))
            }
            Mode::Router => {
                let policy = format!("{}{expected}", router::images());
                (Gateway::prepare_router(&policy), through(&NEAR, &INSIDE, &PACS))
            }
        };
        let frames = |port, data: &[u8]| -> Vec<Packet> {
            to.iter().map(|to| to.clone() / udp(40_000, port) / payload(data)).collect()
        };
        let (near, far) = (gateway.lab().near(), gateway.lab().far());
        let (seen, leaked) = (Watch::start(far, PERMITTED), Watch::start(far, FORBIDDEN));
        let permitted = Flood::start(near, &frames(514, PERMITTED));
        let forbidden = Flood::start(near, &frames(123, FORBIDDEN));
        Self { mode, gateway, seen, leaked, permitted, forbidden, begun: Instant::now(), cases: 0 }
    }

    /// Sends so many of both.
    pub(crate) fn sends(&self, count: u64) {
        let floods = [&self.permitted, &self.forbidden];
        let wanted = floods.map(|flood| flood.sent() + count);
        let sent = || floods.iter().zip(wanted).all(|(flood, wanted)| flood.sent() >= wanted);
        assert!(eventually(LONG, sent), "nothing is sent");
    }

    pub(crate) fn assert_flows(&self, case: &str) {
        let count = self.seen.seen();
        assert!(
            eventually(LONG, || self.seen.seen() > count + 10),
            "{case}: the permitted does not flow"
        );
    }

    /// What was sent so far has arrived or is lost; none of it was forbidden.
    pub(crate) fn assert_closed(&self, stopped: Stopped, case: &str) {
        self.sends(40);
        assert_eq!(self.leaked.seen(), 0, "{case}: forbidden frames passed");
        match stopped {
            Stopped::Yes => {
                let count = self.seen.seen();
                self.sends(40);
                assert_eq!(self.seen.seen(), count, "{case}: it is not stopped");
            }
            Stopped::No => {}
        }
    }

    pub(crate) fn end(self, what: &str) {
        let Self { gateway: _gateway, mode, leaked, permitted, forbidden, begun, cases, seen } =
            self;
        let (permitted, forbidden) = (permitted.end(), forbidden.end());
        assert_eq!(leaked.end(), 0, "of {forbidden} forbidden frames");
        measured(format_args!(
            "{what}, {mode:?}: {cases} times something went wrong, in {:.0?}: 0 of {forbidden} \
             forbidden frames passed, {} of {permitted} permitted ones",
            begun.elapsed(),
            seen.end()
        ));
    }
}

/// What is tried of what can go wrong at a step: one of it in an ordinary run, in turn; all where
/// `CORDON_REPEAT` is more than 1.
pub(crate) fn tried(turn: usize, acts: &[Act]) -> &[Act] {
    if repeat(1) > 1 {
        return acts;
    }
    let one = turn % acts.len();
    &acts[one..=one]
}
