//! Leases by mutual TLS, with certificates as `cordon pki` makes them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests panic like tests")]

use std::collections::HashSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use firewall_daemon::auth::mtls::gate::Bounds;
use firewall_daemon::auth::mtls::server::Server;
use firewall_daemon::auth::mtls::{Reason, Refusal, Statement, Told, Verdict};
use firewall_daemon::config::Mtls;
use firewall_node::client::{Client, ClientError};
use firewall_node::settings::Settings;
use firewall_pki::{Authority, GATEWAY, Validity};
use firewall_tests::gateway::binary;
use firewall_tests::lab::Process;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

const IDENTITY: &str = "ws-1.radiology.example";
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const LEASE: Duration = Duration::from_secs(60);

/// A gateway on loopback that grants a lease to whoever speaks as [`IDENTITY`].
struct Bench {
    directory: TempDir,
    address: SocketAddr,
    allowed: watch::Sender<Arc<HashSet<IpAddr>>>,
    said: Arc<Mutex<Vec<Statement>>>,
    _runtime: Runtime,
}

impl Bench {
    fn new() -> Self {
        Self::bounded(Bounds { of_an_address: 64, burst: 1000, ..Bounds::default() })
    }

    fn bounded(bounds: Bounds) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let pki = directory.path().join("pki");
        drop(Authority::init(&pki, 365).unwrap());
        let settings = Mtls {
            listen: (HERE, 0).into(),
            ca: pki.join("ca.crt"),
            crl: pki.join("crl.pem"),
            certificate: pki.join("gateway.crt"),
            key: pki.join("gateway.key"),
            lease: LEASE,
        };
        let runtime = Runtime::new().unwrap();
        let server = runtime.block_on(Server::bind(&settings)).unwrap().bounded(bounds);
        let address = server.address().unwrap();
        let (allowed, allowed_receiver) = watch::channel(Arc::new(HashSet::from([HERE])));
        let (sender, mut statements) = mpsc::channel::<Told>(16);
        let said = Arc::new(Mutex::new(Vec::new()));
        runtime.spawn(server.run(allowed_receiver, sender));
        let log = Arc::clone(&said);
        runtime.spawn(async move {
            while let Some(Told { statement, answer }) = statements.recv().await {
                let verdict = match &statement {
                    Statement::Proven { identity, length, .. } if identity == IDENTITY => {
                        Verdict::Granted { length: *length }
                    }
                    Statement::Proven { .. }
                    | Statement::Ended { .. }
                    | Statement::Refused { .. } => Verdict::Refused(Refusal::Identity),
                };
                log.lock().unwrap().push(statement);
                // Nobody waits for the answer to an end.
                let _ = answer.send(verdict);
            }
        });
        Self { directory, address, allowed, said, _runtime: runtime }
    }

    fn pki(&self) -> PathBuf {
        self.directory.path().join("pki")
    }

    /// What a node with a certificate of that name and validity is configured with.
    fn node(&self, identity: &str, validity: Validity) -> Settings {
        let mut authority = Authority::open(&self.pki()).unwrap();
        let (certificate, key) = authority.issue("ws-1", identity, validity).unwrap();
        self.settings(identity, certificate, key)
    }

    fn settings(&self, identity: &str, certificate: PathBuf, key: PathBuf) -> Settings {
        Settings {
            gateway: self.address,
            gateway_name: GATEWAY.to_owned(),
            identity: identity.to_owned(),
            ca: self.pki().join("ca.crt"),
            certificate,
            key,
        }
    }

    fn said(&self) -> Vec<Statement> {
        self.said.lock().unwrap().clone()
    }

    /// Waits until so many were refused; as whom and why.
    fn refused(&self, count: usize) -> Vec<(String, Refusal)> {
        let end = Instant::now() + Duration::from_secs(2);
        loop {
            let said = self.said();
            let refused = said.iter().filter_map(|statement| match statement {
                Statement::Refused { identity, refusal, .. } => Some((identity.clone(), *refusal)),
                Statement::Ended { .. } | Statement::Proven { .. } => None,
            });
            let refused: Vec<_> = refused.collect();
            if refused.len() >= count || Instant::now() >= end {
                return refused;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until an identity's proof has ended.
    fn ended(&self, patience: Duration) -> Option<Reason> {
        let end = Instant::now() + patience;
        loop {
            let ended = self.said().iter().find_map(|statement| match statement {
                Statement::Ended { identity, reason, .. } if identity == IDENTITY => Some(*reason),
                Statement::Ended { .. } | Statement::Proven { .. } | Statement::Refused { .. } => {
                    None
                }
            });
            if ended.is_some() || Instant::now() >= end {
                return ended;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn connect(settings: &Settings) -> Result<Duration, ClientError> {
    Client::new(settings).unwrap().connect().map(|(_, length)| length)
}

fn reason(result: Result<Duration, ClientError>) -> String {
    match result {
        Err(ClientError::Refused { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_node_proves_itself_renews_and_leaves() {
    let bench = Bench::new();
    let settings = bench.node(IDENTITY, Validity::days(30));
    let (mut connection, length) = Client::new(&settings).unwrap().connect().unwrap();
    assert_eq!(length, LEASE);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(connection.renew().unwrap(), LEASE);
    connection.bye().unwrap();
    assert_eq!(bench.ended(Duration::from_secs(2)), Some(Reason::Bye));
    let said = bench.said();
    assert_eq!(said.len(), 3, "{said:?}");
    for statement in &said[..2] {
        match statement {
            Statement::Proven { identity, peer, length } => {
                assert_eq!((&**identity, peer.ip(), *length), (IDENTITY, HERE, LEASE));
            }
            Statement::Ended { .. } | Statement::Refused { .. } => panic!("{said:?}"),
        }
    }
}

#[test]
fn cordon_node_obtains_a_lease_and_gives_it_back_when_it_is_told_to_end() {
    let bench = Bench::new();
    let Settings { gateway, gateway_name: _, identity, ca, certificate, key } =
        bench.node(IDENTITY, Validity::days(30));
    let config = bench.directory.path().join("node.toml");
    let text = format!(
        "gateway = \"{gateway}\"\nidentity = \"{identity}\"\nca = {ca:?}\n\
         certificate = {certificate:?}\nkey = {key:?}\n"
    );
    fs::write(&config, text).unwrap();
    let mut command = Command::new(binary("cordon-node"));
    command.arg("--config").arg(&config);
    let mut node = Process::logged(command, &bench.directory.path().join("node.log"));
    node.wait_for_log("a lease of 60 s", Duration::from_secs(10));
    assert!(node.stop(Duration::from_secs(5)).success());
    assert_eq!(bench.ended(Duration::from_secs(2)), Some(Reason::Bye));
}

#[test]
fn a_connection_that_ends_without_a_word_ends_no_lease() {
    let bench = Bench::new();
    connect(&bench.node(IDENTITY, Validity::days(30))).unwrap();
    assert_eq!(bench.ended(Duration::from_secs(1)), None);
}

#[test]
fn certificates_that_do_not_count_prove_nothing() {
    let bench = Bench::new();
    let good = bench.node(IDENTITY, Validity::days(30));
    let expired = Validity { until: Validity::days(0).from, ..Validity::days(0) };
    let from = expired.until - (Validity::days(1).until - Validity::days(0).until);
    let expired = bench.node(IDENTITY, Validity { from, ..expired });
    assert!(matches!(connect(&expired), Err(ClientError::Io(_))));

    let other = bench.directory.path().join("other");
    let mut other = Authority::init(&other, 365).unwrap();
    let (certificate, key) = other.issue("ws-1", IDENTITY, Validity::days(30)).unwrap();
    let other = bench.settings(IDENTITY, certificate, key);
    assert!(matches!(connect(&other), Err(ClientError::Io(_))));

    // The gateway's own certificate makes no node.
    let pki = bench.pki();
    let gateway = bench.settings(GATEWAY, pki.join("gateway.crt"), pki.join("gateway.key"));
    assert!(matches!(connect(&gateway), Err(ClientError::Io(_))));
    let refused = (String::new(), Refusal::Certificate);
    assert_eq!(bench.refused(3), [refused.clone(), refused.clone(), refused]);
    assert_eq!(bench.said().len(), 3);
    assert_eq!(connect(&good).unwrap(), LEASE);
}

#[test]
fn a_node_cannot_speak_in_the_name_of_another() {
    let bench = Bench::new();
    let other = bench.node("ws-2.radiology.example", Validity::days(30));
    let claim = Settings { identity: IDENTITY.to_owned(), ..other.clone() };
    assert_eq!(reason(connect(&claim)), "certificate");
    assert_eq!(bench.refused(1), [(IDENTITY.to_owned(), Refusal::Certificate)]);
    assert_eq!(bench.said().len(), 1);
    // Nor does the gateway grant it a lease under its own name, which no node here has.
    assert_eq!(reason(connect(&other)), "identity");
}

#[test]
fn who_speaks_from_another_address_is_not_listened_to() {
    let bench = Bench::new();
    let settings = bench.node(IDENTITY, Validity::days(30));
    let (mut connection, _) = Client::new(&settings).unwrap().connect().unwrap();
    bench.allowed.send_replace(Arc::default());
    std::thread::sleep(Duration::from_secs(1));
    assert!(matches!(connection.renew(), Err(ClientError::Refused { .. })));
    assert!(connect(&settings).is_err());
    // It is not even shown a certificate.
    let mut stream = TcpStream::connect(bench.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
    // Of all that, only the renewal was heard.
    assert_eq!(bench.refused(1), [(IDENTITY.to_owned(), Refusal::Address)]);
    assert_eq!(bench.said().len(), 2);
}

#[test]
fn a_revoked_certificate_ends_the_lease_within_a_second_connected_or_not() {
    for is_connected in [true, false] {
        let bench = Bench::new();
        let settings = bench.node(IDENTITY, Validity::days(30));
        let (connection, _) = Client::new(&settings).unwrap().connect().unwrap();
        let connection = is_connected.then_some(connection);
        let revoked = Instant::now();
        Authority::open(&bench.pki()).unwrap().revoke("ws-1").unwrap();
        assert_eq!(bench.ended(Duration::from_secs(5)), Some(Reason::Distrusted));
        eprintln!("revocation to end: {:?}", revoked.elapsed());
        if let Some(mut connection) = connection {
            std::thread::sleep(Duration::from_secs(1));
            assert!(matches!(connection.renew(), Err(ClientError::Refused { .. })));
        }
        assert!(matches!(connect(&settings), Err(ClientError::Io(_))));
    }
}

#[test]
fn without_a_revocation_list_nothing_is_proved_and_nothing_is_cut() {
    let bench = Bench::new();
    let settings = bench.node(IDENTITY, Validity::days(30));
    let (mut connection, _) = Client::new(&settings).unwrap().connect().unwrap();
    let crl = bench.pki().join("crl.pem");
    let list = fs::read(&crl).unwrap();
    fs::write(&crl, "no list\n").unwrap();
    std::thread::sleep(Duration::from_millis(1200));
    assert!(connect(&settings).is_err());
    let renewed = connection.renew();
    assert!(matches!(renewed, Err(ClientError::Refused { reason }) if reason == "unavailable"));
    assert_eq!(bench.ended(Duration::from_millis(500)), None);
    fs::write(&crl, list).unwrap();
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(connect(&settings).unwrap(), LEASE);
}

#[test]
fn a_lease_does_not_outlast_the_certificate() {
    let bench = Bench::new();
    let until = Validity::days(0).until + Duration::from_secs(20);
    let length = connect(&bench.node(IDENTITY, Validity { until, ..Validity::days(0) })).unwrap();
    assert!((Duration::from_secs(10)..=Duration::from_secs(21)).contains(&length), "{length:?}");
}

#[test]
fn tls_1_2_is_refused_and_1_3_is_spoken() {
    let bench = Bench::new();
    let settings = bench.node(IDENTITY, Validity::days(30));
    for (version, is_spoken) in [("-tls1_2", false), ("-tls1_3", true)] {
        let mut client = Command::new("openssl")
            .args(["s_client", "-quiet", "-alpn", "cordon-lease/1", version])
            .args(["-connect", &bench.address.to_string()])
            .arg("-cert")
            .arg(&settings.certificate)
            .arg("-key")
            .arg(&settings.key)
            .arg("-CAfile")
            .arg(&settings.ca)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let hello = format!("{{\"say\":\"hello\",\"identity\":\"{IDENTITY}\"}}\n");
        // Where the handshake has failed, nobody reads it.
        let _ = client.stdin.as_mut().unwrap().write_all(hello.as_bytes());
        let mut answer = vec![0; 64];
        let length = client.stdout.as_mut().unwrap().read(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        assert_eq!(answer.contains("lease"), is_spoken, "{version}: {answer}");
        // It may have ended already.
        let _ = client.kill();
        client.wait().unwrap();
    }
}

#[test]
fn whoever_shakes_hands_slowly_loses_the_place() {
    let bench = Bench::new();
    let settings = bench.node(IDENTITY, Validity::days(30));
    let mut slow: Vec<_> = (0..32).map(|_| TcpStream::connect(bench.address).unwrap()).collect();
    for stream in &mut slow {
        stream.write_all(&[22, 3, 1]).unwrap();
    }
    // Others are served meanwhile.
    assert_eq!(connect(&settings).unwrap(), LEASE);
    for mut stream in slow {
        stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
        // An alert, or not even that.
        let mut rest = Vec::new();
        if let Err(error) = stream.read_to_end(&mut rest) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
    }
}

#[test]
fn a_flood_of_connections_takes_no_more_than_its_places() {
    let bench = Bench::bounded(Bounds { of_an_address: 4, burst: 40, ..Bounds::default() });
    let settings = bench.node(IDENTITY, Validity::days(30));
    let mut open = 0;
    let flood: Vec<_> = (0..500).map(|_| TcpStream::connect(bench.address).unwrap()).collect();
    std::thread::sleep(Duration::from_millis(300));
    for mut stream in flood {
        stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let is_open = matches!(stream.read(&mut [0]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock);
        open += u32::from(is_open);
    }
    assert!(open <= 4, "{open} are open");
    // When the flood is over, the node is served again.
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(connect(&settings).unwrap(), LEASE);
}
