//! The program of every port on maps of its own, in a laboratory that all tests share.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::ops::Deref;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use firewall_common::abi::{Count, EventState, Stop};
use firewall_common::quota::Limits;
use firewall_common::{NodeSlot, PassReason, Port, SubnetworkSlot, Ticks, Verdict};
use firewall_daemon::config::Config;
use firewall_daemon::dataplane::clock::Clock;
use firewall_daemon::dataplane::pins::remove_directory;
use firewall_daemon::dataplane::read::{self, PortCounts, Table};
use firewall_daemon::dataplane::trial::Trial;
use firewall_daemon::dataplane::{load, measure_clock, sizes, sys};
use firewall_policy::Image;
use firewall_tests::lab::{Lab, Link};
use firewall_tests::packet::{Mac, hex};
use firewall_tests::runner::action;

/// The ports, in pairs.
pub(crate) const PORTS: [&str; 4] = ["inside", "outside", "left", "right"];

/// The port with an authenticator: the first, of a bridge's as of a router's, which are in alphabetical
/// order.
pub(crate) const AUTHENTICATOR: u16 = 0;

/// The established flows that there is room for unless a test says otherwise.
pub(crate) const FLOWS: u32 = 1024;

/// In how many seconds one flow comes back of those that are not answered, and one of the others:
/// the same for both, and long enough for a test's frames.
pub(crate) const TURN: u32 = 6;

/// What a node may open where anything is limited, at so many ticks a second.
pub(crate) const fn limits(hz: u32) -> Limits {
    Limits { half_open: 30 / TURN, new_flows: 8, second: 8 * TURN * hz }
}

/// How many nodes a policy may have.
const NODES: u32 = 256;

/// A gateway whose ports have interfaces but no cables: frames come from tests. When it is dropped
/// the next test gets it.
pub(crate) struct Gateway(Option<Loaded>);

impl Gateway {
    /// A bridge that knows no flow.
    pub(crate) fn with_flows(flows: u32) -> Self {
        Self::of(Kind::Bridge, flows)
    }

    /// The same, where a node may open no more than [`limits`] say.
    pub(crate) fn limited(flows: u32) -> Self {
        Self::of(Kind::Limited, flows)
    }

    /// A router that knows no flow and no route.
    pub(crate) fn router(flows: u32) -> Self {
        Self::of(Kind::Router, flows)
    }

    /// A router that knows no flow and asks the kernel for its routes: those of the laboratory's
    /// gateway, where `prepare` has been. The calling thread moves there.
    pub(crate) fn routing(flows: u32, prepare: impl FnOnce(&Lab)) -> Self {
        Self::prepared(Kind::Routing, flows, prepare)
    }

    /// The same, where a node may open no more than [`limits`] say.
    pub(crate) fn limited_routing(flows: u32, prepare: impl FnOnce(&Lab)) -> Self {
        Self::prepared(Kind::LimitedRouting, flows, prepare)
    }

    fn prepared(kind: Kind, flows: u32, prepare: impl FnOnce(&Lab)) -> Self {
        let mut laboratory = Laboratory::lock();
        let laboratory = laboratory.get_or_insert_with(Laboratory::new);
        prepare(&laboratory.lab);
        laboratory.lab.gateway().enter();
        laboratory.gateway(kind, flows)
    }

    fn of(kind: Kind, flows: u32) -> Self {
        let mut laboratory = Laboratory::lock();
        laboratory.get_or_insert_with(Laboratory::new).gateway(kind, flows)
    }
}

impl Laboratory {
    fn gateway(&mut self, kind: Kind, flows: u32) -> Gateway {
        let idle = self.idle.entry((kind, flows)).or_default().pop();
        let loaded = idle.unwrap_or_else(|| Loaded::of(&self.lab, kind, flows));
        loaded.trial.forget_flows().unwrap();
        Gateway(Some(loaded))
    }
}

impl Deref for Gateway {
    type Target = Loaded;

    fn deref(&self) -> &Loaded {
        self.0.as_ref().unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let Some(loaded) = self.0.take() else { return };
        if thread::panicking() {
            return;
        }
        loaded.settle();
        if let Some(laboratory) = &mut *Laboratory::lock() {
            laboratory.idle.entry((loaded.kind, loaded.flows)).or_default().push(loaded);
        }
    }
}

/// How a gateway stands inline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Bridge,
    /// A bridge that lets a node open no more than [`limits`].
    Limited,
    /// Leaves whatever may pass to the kernel.
    Router,
    /// Sends it on by itself.
    Routing,
    /// Does so, and lets a node open no more than [`limits`].
    LimitedRouting,
}

/// What the program did with a frame.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) verdict: Verdict,
    pub(crate) action: u32,
    pub(crate) output: Vec<u8>,
}

/// What a gateway is made of.
pub(crate) struct Loaded {
    pub(crate) trial: Trial,
    kind: Kind,
    flows: u32,
    clock: Clock,
    ticker: OwnedFd,
    ledger: RefCell<[PortCounts; 4]>,
}

impl Loaded {
    pub(crate) fn new(lab: &Lab, flows: u32) -> Self {
        Self::of(lab, Kind::Bridge, flows)
    }

    fn of(lab: &Lab, kind: Kind, flows: u32) -> Self {
        let directory = lab.bpffs().join(format!("{kind:?}-{flows}"));
        let config = match kind {
            Kind::Bridge | Kind::Limited => config(&directory, flows),
            Kind::Router | Kind::Routing | Kind::LimitedRouting => {
                configured(&directory, flows, "mode = \"router\"")
            }
        };
        lab.gateway().run(|| {
            let clock = measure_clock(&config).unwrap();
            let directory = lab.bpffs().join(format!("{kind:?}-{flows}-ticker"));
            let ticker = fs::create_dir(&directory).and_then(|()| {
                let ticker = load::clock(&directory, &sizes(&config)).unwrap();
                remove_directory(&directory).map(|()| ticker)
            });
            let trial = match kind {
                Kind::Bridge | Kind::Router => Trial::new(&config, clock),
                Kind::Limited => Trial::limited(&config, clock, false, limits(clock.hz())),
                Kind::Routing => Trial::routing(&config, clock),
                Kind::LimitedRouting => Trial::limited(&config, clock, true, limits(clock.hz())),
            };
            let trial = trial.unwrap();
            let ledger = RefCell::new(counts(&trial));
            Self { trial, kind, flows, clock, ticker: ticker.unwrap(), ledger }
        })
    }

    /// Puts an image in force under which nobody has a lease and nothing is stopped or isolated.
    pub(crate) fn reset(&self, image: &Image) {
        self.trial.stop(Stop::None);
        for slot in 0..256 {
            self.trial.stop_subnetwork(SubnetworkSlot(slot), Stop::None);
        }
        for slot in 0..=NODES {
            self.trial.isolate(NodeSlot(slot), false);
            self.trial.grant(NodeSlot(slot), Ticks(0));
        }
        self.trial.forget_flows().unwrap();
        self.trial.install(image);
    }

    /// Whether it asks the kernel for its routes.
    pub(crate) fn is_routing(&self) -> bool {
        matches!(self.kind, Kind::Routing | Kind::LimitedRouting)
    }

    /// Whether nodes may open no more than [`limits`].
    pub(crate) fn is_limited(&self) -> bool {
        matches!(self.kind, Kind::Limited | Kind::LimitedRouting)
    }

    /// Where anything is limited, waits until no flow comes back to anybody for a while, but for
    /// those who wait.
    pub(crate) fn await_turn(&self) {
        if !self.is_limited() {
            return;
        }
        let turn = u64::from(TURN * self.hz());
        while self.now().0 % turn > turn * 2 / 3 {
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Which turn it is. Where anything is limited, a session ends with it: only the program knows
    /// that time has passed.
    pub(crate) fn turn(&self) -> u64 {
        if self.is_limited() { self.now().0 / u64::from(TURN * self.hz()) } else { 0 }
    }

    /// Ticks a second.
    pub(crate) fn hz(&self) -> u32 {
        self.clock.hz()
    }

    /// The kernel's tick, as the program reads it.
    pub(crate) fn now(&self) -> Ticks {
        let (_, frame) = sys::test_run(self.ticker.as_fd(), &[0; 64]).unwrap();
        Ticks(u64::from_le_bytes(*frame.first_chunk().unwrap()))
    }

    /// Runs a port's program over a frame. The verdict is what the port's whole ledger says: one
    /// frame received, one decided, nothing else; and the kernel's action must agree.
    pub(crate) fn run(&self, port: Port, frame: &[u8]) -> (Verdict, Vec<u8>) {
        let Ran { verdict, output, .. } = self.ran(port, frame);
        (verdict, output)
    }

    /// The same, with the kernel's action.
    pub(crate) fn ran(&self, port: Port, frame: &[u8]) -> Ran {
        let (action, output) = self.trial.run(port, frame).unwrap();
        let verdict = self.verdict(port, frame);
        let expected: &[u32] = match (verdict, self.kind) {
            (Verdict::Pass(PassReason::Eapol), _) => &[action::PASS],
            (Verdict::Pass(_), Kind::Bridge | Kind::Limited) => &[action::REDIRECT],
            (Verdict::Pass(_), Kind::Router) => &[action::PASS],
            (Verdict::Pass(_), Kind::Routing | Kind::LimitedRouting) => {
                &[action::REDIRECT, action::PASS]
            }
            (Verdict::Drop(_), _) => &[action::DROP],
        };
        assert!(expected.contains(&action), "{verdict:?}, {action} on {}", hex(frame));
        Ran { verdict, action, output }
    }

    /// Runs a port's egress guard over a frame that the kernel has from that interface.
    pub(crate) fn let_out(&self, port: Port, interface: u32, frame: &[u8]) -> Verdict {
        const UNSPECIFIED: u32 = u32::MAX;
        const SHOT: u32 = 2;
        let action = self.trial.run_out(port, interface, frame).unwrap();
        let verdict = self.verdict(port, frame);
        let expected = match verdict {
            Verdict::Pass(_) => UNSPECIFIED,
            Verdict::Drop(_) => SHOT,
        };
        assert_eq!(action, expected, "{verdict:?} on {}", hex(frame));
        verdict
    }

    /// What the port's ledger says of a frame that it has just decided.
    fn verdict(&self, port: Port, frame: &[u8]) -> Verdict {
        let after = read::port(self.trial.maps(), port).unwrap();
        let before = &mut self.ledger.borrow_mut()[usize::from(port.0)];
        let one = Some(Count { packets: 1, bytes: frame.len() as u64 });
        assert_eq!(difference(before.received, after.received), one, "{}", hex(frame));
        let verdicts = before.verdicts.iter().zip(&after.verdicts);
        let changes = verdicts
            .filter_map(|(was, is)| Some((was.0, difference(was.1, is.1)?)))
            .collect::<Vec<_>>();
        *before = after;
        let [(verdict, change)] = changes[..] else {
            panic!("{changes:?} on {}", hex(frame));
        };
        assert_eq!(Some(change), one, "{verdict:?} on {}", hex(frame));
        verdict
    }

    /// What the program did with its events.
    pub(crate) fn events(&self) -> EventState {
        read::events(self.trial.maps()).unwrap()
    }

    /// How many flows are half-open, and how many established.
    pub(crate) fn flow_counts(&self) -> (usize, usize) {
        let count = |table| {
            let mut count = 0;
            read::flows(self.trial.maps(), table, |_, _| count += 1).unwrap();
            count
        };
        (count(Table::HalfOpen), count(Table::Established))
    }

    /// Panics if a port has counted anything since its last frame.
    pub(crate) fn settle(&self) {
        assert_eq!(*self.ledger.borrow(), counts(&self.trial));
    }
}

fn counts(trial: &Trial) -> [PortCounts; 4] {
    [0, 1, 2, 3].map(|port| read::port(trial.maps(), Port(port)).unwrap())
}

fn difference(before: Count, after: Count) -> Option<Count> {
    let packets = after.packets - before.packets;
    let bytes = after.bytes - before.bytes;
    (packets != 0 || bytes != 0).then_some(Count { packets, bytes })
}

/// With as little room as the policies here need.
pub(crate) fn config(directory: &Path, flows: u32) -> Config {
    let pairs = "mode = \"bridge\"\npairs = [[\"inside\", \"outside\"], [\"left\", \"right\"]]";
    configured(directory, flows, pairs)
}

fn configured(directory: &Path, flows: u32, gateway: &str) -> Config {
    let mut text = format!(
        "[bpf]\ndirectory = {directory:?}\n\
         [capacity]\nnodes = {NODES}\nrules = 1024\nflows = {flows}\n\
         [gateway]\n{gateway}\n"
    );
    for port in PORTS {
        text.push_str(&format!("[port.{port}]\ninterface = \"{port}\"\n"));
    }
    let port = PORTS[usize::from(AUTHENTICATOR)];
    let socket = "/run/hostapd/port";
    text.push_str(&format!("[[authentication.hostapd]]\nport = {port:?}\nsocket = {socket:?}\n"));
    text.parse().unwrap()
}

/// The laboratory, and the gateways that no test uses at the moment.
struct Laboratory {
    idle: BTreeMap<(Kind, u32), Vec<Loaded>>,
    lab: Lab,
}

static LABORATORY: Mutex<Option<Laboratory>> = Mutex::new(None);

impl Laboratory {
    fn lock() -> MutexGuard<'static, Option<Self>> {
        LABORATORY.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn new() -> Self {
        // SAFETY: the function is ours and takes no argument.
        unsafe { nix::libc::atexit(clean_up) };
        let lab = Lab::new();
        let near = |name, number| (lab.gateway(), name, Mac::local(number));
        Link::pair(near("left", 3), near("left-end", 0x13));
        Link::pair(near("right", 4), near("right-end", 0x14));
        Self { idle: BTreeMap::new(), lab }
    }
}

/// Statics are not dropped, and a lab leaves namespaces behind that is not.
extern "C" fn clean_up() {
    drop(Laboratory::lock().take());
}
