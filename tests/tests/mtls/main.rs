//! Leases by mutual TLS, with certificates as `cordon pki` makes them, and as sites with an authority of
//! their own do.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests panic like tests")]

mod bench;
mod chains;
mod slow;

use std::fs;
use std::io::Read as _;
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use firewall_daemon::auth::mtls::{Reason, Refusal, Statement};
use firewall_node::client::{Client, ClientError};
use firewall_node::settings::Settings;
use firewall_pki::{Authority, GATEWAY, Validity};
use firewall_tests::gateway::binary;
use firewall_tests::lab::Process;

use self::bench::{Bench, HERE, IDENTITY, LEASE, connect, reason};

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
            Statement::Proven { identity, peer, length, chain: _ } => {
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
