//! Who speaks another TLS, is slow, or comes too often.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv6Addr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use firewall_daemon::auth::mtls::gate::Bounds;
use firewall_node::settings::Settings;
use firewall_pki::Validity;

use super::bench::{Bench, IDENTITY, LEASE, connect};

#[test]
fn tls_1_2_is_refused_and_1_3_is_spoken() {
    let bench = Bench::new();
    let settings = bench.node(IDENTITY, Validity::days(30));
    for (version, is_spoken) in [("-tls1_2", false), ("-tls1_3", true)] {
        let mut client = openssl(&bench, &settings, version);
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

/// Shakes hands, and says what is written to it.
fn openssl(bench: &Bench, settings: &Settings, version: &str) -> Child {
    Command::new("openssl")
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
        .unwrap()
}

#[test]
fn whoever_says_hello_slowly_loses_the_place() {
    let bench = Bench::new();
    let settings = bench.node(IDENTITY, Validity::days(30));
    let mut slow = openssl(&bench, &settings, "-tls1_3");
    let begun = Instant::now();
    let hello = format!("{{\"say\":\"hello\",\"identity\":\"{IDENTITY}\"}}\n");
    // A byte at a time, so that there is always something to hear: it would take half a minute.
    for byte in hello.as_bytes() {
        let is_heard = slow.stdin.as_mut().unwrap().write_all(&[*byte]).is_ok();
        if !is_heard || slow.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    slow.wait().unwrap();
    assert_eq!(bench.said(), []);
    assert_eq!(connect(&settings).unwrap(), LEASE);
}

#[test]
fn a_gateway_that_listens_for_both_families_knows_an_ipv4_node() {
    let everywhere = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let bounds = Bounds { of_an_address: 64, burst: 1000, ..Bounds::default() };
    let bench = Bench::listening(everywhere, bounds, |_| {});
    let settings = bench.node(IDENTITY, Validity::days(30));
    assert_eq!(connect(&settings).unwrap(), LEASE);
    // Its peers are ::ffff:127.0.0.1, which is the address of nobody else.
    let other = IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0x7f00, 1));
    bench.allowed.send_replace(std::sync::Arc::new([other].into()));
    assert!(connect(&settings).is_err());
}
