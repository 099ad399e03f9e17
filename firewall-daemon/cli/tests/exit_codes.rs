//! The program itself against a server: exit codes and streams are what scripts rely on.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use firewall_control::{
    Caller, Counters, Event, EventKind, FlowQuery, Flows, NodeQuery, NodeReport, Nodes,
    ReasonRequest, ReloadReport, ResumeRequest, Status, StopLevel, StopReport, StopRequest,
};
use firewall_daemon::config;
use firewall_daemon::control::{Failure, Listener, Operator, serve};
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

struct Fake;

impl Operator for Fake {
    async fn status(&self) -> Result<Status, Failure> {
        Err(Failure::internal("the map is gone"))
    }

    async fn counters(&self) -> Result<Counters, Failure> {
        Ok(Counters::default())
    }

    async fn flows(&self, _: FlowQuery) -> Result<Flows, Failure> {
        Ok(Flows::default())
    }

    async fn nodes(&self, _: NodeQuery) -> Result<Nodes, Failure> {
        Ok(Nodes::default())
    }

    /// More than any pipe holds.
    async fn events(
        &self,
        _: Option<Timestamp>,
        _: bool,
    ) -> Result<mpsc::Receiver<Event>, Failure> {
        let (sender, receiver) = mpsc::channel(16);
        tokio::spawn(async move {
            for sequence in 1..=20_000 {
                let event =
                    Event::new(sequence, "2026-01-31T12:00:00Z".into(), 0, EventKind::Start);
                if sender.send(event).await.is_err() {
                    return;
                }
            }
        });
        Ok(receiver)
    }

    async fn reload(&self, _: Caller) -> Result<ReloadReport, Failure> {
        Err(Failure::InvalidPolicy { diagnostics: Vec::new() })
    }

    async fn stop(&self, _: Caller, request: StopRequest) -> Result<StopReport, Failure> {
        let level = if request.hard { StopLevel::Hard } else { StopLevel::Ordinary };
        Ok(StopReport {
            subnetwork: request.subnetwork,
            latched: level,
            effective: level,
            since: None,
            took_microseconds: 1,
            message: request.reason,
        })
    }

    async fn resume(&self, _: Caller, _: ResumeRequest) -> Result<StopReport, Failure> {
        Err(Failure::Conflict { sentence: "nothing is stopped".into(), hint: None })
    }

    async fn isolate(
        &self,
        _: Caller,
        name: String,
        _: ReasonRequest,
    ) -> Result<NodeReport, Failure> {
        Err(Failure::UnknownNode { name })
    }

    async fn release(
        &self,
        _: Caller,
        name: String,
        _: ReasonRequest,
    ) -> Result<NodeReport, Failure> {
        Err(Failure::UnknownNode { name })
    }
}

struct Bench {
    directory: TempDir,
    _runtime: Runtime,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let group = Command::new("id").arg("-gn").output().unwrap().stdout;
        let settings = config::Control {
            socket: directory.path().join("control.sock"),
            group: String::from_utf8(group).unwrap().trim().to_owned(),
        };
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            let listener = Listener::bind(&settings).unwrap();
            tokio::spawn(serve(listener, Arc::new(Fake)));
        });
        Self { directory, _runtime: runtime }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        command(&self.directory.path().join("control.sock")).args(arguments).output().unwrap()
    }
}

fn command(socket: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cordon"));
    command.arg("--socket").arg(socket);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn exit_codes_say_who_is_to_act() {
    let bench = Bench::new();
    for (code, arguments) in [
        (0, &["counters"][..]),
        (0, &["flows"]),
        (0, &["nodes"]),
        (0, &["stop-all", "--hard", "--reason", "a drill"]),
        (0, &["--help"]),
        (1, &["status"]),
        (1, &["resume", "--reason", "a drill"]),
        (1, &["isolate", "ct-9", "--reason", "a drill"]),
        (1, &["release", "ct-9", "--reason", "a drill"]),
        (2, &["reload"]),
        (2, &["stop-all"]),
        (2, &["stop-all", "--reason", " "]),
        (2, &["resume", "--reason", "two\nlines"]),
        (2, &["events", "--since", "yesterday"]),
        (2, &["check", "/nowhere"]),
        (2, &["frobnicate"]),
        (2, &[]),
    ] {
        let output = bench.run(arguments);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        assert_eq!(told.is_empty(), code == 0, "{arguments:?}: {told}");
    }
}

#[test]
fn without_a_daemon_the_pins_are_asked() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("cordon.toml");
    let bpf = directory.path().join("bpf");
    let text_of_config = format!(
        "[bpf]\ndirectory = {bpf:?}\n[gateway]\npairs = [[\"in\", \"out\"]]\n\
         [port.in]\ninterface = \"eth1\"\n[port.out]\ninterface = \"eth2\"\n"
    );
    std::fs::write(&config, text_of_config).unwrap();
    let ask = || {
        let socket = PathBuf::from("/nowhere/control.sock");
        let output = command(&socket).arg("status").arg("--config").arg(&config).output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        text(&output.stderr)
    };
    let told = ask();
    assert!(told.contains("enforcement is not in place"), "{told}");
    for port in ["in", "out"] {
        std::fs::create_dir_all(bpf.join("links").join(port)).unwrap();
    }
    let told = ask();
    assert!(told.contains("enforcement is still in place on 2 ports"), "{told}");
}

#[test]
fn json_is_what_the_api_answers() {
    let bench = Bench::new();
    let output = bench.run(&["--json", "stop-all", "--subnetwork", "x", "--reason", "a drill"]);
    let report: StopReport = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report.subnetwork.as_deref(), Some("x"));
    assert_eq!(report.message, "a drill");
}

#[test]
fn a_reader_who_has_enough_is_no_error() {
    let bench = Bench::new();
    let mut events = command(&bench.directory.path().join("control.sock"))
        .arg("events")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(events.stdout.take());
    let output = events.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn an_authority_is_made_once_and_its_certificates_are_listed_and_revoked() {
    let directory = tempfile::tempdir().unwrap();
    let pki = directory.path().join("pki");
    let run = |arguments: &[&str]| {
        let mut command = command(Path::new("/nowhere"));
        command.arg("pki").arg("--directory").arg(&pki).args(arguments).output().unwrap()
    };
    for (code, arguments) in [
        (1, &["issue", "ws-1"][..]),
        (2, &["init", "--days", "0"]),
        (0, &["init"]),
        (1, &["init"]),
        (0, &["issue", "ws-1", "--identity", "ws-1.radiology.example"]),
        (2, &["issue", "../ws-1"]),
        (0, &["revoke", "ws-1"]),
        (1, &["revoke", "ws-1"]),
        (1, &["revoke", "ws-2"]),
    ] {
        let output = run(arguments);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        assert_eq!(told.is_empty(), code == 0, "{arguments:?}: {told}");
    }
    let listed = text(&run(&["list"]).stdout);
    assert!(listed.contains("ws-1.radiology.example"), "{listed}");
}
