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
use firewall_tests::lab::{Link, Namespace, Process};
use firewall_tests::packet::Mac;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::time::timeout;

const SECRET: &str = "a secret that nobody guesses";
const PATIENCE: Duration = Duration::from_secs(20);

/// The listener on loopback, with one client there.
struct Bench {
    runtime: Runtime,
    address: SocketAddr,
    statements: mpsc::Receiver<Statement>,
    counts: Counts,
    directory: TempDir,
}

impl Bench {
    /// On the loopback of the caller's network namespace.
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
        Self { runtime, address, statements, counts, directory }
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

#[test]
fn hostapd_is_heard_from_its_start_to_its_end() {
    let (near, gateway) = (Namespace::new("near"), Namespace::new("gateway"));
    let station = Mac([0x02, 0, 0, 0x20, 0, 0x11]);
    let _link = Link::pair((&near, "eth0", station), (&gateway, "inside", Mac::local(1)));
    // hostapd's accounting carries no Message-Authenticator.
    let mut bench = gateway.run(|| Bench::new(false));
    let write = |name: &str, text: &str| {
        let path = bench.directory.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    // hostapd learns an identity only from what it hands on to a RADIUS server. Another one is that.
    let users = write("users", "\"ct-1.radiology.example\" MD5 \"a password\"\n");
    let clients = write("clients", &format!("127.0.0.1 {SECRET}\n"));
    let server = write(
        "server.conf",
        &format!(
            "driver=none\neap_server=1\neap_user_file={}\nradius_server_clients={}\n\
             radius_server_auth_port=1812\n",
            users.display(),
            clients.display()
        ),
    );
    let hostapd = write(
        "hostapd.conf",
        &format!(
            "interface=inside\ndriver=wired\nieee8021x=1\nuse_pae_group_addr=1\n\
             nas_identifier=gateway\nown_ip_addr=127.0.0.1\nauth_server_addr=127.0.0.1\n\
             auth_server_port=1812\nauth_server_shared_secret={SECRET}\n\
             acct_server_addr=127.0.0.1\nacct_server_port={}\n\
             acct_server_shared_secret={SECRET}\n",
            bench.address.port()
        ),
    );
    let supplicant = write(
        "supplicant.conf",
        "ap_scan=0\nnetwork={\nkey_mgmt=IEEE8021X\neap=MD5\neapol_flags=0\n\
         identity=\"ct-1.radiology.example\"\npassword=\"a password\"\n}\n",
    );
    let log = bench.directory.path().to_owned();
    let mut command = gateway.command("hostapd");
    command.arg(server);
    let mut server = Process::logged(command, &log.join("server.log"));
    server.wait_for_log("AP-ENABLED", PATIENCE);
    let mut command = gateway.command("hostapd");
    command.arg(hostapd);
    let mut hostapd = Process::logged(command, &log.join("hostapd.log"));
    assert!(matches!(bench.next(), Statement::ClientRestarted { .. }));
    let mut command = near.command("wpa_supplicant");
    command.args(["-D", "wired", "-i", "eth0", "-c"]).arg(supplicant);
    let mut supplicant = Process::logged(command, &log.join("supplicant.log"));
    match bench.next() {
        Statement::Started { session, user } => {
            assert_eq!(user, "ct-1.radiology.example");
            assert_eq!(session.station.0, station.0);
            assert_eq!(session.nas.as_deref(), Some("gateway"));
        }
        other @ (Statement::Interim { .. }
        | Statement::Stopped { .. }
        | Statement::ClientRestarted { .. }) => panic!("{other:?}\n{}", hostapd.log()),
    }
    // A supplicant that ends says nothing. hostapd does.
    supplicant.stop(PATIENCE);
    hostapd.stop(PATIENCE);
    match bench.next() {
        Statement::Stopped { session, .. } => assert_eq!(session.station.0, station.0),
        other @ (Statement::Started { .. }
        | Statement::Interim { .. }
        | Statement::ClientRestarted { .. }) => panic!("{other:?}\n{}", hostapd.log()),
    }
    assert!(matches!(bench.next(), Statement::ClientRestarted { .. }));
}
