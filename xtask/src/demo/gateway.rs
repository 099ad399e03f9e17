//! The gateway: the daemon, and what an operator asks it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::lab::Lab;
use super::namespace::Namespace;
use super::process::{Said, Service, finish};
use super::{dot1x, interrupt, ledger::Ledger};
use crate::workspace;

/// The demonstration's policy, file by file.
const POLICY: [(&str, &str); 4] = [
    (RADIOLOGY.0, RADIOLOGY.1),
    ("10-rules.toml", include_str!("policy/10-rules.toml")),
    (STUDIES.0, STUDIES.1),
    ("30-expectations.toml", include_str!("policy/30-expectations.toml")),
];

/// The file with the nodes.
pub(super) const RADIOLOGY: (&str, &str) =
    ("00-radiology.toml", include_str!("policy/00-radiology.toml"));

/// The file with the rule that is taken away.
pub(super) const STUDIES: (&str, &str) =
    ("20-studies.toml", include_str!("policy/20-studies.toml"));

const STARTING: Duration = Duration::from_secs(30);
const ANSWERING: Duration = Duration::from_secs(60);

/// The daemon on the gateway of a laboratory.
pub(super) struct Gateway {
    namespace: Namespace,
    directory: PathBuf,
    daemon: Service,
}

impl Gateway {
    /// Writes configuration and policy, and starts the daemon.
    pub(super) fn start(lab: &Lab) -> Result<(Self, Duration)> {
        let directory = lab.directory().to_owned();
        fs::create_dir(directory.join("policies"))?;
        for (name, text) in POLICY {
            fs::write(directory.join("policies").join(name), text)?;
        }
        fs::write(directory.join("cordon.toml"), configuration(&directory))?;
        for program in ["cordond", "cordon"] {
            // Our own, so that a build meanwhile changes nothing.
            fs::copy(workspace::target().join("debug").join(program), directory.join(program))
                .with_context(|| format!("{program} has not been built"))?;
        }
        let daemon = start(&lab.gateway, &directory)?;
        let mut gateway = Self { namespace: lab.gateway.clone(), directory, daemon };
        let took = gateway.wait()?;
        Ok((gateway, took))
    }

    /// Starts a new daemon in the place of one that was killed.
    pub(super) fn start_again(&mut self) -> Result<Duration> {
        self.daemon = start(&self.namespace, &self.directory)?;
        self.wait()
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self) -> Result<u32> {
        self.daemon.kill()?;
        Ok(self.daemon.id())
    }

    /// Waits until the daemon answers.
    fn wait(&mut self) -> Result<Duration> {
        let answers = interrupt::until(STARTING, || {
            if !self.daemon.is_running()? {
                bail!("the daemon ended:\n{}", self.daemon.log());
            }
            Ok(self.cordon(&["status"])?.succeeded())
        })?;
        answers.with_context(|| format!("the daemon does not answer:\n{}", self.daemon.log()))
    }

    /// What the CLI says.
    pub(super) fn cordon(&self, arguments: &[&str]) -> Result<Said> {
        let mut command = self.namespace.command(self.directory.join("cordon"));
        command.arg("--config").arg(self.directory.join("cordon.toml")).args(arguments);
        finish(command, ANSWERING)
    }

    /// The CLI's answer for machines; an error if it is a refusal.
    pub(super) fn ask(&self, arguments: &[&str]) -> Result<Value> {
        let said = self.cordon(&[&["--json"], arguments].concat())?;
        let said = said.or_fail(&format!("cordon {}", arguments.join(" ")))?;
        serde_json::from_str(&said).context("the CLI's JSON cannot be read")
    }

    pub(super) fn ledger(&self) -> Result<Ledger> {
        Ledger::read(&self.ask(&["counters"])?)
    }

    /// Everything that has happened.
    pub(super) fn events(&self) -> Result<Vec<Value>> {
        let said = self.cordon(&["--json", "events"])?.or_fail("cordon events")?;
        let read = |line| serde_json::from_str(line).context("an event cannot be read");
        said.lines().map(read).collect()
    }

    /// Where a policy file lies.
    pub(super) fn policy(&self, name: &str) -> PathBuf {
        self.directory.join("policies").join(name)
    }

    /// How many frames the kernel says the program was given on a port.
    pub(super) fn frames_seen_by_xdp(&self, port: &str) -> Result<u64> {
        let mut command = self.namespace.command("ethtool");
        command.args(["-S", port]);
        let said = finish(command, ANSWERING)?.or_fail("ethtool -S")?;
        let lines = said.lines().filter_map(|line| line.trim().split_once(": "));
        let queues = lines
            .filter(|(name, _)| name.starts_with("rx_queue_") && name.ends_with("_xdp_packets"));
        queues.map(|(_, count)| Ok(count.trim().parse::<u64>()?)).sum()
    }
}

fn start(namespace: &Namespace, directory: &Path) -> Result<Service> {
    let mut command = namespace.command(directory.join("cordond"));
    command.arg("--config").arg(directory.join("cordon.toml"));
    Service::start(command, &directory.join("cordond.log"))
}

fn configuration(directory: &Path) -> String {
    let place = directory.display();
    format!(
        r#"[state]
directory = "{place}/state"
[control]
socket = "{place}/control.sock"
group = "root"
[policy]
directory = "{place}/policies"
[bpf]
directory = "{place}/bpf/cordon"
[gateway]
mode = "bridge"
pairs = [["inside", "outside"]]
[port.inside]
interface = "inside"
[port.outside]
interface = "outside"
[[authentication.hostapd]]
port = "inside"
socket = "{hostapd}"
"#,
        hostapd = dot1x::socket(directory).display()
    )
}
