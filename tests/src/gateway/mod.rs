//! A lab with the real daemon in its gateway.
//!
//! The hosts of the lab have the addresses that [`policy`] writes policies for, and real kernels.
//! Everything of the gateway's lies in the lab's directory and BPF file system, so that any number
//! of gateways run at once.

mod fault;
pub mod hostapd;
mod kernel;
pub(crate) mod leases;
mod ledger;
pub mod policy;
mod program;
pub mod router;
mod tmpfs;
mod traffic;

use std::{
    cell::Cell,
    fmt::Display,
    fs,
    future::Future,
    path::{Path, PathBuf},
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use firewall_control::{
    Client, ClientError, Counters, Event, EventQuery, Flow, FlowQuery, NodeReport, ReasonRequest,
    ReloadReport, ResumeRequest, Status, StopReport, StopRequest,
};
use firewall_daemon::{
    config::Config,
    dataplane::{self, maps::Maps, pins::Pins},
    report,
};
use firewall_policy::Names;
use nix::sys::signal::Signal;
use tokio::runtime::{Builder, Runtime};

use crate::lab::{Lab, Process};

pub use fault::{Act, Fault};
pub use kernel::assert_promtool_has_nothing_to_say;
pub use ledger::{Change, Ledger};
pub use program::{Ended, binary};
pub use tmpfs::Tmpfs;
pub use traffic::{Datagrams, Flood, Stream, Watch, eventually};

/// How many seconds a daemon may take until it answers, unless `CORDON_READY` gives it more: the
/// verifier takes its time on an emulated processor.
const READY: u32 = 30;
/// How long it may take to end.
const ENDED: Duration = Duration::from_secs(10);

/// See the [module](self). The daemon dies before its lab is torn down.
#[derive(Debug)]
pub struct Gateway {
    daemon: Option<Process>,
    started: Cell<u32>,
    client: Client,
    runtime: Runtime,
    lab: Lab,
}

impl Gateway {
    /// A gateway in force, with that policy, between one host on either side.
    pub fn start(policy: &str) -> Self {
        let mut gateway = Self::prepare(policy);
        gateway.restart();
        gateway
    }

    /// The same with nothing started.
    pub fn prepare(policy: &str) -> Self {
        let gateway = Self::in_lab(Lab::new(), policy);
        policy::NEAR.settle(gateway.lab.near().link(), &policy::FAR);
        policy::FAR.settle(gateway.lab.far().link(), &policy::NEAR);
        gateway
    }

    /// In a lab whose hosts have no addresses and say nothing; nothing is started.
    pub fn in_lab(lab: Lab, policy: &str) -> Self {
        let directory = lab.directory().to_owned();
        for name in ["state", "policies"] {
            fs::create_dir(directory.join(name)).expect("make a directory of the gateway's");
        }
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let client = Client::new(directory.join("control.sock"));
        let gateway = Self { daemon: None, started: Cell::new(0), client, runtime, lab };
        gateway.write_config(&gateway.config_text());
        gateway.policy(policy);
        gateway
    }

    /// The laboratory around it.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// The configuration file.
    pub fn config_path(&self) -> PathBuf {
        self.lab.directory().join("cordon.toml")
    }

    /// The state directory.
    pub fn state(&self) -> PathBuf {
        self.lab.directory().join("state")
    }

    /// The latch.
    pub fn latch(&self) -> PathBuf {
        self.state().join("latch")
    }

    /// The directory of pins.
    pub fn pins(&self) -> PathBuf {
        self.lab.bpffs().join("cordon")
    }

    /// The configuration: everything in the lab, and maps that are small.
    pub fn config_text(&self) -> String {
        let directory = self.lab.directory().display();
        let pins = self.pins();
        let pins = pins.display();
        format!(
            "[state]\ndirectory = \"{directory}/state\"\n\
             [control]\nsocket = \"{directory}/control.sock\"\ngroup = \"root\"\n\
             [metrics]\nlisten = \"127.0.0.1:9618\"\n\
             [policy]\ndirectory = \"{directory}/policies\"\n\
             [bpf]\ndirectory = \"{pins}\"\n\
             [capacity]\nnodes = 256\nrules = 256\nflows = 4096\n\
             [gateway]\nmode = \"bridge\"\npairs = [[\"inside\", \"outside\"]]\n\
             [port.inside]\ninterface = \"inside\"\n\
             [port.outside]\ninterface = \"outside\"\n"
        )
    }

    /// Writes another configuration, for the next start.
    pub fn write_config(&self, text: &str) {
        fs::write(self.config_path(), text).expect("write the configuration");
    }

    /// Writes the policy; it is read at the next start or reload.
    pub fn policy(&self, text: &str) {
        let file = self.lab.directory().join("policies/policy.toml");
        fs::write(file, text).expect("write the policy");
    }

    /// Starts the daemon and waits until it answers; panics with its log if it ends instead.
    pub fn restart(&mut self) {
        assert!(self.daemon.is_none(), "the daemon runs already");
        self.wait_until_ready(self.launch());
    }

    fn wait_until_ready(&mut self, mut daemon: Process) {
        let end = Instant::now() + ready();
        while self.wait(self.client.status()).is_err() {
            let over = !daemon.is_running() || Instant::now() >= end;
            assert!(!over, "the daemon does not answer:\n{}", daemon.log());
            sleep(Duration::from_millis(5));
        }
        self.daemon = Some(daemon);
    }

    /// Starts the daemon and does not wait.
    pub fn launch(&self) -> Process {
        self.process(self.daemon_command("cordond"))
    }

    fn process(&self, command: Command) -> Process {
        let number = self.started.replace(self.started.get() + 1);
        self.lab.process(&format!("cordond-{number}"), command)
    }

    /// Starts a daemon that is expected to end by itself.
    pub fn daemon_fails(&self) -> Ended {
        let mut daemon = self.launch();
        let status = daemon.wait(ready());
        let log = daemon.log();
        let status = status.unwrap_or_else(|| panic!("the daemon does not end:\n{log}"));
        Ended { code: status.code(), out: String::new(), errors: log }
    }

    /// Kills the daemon with SIGKILL.
    pub fn kill(&mut self) {
        self.daemon.take().expect("no daemon runs").kill();
    }

    /// Stops the daemon where it is, until [`Gateway::unfreeze`].
    pub fn freeze(&self) {
        self.daemon.as_ref().expect("no daemon runs").signal(Signal::SIGSTOP);
    }

    /// Lets the daemon go on.
    pub fn unfreeze(&self) {
        self.daemon.as_ref().expect("no daemon runs").signal(Signal::SIGCONT);
    }

    /// Ends the daemon with SIGTERM.
    pub fn stop_daemon(&mut self) {
        let status = self.daemon.take().expect("no daemon runs").stop(ENDED);
        assert_eq!(status.code(), Some(0), "after SIGTERM");
    }

    /// Takes enforcement away, as a reboot would; the latch stays.
    pub fn detach_all(&self) -> Ended {
        let mut command = self.daemon_command("cordond");
        command.args(["--detach-all", "--yes"]);
        Ended::of(command)
    }

    /// The process of the daemon that runs.
    pub fn daemon_id(&self) -> u32 {
        self.daemon.as_ref().expect("no daemon runs").id()
    }

    /// Whether the daemon still runs.
    pub fn is_running(&mut self) -> bool {
        self.daemon.as_mut().is_some_and(Process::is_running)
    }

    /// What the daemon that runs has said so far.
    pub fn log(&self) -> String {
        self.daemon.as_ref().map(Process::log).unwrap_or_default()
    }

    fn daemon_command(&self, program: &str) -> Command {
        let mut command = self.lab.gateway().command(binary(program));
        command.env_remove("RUST_LOG").env_remove("JOURNAL_STREAM");
        command.arg("--config").arg(self.config_path());
        command
    }

    /// Runs `cordon` with those arguments against this gateway.
    pub fn cordon(&self, arguments: &[&str]) -> Ended {
        let mut command = self.lab.gateway().command(binary("cordon"));
        command.arg("--config").arg(self.config_path()).args(arguments);
        Ended::of(command)
    }

    /// Waits for what the client promises.
    pub fn wait<T>(&self, answer: impl Future<Output = T>) -> T {
        self.runtime.block_on(answer)
    }

    /// The client.
    pub fn api(&self) -> &Client {
        &self.client
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        answered(self.wait(self.client.status()))
    }

    /// What was counted.
    pub fn counters(&self) -> Counters {
        answered(self.wait(self.client.counters()))
    }

    /// What was counted, read from the pins, for when no daemon runs. Rules have no names there.
    pub fn pinned_counters(&self) -> Counters {
        let config = Config::load(&self.config_path()).expect("a configuration");
        let ports: Vec<_> = config.gateway.ports().map(|(_, port)| port.name.clone()).collect();
        report::counters(&self.pinned_maps(), &Names::default(), &ports).expect("read the counters")
    }

    /// The maps, past the daemon.
    pub fn pinned_maps(&self) -> Maps {
        let config = Config::load(&self.config_path()).expect("a configuration");
        let sizes = dataplane::sizes(&config);
        let directories = Pins::new(&config.bpf.directory).all_maps().expect("a directory of pins");
        let [directory] = directories.as_slice() else { panic!("maps in {directories:?}") };
        Maps::open(directory, sizes).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The live flows.
    pub fn flows(&self) -> Vec<Flow> {
        answered(self.wait(self.client.flows(&FlowQuery::default()))).flows
    }

    /// All events since the daemon started.
    pub fn events(&self) -> Vec<Event> {
        self.wait(async {
            let mut stream = answered(self.client.events(&EventQuery::default()).await);
            let mut events = Vec::new();
            while let Some(event) = answered(stream.next().await) {
                events.push(event);
            }
            events
        })
    }

    /// Reads the policy again.
    pub fn reload(&self) -> ReloadReport {
        answered(self.wait(self.client.reload()))
    }

    /// Stops everything, or one subnetwork.
    pub fn stop(&self, subnetwork: Option<&str>, hard: bool) -> StopReport {
        let subnetwork = subnetwork.map(str::to_owned);
        let request = StopRequest { subnetwork, hard, reason: "a test".to_owned() };
        answered(self.wait(self.client.stop(&request)))
    }

    /// Lifts a stop.
    pub fn resume(&self, subnetwork: Option<&str>) -> StopReport {
        let subnetwork = subnetwork.map(str::to_owned);
        let request = ResumeRequest { subnetwork, reason: "a test".to_owned() };
        answered(self.wait(self.client.resume(&request)))
    }

    /// Cuts a node off.
    pub fn isolate(&self, node: &str) -> NodeReport {
        let request = ReasonRequest { reason: "a test".to_owned() };
        answered(self.wait(self.client.isolate(node, &request)))
    }

    /// Lets a node back.
    pub fn release(&self, node: &str) -> NodeReport {
        let request = ReasonRequest { reason: "a test".to_owned() };
        answered(self.wait(self.client.release(node, &request)))
    }

    /// What was counted so far, once the ports are quiet; later changes are measured against it.
    pub fn ledger(&self) -> Ledger {
        Ledger::settled(|| self.counters())
    }

    /// What was counted since, once the ports are quiet. Panics unless every port adds up.
    pub fn since(&self, before: &Ledger) -> Change {
        self.ledger().since(before)
    }

    /// A busy gateway's counters, which need not add up at this instant: no place to count sums
    /// from.
    pub fn glance(&self) -> Ledger {
        Ledger::of(&self.counters())
    }

    /// What a busy gateway has dropped since, as `(port, reason, frames)`.
    pub fn drops_since(&self, before: &Ledger) -> Vec<(String, String, u64)> {
        self.glance().drops_since(before)
    }
}

/// Panics with the daemon's sentence.
fn answered<T>(answer: Result<T, ClientError>) -> T {
    answer.unwrap_or_else(|error| panic!("the daemon refuses: {error}"))
}

/// How often a test repeats what may go wrong once in a while: `CORDON_REPEAT`, or `least`.
pub fn repeat(least: u32) -> u32 {
    setting("CORDON_REPEAT").unwrap_or(least)
}

fn ready() -> Duration {
    Duration::from_secs(setting("CORDON_READY").unwrap_or(READY).into())
}

/// A number from the environment; panics if it is none.
pub fn setting(name: &str) -> Option<u32> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error}")))
}

/// Says what was measured, past the capture of the test harness only with `--nocapture`.
pub fn measured(what: impl Display) {
    println!("measured: {what}");
}

/// Removes a directory of pins and all below it.
pub fn remove_pins(directory: &Path) {
    fs::remove_dir_all(directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
}
