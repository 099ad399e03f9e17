//! RADIUS accounting as FreeRADIUS's radclient and hostapd speak it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests panic like tests")]

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use firewall_daemon::auth::radius::listener::Listener;
use firewall_daemon::auth::radius::{Counts, Refusal, Statement};
use firewall_daemon::config::{Radius, RadiusClient};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::time::timeout;

const SECRET: &str = "a secret that nobody guesses";
const PATIENCE: Duration = Duration::from_secs(5);

/// The listener on loopback, with one client there.
struct Bench {
    runtime: Runtime,
    address: SocketAddr,
    statements: mpsc::Receiver<Statement>,
    counts: Counts,
    _directory: TempDir,
}

impl Bench {
    fn new(require_message_authenticator: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let secret_file = directory.path().join("secret");
        fs::write(&secret_file, format!("{SECRET}\n")).unwrap();
        fs::set_permissions(&secret_file, Permissions::from_mode(0o600)).unwrap();
        let client = RadiusClient {
            name: "switch-1".to_owned(),
            address: [127, 0, 0, 1].into(),
            secret_file,
            interim: Duration::from_secs(60),
            require_message_authenticator,
            require_event_timestamp: true,
        };
        let settings = Radius { listen: ([127, 0, 0, 1], 0).into(), clients: vec![client] };
        let runtime = Runtime::new().unwrap();
        let (sender, statements) = mpsc::channel(16);
        let listener = runtime.block_on(Listener::bind(&settings)).unwrap();
        let (address, counts) = (listener.address().unwrap(), listener.counts());
        runtime.spawn(listener.run(sender));
        Self { runtime, address, statements, counts, _directory: directory }
    }

    /// Lets radclient say it, once.
    fn radclient(&self, secret: &str, attributes: &str) -> Output {
        let mut client = Command::new("radclient")
            .args(["-x", "-r", "1", "-t", "1", &self.address.to_string(), "acct", secret])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        client.stdin.take().unwrap().write_all(attributes.as_bytes()).unwrap();
        client.wait_with_output().unwrap()
    }

    fn next(&mut self) -> Statement {
        let next = self.runtime.block_on(async { timeout(PATIENCE, self.statements.recv()).await });
        next.unwrap_or_else(|_| panic!("nothing was said")).unwrap()
    }
}

fn said(status: &str, more: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    format!(
        "Acct-Status-Type = {status}\nUser-Name = \"ct-1.radiology.example\"\n\
         Calling-Station-Id = \"02-00-00-20-00-11\"\nAcct-Session-Id = \"5f3a\"\n\
         NAS-Identifier = \"switch-1\"\nNAS-Port-Id = \"Gi1/0/7\"\nEvent-Timestamp = {now}\n{more}"
    )
}

const AUTHENTICATED: &str = "Message-Authenticator = 0x00\n";

#[test]
fn radclient_is_heard_and_believes_the_response() {
    let mut bench = Bench::new(true);
    for status in ["Start", "Interim-Update", "Stop"] {
        let output = bench.radclient(SECRET, &said(status, AUTHENTICATED));
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
        assert!(told.contains("Accounting-Response"), "{told}");
        let session = match (status, bench.next()) {
            ("Start", Statement::Started { session, user })
            | ("Interim-Update", Statement::Interim { session, user }) => {
                assert_eq!(user, "ct-1.radiology.example");
                session
            }
            ("Stop", Statement::Stopped { session, cause: None }) => session,
            (_, other) => panic!("{other:?}"),
        };
        assert_eq!(session.station.0, [2, 0, 0, 0x20, 0, 0x11]);
        assert_eq!(session.port_id.as_deref(), Some("Gi1/0/7"));
    }
    assert_eq!(bench.counts.statements(), 3);
}

#[test]
fn radclient_gets_no_answer_to_what_is_not_signed_as_agreed() {
    let bench = Bench::new(true);
    for (refusal, secret, more) in [
        (Refusal::Authenticator, "another secret that nobody guesses", AUTHENTICATED),
        (Refusal::NoMessageAuthenticator, SECRET, ""),
    ] {
        let output = bench.radclient(secret, &said("Start", more));
        assert!(!output.status.success());
        assert_eq!(bench.counts.refusals(refusal), 1, "{refusal:?}");
    }
    assert_eq!(bench.counts.statements(), 0);
}
