//! What operators are told of who authenticates nodes: metrics, states, events, health.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use std::{fs, path::Path, time::Duration};

use firewall_control::{EventSeverity, NodeState};
use firewall_tests::gateway::{Gateway, assert_promtool_has_nothing_to_say, eventually};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, SerialNumber,
};
use time::OffsetDateTime;

const PATIENCE: Duration = Duration::from_secs(30);

/// Whether every one of these samples is on the page.
fn samples(gateway: &Gateway, wanted: &[&str]) -> bool {
    let page = gateway.metrics_page();
    assert_promtool_has_nothing_to_say(&page);
    wanted.iter().all(|wanted| page.lines().any(|line| line == *wanted))
}

#[track_caller]
fn expect(gateway: &Gateway, wanted: &[&str]) {
    let is_there = eventually(PATIENCE, || samples(gateway, wanted));
    assert!(is_there, "{wanted:?} on {}", gateway.metrics_page());
}

fn state(gateway: &Gateway) -> (NodeState, Option<String>, Option<u64>) {
    let nodes = gateway.wait(gateway.api().nodes(&Default::default())).unwrap().nodes;
    let node = nodes.into_iter().find(|node| node.name == "ct-1").unwrap();
    (node.state, node.lease_source, node.lease_seconds)
}

fn nodes(state: &str) -> String {
    let labels = "subnetwork=\"radiology\",authentication=\"802.1x\"";
    format!("cordon_nodes{{{labels},state=\"{state}\"}} 1")
}

#[test]
fn a_node_is_waiting_proven_in_grace_isolated_and_expired_and_metrics_say_so() {
    let (gateway, hostapd) =
        Gateway::with_hostapd("[authentication.grace]\ntime-critical = \"15s\"\n");
    let [up, leases, grace] = [
        "cordon_authentication_source_up{source=\"dot1x\",port=\"inside\"}",
        "cordon_leases{source=\"dot1x\",port=\"inside\"}",
        "cordon_leases_in_grace{source=\"dot1x\",port=\"inside\"}",
    ];
    let standing = |is_up: u8, held: u8, in_grace: u8| {
        [format!("{up} {is_up}"), format!("{leases} {held}"), format!("{grace} {in_grace}")]
    };
    let expect_all = |sources: [String; 3], state: &str| {
        let [up, leases, grace] = sources;
        expect(&gateway, &[&up, &leases, &grace, &nodes(state)]);
    };
    expect_all(standing(1, 0, 0), "no_lease");
    assert_eq!(state(&gateway), (NodeState::NoLease, None, None));

    hostapd.is_now("somebody.example");
    hostapd.lets_in();
    expect(&gateway, &["cordon_lease_refused_total{reason=\"identity\"} 1"]);
    hostapd.is_now("ct-1.example");
    hostapd.lets_in();
    expect_all(standing(1, 1, 0), "authenticated");
    let (proven, source, seconds) = state(&gateway);
    assert_eq!((proven, source.as_deref()), (NodeState::Authenticated, Some("dot1x")));
    assert!(seconds.is_some_and(|seconds| seconds > 60));

    drop(hostapd);
    expect_all(standing(0, 1, 1), "grace");
    let (in_grace, _, seconds) = state(&gateway);
    assert_eq!(in_grace, NodeState::Grace);
    assert!(seconds.is_some_and(|seconds| seconds <= 15));
    gateway.isolate("ct-1");
    expect(&gateway, &[&nodes("isolated")]);
    gateway.release("ct-1");
    expect_all(standing(0, 0, 0), "expired");
    assert_eq!(state(&gateway), (NodeState::Expired, None, None));

    let severity = |kind: &str| {
        let events = gateway.events();
        let event = events.into_iter().find(|event| event.kind.name() == kind);
        event.unwrap_or_else(|| panic!("no {kind}")).severity
    };
    assert_eq!(severity("source_lost"), EventSeverity::High);
    assert_eq!(severity("grace"), EventSeverity::High);
    assert_eq!(severity("lease_refused"), EventSeverity::Medium);
    assert_eq!(severity("lease"), EventSeverity::Low);
    let grave = gateway.cordon(&["events", "--severity", "high", "--node", "ct-1"]).done();
    assert!(grave.contains("grace (high)") && !grave.contains("granted"), "{grave}");
}

/// An authority of a site's own, whose list is good for so many seconds.
fn authority(pki: &Path, name: &str, key: &str, seconds: i64) {
    let key = KeyPair::from_pem(key).unwrap();
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    fs::write(pki.join(format!("{name}.crt")), params.self_signed(&key).unwrap().pem()).unwrap();
    let now = OffsetDateTime::now_utc();
    let list = CertificateRevocationListParams {
        this_update: now - time::Duration::HOUR,
        next_update: now + time::Duration::seconds(seconds),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let list = list.signed_by(&Issuer::new(params, key)).unwrap().pem().unwrap();
    fs::write(pki.join(format!("{name}.new")), list).unwrap();
    fs::rename(pki.join(format!("{name}.new")), pki.join(format!("{name}.pem"))).unwrap();
}

#[test]
fn a_revocation_list_that_has_run_out_fails_a_check_that_says_since_when() {
    let mut gateway = Gateway::prepare_authenticated("lease");
    let pki = gateway.lab().directory().join("pki");
    gateway.cordon(&["pki", "--directory", pki.to_str().unwrap(), "init"]).done();
    let key = KeyPair::generate().unwrap().serialize_pem();
    authority(&pki, "site", &key, 3600);
    let mtls = format!(
        "[authentication.mtls]\nlisten = \"127.0.0.1:7447\"\nca = {:?}\ncrl = {:?}\n\
         certificate = {:?}\nkey = {:?}\n",
        pki.join("site.crt"),
        pki.join("site.pem"),
        pki.join("gateway.crt"),
        pki.join("gateway.key")
    );
    gateway.write_config(&(gateway.config_text() + &mtls));
    gateway.restart();
    let up = "cordon_authentication_source_up{source=\"lease\"}";
    expect(&gateway, &[&format!("{up} 1"), "cordon_health{check=\"revocation list\"} 0"]);

    authority(&pki, "site", &key, 2);
    expect(&gateway, &[&format!("{up} 0"), "cordon_health{check=\"revocation list\"} 2"]);
    let (state, sentence) = gateway.check("revocation list");
    let year = OffsetDateTime::now_utc().year();
    assert_eq!(state, "fail");
    assert!(sentence.contains(&format!("has run out on {year}-")), "{sentence}");

    authority(&pki, "site", &key, 3600);
    expect(&gateway, &[&format!("{up} 1"), "cordon_health{check=\"revocation list\"} 0"]);
}
