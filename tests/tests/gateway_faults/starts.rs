//! A start dies or fails at each of its steps.

use std::{fs, time::Duration};

use firewall_daemon::fault::Step;
use firewall_tests::{
    gateway::{
        Act, Fault, Gateway, Stream, eventually,
        policy::{self, FAR},
        repeat,
    },
    lab::Process,
};

use crate::world::{LONG, Mode, Stopped, World, tried};

const SHORT: Duration = Duration::from_millis(200);
pub(crate) const KILL: &[Act] = &[Act::Kill];
pub(crate) const BOTH: &[Act] = &[Act::Kill, Act::Error];

/// A step, the times that it comes which are tried, and what can go wrong at it.
type Row = (Step, &'static [u32], &'static [Act]);

/// A start with nothing in place.
const COLD: [Row; 24] = [
    (Step::ReadLatch, &[1], BOTH),
    (Step::MakeDirectory, &[1, 2, 4], BOTH),
    (Step::MakeMaps, &[1, 2], BOTH),
    (Step::LoadProgram, &[1, 4], BOTH),
    (Step::MeasureTick, &[1], BOTH),
    (Step::OpenMaps, &[1], BOTH),
    (Step::EnforceStop, &[1], KILL),
    (Step::Survey, &[1], BOTH),
    (Step::Redirect, &[2, 3], BOTH),
    (Step::AttachGuard, &[1, 2], BOTH),
    (Step::AttachProgram, &[1, 2], BOTH),
    (Step::PinLink, &[1, 2, 3, 4], BOTH),
    (Step::ReadBackLink, &[1, 2, 4], BOTH),
    (Step::BringUp, &[1, 2], BOTH),
    (Step::Forward, &[1], BOTH),
    (Step::TakeSlot, &[3], KILL),
    (Step::Try, &[1], BOTH),
    (Step::AwaitReaders, &[1], BOTH),
    (Step::FillLine, &[1, 40], KILL),
    (Step::ReadBackImage, &[1], BOTH),
    (Step::EnforceStops, &[1], KILL),
    (Step::Publish, &[1], KILL),
    (Step::Published, &[1], KILL),
    (Step::Look, &[1], KILL),
];

/// A start that adopts what is in force.
const WARM: [Row; 15] = [
    (Step::MakeDirectory, &[1], BOTH),
    (Step::MakeMaps, &[2], BOTH),
    (Step::LoadProgram, &[3], BOTH),
    (Step::MeasureTick, &[1], BOTH),
    (Step::OpenMaps, &[1], BOTH),
    (Step::EnforceStop, &[1], KILL),
    (Step::Redirect, &[1, 2, 4], BOTH),
    (Step::SwapProgram, &[1, 2, 3, 4], BOTH),
    (Step::ReadBackLink, &[1, 3], BOTH),
    (Step::BringUp, &[2], BOTH),
    (Step::Try, &[1], BOTH),
    (Step::FillLine, &[1, 40], KILL),
    (Step::ReadBackImage, &[1], BOTH),
    (Step::Publish, &[1], KILL),
    (Step::Published, &[1], KILL),
];

/// A start with other capacities, and with another place for a port's program, than are in force.
const MOVED: [Row; 9] = [
    (Step::MakeMaps, &[3], BOTH),
    (Step::Publish, &[1], KILL),
    (Step::Published, &[1], KILL),
    (Step::LetGo, &[1], BOTH),
    (Step::AttachProgram, &[1], BOTH),
    (Step::SwapProgram, &[1, 2, 3], BOTH),
    (Step::PinLink, &[1], BOTH),
    (Step::ReadBackLink, &[2], BOTH),
    (Step::RemoveMaps, &[1], BOTH),
];

/// A start while everything is stopped.
const STOPPED: [Row; 6] = [
    (Step::ReadLatch, &[1], BOTH),
    (Step::OpenMaps, &[1], BOTH),
    (Step::EnforceStop, &[1], KILL),
    (Step::Redirect, &[2], BOTH),
    (Step::EnforceStops, &[1], KILL),
    (Step::Published, &[1], KILL),
];

/// What is in place when a start goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    /// Nothing.
    Nothing,
    /// The same as afterwards.
    Same,
    /// The same with other sizes.
    Other,
}

impl World {
    /// In force as configured, or not at all.
    fn put_in_place(&mut self, before: Before) {
        let config = self.gateway.config_text();
        let config = match self.mode {
            Mode::Bridge => config,
            Mode::Router => fs::read_to_string(self.gateway.config_path()).unwrap(),
        };
        match before {
            Before::Nothing => {
                self.gateway.detach_all().done();
            }
            Before::Same => {}
            Before::Other => {
                let inside = "interface = \"inside\"\n";
                let other = config.replace("flows = 4096", "flows = 2048");
                let other = other.replace(inside, &format!("{inside}xdp = \"generic\"\n"));
                assert_ne!(config, other);
                self.gateway.write_config(&other);
                self.gateway.restart();
                self.gateway.kill();
                self.gateway.write_config(&config);
            }
        }
    }

    fn goes_wrong(
        &mut self,
        before: Before,
        stopped: Stopped,
        (step, count, act): (Step, u32, Act),
    ) {
        let case = format!(
            "{:?}, {before:?}, {stopped:?}: {act:?} {}, time {count}",
            self.mode,
            step.name()
        );
        self.put_in_place(before);
        let fault = Fault::arrange(&self.gateway, step, act, count);
        let mut daemon = self.gateway.launch_faulty(&fault);
        let over = || daemon.log().contains("ready");
        assert!(eventually(LONG, || fault.has_struck() || over()), "{case}: {}", daemon.log());
        assert!(fault.has_struck(), "{case}: it never comes to that:\n{}", daemon.log());
        match act {
            Act::Kill => assert!(daemon.wait(LONG).is_some(), "{case}: it lives"),
            Act::Error => self.is_told(&mut daemon, &case),
        }
        let log = daemon.log();
        drop(daemon);
        self.assert_closed(stopped, &case);
        match (before, stopped) {
            // What was in force still is.
            (Before::Same | Before::Other, Stopped::No) => self.assert_flows(&case),
            (Before::Nothing, _) | (_, Stopped::Yes) => {}
        }
        self.gateway.restart();
        match stopped {
            Stopped::No => self.assert_flows(&format!("{case}, then a plain start\n{log}")),
            Stopped::Yes => self.assert_closed(stopped, &case),
        }
        let stands = self.gateway.cordon(&["status", "--check"]);
        assert_eq!(stands.code, Some(0), "{case}: {}", stands.out);
        let left = fs::read_dir(self.gateway.pins()).unwrap().flatten();
        let left: Vec<_> = left.map(|entry| entry.file_name().into_string().unwrap()).collect();
        assert_eq!(left.iter().filter(|name| name.starts_with("maps-")).count(), 1, "{left:?}");
        self.gateway.kill();
        self.cases += 1;
    }

    /// It ends with a sentence that says what failed, or goes on and warns.
    fn is_told(&self, daemon: &mut Process, case: &str) {
        let over = |daemon: &mut Process| !daemon.is_running() || daemon.log().contains("ready");
        assert!(eventually(LONG, || over(daemon)), "{case}: {}", daemon.log());
        let log = daemon.log();
        if daemon.is_running() {
            assert!(
                log.contains("WARN") && log.contains("Cannot allocate memory"),
                "{case}: {log}"
            );
        } else {
            let sentence = log.lines().find(|line| line.starts_with("cordond: "));
            let sentence = sentence.unwrap_or_else(|| panic!("{case}: no sentence: {log}"));
            let names = ["Cannot allocate memory", "does not read back"];
            assert!(names.iter().any(|name| log.contains(name)), "{case}: {sentence}");
            assert!(log.contains("hint: "), "{case}: {log}");
        }
    }

    fn sweep(&mut self, before: Before, stopped: Stopped, rows: &[Row]) {
        for (turn, (step, counts, acts)) in rows.iter().enumerate() {
            let is_routers = matches!(step, Step::Survey | Step::Forward | Step::StopForwarding);
            if is_routers && self.mode == Mode::Bridge {
                continue;
            }
            // In an ordinary run the last time that it comes: most is half done then.
            let times = if repeat(1) > 1 { counts } else { &counts[counts.len() - 1..] };
            for count in times {
                for act in tried(turn, acts) {
                    self.goes_wrong(before, stopped, (*step, *count, *act));
                }
            }
        }
    }
}

/// One mode each in an ordinary run; both where `CORDON_REPEAT` is more than 1.
fn modes(first: Mode) -> Vec<Mode> {
    let all = [Mode::Bridge, Mode::Router];
    all.into_iter().filter(|mode| *mode == first || repeat(1) > 1).collect()
}

/// The steps that starts go wrong at.
pub(crate) fn steps() -> impl Iterator<Item = Step> {
    let rows = COLD.iter().chain(&WARM).chain(&MOVED).chain(&STOPPED);
    rows.map(|(step, _, _)| *step)
}

#[test]
fn a_first_start_that_goes_wrong_anywhere_opens_nothing_and_the_next_one_mends_it() {
    for mode in modes(Mode::Router) {
        let mut world = World::new(mode);
        world.sweep(Before::Nothing, Stopped::No, &COLD);
        world.end("first starts");
    }
}

#[test]
fn a_start_that_goes_wrong_anywhere_leaves_in_force_what_was_and_the_next_one_mends_it() {
    for mode in modes(Mode::Bridge) {
        let mut world = World::new(mode);
        world.gateway.restart();
        world.gateway.kill();
        world.sweep(Before::Same, Stopped::No, &WARM);
        world.end("starts that adopt");
    }
}

#[test]
fn a_start_that_goes_wrong_anywhere_while_everything_is_stopped_lifts_nothing() {
    for mode in modes(Mode::Bridge) {
        let mut world = World::new(mode);
        world.gateway.restart();
        world.gateway.stop(None, false);
        world.assert_closed(Stopped::Yes, "stopped");
        let arrived = world.seen.seen();
        world.gateway.kill();
        world.sweep(Before::Same, Stopped::Yes, &STOPPED);
        // As after a reboot: only the latch knows.
        world.sweep(Before::Nothing, Stopped::Yes, &STOPPED);
        world.gateway.restart();
        assert_eq!(world.seen.seen(), arrived, "frames passed while everything was stopped");
        world.gateway.resume(None);
        world.assert_flows("resumed");
        world.end("starts of a stopped gateway");
    }
}

#[test]
fn a_start_with_another_configuration_that_goes_wrong_anywhere_opens_nothing() {
    for mode in modes(Mode::Router) {
        let mut world = World::new(mode);
        world.sweep(Before::Other, Stopped::No, &MOVED);
        world.end("starts with another configuration");
    }
}

#[test]
fn a_stop_waits_for_no_look_and_nobody_is_told_how_it_stands_before_the_first_one() {
    let mut gateway = Gateway::start(&policy::images());
    let stream = Stream::open(gateway.lab().near(), gateway.lab().far(), FAR.v4, 104);
    gateway.kill();
    let fault = Fault::hold(&gateway, Step::Look);
    let mut daemon = gateway.launch_faulty(&fault);
    assert!(eventually(LONG, || fault.has_struck()), "it never looks: {}", daemon.log());
    stream.assert_flows();
    gateway.cordon(&["stop-all", "--reason", "while it looks"]).done();
    stream.assert_stands(SHORT);
    // Whoever asks waits for the look, and not for ever.
    gateway.cordon(&["status", "--check"]).refused(1, "guard");
    assert!(daemon.is_running());
    assert!(!daemon.log().contains("ready"), "{}", daemon.log());
    fault.let_go();
    assert!(eventually(LONG, || daemon.log().contains("ready")), "{}", daemon.log());
    gateway.cordon(&["status", "--check"]).done();
    gateway.cordon(&["resume", "--reason", "it has looked"]).done();
    stream.assert_flows();
}
